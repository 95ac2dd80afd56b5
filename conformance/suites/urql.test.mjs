/** urql's core with fetch, graphql-ws subscriptions and persisted queries. */
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';

import { Client, fetchExchange, gql, subscriptionExchange } from '@urql/core';
import { persistedExchange } from '@urql/exchange-persisted';
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';

import { sha256 } from '../lib/hash.mjs';
import { data, HTTP, PATIENCE_MS, session, SOCKET, unliked } from '../lib/server.mjs';
import { deadline, eventually } from '../lib/wait.mjs';

const { token } = await session();
const UNLIKE = 'mutation ($id: ID!) { unlike(contentId: $id) { changed } }';
const HOTTEST = gql`
  query Hottest($first: Int!) {
    hotRanking(first: $first) {
      rank
      content {
        id
        title
      }
    }
  }
`;
const LIKE = gql`
  mutation Like($id: ID!) {
    like(contentId: $id) {
      changed
      content {
        id
        viewerHasLiked
      }
    }
  }
`;
const CHANGES = gql`
  subscription Changes($ids: [ID!]) {
    hotnessChanged(contentIds: $ids) {
      content {
        id
      }
    }
  }
`;

const sockets = [];
after(async () => {
  for (const socket of sockets) await socket.dispose();
});

function urql(exchanges, options) {
  const requests = [];
  const client = new Client({
    url: HTTP,
    exchanges,
    preferGetMethod: false,
    requestPolicy: 'network-only',
    fetchOptions: { headers: { authorization: `Bearer ${token}` } },
    fetch: (url, init) => {
      requests.push({ url: String(url), ...init });
      return fetch(url, { ...init, signal: AbortSignal.timeout(PATIENCE_MS) });
    },
    ...options,
  });
  return { client, requests };
}

async function asksAndLikes(client) {
  const asked = await deadline(client.query(HOTTEST, { first: 2 }).toPromise(), 'an answer');
  assert.ok(!asked.error, String(asked.error));
  assert.equal(asked.data.hotRanking.length, 2);
  const id = await unliked(token);
  const done = await deadline(client.mutation(LIKE, { id }).toPromise(), 'an answer');
  assert.ok(!done.error, String(done.error));
  assert.equal(done.data.like.changed, true);
  await data(UNLIKE, { id }, { token });
}

describe('urql', () => {
  it('asks and likes', () => asksAndLikes(urql([fetchExchange]).client));

  it('asks over GET', async () => {
    const { client, requests } = urql([fetchExchange], { preferGetMethod: 'force' });
    await asksAndLikes(client);
    assert.deepEqual(
      requests.map((request) => request.method),
      ['GET', 'POST'],
    );
  });

  it('shows the code of a refusal', async () => {
    const { client } = urql([fetchExchange]);
    const { error } = await deadline(client.query('{ nothing }', {}).toPromise(), 'an answer');
    assert.equal(typeof error.graphQLErrors[0].extensions.code, 'string');
  });

  it('sends a hash instead of a document that the server knows', async () => {
    const query = `query Hottest${Date.now()} { hotRanking(first: 1) { rank } }`;
    const persisted = persistedExchange({ generateHash: async (text) => sha256(text) });
    const ask = async () => {
      const { client, requests } = urql([persisted, fetchExchange]);
      const answer = await deadline(client.query(query, {}).toPromise(), 'an answer');
      assert.ok(!answer.error, String(answer.error));
      assert.equal(answer.data.hotRanking[0].rank, 1);
      return requests;
    };
    assert.equal((await ask()).length, 2);
    assert.equal((await ask()).length, 1);
  });

  it('listens over graphql-ws', async () => {
    const socket = createClient({
      url: SOCKET,
      webSocketImpl: WebSocket,
      connectionParams: { Authorization: `Bearer ${token}` },
    });
    sockets.push(socket);
    const { client } = urql([
      fetchExchange,
      subscriptionExchange({
        forwardSubscription: (request) => ({
          subscribe: (sink) => ({ unsubscribe: socket.subscribe(request, sink) }),
        }),
      }),
    ]);
    const id = await unliked(token);
    let subscription;
    const heard = new Promise((resolve) => {
      subscription = client.subscription(CHANGES, { ids: [id] }).subscribe(resolve);
    });
    await eventually(heard, async () => {
      await client.mutation(LIKE, { id }).toPromise();
      await data(UNLIKE, { id }, { token });
    });
    subscription.unsubscribe();
    const result = await heard;
    assert.ok(!result.error, String(result.error));
    assert.equal(result.data.hotnessChanged.content.id, id);
  });
});
