/** The audits of the npm package `graphql-http`: every MUST, SHOULD and MAY of GraphQL over HTTP. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { serverAudits } from 'graphql-http';

import { HTTP } from '../lib/server.mjs';

describe('GraphQL over HTTP', () => {
  for (const audit of serverAudits({ url: HTTP })) {
    it(`${audit.id} ${audit.name}`, async () => {
      const result = await audit.fn();
      if (result.status === 'ok') return;
      const { status, headers } = result.response;
      const body = (await result.response.text()).slice(0, 400);
      assert.fail(
        `${result.status}: ${result.reason}\n  answered ${status} ${headers.get('content-type')}\n  ${body}`,
      );
    });
  }
});
