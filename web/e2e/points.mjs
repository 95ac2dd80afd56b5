import assert from 'node:assert/strict';

import {
  Classroom,
  contains,
  down,
  fill,
  isLive,
  sequences,
  shows,
  summary,
} from './classroom.mjs';
import { clickedAt, sees } from './moments.mjs';

/** @typedef {import('./browser.mjs').Browser} Browser */
/** @typedef {import('playwright-core').Page} Page */

const WITHIN_MS = 1000;
/** When the server is sure to have begun to tell a page what comes, and the page has asked for what came before. */
const SETTLED_MS = 3000;
/** What the browser says of a server that has ended. */
const AWAY = /net::ERR_|WebSocket connection/;
const POST = '[data-action="post"]';

/** @param {Page} page @param {string} outcome */
const said = (page, outcome) => page.waitForSelector(`[data-outcome="${outcome}"]`);

/**
 * The answers to the next awards never reach the page; the requests do reach the server.
 * @param {Page} page
 * @param {number} times
 */
async function loseAnswers(page, times) {
  let lost = 0;
  await page.route('**/graphql', async (route) => {
    if (!route.request().postData()?.includes('mutation AddPoints') || lost >= times) {
      return route.continue();
    }
    lost += 1;
    await route.fetch();
    return route.abort('connectionreset');
  });
  return () => lost;
}

/**
 * From now on the page's reads of its account wait, each until the function that `next` gave for
 * it is called, and all of them until `end`: on their way to the server, or on their way back.
 * @param {Page} page
 * @param {'request' | 'answer'} what
 */
