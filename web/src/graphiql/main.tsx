/** @jsxImportSource react */
import 'graphiql/setup-workers/vite';
import 'graphiql/style.css';
import './graphiql.css';

import { createGraphiQLFetcher } from '@graphiql/toolkit';
import { GraphiQL } from 'graphiql';
import { createRoot } from 'react-dom/client';

import { GRAPHQL_PATH, subscriptionUrl } from '../shared/endpoint';
import logo from '../shared/favicon.svg';
import { authorization } from '../shared/graphql';
import { openSession, remember } from '../shared/session';
import { chosenTheme } from '../shared/theme';
import { examples } from './examples';

// GraphiQL is for looking at a server in any state: no session is no reason not to open.
const session = await openSession().catch(() => null);
if (session) remember(session);
const auth = authorization(session?.token ?? null);
const headers = Object.keys(auth).length > 0 ? JSON.stringify(auth, null, 2) : undefined;

// GraphiQL does not persist the Headers editor, so tabs restored from an earlier visit come
// back without it: the token is therefore also the fetcher's default, for both transports.
// What stands in the editor wins.
const fetcher = createGraphiQLFetcher({
  url: GRAPHQL_PATH,
  headers: auth,
  subscriptionUrl: subscriptionUrl(),
  wsConnectionParams: auth,
  enableIncrementalDelivery: false,
});

createRoot(document.getElementById('graphiql')!).render(
  <GraphiQL
    fetcher={fetcher}
    defaultTabs={examples.map((example) => ({ ...example, headers }))}
    defaultHeaders={headers}
    defaultQuery=""
    defaultTheme={chosenTheme()}
    defaultEditorToolsVisibility={false}
  >
    <GraphiQL.Logo>
      <a className="back-to-board" href="/" title="Back to the live board · 返回榜单">
        <img src={logo} alt="" width={22} height={22} />
        tally
      </a>
    </GraphiQL.Logo>
  </GraphiQL>,
);
