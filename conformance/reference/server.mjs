/**
 * A small server of the same schema made of graphql-js, graphql-http, graphql-ws and graphql-sse: what passes here and
 * fails at tally is tally's fault, and what fails here too is the suite's. Keeps everything in memory.
 *
 *   node reference/server.mjs        prints `board      http://127.0.0.1:PORT/` as `tally demo` does
 */
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';

import { execute, GraphQLError, parse, subscribe, validate } from 'graphql';
import { createHandler as createHttp } from 'graphql-http';
import { createHandler as createStream } from 'graphql-sse/lib/use/http';
import { useServer } from 'graphql-ws/use/ws';
import { WebSocketServer } from 'ws';

import { schema } from '../lib/server.mjs';
import { listen, root, users } from './content.mjs';

const BODY_MOST = 1024 * 1024;
const BATCH_MOST = 10;
const INIT_WAIT_MS = 3_000;

for (const type of ['Content', 'Node']) {
  schema.getType(type).resolveType = ({ id }) =>
    ({ artwork: 'Artwork', video: 'Video', user: 'User' })[id.split('_')[0]];
}
for (const [name, field] of Object.entries(schema.getSubscriptionType().getFields())) {
  field.subscribe = (_, args) => listen(name, args);
  field.resolve = (event) => event;
}

const refusal = (message, code = 'INVALID_INPUT') =>
  new GraphQLError(message, { extensions: { code } });
const coded = (error) =>
  error.extensions?.code
    ? error
    : new GraphQLError(error.message, { ...error, extensions: { code: 'INVALID_INPUT' } });

const withCodes = (result) =>
  result.errors ? { ...result, errors: result.errors.map(coded) } : result;

/** Whose token it is; null without one. */
function viewer(authorization) {
  if (!authorization) return null;
  const user = users.get(/^bearer demo-(\d+)$/i.exec(authorization)?.[1]);
  if (!user) throw refusal('the token does not hold', 'UNAUTHENTICATED');
  return user;
}

/** The limits that a server sets, in short. */
function limits(query) {
  if (query.length > 64 * 1024) throw refusal('the document is too long', 'TOO_COMPLEX');
  const document = parse(query, { maxTokens: 4_000 });
  const fragments = new Map();
  for (const each of document.definitions) if (each.name) fragments.set(each.name.value, each);
  const sizes = new Map();
  const size = (set, depth) => {
    if (depth > 20) throw refusal('the document is too deep', 'TOO_COMPLEX');
    let found = { fields: 0, aliases: 0, directives: 0 };
    for (const each of set?.selections ?? []) {
      found.directives = Math.max(found.directives, each.directives.length);
      if (each.kind === 'Field') {
        found.fields += 1;
        found.aliases += each.alias ? 1 : 0;
      }
      let inner;
      if (each.kind !== 'FragmentSpread') inner = size(each.selectionSet, depth + 1);
      else {
        const key = each.name.value;
        if (!sizes.has(key)) {
          sizes.set(key, { fields: 0, aliases: 0, directives: 0 });
          sizes.set(key, size(fragments.get(key)?.selectionSet, depth + 1));
        }
        inner = sizes.get(key);
      }
      found = {
        fields: found.fields + inner.fields,
        aliases: found.aliases + inner.aliases,
        directives: Math.max(found.directives, inner.directives),
      };
    }
    return found;
  };
  for (const each of document.definitions) {
    if (each.kind !== 'OperationDefinition') continue;
    const { fields, aliases, directives } = size(each.selectionSet, 0);
    if (fields > 400 || aliases > 100 || directives > 8) {
      throw refusal('the document is too complex', 'TOO_COMPLEX');
    }
  }
}

const persisted = new Map();
function known(params) {
  const hash = params.extensions?.persistedQuery?.sha256Hash;
  if (!hash) return params;
  if (params.query) {
    if (createHash('sha256').update(params.query).digest('hex') !== hash) {
      throw refusal('provided sha does not match query');
    }
    persisted.set(hash, params.query);
  }
  const query = persisted.get(hash);
  if (!query) throw refusal('PersistedQueryNotFound', 'PERSISTED_QUERY_NOT_FOUND');
  return { ...params, query };
}

const http = createHttp({
  schema,
  rootValue: root,
  context: (request) => ({ user: request.context }),
  formatError: coded,
  onSubscribe(_, params) {
    try {
      limits(params.query);
    } catch (error) {
      return [coded(error)];
    }
  },
});

