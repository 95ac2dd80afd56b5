/**
 * Runs the suites, one after the other, against a tally server in demo mode (`--visitors 0`):
 *
 *   node run.mjs --base http://127.0.0.1:8080 [--all] [SUITE…]
 *
 * Stops after the first suite that fails, unless told `--all`. The last line is `N passed, N failed`.
 */
import { existsSync } from 'node:fs';
import { run } from 'node:test';
import { parseArgs } from 'node:util';

/** Cheap and static first; what leans on the server hardest last. */
const SUITES = [
  'lint',
  'relay',
  'audit',
  'validation',
  'execution',
  'websocket',
  'sse',
  'apollo',
  'urql',
  'abuse',
  'fuzz',
];
/** Of one suite. SOAK raises it, because it raises the work. */
const MINUTES = 5 * Math.max(1, Number(process.env.SOAK ?? 1));

const { values: options, positionals } = parseArgs({
  options: { base: { type: 'string' }, all: { type: 'boolean', default: false } },
  allowPositionals: true,
});
const unknown = positionals.filter((name) => !SUITES.includes(name));
if (!options.base || unknown.length > 0) {
  console.error(`usage: node run.mjs --base http://127.0.0.1:PORT [--all] [SUITE…]`);
  console.error(`suites: ${SUITES.join(' ')}`);
  process.exit(2);
}
process.env.TALLY_BASE = options.base.replace(/\/$/, '');

let passed = 0;
let failed = 0;
for (const suite of positionals.length > 0 ? positionals : SUITES) {
  const before = failed;
  const started = performance.now();
  await runSuite(suite);
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  console.log(`${failed === before ? 'ok  ' : 'FAIL'} ${suite} (${seconds} s)`);
  if (failed > before && !options.all) break;
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;

async function runSuite(suite) {
  const file = new URL(`suites/${suite}.test.mjs`, import.meta.url).pathname;
  if (!existsSync(file)) throw new Error(`no such suite: ${file}`);
  const events = run({ files: [file], timeout: MINUTES * 60_000 });
  for await (const { type, data } of events) {
    // A `describe` is no test of its own: it fails because a test in it did, which is counted already.
    const group = data?.details?.type === 'suite';
    if (type === 'test:pass' && !group) passed += 1;
    if (type === 'test:fail' && !(group && data.details.error.failureType === 'subtestsFailed')) {
      failed += 1;
      console.log(`\nFAIL ${suite}: ${data.name}\n${reason(data.details.error)}`);
    }
    if (type === 'test:stdout' || type === 'test:stderr') process.stdout.write(data.message);
    if (type === 'test:diagnostic' && data.nesting > 0) console.log(`     ${data.message}`);
  }
}

/** What the test threw: its message, and where. */
function reason(error) {
  const cause = error.cause ?? error;
  return (cause?.stack ?? cause?.message ?? String(cause))
    .split('\n')
    .filter((line) => !line.includes('node:internal') && !line.includes('node_modules'))
    .slice(0, 40)
    .join('\n');
}
