/** The server under test, as `run.mjs` names it in the environment. */
import { readFileSync } from 'node:fs';

import { buildSchema } from 'graphql';

export const BASE = process.env.TALLY_BASE ?? 'http://127.0.0.1:8080';
export const HTTP = `${BASE}/graphql`;
export const STREAM = `${BASE}/graphql/stream`;
export const SOCKET = `${BASE.replace(/^http/, 'ws')}/graphql`;

export const JSON_TYPE = 'application/json';
export const RESPONSE_TYPE = 'application/graphql-response+json';

/** The committed schema: what clients are built against. */
export const SDL = readFileSync(new URL('../../schema.graphql', import.meta.url), 'utf8');
export const schema = buildSchema(SDL);

/** No answer may take longer. */
export const PATIENCE_MS = 5_000;

/**
 * POSTs a body as it is (a string), or as JSON.
 *
 * @returns {Promise<{ status: number, headers: Headers, text: string, json: any, ms: number }>} `json` is undefined
 *   where the body is not JSON.
 */
export async function post(body, { token, headers, url = HTTP } = {}) {
  return request(url, {
    method: 'POST',
    headers: {
      'content-type': JSON_TYPE,
      accept: RESPONSE_TYPE,
      ...(token && { authorization: `Bearer ${token}` }),
      ...headers,
    },
    body: typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body),
  });
}

export async function request(url, options) {
  const started = performance.now();
  const response = await fetch(url, { signal: AbortSignal.timeout(PATIENCE_MS), ...options });
  const text = await response.text();
  const ms = performance.now() - started;
  let json;
  try {
    json = JSON.parse(text);
  } catch {
    // The status and the text say enough.
  }
  return { status: response.status, headers: response.headers, text, json, ms };
}

/** Data of an operation that must succeed. */
export async function data(query, variables, options) {
  const answer = await post({ query, variables }, options);
  if (answer.json?.errors || !answer.json?.data) {
    throw new Error(`${answer.status} to ${query}: ${answer.text.slice(0, 500)}`);
  }
  return answer.json.data;
}

/** A demo user that no one else has: `{ token, user: { id, name } }`. */
export async function session() {
  const answer = await request(`${BASE}/demo/session`, {});
  if (answer.status !== 200) throw new Error(`no demo session: ${answer.status} ${answer.text}`);
  return answer.json;
}

/** Ids of published contents, hottest first. */
export async function someContents(first = 10) {
  const { hotRanking } = await data(
    'query ($first: Int!) { hotRanking(first: $first) { content { id } } }',
    { first },
  );
  return hotRanking.map((entry) => entry.content.id);
}

/** A content that this user does not like yet. */
export async function unliked(token) {
  const { hotRanking } = await data(
    '{ hotRanking(first: 100) { content { id viewerHasLiked } } }',
    {},
    { token },
  );
  const entry = hotRanking.find(({ content }) => !content.viewerHasLiked);
  if (!entry) throw new Error('this user likes the 100 hottest already');
  return entry.content.id;
}
