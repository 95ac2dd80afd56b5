import './styles/tokens.css';
import './styles/page.css';
import './styles/row.css';
import './styles/aside.css';

import { render } from 'preact';

import { startActivity } from './activity';
import { App } from './app';
import { startRanking } from './ranking';

render(<App />, document.getElementById('app')!);
startRanking();
startActivity();
