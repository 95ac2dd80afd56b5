/** Apollo Client 4 with the links that people use: HTTP, batches, persisted queries, graphql-ws. */
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';

import { ApolloClient, gql, HttpLink, InMemoryCache } from '@apollo/client/core';
import { BatchHttpLink } from '@apollo/client/link/batch-http';
import { PersistedQueryLink } from '@apollo/client/link/persisted-queries';
import { GraphQLWsLink } from '@apollo/client/link/subscriptions';
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';

import { sha256 } from '../lib/hash.mjs';
import { data, HTTP, PATIENCE_MS, schema, session, SOCKET, unliked } from '../lib/server.mjs';
import { deadline, eventually } from '../lib/wait.mjs';

const { token } = await session();
const headers = { authorization: `Bearer ${token}` };

const HOTTEST = gql`
  query Hottest($first: Int!) {
    hotRanking(first: $first) {
      rank
      content {
        id
        title
        author {
          id
          name
        }
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
        likeCount
        viewerHasLiked
      }
    }
  }
`;
const UNLIKE = 'mutation ($id: ID!) { unlike(contentId: $id) { changed } }';
const CHANGES = gql`
  subscription Changes($ids: [ID!]) {
    hotnessChanged(contentIds: $ids) {
      content {
        id
        likeCount
      }
    }
  }
`;

const possibleTypes = Object.fromEntries(
  ['Content', 'Node'].map((name) => [
    name,
    schema.getPossibleTypes(schema.getType(name)).map((type) => type.name),
  ]),
);
const opened = [];
after(async () => {
  for (const close of opened) await close();
});
function apollo(link) {
  const client = new ApolloClient({ link, cache: new InMemoryCache({ possibleTypes }) });
  opened.push(() => client.stop());
  return client;
}

/** Counts what goes over the wire. */
function counting() {
  const requests = [];
  const fetcher = (uri, options) => {
    requests.push({ uri: String(uri), ...options });
    return fetch(uri, { ...options, signal: AbortSignal.timeout(PATIENCE_MS) });
  };
  return { requests, fetcher };
}

async function asksAndLikes(client) {
  const { data: asked } = await deadline(
    client.query({ query: HOTTEST, variables: { first: 3 } }),
    'an answer',
  );
  assert.deepEqual(
    asked.hotRanking.map((entry) => entry.rank),
    [1, 2, 3],
  );
  const id = await unliked(token);
  const { data: done } = await deadline(
    client.mutate({ mutation: LIKE, variables: { id } }),
    'an answer',
  );
  assert.equal(done.like.changed, true);
  assert.equal(done.like.content.viewerHasLiked, true);
  await data(UNLIKE, { id }, { token });
}

describe('Apollo Client', () => {
  it('asks and likes over HTTP', () => asksAndLikes(apollo(new HttpLink({ uri: HTTP, headers }))));

  it('asks over GET', async () => {
    const { requests, fetcher } = counting();
    const link = new HttpLink({ uri: HTTP, headers, fetch: fetcher, useGETForQueries: true });
    await asksAndLikes(apollo(link));
    assert.deepEqual(
      requests.map((request) => request.method),
      ['GET', 'POST'],
    );
  });

  it('sends ten queries as one batch', async () => {
    const { requests, fetcher } = counting();
    const link = new BatchHttpLink({
      uri: HTTP,
      headers,
      fetch: fetcher,
      batchMax: 10,
      batchInterval: 20,
    });
    const client = apollo(link);
    const answers = await deadline(
      Promise.all(
        Array.from({ length: 10 }, (_, n) =>
          client.query({ query: HOTTEST, variables: { first: n + 1 } }),
        ),
      ),
      'ten answers',
    );
    answers.forEach(({ data: answer }, n) => assert.equal(answer.hotRanking.length, n + 1));
    assert.equal(requests.length, 1);
    assert.equal(JSON.parse(requests[0].body).length, 10);
  });

  it('sends a hash instead of a document that the server knows', async () => {
    // A document that the server cannot know yet.
    const query = gql`query Hottest${Date.now()} { hotRanking(first: 1) { rank } }`;
    const ask = async () => {
      const { requests, fetcher } = counting();
      const link = new PersistedQueryLink({ sha256 }).concat(
        new HttpLink({ uri: HTTP, headers, fetch: fetcher }),
      );
      const { data: answer } = await deadline(apollo(link).query({ query }), 'an answer');
      assert.equal(answer.hotRanking[0].rank, 1);
      return requests.map(({ body }) => JSON.parse(body));
    };
    const [hash, both, ...more] = await ask();
    assert.equal(hash.query, undefined);
    assert.equal(typeof both.query, 'string');
    assert.equal(both.extensions.persistedQuery.sha256Hash, sha256(both.query));
    assert.equal(more.length, 0);
    // Another client has it by its hash alone.
    const again = await ask();
    assert.equal(again.length, 1);
    assert.equal(again[0].query, undefined);
  });

  it('sends hashes by GET', async () => {
    const link = new PersistedQueryLink({ sha256, useGETForHashedQueries: true }).concat(
      new HttpLink({ uri: HTTP, headers }),
    );
    await asksAndLikes(apollo(link));
  });

  it('listens over graphql-ws', async () => {
    const socket = createClient({
      url: SOCKET,
      webSocketImpl: WebSocket,
      connectionParams: { Authorization: `Bearer ${token}` },
    });
    opened.push(() => socket.dispose());
    const client = apollo(new GraphQLWsLink(socket));
    const id = await unliked(token);
    let subscription;
    const heard = new Promise((resolve, reject) => {
      subscription = client
        .subscribe({ query: CHANGES, variables: { ids: [id] } })
        .subscribe({ next: resolve, error: reject });
    });
    await eventually(heard, async () => {
      await client.mutate({ mutation: LIKE, variables: { id } });
      await data(UNLIKE, { id }, { token });
    });
    subscription.unsubscribe();
    const result = await heard;
    assert.equal(result.error, undefined);
    assert.equal(result.data.hotnessChanged.content.id, id);
  });
});
