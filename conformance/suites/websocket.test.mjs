/**
 * graphql-transport-ws: the npm package `graphql-ws` as a client, then each close code by hand.
 * Source: https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, describe, it } from 'node:test';

import { createClient } from 'graphql-ws';
import WebSocket from 'ws';

import { data, session, SOCKET, someContents, unliked } from '../lib/server.mjs';
import { deadline, eventually } from '../lib/wait.mjs';

const LIKE = 'mutation ($id: ID!) { like(contentId: $id) { changed content { id } } }';
const UNLIKE = 'mutation ($id: ID!) { unlike(contentId: $id) { changed } }';
const CHANGES =
  'subscription ($ids: [ID!]) { hotnessChanged(contentIds: $ids) { content { id } } }';

const open = new Set();
after(async () => {
  for (const client of open) await client.dispose();
});

function client(options = {}) {
  const made = createClient({
    url: SOCKET,
    webSocketImpl: WebSocket,
    retryAttempts: 0,
    lazyCloseTimeout: 0,
    ...options,
  });
  open.add(made);
  return made;
}

async function all(results) {
  const found = [];
  for await (const result of results) found.push(result);
  return found;
}

describe('graphql-ws, the client', () => {
  it('asks', async () => {
    const results = await deadline(all(client().iterate({ query: '{ __typename }' })), 'an answer');
    assert.deepEqual(results, [{ data: { __typename: 'Query' } }]);
  });

  it('asks with variables and an operation name', async () => {
    const query = 'query A { a: __typename } query B($n: Int!) { hotRanking(first: $n) { rank } }';
    const [result] = await deadline(
      all(client().iterate({ query, variables: { n: 1 }, operationName: 'B' })),
      'an answer',
    );
    assert.deepEqual(result, { data: { hotRanking: [{ rank: 1 }] } });
  });

  it('changes, with a token', async () => {
    const { token } = await session();
    const id = await unliked(token);
    const signedIn = client({ connectionParams: { Authorization: `Bearer ${token}` } });
    const [result] = await deadline(
      all(signedIn.iterate({ query: LIKE, variables: { id } })),
      'an answer',
    );
    assert.deepEqual(result, { data: { like: { changed: true, content: { id } } } });
    await data(UNLIKE, { id }, { token });
  });

  it('is refused a change without a token, by a field error', async () => {
    const [id] = await someContents(1);
    const [result] = await deadline(
      all(client().iterate({ query: LIKE, variables: { id } })),
      'an answer',
    );
    assert.equal(result.errors[0].extensions.code, 'UNAUTHENTICATED');
    assert.deepEqual(result.errors[0].path, ['like']);
    assert.equal(result.data, null);
  });

  it('listens, and hears what another client does', async () => {
    const { token } = await session();
    const id = await unliked(token);
    const heard = await hears(client(), id, token);
    assert.deepEqual(heard, { data: { hotnessChanged: { content: { id } } } });
  });

  it('gets the present state of a ranking at once', async () => {
    const query = 'subscription { hotRankingChanged(first: 3) { entries { rank } } }';
    const results = client().iterate({ query });
    const { value } = await deadline(results.next(), 'the first state');
    assert.deepEqual(
      value.data.hotRankingChanged.entries.map((entry) => entry.rank),
      [1, 2, 3],
    );
    await results.return();
  });

  it('runs many operations on one socket', async () => {
    const one = client();
    const results = await deadline(
      Promise.all(
        Array.from({ length: 20 }, (_, n) => all(one.iterate({ query: `{ a${n}: __typename }` }))),
      ),
      'all answers',
    );
    results.forEach(([result], n) => assert.deepEqual(result, { data: { [`a${n}`]: 'Query' } }));
  });

  it('gets an error message for a document that is not valid, and the socket stays', async () => {
    const one = client({ lazyCloseTimeout: 5_000 });
    await assert.rejects(
      deadline(all(one.iterate({ query: '{ nothing }' })), 'an error'),
      (errors) => {
        assert.ok(Array.isArray(errors), `not the payload of an error message: ${errors}`);
        assert.equal(typeof errors[0].message, 'string');
        assert.equal(typeof errors[0].extensions.code, 'string');
        return true;
      },
    );
    assert.equal((await all(one.iterate({ query: '{ __typename }' }))).length, 1);
  });

  it('gets errors and no data for variables that do not fit', async () => {
    const query = 'query ($n: Int!) { hotRanking(first: $n) { rank } }';
    const asked = all(client().iterate({ query, variables: { n: 'one' } }));
    // Before or as the execution begins: the protocol leaves open which.
    const outcome = await deadline(asked, 'an error').then(
      ([result]) => result,
      (errors) => ({ errors }),
    );
    assert.ok(Array.isArray(outcome.errors), JSON.stringify(outcome));
    assert.ok(!('data' in outcome), JSON.stringify(outcome));
  });

  it('pings, and hears the pong', async () => {
    const one = client({ keepAlive: 50, lazyCloseTimeout: 5_000 });
    const pong = new Promise((resolve) => one.on('pong', (received) => received && resolve()));
    await all(one.iterate({ query: '{ __typename }' }));
    await deadline(pong, 'a pong');
  });

  it('is not let in with a token that does not hold', async () => {
    const one = client({ connectionParams: { Authorization: 'Bearer nonsense' } });
    await assert.rejects(
      deadline(all(one.iterate({ query: '{ __typename }' })), 'a close'),
      (event) => {
        assert.ok([4401, 4403].includes(event.code), `closed with ${event.code} ${event.reason}`);
        return true;
      },
    );
  });
});

describe('graphql-transport-ws, by hand', () => {
  it('chooses the subprotocol', async () => {
    const socket = await opened();
    assert.equal(socket.raw.protocol, 'graphql-transport-ws');
  });

  it('answers ping with pong, before and after the acknowledgement, with the payload or none', async () => {
    const socket = await opened();
    socket.send({ type: 'ping' });
    assert.equal((await socket.next()).type, 'pong');
    await socket.init();
    socket.send({ type: 'ping', payload: { a: 1 } });
    assert.equal((await socket.next()).type, 'pong');
    socket.send({ type: 'pong' });
    socket.send({ type: 'pong', payload: {} });
    await socket.ask('x', '{ __typename }');
  });

  it('sends next, then complete', async () => {
    const socket = await opened();
    await socket.init();
    await socket.ask('1', '{ __typename }');
    // An id that is done may be used again.
    await socket.ask('1', '{ __typename }');
  });

  it('takes a complete for an operation that it does not know', async () => {
    const socket = await opened();
    await socket.init();
    socket.send({ type: 'complete', id: 'nothing' });
    await socket.ask('1', '{ __typename }');
  });

  it('ends a subscription at the complete of the client, and says nothing more of it', async () => {
    const socket = await opened();
    await socket.init();
    const query = 'subscription { hotRankingChanged(first: 1) { changedAt } }';
    socket.send({ type: 'subscribe', id: 's', payload: { query } });
    const first = await socket.next();
    assert.equal(first.type, 'next');
    assert.equal(first.id, 's');
    socket.send({ type: 'complete', id: 's' });
    // The id is free again, and whatever comes now is not of the old operation's end.
    socket.send({ type: 'subscribe', id: 's', payload: { query: '{ __typename }' } });
    let message = await socket.next();
    while (message.payload?.data?.hotRankingChanged) message = await socket.next();
    assert.deepEqual(message, {
      type: 'next',
      id: 's',
      payload: { data: { __typename: 'Query' } },
    });
    assert.deepEqual(await socket.next(), { type: 'complete', id: 's' });
  });

  it('4400: no JSON', () =>
    closes(4400, async (socket) => {
      await socket.init();
      socket.raw.send('{');
    }));
  const invalid = {
    'JSON that is no object': [],
    'no type': {},
    'a type that is no text': { type: 7 },
    'an unknown type': { type: 'start', id: '1', payload: { query: '{ __typename }' } },
    'subscribe without id': { type: 'subscribe', payload: { query: '{ __typename }' } },
    'subscribe with an empty id': {
      type: 'subscribe',
      id: '',
      payload: { query: '{ __typename }' },
    },
    'subscribe with a number as id': {
      type: 'subscribe',
      id: 1,
      payload: { query: '{ __typename }' },
    },
    'subscribe without payload': { type: 'subscribe', id: '1' },
    'subscribe without query': { type: 'subscribe', id: '1', payload: {} },
    'a query that is no text': { type: 'subscribe', id: '1', payload: { query: 7 } },
    'variables that are no object': {
      type: 'subscribe',
      id: '1',
      payload: { query: '{ __typename }', variables: [] },
    },
    'complete without id': { type: 'complete' },
  };
  for (const [name, message] of Object.entries(invalid)) {
    it(`4400: ${name}`, () =>
      closes(4400, async (socket) => {
        await socket.init();
        socket.send(message);
      }));
  }
  // Known types, but not the client's to send: the protocol's own server calls that an error of its own.
  for (const message of [{ type: 'connection_ack' }, { type: 'next', id: '1', payload: {} }]) {
    it(`4400 or 4500: ${message.type} from the client`, () =>
      closes([4400, 4500], async (socket) => {
        await socket.init();
        socket.send(message);
      }));
  }
  it('4400: a payload of connection_init that is no object', () =>
    closes(4400, (socket) => socket.send({ type: 'connection_init', payload: 7 })));

  it('4401: subscribe before connection_init', () =>
    closes(4401, (socket) =>
      socket.send({ type: 'subscribe', id: '1', payload: { query: '{ __typename }' } }),
    ));

  it('4406: no subprotocol', async () => {
    const raw = new WebSocket(SOCKET);
    const [code] = await deadline(once(raw, 'close'), 'a close');
    assert.equal(code, 4406);
  });

  it('4408: no connection_init in time', { timeout: 30_000 }, () => closes(4408, () => {}, 20_000));

  it('4409: an id that is in use', () =>
    closes(4409, async (socket) => {
      await socket.init();
      const payload = { query: 'subscription { hotnessChanged { score } }' };
      socket.send({ type: 'subscribe', id: 'same', payload });
      socket.send({ type: 'subscribe', id: 'same', payload });
    }));

  it('4429: connection_init twice', () =>
    closes(4429, async (socket) => {
      await socket.init();
      socket.send({ type: 'connection_init' });
    }));
  it('4429: connection_init twice at once', () =>
    closes(4429, (socket) => {
      socket.send({ type: 'connection_init' });
      socket.send({ type: 'connection_init' });
    }));

  it('closes a socket that sends bytes instead of text', async () => {
    const socket = await opened();
    await socket.init();
    socket.raw.send(Buffer.from([0xff, 0x00, 0xfe]));
    const code = await socket.closed();
    assert.ok([4400, 1003, 1007].includes(code), `closed with ${code}`);
  });

  it('closes a socket that sends too much', async () => {
    const socket = await opened();
    await socket.init();
    socket.send({ type: 'ping', payload: { a: 'x'.repeat(2 * 1024 * 1024) } });
    const code = await socket.closed();
    assert.ok([1009, 4400, 1006].includes(code), `closed with ${code}`);
  });
});

/** Listens to one content, has it liked again and again until the listener hears of it, and puts it back. */
async function hears(listener, id, token) {
  const results = listener.iterate({ query: CHANGES, variables: { ids: [id] } });
  const first = results.next();
  await eventually(first, async () => {
    await data(LIKE, { id }, { token });
    await data(UNLIKE, { id }, { token });
  });
  const { value } = await first;
  await results.return();
  return value;
}

