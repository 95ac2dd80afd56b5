import './styles/tokens.css';
import './styles/page.css';
import './styles/row.css';
import './styles/aside.css';
import './styles/points.css';

import { render } from 'preact';

import { startActivity } from './activity';
import { App } from './app';
import { startPoints } from './points/account';
import { startPosting } from './points/posting';
import { startRanking } from './ranking';

render(<App />, document.getElementById('app')!);
startRanking();
startActivity();
startPoints();
startPosting();
