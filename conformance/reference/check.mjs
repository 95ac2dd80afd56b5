/**
 * Runs the suites against the reference server: `npm run self-check`. Not those that are about tally's own robustness.
 */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

const named = process.argv.slice(2);
const suites = ['audit', 'validation', 'execution', 'websocket', 'sse', 'apollo', 'urql'];
const args = named.some((each) => !each.startsWith('-')) ? named : [...named, ...suites];

const server = spawn(process.execPath, [new URL('server.mjs', import.meta.url).pathname], {
  stdio: ['ignore', 'pipe', 'inherit'],
});
for await (const line of createInterface({ input: server.stdout })) {
  const base = /^board +(http:\/\/\S+)\/$/.exec(line)?.[1];
  if (!base) continue;
  const run = new URL('../run.mjs', import.meta.url).pathname;
  const child = spawn(process.execPath, [run, '--base', base, ...args], { stdio: 'inherit' });
  child.on('exit', (status) => {
    server.kill();
    process.exitCode = status ?? 1;
  });
  break;
}
