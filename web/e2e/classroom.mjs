import { randomUUID } from 'node:crypto';

/** @typedef {import('./browser.mjs').Browser} Browser */
/** @typedef {import('./server.mjs').Server} Server */
/** @typedef {import('playwright-core').Page} Page */

/** A student and a teacher whom nobody knew before, on a server that keeps points. */
export class Classroom {
  /**
   * @param {Server} server
   * @param {{ token: string, id: string, name: string }} student
   * @param {{ token: string, id: string, name: string }} teacher
   */
  constructor(server, student, teacher) {
    this.server = server;
    this.student = student;
    this.teacher = teacher;
  }

  /** @param {Server} server */
  static async enter(server) {
    const service = server.token('classroom', 'SERVICE');
    /** @param {string} name @param {import('./server.mjs').Role} role */
    const person = async (name, role) => {
      const subject = randomUUID();
      const { ensureUser } = await server.request(
        service,
        'mutation Person($subject: String!, $name: String!) { ensureUser(subject: $subject, name: $name) { id } }',
        { subject, name },
      );
      return { token: server.token(subject, role), id: ensureUser.id, name };
    };
    return new Classroom(
      server,
      await person('Lin Xiao', 'USER'),
      await person('Ms Wang', 'TEACHER'),
    );
  }

  /**
   * What a teacher gives through the API, all in one transaction.
   * @param {[kind: string, amount: number, reason: string][]} entries
   */
  async book(...entries) {
    const inputs = entries.map(([kind, amount, reason]) => ({
      userId: this.student.id,
      kind,
      amount,
      reason,
      idempotencyKey: randomUUID(),
    }));
    await this.server.request(
      this.teacher.token,
      'mutation Book($inputs: [AddPointsInput!]!) { addPointsBatch(inputs: $inputs) { succeeded } }',
      { inputs },
    );
  }

  /** What the server says, whatever the pages show. */
  async account() {
    const { pointAccount } = await this.server.request(
      this.teacher.token,
      'query Account($id: ID!) { pointAccount(userId: $id) { balance transactionCount } }',
      { id: this.student.id },
    );
    return /** @type {{ balance: number, transactionCount: number }} */ (pointAccount);
  }

  /**
   * The student's account, seen by its owner.
   * @param {Browser} browser
   * @param {import('playwright-core').BrowserContextOptions} [options]
   */
  async openAsStudent(browser, options) {
    const page = await browser.open(`${this.server.base}/#/points`, options, this.student.token);
    await isLive(page);
    return page;
  }

  /**
   * The student's account, seen by the teacher.
   * @param {Browser} browser
   * @param {import('playwright-core').BrowserContextOptions} [options]
   */
  async openAsTeacher(browser, options) {
    const url = `${this.server.base}/#/points/${this.student.id}`;
    const page = await browser.open(url, options, this.teacher.token);
    await isLive(page);
    return page;
  }
}

/** @param {Page} page */
export async function isLive(page) {
  await page.waitForSelector('.points-summary[data-balance]');
  await page.waitForSelector('.connection[data-state="live"]');
}

/**
 * @param {Page} page
 * @param {number} balance
 * @param {number} count of transactions
 */
export async function shows(page, balance, count) {
  await page.waitForSelector(summary(balance, count), { timeout: 15_000 });
}

/**
 * @param {number} balance
 * @param {number} count of transactions
 */
export const summary = (balance, count) =>
  `.points-summary[data-balance="${balance}"][data-sequence="${count}"]`;

/**
 * Waits until a field of the form has this in it.
 * @param {Page} page
 * @param {string} field
 * @param {string} value
 */
export async function contains(page, field, value) {
  await page.waitForFunction(
    ([field, value]) =>
      /** @type {HTMLInputElement | null} */ (document.querySelector(field))?.value === value,
    /** @type {const} */ ([field, value]),
  );
}

/**
 * The numbers of the entries that are shown, from above.
 * @param {Page} page
 */
export function sequences(page) {
  return page
    .locator('.entry[data-sequence]')
    .evaluateAll((entries) => entries.map((entry) => Number(entry.getAttribute('data-sequence'))));
}

/**
 * So many numbers, from one of them down, as the newest come first.
 * @param {number} from
 * @param {number} count
 */
export const down = (from, count) => Array.from({ length: count }, (_, i) => from - i);

/**
 * Fills the form in and leaves the last click to the test.
 * @param {Page} page
 * @param {string} kind
 * @param {number} amount
 * @param {string} reason
 */
export async function fill(page, kind, amount, reason) {
  await page.click(`.posting [data-kind="${kind}"]`);
  await page.fill('#posting-amount', String(amount));
  await page.fill('#posting-reason', reason);
}
