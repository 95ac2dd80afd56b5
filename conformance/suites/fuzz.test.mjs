/**
 * Random requests over introspection: documents, variables, bodies, headers. Whatever they are, the answer comes in
 * time, is never the server's fault, has the form of every answer, and tells nothing of what is inside.
 *
 *   SEED=n  the same requests again        SOAK=n  n times as many
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { print } from 'graphql';

import { fault } from '../lib/answers.mjs';
import { Generator } from '../lib/generator.mjs';
import { random, SEED } from '../lib/random.mjs';
import { message, raw } from '../lib/raw.mjs';
import { BASE, data, PATIENCE_MS, RESPONSE_TYPE, session } from '../lib/server.mjs';
import { spoilers } from '../lib/spoilers.mjs';

const SOAK = Math.max(1, Number(process.env.SOAK ?? 1));
const { hostname } = new URL(BASE);
const loopback = ['127.0.0.1', '::1', '[::1]', 'localhost'].includes(hostname);
const { token } = await session();

const STRANGE = [
  null,
  true,
  -1,
  0.5,
  2 ** 31,
  -(2 ** 53),
  1e300,
  '',
  'null',
  '\u0000',
  '\ufeff',
  '\u202e',
  '🔥'.repeat(300),
  "' OR ''='",
  '${7*7}',
  '%s%n',
  '../../etc/passwd',
  'artwork_',
  'artwork_01h455vb4pex5vsknk084sn02q',
  'user_7zzzzzzzzzzzzzzzzzzzzzzzzz',
  [],
  [[]],
  {},
  { __proto__: null, a: { b: { c: [1, '2', null] } } },
];
const ALPHABET = [
  '{',
  '}',
  '(',
  ')',
  '[',
  ']',
  ':',
  ',',
  '!',
  '$',
  '@',
  '|',
  '&',
  '=',
  '...',
  '"',
  '"""',
  '#',
  '\\',
  '\n',
  '\u0000',
  '\ufeff',
  ' ',
  'é',
  '🔥',
  'query',
  'mutation',
  'subscription',
  'fragment',
  'on',
  'null',
  'true',
  'me',
  'node',
  'id',
  'like',
  'hotRanking',
  'first',
  '__typename',
  '__schema',
  '1',
  '-',
  '1.5',
  '1e9',
];

/** A request: mostly a document of the schema, spoilt in some way. */
function someRequest(rng) {
  const draw = rng.below(10);
  // Mutations change the demo, which is there for it; a subscription is refused here.
  const kind = rng.pick(['query', 'query', 'query', 'mutation', 'subscription']);
  const request = new Generator(rng).request(kind);
  if (draw === 0) return { query: soup(rng), variables: {} };
  if (draw <= 2)
    return { query: mutilated(print(request.document), rng), variables: request.variables };
  if (draw <= 5) return rng.pick(Object.values(spoilers)).spoil(request, rng) ?? someRequest(rng);
  const variables = { ...request.variables };
  for (const key of Object.keys(variables)) {
    if (draw >= 8 && rng.chance(0.5)) variables[key] = rng.pick(STRANGE);
  }
  return { query: print(request.document), variables };
}

const soup = (rng) => Array.from({ length: rng.below(200) }, () => rng.pick(ALPHABET)).join('');

function mutilated(text, rng) {
  const units = [...text];
  for (let n = 1 + rng.below(5); n > 0; n -= 1) {
    const at = rng.below(units.length + 1);
    const act = rng.below(3);
    if (act === 0) units.splice(at, 1 + rng.below(10));
    else if (act === 1) units.splice(at, 0, rng.pick(ALPHABET));
    else units.splice(at, 0, ...units.slice(at, at + rng.below(40)));
  }
  return units.join('');
}

/** The bytes of a whole HTTP request. */
function someBytes(rng) {
  const { query, variables, operationName } = someRequest(rng);
  const headers = {
    accept: rng.chance(0.95)
      ? rng.pick([RESPONSE_TYPE, 'application/json', '*/*'])
      : rng.pick(['text/html', 'a/b;q=x', '']),
  };
  if (rng.chance(0.6)) headers.authorization = `Bearer ${token}`;
  if (rng.chance(0.03))
    headers.authorization = rng.pick(['', 'Bearer', 'Bearer x', 'Basic x', 'x'.repeat(2_000)]);
  if (rng.chance(0.1)) headers['x-request-id'] = rng.pick(['a', 'x'.repeat(500), '%0d%0a', 'é']);
  if (rng.chance(0.1)) headers.origin = rng.pick(['null', 'https://elsewhere.example', 'x']);
  if (rng.chance(0.12)) {
    const search = new URLSearchParams({ query, variables: JSON.stringify(variables) });
    if (rng.chance(0.2))
      search.set('extensions', rng.pick(['{}', '[', '7', '{"persistedQuery":{}}']));
    return message('GET', `/graphql?${search}`, headers);
  }
  headers['content-type'] = rng.chance(0.95)
    ? 'application/json'
    : rng.pick(['text/plain', 'application/graphql', '', 'application/json; charset=latin1']);
  const body = { query, variables, ...(operationName && { operationName }) };
  if (rng.chance(0.05))
    body[rng.pick(['query', 'variables', 'operationName', 'extensions', 'documentId', 'id'])] =
      rng.pick(STRANGE);
  let text = JSON.stringify(rng.chance(0.05) ? Array(rng.below(13)).fill(body) : body);
  if (rng.chance(0.05)) text = mutilated(text, rng);
  const bytes = Buffer.from(text);
  if (rng.chance(0.03) && bytes.length > 0) bytes[rng.below(bytes.length)] = rng.below(256);
  return message(
    rng.chance(0.98) ? 'POST' : rng.pick(['PUT', 'DELETE', 'HEAD']),
    '/graphql',
    headers,
    bytes,
  );
}

describe(`random requests (SEED=${SEED})`, () => {
  it('are answered', async (t) => {
    assert.ok(loopback, 'only against a server of this machine');
    const rng = random('fuzz');
    const count = 1_000 * SOAK;
    const statuses = {};
    const wrong = [];
    let slowest = 0;
    let left = count;
    const work = async () => {
      while (left > 0 && wrong.length < 10) {
        left -= 1;
        const bytes = someBytes(rng);
        const text = bytes.toString();
        try {
          const answer = await raw(bytes);
          slowest = Math.max(slowest, answer.ms);
          statuses[answer.status] = (statuses[answer.status] ?? 0) + 1;
          if (text.startsWith('HEAD')) continue;
          if (answer.status === 0) wrong.push(`hung up on\n${text.slice(0, 1_500)}`);
          const found = fault(answer, text);
          if (found)
            wrong.push(
              `${found}\n${answer.status} ${answer.text.slice(0, 300)}\nto ${text.slice(0, 1_500)}`,
            );
        } catch (error) {
          wrong.push(`${error.message}\n${text.slice(0, 1_500)}`);
        }
      }
    };
    await Promise.all(Array.from({ length: 8 }, work));
    t.diagnostic(
      `${count} requests, slowest ${slowest.toFixed(0)} ms, statuses ${JSON.stringify(statuses)}`,
    );
    assert.ok(!statuses[429], 'a limit of rate answered, and not what it stands before');
    assert.equal(wrong.length, 0, `with SEED=${SEED}:\n${wrong.slice(0, 5).join('\n\n')}`);
    assert.ok(slowest < PATIENCE_MS);
  });

  it('leave a server that lives', async () => {
    assert.equal((await fetch(`${BASE}/healthz`)).status, 200);
    assert.deepEqual(await data('{ __typename }', {}, { token }), { __typename: 'Query' });
  });
});
