import assert from 'node:assert/strict';

import { fill, isLive, shows } from './classroom.mjs';
import { clickedAt, sees } from './moments.mjs';

/** @typedef {import('playwright-core').Page} Page */
/** @typedef {import('./browser.mjs').Browser} Browser */

const WITHIN_MS = 1000;

/** @param {Page} page */
const viewer = (page) => page.getAttribute('.viewer', 'data-user');

/**
 * @param {Page} page
 * @param {string} id
 * @param {'like' | 'favorite'} action
 */
const button = (page, id, action) => page.locator(`[data-id="${id}"] [data-action="${action}"]`);

/**
 * @param {string} id
 * @param {'likes' | 'favorites'} what
 * @param {number} count
 */
const counts = (id, what, count) => `[data-id="${id}"][data-${what}="${count}"]`;

/**
 * Clicks and waits for the server: the button is optimistic, and what counts is what it knows.
 * @param {Page} page
 * @param {string} id
 * @param {'like' | 'favorite'} action
 */
async function press(page, id, action) {
  const [answered] = await Promise.all([
    page.waitForResponse(
      (response) => response.request().postData()?.includes('mutation') ?? false,
    ),
    button(page, id, action).click(),
  ]);
  assert.equal(answered.status(), 200);
}

/**
 * A work that this viewer has done nothing with yet.
 * @param {Page} page
 */
