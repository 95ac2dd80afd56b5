import { spawn, execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';

/** @typedef {'USER' | 'TEACHER' | 'SERVICE' | 'OPERATOR' | 'ADMIN'} Role */

/** A tally server of the test's own, with a secret that the test knows, and that it may end. */
export class Server {
  /** @type {import('node:child_process').ChildProcess | undefined} */
  #process;

  /**
   * @param {string} tally
   * @param {string} folder
   * @param {number} port
   */
  constructor(tally, folder, port) {
    this.folder = folder;
    this.tally = tally;
    this.base = `http://127.0.0.1:${port}`;
    this.env = {
      ...process.env,
      DATABASE_URL: `sqlite:${path.join(folder, 'tally.db')}`,
      TALLY_LISTEN: `127.0.0.1:${port}`,
      TALLY_AUTH_SECRET: randomBytes(32).toString('hex'),
      TALLY_LOG: 'warn',
      TALLY_POINTS_RULES: 'like:5:50,comment:3:30',
    };
  }

  /** @param {string} tally */
  static async launch(tally) {
    const folder = mkdtempSync(path.join(tmpdir(), 'tally-e2e-'));
    const server = new Server(path.resolve(tally), folder, await freePort());
    await server.start();
    return server;
  }

  /** Also after `stop`: at the same address, with what was there. */
  async start() {
    const child = spawn(this.tally, ['serve'], {
      cwd: this.folder,
      env: this.env,
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    this.#process = child;
    for (let tries = 0; tries < 300; tries++) {
      if (child.exitCode !== null) throw new Error(`tally serve ended with ${child.exitCode}`);
      const ready = await fetch(`${this.base}/readyz`).catch(() => null);
      if (ready?.ok) return;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error('tally serve does not answer');
  }

  /** As a crash ends it: nobody is told. */
  async kill() {
    const child = this.#process;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  }

  async remove() {
    await this.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }

  /**
   * @param {string} subject
   * @param {Role} role
   */
  token(subject, role) {
    const args = ['token', '--user', subject, '--role', role];
    return execFileSync(this.tally, args, { env: this.env, encoding: 'utf8' }).trim();
  }

  /**
   * What a request answers; an error of GraphQL's is one of the test's.
   * @param {string} token
   * @param {string} query
   * @param {Record<string, unknown>} [variables]
   */
  async request(token, query, variables = {}) {
    const response = await fetch(`${this.base}/graphql`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${token}` },
      body: JSON.stringify({ query, variables }),
    });
    const { data, errors } = await response.json();
    if (errors) throw new Error(JSON.stringify(errors));
    return data;
  }
}

/** @returns {Promise<number>} */
async function freePort() {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = /** @type {import('node:net').AddressInfo} */ (probe.address());
  probe.close();
  await once(probe, 'close');
  return port;
}
