/** `relay-compiler` over the committed schema and a small application, and its queries at the server. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';

import compiler from 'relay-compiler';

import { HTTP, request, RESPONSE_TYPE } from '../lib/server.mjs';

const path = (relative) => fileURLToPath(new URL(relative, import.meta.url));
const work = mkdtempSync(join(tmpdir(), 'relay-'));
after(() => rmSync(work, { recursive: true, force: true }));

function compile() {
  cpSync(path('../relay'), join(work, 'src'), { recursive: true });
  cpSync(path('../../schema.graphql'), join(work, 'schema.graphql'));
  mkdirSync(join(work, 'src', 'artifacts'));
  const config = {
    src: './src',
    schema: './schema.graphql',
    language: 'javascript',
    artifactDirectory: './src/artifacts',
  };
  writeFileSync(join(work, 'relay.config.json'), JSON.stringify(config));
  return new Promise((resolve) =>
    execFile(
      compiler,
      // Without watchman folders are read once.
      ['--noWatchman', 'relay.config.json'],
      { cwd: work, timeout: 60_000 },
      (error, stdout, stderr) => resolve({ error, output: stdout + stderr }),
    ),
  );
}

describe('relay-compiler', () => {
  it('compiles connections, refetchable fragments and mutations without an error', async () => {
    assert.ok(compiler, `relay-compiler has no program for ${process.platform} ${process.arch}`);
    const { error, output } = await compile();
    assert.ok(!error, output);
    assert.doesNotMatch(output, /error/i);
    const artifacts = readdirSync(join(work, 'src', 'artifacts'));
    for (const name of ['AppQuery', 'AppArtworksQuery', 'AppArtworkQuery', 'AppLikeMutation']) {
      assert.ok(artifacts.includes(`${name}.graphql.js`), `${name} among ${artifacts}`);
    }
  });

  it('makes queries that the server runs', async () => {
    const variables = {
      AppQuery: { id: 'artwork_01h455vb4pex5vsknk084sn02q', count: 2 },
      AppArtworksQuery: { count: 2, cursor: null, level: null },
      AppVideosQuery: { count: 2, cursor: null },
      AppArtworkQuery: { id: 'artwork_01h455vb4pex5vsknk084sn02q' },
    };
    for (const [name, values] of Object.entries(variables)) {
      const artifact = readFileSync(join(work, 'src', 'artifacts', `${name}.graphql.js`), 'utf8');
      const text = /^ +"text": ("(?:[^"\\]|\\.)*")/m.exec(artifact)?.[1];
      assert.ok(text, `no text in ${name}`);
      const answer = await request(HTTP, {
        method: 'POST',
        headers: { 'content-type': 'application/json', accept: RESPONSE_TYPE },
        body: JSON.stringify({ query: JSON.parse(text), variables: values }),
      });
      assert.equal(answer.status, 200, answer.text);
      assert.equal(answer.json.errors, undefined, answer.text);
    }
  });
});
