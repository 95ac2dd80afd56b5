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
   * A page of a visitor nobody has seen before.
   * @param {string} url
   * @param {import('playwright-core').BrowserContextOptions} [options]
   */
  async open(url, options) {
    const context = await this.chromium.newContext({
      locale: 'en-GB',
      viewport: { width: 1360, height: 900 },
      ...options,
    });
    const page = await context.newPage();
    this.#watch(page);
    await page.goto(new URL(url, this.base).href);
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

  /** Closes the pages of a test and hands over what was wrong with them. */
  async endTest() {
    await Promise.all(this.chromium.contexts().map((context) => context.close()));
    return this.#complaints.splice(0);
  }

  async close() {
    await this.chromium.close();
  }

  /** @param {import('playwright-core').Page} page */
  #watch(page) {
    const { host } = new URL(this.base);
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
