import { execFileSync } from 'node:child_process';
import path from 'node:path';

import { chromium } from 'playwright-core';

const ARGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** One browser process; every page gets a context of its own and is watched. */
export class Browser {
  /** @type {string[]} */
  #complaints = [];
  /** @type {RegExp[]} */
  #forgiven = [];

  /**
   * @param {import('playwright-core').Browser} chromium
   * @param {string} base
   * @param {string | undefined} screenshots
   */
  constructor(chromium, base, screenshots) {
    this.chromium = chromium;
    this.base = base;
    this.screenshots = screenshots;
  }

  /**
   * @param {string} base
   * @param {string | undefined} screenshots
   */
  static async launch(base, screenshots) {
    const executablePath =
      process.env.CHROMIUM ?? execFileSync('which', ['chromium'], { encoding: 'utf8' }).trim();
    return new Browser(await chromium.launch({ executablePath, args: ARGS }), base, screenshots);
  }

  /**
   * A page of a visitor nobody has seen before; with a token, of somebody who has signed in.
   * @param {string} url
   * @param {import('playwright-core').BrowserContextOptions} [options]
   * @param {string} [token]
   */
  async open(url, options, token) {
    const context = await this.chromium.newContext({
      locale: 'en-GB',
      viewport: { width: 1360, height: 900 },
      ...options,
    });
    if (token) {
      await context.addInitScript((token) => sessionStorage.setItem('tally.token', token), token);
    }
    const page = await context.newPage();
    const { href, host } = new URL(url, this.base);
    this.#watch(page, host);
    await page.goto(href);
    return page;
  }

  /**
   * The board, when it is live and has rows.
   * @param {import('playwright-core').BrowserContextOptions} [options]
   */
  async openBoard(options) {
    const page = await this.open('/', options);
    await page.waitForSelector('.connection[data-state="live"]');
    await page.waitForSelector('.row[data-id]');
    await page.waitForSelector('.viewer[data-user]');
    return page;
  }

  /**
   * @param {import('playwright-core').Page} page
   * @param {string} name
   */
  async screenshot(page, name) {
    if (!this.screenshots) return;
    await page.screenshot({
      path: path.join(this.screenshots, `${name}.png`),
      animations: 'disabled', // Finished, that is: no picture of a half-way state.
    });
  }

  /**
   * For a test that breaks something on purpose: what the browser then says on the console.
   * @param {RegExp} complaint
   */
  forgive(complaint) {
    this.#forgiven.push(complaint);
  }

  /** Closes the pages of a test and hands over what was wrong with them. */
  async endTest() {
    const contexts = this.chromium.contexts();
    // A request that a test holds, or that is under way through one, ends with its page.
    const pages = contexts.flatMap((context) => context.pages());
    await Promise.all(pages.map((page) => page.unrouteAll({ behavior: 'ignoreErrors' })));
    await Promise.all(contexts.map((context) => context.close()));
    const forgiven = this.#forgiven.splice(0);
    return this.#complaints
      .splice(0)
      .filter((complaint) => !forgiven.some((pattern) => pattern.test(complaint)));
  }

  async close() {
    await this.chromium.close();
  }

  /**
   * @param {import('playwright-core').Page} page
   * @param {string} host
   */
  #watch(page, host) {
    /** @param {string} url */
    const visit = (url) => {
      const { protocol, host: visited } = new URL(url);
      if (/^(http|ws)s?:$/.test(protocol) && visited !== host) {
        this.#complaints.push(`request to another host: ${url}`);
      }
    };
    page.context().on('request', (request) => visit(request.url()));
    page.on('websocket', (socket) => visit(socket.url()));
    page.on('pageerror', (error) => this.#complaints.push(`uncaught: ${error.stack}`));
    // Violations of the Content-Security-Policy are reported on the console as errors, too.
    page.on('console', (message) => {
      if (message.type() === 'error') this.#complaints.push(`console: ${message.text()}`);
    });
  }
}
