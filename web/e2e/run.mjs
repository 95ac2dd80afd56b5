/**
 * Drives a real browser against a running tally server in demo mode (`--visitors 0`):
 *
 *   npm run e2e -- --base http://127.0.0.1:8080 [--tally BINARY] [--report AUDIT.html] [--screenshots DIR] [--only TEXT]
 *
 * With --tally also the page of points, on a server of its own that the tests may end. With --report also the page that `tally audit --html` wrote of tests/it/legacy/tables.sql.
 * With --only just the tests whose names have the text in them.
 * CHROMIUM names the browser; the default is `chromium` on the PATH.
 */
import { mkdirSync } from 'node:fs';
import { parseArgs } from 'node:util';

import { board } from './board.mjs';
import { Browser } from './browser.mjs';
import { graphiql } from './graphiql.mjs';
import { points } from './points.mjs';
import { pointsReads } from './points-reads.mjs';
import { report } from './report.mjs';
import { Server } from './server.mjs';

const { values: options } = parseArgs({
  options: {
    base: { type: 'string' },
    tally: { type: 'string' },
    report: { type: 'string' },
    screenshots: { type: 'string' },
    only: { type: 'string', default: '' },
  },
});
if (!options.base) {
  console.error(
    'usage: npm run e2e -- --base http://127.0.0.1:PORT [--tally BINARY] [--report FILE] [--screenshots DIR] [--only TEXT]',
  );
  process.exit(2);
}
if (options.screenshots) mkdirSync(options.screenshots, { recursive: true });

const browser = await Browser.launch(options.base, options.screenshots);
let passed = 0;
let failed = 0;

const server = options.tally ? await Server.launch(options.tally) : null;
const tests = {
  ...board,
  ...graphiql,
  ...(server ? { ...pointsReads(server), ...points(server) } : {}),
  ...(options.report ? report(options.report) : {}),
};
for (const [name, run] of Object.entries(tests)) {
  if (!name.includes(options.only)) continue;
  const started = performance.now();
  try {
    const note = await run(browser);
    // Holds for every page of every test: nothing from elsewhere, nothing on the console.
    const complaints = await browser.endTest();
    if (complaints.length > 0) throw new Error(complaints.join('\n'));
    passed += 1;
    console.log(`ok   ${name} (${Math.round(performance.now() - started)} ms)${note ?? ''}`);
  } catch (error) {
    failed += 1;
    const complaints = await browser.endTest();
    console.log(
      `FAIL ${name}\n${[error instanceof Error ? error.stack : error, ...complaints].join('\n')}`,
    );
  }
}

await browser.close();
await server?.remove();
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