async function hold(page, what) {
  /** @type {(() => void)[]} */
  const held = [];
  let holding = true;
  const wait = () => holding && new Promise((release) => held.push(() => release(null)));
  await page.route('**/graphql', async (route) => {
    if (!route.request().postData()?.includes('query PointAccount(')) return route.continue();
    if (what === 'request') await wait();
    const response = await route.fetch();
    if (what === 'answer') await wait();
    return route.fulfill({ response });
  });
  return {
    async next() {
      for (let tries = 0; tries < 300; tries++) {
        const release = held.shift();
        if (release) return release;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      throw new Error('the page reads nothing');
    },
    end() {
      holding = false;
      for (const release of held.splice(0)) release();
    },
  };
}

/**
 * As a tab does that is shown again.
 * @param {Page} page
 */
const lookAgain = (page) =>
  page.evaluate(() => document.dispatchEvent(new Event('visibilitychange')));

/**
 * An account of 25 transactions, more than a page of them, of which its owner sees all.
 * @param {import('./server.mjs').Server} server
 * @param {Browser} browser
 */
async function openTwoPages(server, browser) {
  const room = await Classroom.enter(server);
  await room.book(...Array(25).fill(['ADD_POINTS', 1, 'before']));
  const page = await room.openAsStudent(browser);
  await page.click('[data-action="older"]');
  await page.waitForSelector('.entry[data-sequence="1"]');
  return { room, page };
}

/**
 * The page of points where it changes something.
 * @param {import('./server.mjs').Server} server
 */
export const points = (server) => ({
  /** @param {Browser} browser */
  async 'an award is seen by the other browser within a second, and so is a deduction'(browser) {
    const room = await Classroom.enter(server);
    const [student, teacher] = await Promise.all([
      room.openAsStudent(browser),
      room.openAsTeacher(browser),
    ]);
    assert.equal(await student.locator('.posting').count(), 0, 'students award nothing');
    await student.waitForSelector('[data-empty]');

    let slowest = 0;
    for (const [kind, amount, balance, count] of /** @type {const} */ ([
      ['ADD_POINTS', 10, 10, 1],
      ['DEDUCT_POINTS', 4, 6, 2],
    ])) {
      await fill(teacher, kind, amount, `the reason of ${kind}`);
      const [seen, clicked] = await Promise.all([
        sees(student, summary(balance, count)),
        clickedAt(teacher, teacher.locator(POST)),
      ]);
      slowest = Math.max(slowest, seen - clicked);
      await said(teacher, 'booked');
      await shows(teacher, balance, count);
      for (const page of [student, teacher]) {
        await page.waitForSelector(`.entry[data-sequence="${count}"]`);
        const reason = await page.textContent('.entry:first-child .entry-reason');
        assert.equal(reason, `the reason of ${kind}`);
      }
      await contains(teacher, '#posting-amount', ''); // The form begins anew.
    }
    assert.ok(slowest < WITHIN_MS, `the other browser saw it after ${slowest} ms`);
    return `, seen by the other after at most ${Math.round(slowest)} ms`;
  },

  /** @param {Browser} browser */
  async 'a double click awards once'(browser) {
    const room = await Classroom.enter(server);
    const page = await room.openAsTeacher(browser);
    await fill(page, 'ADD_POINTS', 5, 'clicked twice');
    await page.dblclick(POST);
    await said(page, 'booked');
    await fill(page, 'ADD_POINTS', 5, 'pressed Enter three times');
    await page.focus('#posting-reason');
    for (let i = 0; i < 3; i++) await page.keyboard.press('Enter');
    await said(page, 'booked');
    await page.waitForTimeout(1000);
    assert.deepEqual(await room.account(), { balance: 10, transactionCount: 2 });
    await shows(page, 10, 2);
  },

  /** @param {Browser} browser */
  async 'a lost answer is asked for again and awards once'(browser) {
    browser.forgive(/ERR_CONNECTION_RESET/);
    const room = await Classroom.enter(server);
    const page = await room.openAsTeacher(browser);
    const lost = await loseAnswers(page, 2);
    await fill(page, 'ADD_POINTS', 7, 'the answer is lost');
    await page.click(POST);
    await said(page, 'replayed');
    assert.equal(lost(), 2);
    assert.deepEqual(await room.account(), { balance: 7, transactionCount: 1 });
  },

  /** @param {Browser} browser */
  async 'an award without an answer survives a reload and awards once'(browser) {
    browser.forgive(/ERR_CONNECTION_RESET/);
    const room = await Classroom.enter(server);
    const page = await room.openAsTeacher(browser);
    await loseAnswers(page, Infinity);
    await fill(page, 'ADD_POINTS', 7, 'no answer at all');
    await page.click(POST);
    await said(page, 'unanswered');
    assert.ok(await page.isDisabled('#posting-amount'), 'first this one');
    await browser.screenshot(page, 'points-unanswered');

    await page.unroute('**/graphql');
    await page.reload();
    await isLive(page);
    await said(page, 'unanswered');
    await page.click('[data-action="again"]');
    await said(page, 'replayed');
    assert.deepEqual(await room.account(), { balance: 7, transactionCount: 1 });

    await page.reload();
    await isLive(page);
    assert.equal(await page.locator('[data-outcome]').count(), 0, 'it is done with');
  },

  /** @param {Browser} browser */
  async 'an award while the server is away is booked once when it is back'(browser) {
    browser.forgive(AWAY);
    const room = await Classroom.enter(server);
    const page = await room.openAsTeacher(browser);
    await fill(page, 'ADD_POINTS', 3, 'to nobody');
    await server.kill();
    await page.click(POST);
    await said(page, 'unanswered');
    await server.start();
    await said(page, 'booked');
    await shows(page, 3, 1);
    assert.deepEqual(await room.account(), { balance: 3, transactionCount: 1 });
  },

  /** @param {Browser} browser */
  async 'what happens while the page is away is not missed'(browser) {
    browser.forgive(AWAY);
    const room = await Classroom.enter(server);
    await room.book(['ADD_POINTS', 1, 'before']);
    const page = await room.openAsStudent(browser);
    await shows(page, 1, 1);

    await server.kill();
    await page.waitForSelector('.connection[data-state="reconnecting"]');
    await server.start();
    await room.book(['ADD_POINTS', 2, 'while away'], ['DEDUCT_POINTS', 1, 'and this']);
    await shows(page, 2, 3);
    await isLive(page);
    await page.waitForSelector('.entry[data-sequence="2"]');
    assert.deepEqual(await sequences(page), [3, 2, 1]);

    // More than it catches up with: the list begins with the newest, and goes on below.
    await server.kill();
    await page.waitForSelector('.connection[data-state="reconnecting"]');
    await server.start();
    await room.book(...Array(60).fill(['ADD_POINTS', 1, 'many']));
    await shows(page, 62, 63);
    await page.waitForSelector('.entry[data-sequence="63"]');
    // The button goes with the last ones: whoever clicks while they come finds it gone.
    for (
      let clicks = 0;
      clicks < 20 && !(await page.isVisible('.entry[data-sequence="1"]'));
      clicks++
    ) {
      await page
        .click('[data-action="older"]:not([aria-busy="true"])', { timeout: 1000 })
        .catch(() => {});
    }
    await page.waitForSelector('.entry[data-sequence="1"]');
    assert.deepEqual(await sequences(page), down(63, 63));
    // And it listens again.
    await room.book(['ADD_POINTS', 1, 'after']);
    await shows(page, 63, 64);
    await page.waitForSelector('.entry[data-sequence="64"]');
  },

  /** @param {Browser} browser */
  async 'of many at once every one is in the list'(browser) {
    const room = await Classroom.enter(server);
    const page = await room.openAsStudent(browser);
    for (let i = 0; i < 10; i++) {
      await Promise.all([1, 2, 3].map((n) => room.book(['ADD_POINTS', n, `no. ${i}`])));
    }
    await shows(page, 60, 30);
    await page.waitForFunction(() => document.querySelectorAll('.entry').length === 30);
    assert.deepEqual(await sequences(page), down(30, 30));
  },

  /** @param {Browser} browser */
  async 'a read that is overtaken takes nothing from the list'(browser) {
    const { room, page } = await openTwoPages(server, browser);
    const answers = await hold(page, 'answer');
    await lookAgain(page);
    // Twice in a row the subscription tells of something newer before the answer is there.
    let count = 25;
    for (let overtaken = 0; overtaken < 2; overtaken++) {
      const release = await answers.next();
      // Not of the first ones, if the server has not begun to listen for this page.
      for (let tries = 1; ; tries++) {
        await room.book(['ADD_POINTS', 1, `no. ${++count}`]);
        const told = await shows(page, count, count).catch((error) => error);
        if (told === undefined) break;
        if (tries === 3) throw told;
      }
      release();
    }
    (await answers.next())();
    answers.end();
    await room.book(['ADD_POINTS', 1, 'after']);
    await shows(page, ++count, count);
    await page.waitForSelector(`.entry[data-sequence="${count}"]`);
    assert.deepEqual(await sequences(page), down(count, count));
  },

  /** @param {Browser} browser */
  async 'what the subscription told one by one is not read anew'(browser) {
    const { room, page } = await openTwoPages(server, browser);
    await page.waitForTimeout(SETTLED_MS);
    const answers = await hold(page, 'answer');
    await lookAgain(page);
    // More than a read catches up with, and none of it read.
    for (let count = 26; count <= 76; count++) {
      await room.book(['ADD_POINTS', 1, `no. ${count}`]);
      await shows(page, count, count);
    }
    for (let reads = 0; reads < 2; reads++) (await answers.next())();
    answers.end();
    await room.book(['ADD_POINTS', 1, 'after']);
    await shows(page, 77, 77);
    await page.waitForSelector('.entry[data-sequence="77"]');
    assert.deepEqual(await sequences(page), down(77, 77));
  },

  /** @param {Browser} browser */
  async 'a list that began empty catches up like any other'(browser) {
    const room = await Classroom.enter(server);
    const page = await room.openAsStudent(browser);
    await page.waitForSelector('[data-empty]');
    const requests = await hold(page, 'request');
    await lookAgain(page);
    const release = await requests.next();
    await room.book(...Array(45).fill(['ADD_POINTS', 1, 'many']));
    release();
    requests.end();
    await shows(page, 45, 45);
    await page.waitForSelector('.entry[data-sequence="1"]');
    assert.deepEqual(await sequences(page), down(45, 45));
    assert.equal(await page.locator('[data-action="older"]').count(), 0, 'there is no more');
  },

  /** @param {Browser} browser */
  async 'a refusal says why, and how much there is'(browser) {
    const room = await Classroom.enter(server);
    await room.book(['ADD_POINTS', 5, 'all there is']);
    const page = await room.openAsTeacher(browser);
    await fill(page, 'DEDUCT_POINTS', 6, 'too much');
    await page.click(POST);
    await said(page, 'INSUFFICIENT_POINTS');
    const text = (await page.textContent('[data-outcome]')) ?? '';
    assert.match(text, /the balance is 5\./);
    await browser.screenshot(page, 'points-refused');
    assert.equal(await page.inputValue('#posting-amount'), '6', 'to be put right');

    // A key of another request, as a page has that was kept for too long.
    const { pointAccount } = await server.request(
      room.teacher.token,
      'query Key($id: ID!) { pointAccount(userId: $id) { history { nodes { idempotencyKey } } } }',
      { id: room.student.id },
    );
    await page.evaluate(
      ([actor, userId, idempotencyKey]) => {
        const kept = { userId, kind: 'ADD_POINTS', amount: '9', reason: 'else', idempotencyKey };
        sessionStorage.setItem(`tally.points.pending ${actor} ${userId}`, JSON.stringify(kept));
      },
      [room.teacher.id, room.student.id, pointAccount.history.nodes[0].idempotencyKey],
    );
    await page.reload();
    await isLive(page);
    await page.click('[data-action="again"]');
    await said(page, 'CONFLICT');
    assert.deepEqual(await room.account(), { balance: 5, transactionCount: 1 });
  },
});