/** A socket with a queue of what it got. */
async function opened() {
  const raw = new WebSocket(SOCKET, 'graphql-transport-ws');
  const queue = [];
  const waiting = [];
  const gone = new Promise((resolve) => raw.once('close', (code) => resolve(code)));
  raw.on('error', () => {});
  raw.on('message', (text) => {
    const message = JSON.parse(text);
    // Pings of the server are not what tests wait for.
    if (message.type === 'ping') return;
    const next = waiting.shift();
    if (next) next(message);
    else queue.push(message);
  });
  open.add({ dispose: () => raw.terminate() });
  await deadline(once(raw, 'open'), 'an open socket');
  const socket = {
    raw,
    send: (message) => raw.send(JSON.stringify(message)),
    next: () =>
      deadline(
        queue.length > 0
          ? Promise.resolve(queue.shift())
          : new Promise((resolve) => waiting.push(resolve)),
        'a message',
      ),
    closed: (most) => deadline(gone, 'a close', most),
    async init() {
      socket.send({ type: 'connection_init' });
      assert.equal((await socket.next()).type, 'connection_ack');
    },
    async ask(id, query) {
      socket.send({ type: 'subscribe', id, payload: { query } });
      assert.deepEqual(await socket.next(), {
        type: 'next',
        id,
        payload: { data: { __typename: 'Query' } },
      });
      assert.deepEqual(await socket.next(), { type: 'complete', id });
    },
  };
  return socket;
}

async function closes(expected, act, most) {
  const socket = await opened();
  await act(socket);
  const code = await socket.closed(most);
  assert.ok([expected].flat().includes(code), `closed with ${code}`);
}