async function untouched(page) {
  const id = await page.evaluate(() => {
    const rows = [.../** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll('.row'))];
    return rows.find((row) => !row.querySelector('[aria-pressed="true"]'))?.dataset.id;
  });
  assert.ok(id, 'a work the viewer has neither liked nor favourited');
  return id;
}

/**
 * @param {Browser} browser
 * @param {'like' | 'favorite'} action
 */
async function reactionTravels(browser, action) {
  const what = action === 'like' ? 'likes' : 'favorites';
  const [one, other] = await Promise.all([browser.openBoard(), browser.openBoard()]);
  assert.notEqual(await viewer(one), await viewer(other), 'two browsers are two users');

  const id = await untouched(one);
  const before = Number(await other.getAttribute(`[data-id="${id}"]`, `data-${what}`));
  const target = button(one, id, action);
  // The other may well have liked it before; what one of them does must not change that.
  const others = () => button(other, id, action).getAttribute('aria-pressed');
  const pressedByOther = await others();

  let slowest = 0;
  for (const [pressed, count] of /** @type {const} */ ([
    ['true', before + 1],
    ['false', before],
  ])) {
    const [seen, clicked] = await Promise.all([
      sees(other, counts(id, what, count)),
      clickedAt(one, target),
    ]);
    const took = seen - clicked;
    assert.ok(took < WITHIN_MS, `the other browser saw it after ${took} ms`);
    slowest = Math.max(slowest, took);
    await sees(one, counts(id, what, count));
    assert.equal(await target.getAttribute('aria-pressed'), pressed);
    assert.equal(await others(), pressedByOther);
  }
  return `, seen by the other after at most ${slowest} ms`;
}

/** Somebody else who likes a few things, so that the pictures show a board at work. */
class Crowd {
  /** @param {Page} page @param {string[]} ids */
  constructor(page, ids) {
    this.page = page;
    this.ids = ids;
  }

  /** @param {Browser} browser */
  static async cheer(browser) {
    const page = await browser.openBoard();
    const ids = await page
      .locator('.row:not(:has([data-action="like"][aria-pressed="true"]))')
      .evaluateAll((rows) => rows.slice(1, 6).map((row) => row.getAttribute('data-id') ?? ''));
    const crowd = new Crowd(page, ids);
    await crowd.#toggleAll();
    return crowd;
  }

  /** Leaves the server as it was. */
  calmDown() {
    return this.#toggleAll();
  }

  async #toggleAll() {
    for (const id of this.ids) await press(this.page, id, 'like');
  }
}

export const board = {
  /** @param {Browser} browser */
  async 'pages carry a Content-Security-Policy'({ base }) {
    for (const path of ['/', '/graphiql']) {
      const response = await fetch(new URL(path, base));
      assert.equal(response.status, 200, path);
      assert.match(response.headers.get('content-security-policy') ?? '', /default-src 'self'/);
    }
  },

  /** @param {Browser} browser */
  'a like reaches the other browser within a second, and back': (browser) =>
    reactionTravels(browser, 'like'),

  /** @param {Browser} browser */
  'so does a favourite': (browser) => reactionTravels(browser, 'favorite'),

  /** @param {Browser} browser */
  async 'the viewer and the like survive a reload'(browser) {
    const page = await browser.openBoard();
    const id = await untouched(page);
    const user = await viewer(page);
    await press(page, id, 'like');
    await page.reload();
    await page.waitForSelector(`[data-id="${id}"] [data-action="like"][aria-pressed="true"]`);
    assert.equal(await viewer(page), user);
    await press(page, id, 'like');
  },

  /** @param {Browser} browser */
  async 'tabs narrow the ranking'(browser) {
    const page = await browser.openBoard();
    await page.click('[data-tab="VIDEO"]');
    await page.waitForFunction(() =>
      [...document.querySelectorAll('.row')].every((row) =>
        row.getAttribute('data-id')?.startsWith('video_'),
      ),
    );
    assert.equal(await page.getAttribute('[data-tab="VIDEO"]', 'aria-pressed'), 'true');
  },

  /** @param {Browser} browser */
  async 'a demo teacher awards points to another demo user'(browser) {
    const [one, other] = await Promise.all([browser.openBoard(), browser.openBoard()]);
    const id = (await viewer(other)) ?? '';
    await other.click('.page-link[href="#/points"]');
    await isLive(other);
    const was = await other.evaluate(() => {
      const { balance, sequence } = /** @type {HTMLElement} */ (
        document.querySelector('.points-summary')
      ).dataset;
      return { balance: Number(balance), count: Number(sequence) };
    });

    await one.click('.viewer');
    await one.click('dialog >> text=Become a demo teacher');
    await one.evaluate((id) => (location.hash = `#/points/${id}`), id);
    await isLive(one);
    await fill(one, 'ADD_POINTS', 2, 'a demo');
    await one.click('[data-action="post"]');
    await shows(other, was.balance + 2, was.count + 1);

    // Nobody gets more than that.
    const asked = await fetch(new URL('/demo/session?role=ADMIN', browser.base));
    const { token } = await asked.json();
    const answer = await fetch(new URL('/graphql', browser.base), {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${token}` },
      body: JSON.stringify({ query: '{ me { roles } }' }),
    });
    assert.deepEqual((await answer.json()).data.me.roles, ['USER']);
  },

  /** @param {Browser} browser */
  async 'Chinese and English, light and dark'(browser) {
    const page = await browser.openBoard({ colorScheme: 'light' });
    const crowd = await Crowd.cheer(browser);
    await page.waitForSelector('.activity li:nth-child(5)');
    const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    await browser.screenshot(page, 'board-light');

    const light = await ground();
    await page.click('[data-action="theme"]');
    assert.notEqual(await ground(), light);
    await browser.screenshot(page, 'board-dark');

    await page.click('[data-action="theme"]');
    await page.click('[data-action="locale"]');
    assert.equal(await page.getAttribute('html', 'lang'), 'zh-CN');
    assert.equal(await page.textContent('h1'), '实时热榜');
    await browser.screenshot(page, 'board-zh');

    await page.reload();
    await page.waitForSelector('.row[data-id]');
    assert.equal(await page.textContent('h1'), '实时热榜', 'the choice is remembered');
    assert.equal(await ground(), light);
    await crowd.calmDown();
  },

  /** @param {Browser} browser */
  async 'a phone shows it all without scrolling sideways'(browser) {
    const page = await browser.openBoard({
      viewport: { width: 360, height: 740 },
      deviceScaleFactor: 2,
      isMobile: true,
      hasTouch: true,
    });
    for (const language of ['en', 'zh-CN']) {
      assert.equal(await page.getAttribute('html', 'lang'), language);
      const width = await page.evaluate(() => document.documentElement.scrollWidth);
      assert.ok(width <= 360, `the page is ${width} px wide`);
      await browser.screenshot(page, language === 'en' ? 'board-phone' : 'board-phone-zh');
      await page.click('[data-action="locale"]');
    }
  },
};
