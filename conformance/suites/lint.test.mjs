/** `graphql-schema-linter`, with all of its rules, over the committed schema. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';

const path = (relative) => fileURLToPath(new URL(relative, import.meta.url));

describe('graphql-schema-linter', () => {
  it('finds nothing in schema.graphql', async () => {
    const args = [
      path('../node_modules/graphql-schema-linter/lib/cli.js'),
      '--format',
      'compact',
      path('../../schema.graphql'),
    ];
    const options = { cwd: path('..'), timeout: 60_000 };
    const { error, stdout, stderr } = await new Promise((resolve) =>
      execFile(process.execPath, args, options, (error, stdout, stderr) =>
        resolve({ error, stdout, stderr }),
      ),
    );
    assert.ok(!error, `${stdout}${stderr}`);
  });

  // Rules of this house that no linter has: a description that every schema has says nothing of this one.
  it('finds a description of its own at every connection, and no boilerplate', async () => {
    const { SDL } = await import('../lib/server.mjs');
    const boilerplate = [
      'A list of edges.',
      'A list of nodes.',
      'An edge in a connection.',
      'A cursor for use in pagination',
      'The item at the end of the edge',
      'Information to aid in pagination.',
      'Information about pagination in a connection',
      'Implement the DateTime<Utc> scalar',
    ].filter((text) => SDL.includes(text));
    assert.deepEqual(boilerplate, []);
  });
});
