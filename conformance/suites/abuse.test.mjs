/** What nobody sends by accident: refused in time, in the form of every refusal, and without telling what is inside. */
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';

import { abuse } from '../cases/abuse.mjs';
import { fault } from '../lib/answers.mjs';
import { message, raw } from '../lib/raw.mjs';
import { BASE, data, PATIENCE_MS, RESPONSE_TYPE, session } from '../lib/server.mjs';

const { token } = await session();

/** Everything goes out by hand: nothing between the case and the server puts it right. */
function bytesOf(one) {
  if (one.raw) return one.raw;
  const headers = { 'content-type': 'application/json', accept: RESPONSE_TYPE, ...one.headers };
  if (one.method === 'GET') {
    delete headers['content-type'];
    return message('GET', one.target, headers);
  }
  const { query, variables, operationName } = one;
  return message(
    'POST',
    '/graphql',
    headers,
    one.body ?? JSON.stringify({ query, variables, operationName }),
  );
}

function check(one, answer) {
  const { status, json, text, headers, ms } = answer;
  const shown = `${status} ${text.slice(0, 300)}`;
  assert.ok(ms < PATIENCE_MS, `took ${ms} ms`);
  if (status === 0) {
    assert.ok(one.mayHangUp, 'the server hung up');
    return;
  }
  if (one.noBody) {
    assert.ok(status < 500 && text === '', shown);
    return;
  }
  const isGraphql = /json/.test(headers.get('content-type') ?? '');
  assert.equal(fault(answer, bytesOf(one).toString()), null, shown);
  if (one.status) assert.equal(status, one.status, shown);
  if (one.noCookie) assert.equal(headers.get('set-cookie'), null);
  if (one.noCors)
    assert.notEqual(headers.get('access-control-allow-origin'), '*', 'anybody may read it');
  if (one.notFound) {
    assert.ok(status >= 300 && status < 500, shown);
    assert.doesNotMatch(text, /\[package\]|root:x:|\[core\]|SQLite format/);
    return;
  }
  if (one.batch) {
    assert.equal(json.length, one.batch, shown);
    return;
  }
  if (one.refused) {
    // What is known by a hash only is asked for again, with whatever status the client expects.
    if (!one.anyStatus) assert.ok(status >= 400 && status < 500, `not refused: ${shown}`);
    if (isGraphql) assert.ok(json.errors?.length > 0 && !('data' in json), `not refused: ${shown}`);
  }
  if (one.ran) {
    assert.equal(status, 200, shown);
    assert.ok('data' in json, shown);
  }
  if (one.code) assert.equal(json.errors[0].extensions.code, one.code, shown);
  if (one.either) assert.ok(status < 500, shown);
}

for (const [name, cases] of Object.entries(abuse)) {
  describe(name, () => {
    for (const one of cases) {
      it(`${one.name}`, async (t) => {
        if (one.under) assert.ok(one.query.length < one.under, `${one.query.length} bytes`);
        const bytes = bytesOf(one);
        const answer = one.halfSent ? await hungUp(bytes) : await raw(bytes);
        if (one.under) t.diagnostic(`${one.name}: ${answer.ms.toFixed(1)} ms`);
        check(one, answer);
      });
    }
  });
}

/** A client that sends half a message and goes away. */
async function hungUp(bytes) {
  const answer = await Promise.race([
    raw(bytes).catch(() => null),
    new Promise((resolve) => setTimeout(resolve, 500, null)),
  ]);
  return answer ?? { status: 0, headers: new Headers(), text: '', ms: 0 };
}

describe('afterwards', () => {
  it('the server lives, and answers', async () => {
    const health = await fetch(`${BASE}/healthz`);
    assert.equal(health.status, 200);
    assert.deepEqual(await data('{ __typename }', {}, { token }), { __typename: 'Query' });
  });
});