async function body(request) {
  const chunks = [];
  let length = 0;
  for await (const chunk of request) {
    length += chunk.length;
    if (length > BODY_MOST) return null;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

const JSON_TYPE = { 'content-type': 'application/json; charset=utf-8' };
function say(response, status, value, headers = JSON_TYPE) {
  response.writeHead(status, headers).end(JSON.stringify(value));
}
const refuse = (response, status, error) => say(response, status, { errors: [coded(error)] });

async function graphql(request, response) {
  const { method, headers } = request;
  if (!['GET', 'POST'].includes(method)) {
    response.setHeader('allow', 'GET, POST');
    return refuse(response, 405, refusal('GET or POST'));
  }
  let user;
  try {
    user = viewer(headers.authorization);
  } catch (error) {
    return refuse(response, 401, error);
  }
  let text = null;
  if (method === 'POST') {
    const encoding = headers['content-encoding'] ?? 'identity';
    if (encoding !== 'identity') return refuse(response, 415, refusal('no content encodings'));
    const bytes = await body(request);
    if (bytes === null) return refuse(response, 413, refusal('too large'));
    try {
      text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    } catch {
      return refuse(response, 400, refusal('not UTF-8'));
    }
  }
  const perform = (params, url = request.url) =>
    http({ method, url, headers, body: params, raw: request, context: user });
  const wantsJson = (headers['content-type'] ?? '').startsWith('application/json');
  let params = text;
  if (method === 'POST' && wantsJson) {
    try {
      params = JSON.parse(text);
    } catch {
      return refuse(response, 400, refusal('not JSON'));
    }
    if (Array.isArray(params)) {
      if (params.length === 0 || params.length > BATCH_MOST) {
        return refuse(response, 400, refusal('1 to 10 requests', 'TOO_COMPLEX'));
      }
      const parts = [];
      for (const each of params) {
        const [part] = await perform(each).catch(() => ['{"errors":[{"message":"no request"}]}']);
        parts.push(JSON.parse(part));
      }
      return say(response, 200, parts);
    }
    try {
      if (params && typeof params === 'object') params = known(params);
    } catch (error) {
      return refuse(response, 200, error);
    }
  }
  let url = request.url;
  const address = new URL(url, 'http://localhost');
  if (method === 'GET' && address.searchParams.has('extensions')) {
    try {
      const given = Object.fromEntries(address.searchParams);
      const { query } = known({ ...given, extensions: JSON.parse(given.extensions) });
      address.searchParams.set('query', query);
      url = address.pathname + address.search;
    } catch (error) {
      return refuse(response, 200, error);
    }
  }
  const [answer, init] = await perform(params, url);
  // graphql-http answers 200 where the variables were refused, which the specification wants to be 400.
  const refused =
    init.headers?.['content-type']?.includes('graphql-response') && !('data' in JSON.parse(answer));
  return response.writeHead(refused ? 400 : init.status, init.headers).end(answer);
}

/** As a stream, because graphql-sse answers 400 to a plain result without data. */
async function* onlyErrors(errors) {
  yield { errors: errors.map(coded) };
}

const stream = createStream({
  onSubscribe(request, params) {
    try {
      const document = parse(params.query);
      const errors = validate(schema, document);
      if (errors.length > 0) return onlyErrors(errors);
      const contextValue = { user: viewer(request.raw.headers.authorization) };
      const { operationName, variables: variableValues } = params;
      return { schema, document, operationName, variableValues, contextValue, rootValue: root };
    } catch (error) {
      return onlyErrors([error]);
    }
  },
  onNext: (_, _request, result) => withCodes(result),
});

let sessions = 0;
const server = createServer((request, response) => {
  const { pathname } = new URL(request.url, 'http://localhost');
  const handled = (async () => {
    switch (pathname) {
      case '/graphql':
        return graphql(request, response);
      case '/graphql/stream':
        try {
          viewer(request.headers.authorization);
        } catch (error) {
          return refuse(response, 401, error);
        }
        return stream(request, response);
      case '/healthz':
        return response.end('ok');
      case '/demo/session': {
        const user = users.get(String((sessions++ % users.size) + 1));
        return say(response, 200, {
          token: `demo-${user.number}`,
          user: { id: user.id, name: user.name },
        });
      }
      default:
        return response.writeHead(404).end('not found');
    }
  })();
  handled.catch((error) => {
    console.error(error);
    if (!response.headersSent) response.writeHead(500).end();
  });
});

const sockets = new WebSocketServer({ server, path: '/graphql', maxPayload: 64 * 1024 });
useServer(
  {
    schema,
    roots: { query: root, mutation: root },
    execute,
    subscribe,
    connectionInitWaitTimeout: INIT_WAIT_MS,
    onConnect({ connectionParams, extra }) {
      try {
        extra.user = viewer(connectionParams?.Authorization);
      } catch {
        return false;
      }
    },
    context: ({ extra }) => ({ user: extra.user }),
    onError: (_, _id, _payload, errors) => errors.map(coded),
    onNext: (_, _id, _payload, _args, result) => withCodes(result),
  },
  sockets,
);

server.listen(0, '127.0.0.1', () => {
  console.log(`board      http://127.0.0.1:${server.address().port}/`);
});
process.on('SIGTERM', () => process.exit(0));
