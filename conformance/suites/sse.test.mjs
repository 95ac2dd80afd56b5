/**
 * GraphQL over server-sent events, distinct connections: the npm package `graphql-sse` as a client.
 * Source: https://github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md
 */
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';

import { createClient } from 'graphql-sse';

import { data, PATIENCE_MS, session, STREAM, unliked } from '../lib/server.mjs';
import { deadline, eventually } from '../lib/wait.mjs';

const LIKE = 'mutation ($id: ID!) { like(contentId: $id) { changed content { id } } }';
const UNLIKE = 'mutation ($id: ID!) { unlike(contentId: $id) { changed } }';

const open = [];
after(() => open.forEach((client) => client.dispose()));

function client(options = {}) {
  const made = createClient({ url: STREAM, retryAttempts: 0, ...options });
  open.push(made);
  return made;
}
const signedIn = (token) => client({ headers: { Authorization: `Bearer ${token}` } });

async function all(request, by = client()) {
  const found = [];
  for await (const result of by.iterate(request)) found.push(result);
  return found;
}

describe('graphql-sse, the client', () => {
  it('asks', async () => {
    const results = await deadline(all({ query: '{ __typename }' }), 'an answer');
    assert.deepEqual(results, [{ data: { __typename: 'Query' } }]);
  });

  it('asks with variables and an operation name', async () => {
    const query = 'query A { __typename } query B($n: Int!) { hotRanking(first: $n) { rank } }';
    const results = await deadline(
      all({ query, variables: { n: 1 }, operationName: 'B' }),
      'an answer',
    );
    assert.deepEqual(results, [{ data: { hotRanking: [{ rank: 1 }] } }]);
  });

  it('changes, with a token', async () => {
    const { token } = await session();
    const id = await unliked(token);
    const results = await deadline(all({ query: LIKE, variables: { id } }, signedIn(token)), 'it');
    assert.deepEqual(results, [{ data: { like: { changed: true, content: { id } } } }]);
    await data(UNLIKE, { id }, { token });
  });

  it('listens, and hears what another client does', async () => {
    const { token } = await session();
    const id = await unliked(token);
    const results = client().iterate({
      query: 'subscription ($ids: [ID!]) { hotnessChanged(contentIds: $ids) { content { id } } }',
      variables: { ids: [id] },
    });
    const first = results.next();
    await eventually(first, async () => {
      await data(LIKE, { id }, { token });
      await data(UNLIKE, { id }, { token });
    });
    assert.deepEqual((await first).value, { data: { hotnessChanged: { content: { id } } } });
    await results.return();
  });

  it('gets the present state of a ranking at once', async () => {
    const results = client().iterate({
      query: 'subscription { hotRankingChanged(first: 2) { entries { rank } } }',
    });
    const { value } = await deadline(results.next(), 'the first state');
    assert.deepEqual(value.data.hotRankingChanged.entries, [{ rank: 1 }, { rank: 2 }]);
    await results.return();
  });

  const before = {
    'does not parse': { query: '{' },
    'is not valid': { query: '{ nothing }' },
    'has variables that do not fit': {
      query: 'query ($n: Int!) { hotRanking(first: $n) { rank } }',
      variables: { n: 'one' },
    },
    'is an invalid subscription': { query: 'subscription { nothing }' },
  };
  for (const [name, request] of Object.entries(before)) {
    it(`gets the errors of what ${name} as an event, without data`, async () => {
      const results = await deadline(all(request), 'an answer');
      assert.equal(results.length, 1);
      assert.equal(typeof results[0].errors[0].message, 'string');
      assert.equal(typeof results[0].errors[0].extensions.code, 'string');
      assert.ok(!('data' in results[0]), JSON.stringify(results[0]));
    });
  }

  it('is not let in with a token that does not hold', async () => {
    const outcome = await deadline(
      all({ query: '{ __typename }' }, signedIn('nonsense')).catch((error) => error),
      'a refusal',
    );
    // The client's own error has the response; an event is fine too.
    if (Array.isArray(outcome))
      assert.equal(outcome[0].errors[0].extensions.code, 'UNAUTHENTICATED');
    else assert.equal(outcome.response?.status, 401, String(outcome));
  });
});

describe('the stream, by hand', () => {
  const ask = (options) => fetch(STREAM, { signal: AbortSignal.timeout(PATIENCE_MS), ...options });
  const body = JSON.stringify({ query: '{ __typename }' });
  const post = {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'text/event-stream' },
    body,
  };

  it('is text/event-stream, and nobody may keep it', async () => {
    const response = await ask(post);
    assert.equal(response.status, 200);
    assert.match(response.headers.get('content-type'), /^text\/event-stream/);
    assert.match(response.headers.get('cache-control') ?? '', /no-cache|no-store/);
    assert.match(
      await response.text(),
      /event: ?next\r?\ndata: ?\{.*\}\r?\n\r?\nevent: ?complete\r?\n/,
    );
  });

  it('takes GET with the parameters in the address', async () => {
    const url = `${STREAM}?query=${encodeURIComponent('{ __typename }')}`;
    const response = await fetch(url, {
      signal: AbortSignal.timeout(PATIENCE_MS),
      headers: { accept: 'text/event-stream' },
    });
    assert.equal(response.status, 200);
    assert.match(await response.text(), /event: ?next/);
  });

  it('changes nothing on GET', async () => {
    const { token } = await session();
    const id = await unliked(token);
    const query = `mutation { like(contentId: "${id}") { changed } }`;
    const response = await fetch(`${STREAM}?query=${encodeURIComponent(query)}`, {
      signal: AbortSignal.timeout(PATIENCE_MS),
      headers: { accept: 'text/event-stream', authorization: `Bearer ${token}` },
    });
    await response.text();
    const { node } = await data(
      'query ($id: ID!) { node(id: $id) { ... on Content { viewerHasLiked } } }',
      { id },
      { token },
    );
    assert.equal(node.viewerHasLiked, false);
  });
});
