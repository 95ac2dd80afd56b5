import assert from 'node:assert/strict';

import { Classroom, contains, down, fill, isLive, sequences, shows } from './classroom.mjs';

/** @typedef {import('./browser.mjs').Browser} Browser */
/** @typedef {import('playwright-core').Page} Page */

const PHONE = {
  viewport: { width: 360, height: 740 },
  deviceScaleFactor: 2,
  isMobile: true,
  hasTouch: true,
};

/** @type {[string, number, string][]} */
const TERM = [
  ['ADD_POINTS', 50, 'First prize in the poster contest'],
  ['ADD_POINTS', 20, '按时完成作业'],
  ['DEDUCT_POINTS', 5, 'Late for class'],
  ['REDEEM', 30, 'A notebook from the shop'],
  ['ADD_POINTS', 15, 'Helped to tidy up the classroom after the exhibition of everybody’s work'],
];

/** @param {Page} page @param {number[]} expected */
async function lists(page, expected) {
  await page
    .waitForFunction(
      (expected) =>
        [...document.querySelectorAll('.entry[data-sequence]')]
          .map((entry) => entry.getAttribute('data-sequence'))
          .join() === expected,
      expected.join(),
    )
    .catch(() => undefined);
  assert.deepEqual(await sequences(page), expected);
}

/** @param {number} at */
const local = (at) => {
  const zoned = new Date(at - new Date(at).getTimezoneOffset() * 60_000);
  return zoned.toISOString().slice(0, 19);
};

/**
 * The page of points where it looks.
 * @param {import('./server.mjs').Server} server
 */
export const pointsReads = (server) => ({
  /** @param {Browser} browser */
  async 'the history is narrowed by kind, actor and time, a page at a time'(browser) {
    const room = await Classroom.enter(server);
    await room.book(...Array(45).fill(['ADD_POINTS', 1, 'many']));
    await room.book(['DEDUCT_POINTS', 2, 'one'], ['REDEEM', 3, 'two']);
    const page = await room.openAsTeacher(browser);
    await lists(page, down(47, 20));
    await page.click('[data-action="older"]');
    await lists(page, down(47, 40));
    await page.click('[data-action="older"]');
    await lists(page, down(47, 47));
    assert.equal(await page.locator('[data-action="older"]').count(), 0);

    await page.click('.chip[data-kind="REDEEM"]');
    await lists(page, [47]);
    await page.click('.chip[data-kind="DEDUCT_POINTS"]');
    await lists(page, [47, 46]);
    // What comes now is in the list only if it fits.
    await room.book(['ADD_POINTS', 1, 'else'], ['REDEEM', 1, 'fits']);
    await lists(page, [49, 47, 46]);
    await page.click('[data-action="clear-filters"]');
    await lists(page, down(49, 20));

    await page.click('.entry:first-child [data-action="only-actor"]');
    await contains(page, '#filter-actor', room.teacher.id);
    await lists(page, down(49, 20));
    await page.fill('#filter-actor', room.student.id);
    await page.press('#filter-actor', 'Enter');
    await lists(page, []);
    await page.waitForSelector('[data-empty]');
    await page.fill('#filter-actor', 'nobody');
    await page.press('#filter-actor', 'Enter');
    await page.waitForSelector('.points-history [role="alert"]');
    await page.click('[data-action="clear-filters"]');

    await page.fill('#filter-to', local(Date.now() - 3_600_000).slice(0, 16));
    await page.press('#filter-to', 'Tab');
    await page.waitForSelector('[data-empty]');
    await lists(page, []);
    await page.fill('#filter-from', local(Date.now() - 7_200_000).slice(0, 16));
    await page.fill('#filter-to', '');
    await page.press('#filter-to', 'Tab');
    await lists(page, down(49, 20));
  },

  /** @param {Browser} browser */
  async 'what a rule gave is said in the reader’s language'(browser) {
    const room = await Classroom.enter(server);
    const { student, teacher } = room;
    const { publishArtwork } = await server.request(
      student.token,
      'mutation { publishArtwork(input: { title: "A poster" }) { artwork { id } } }',
    );
    const { id } = publishArtwork.artwork;
    const act = (/** @type {string} */ call, args = '') =>
      server.request(
        teacher.token,
        `mutation Act($id: ID!) { ${call}(contentId: $id${args}) { __typename } }`,
        { id },
      );
    const page = await room.openAsTeacher(browser);
    await act('like');
    await shows(page, 5, 1);
    await act('unlike');
    await shows(page, 0, 2);
    await act('comment', ', body: "good"');
    await shows(page, 3, 3);
    const texts = async () => {
      const reasons = await page.locator('.entry .entry-reason').allTextContents();
      return [...reasons, ...new Set(await page.locator('.entry [data-rule]').allTextContents())];
    };
    assert.deepEqual(await texts(), [
      'Somebody commented on a work',
      'A like was taken back',
      'Somebody liked a work',
      'by a rule',
    ]);
    await page.click('[data-action="locale"]');
    assert.deepEqual(await texts(), [
      '作品收到评论',
      '点赞已取消',
      '作品收到点赞',
      '按规则自动记账',
    ]);
  },

  /** @param {Browser} browser */
  async 'the balance of a moment'(browser) {
    const room = await Classroom.enter(server);
    await room.book(['ADD_POINTS', 12, 'earlier']);
    await new Promise((resolve) => setTimeout(resolve, 1100));
    const between = Date.now();
    await new Promise((resolve) => setTimeout(resolve, 1100));
    await room.book(['ADD_POINTS', 30, 'later']);
    const page = await room.openAsStudent(browser);
    for (const [at, balance] of /** @type {const} */ ([
      [between, 12],
      [Date.now() + 60_000, 42],
      [between - 3_600_000, 0],
    ])) {
      // The browser leaves out seconds that are none.
      await page.fill('#balance-at', local(at).replace(/(T..:..):00$/, '$1'));
      await page.click('.balance-at button');
      await page.waitForFunction(
        (balance) => document.querySelector('.balance-at .then')?.textContent?.startsWith(balance),
        `${balance} on `,
      );
    }
  },

  /** @param {Browser} browser */
  async 'one sees one’s own account, teachers everybody’s'(browser) {
    browser.forgive(/demo\/session|status of 404/);
    const room = await Classroom.enter(server);
    const student = await browser.open(
      `${server.base}/#/points/${room.teacher.id}`,
      {},
      room.student.token,
    );
    await student.waitForSelector('[data-code="FORBIDDEN"]');
    await browser.screenshot(student, 'points-forbidden');
    await student.click('.points-summary a');
    await isLive(student);
    assert.equal(await student.textContent('.points-id code'), room.student.id);

    const teacher = await browser.open(`${server.base}/#/points`, {}, room.teacher.token);
    await isLive(teacher);
    await teacher.fill('#other-id', 'user_01h455vb4pex5vsknk084sn02q');
    await teacher.press('#other-id', 'Enter');
    await teacher.waitForSelector('[data-code="NOT_FOUND"]');
    await teacher.fill('#other-id', 'somebody');
    await teacher.press('#other-id', 'Enter');
    await teacher.waitForSelector('[data-code="INVALID_INPUT"]');
    await teacher.fill('#other-id', ` ${room.student.id}`);
    await teacher.press('#other-id', 'Enter');
    await isLive(teacher);
    assert.match((await teacher.textContent('h1')) ?? '', /Lin Xiao/);

    const nobody = await browser.open(`${server.base}/#/points`);
    await nobody.waitForSelector('main.empty');
    await nobody.click('main.empty button');
    await nobody.fill('#token', room.student.token);
    await nobody.press('#token', 'Tab');
    await nobody.keyboard.press('Enter');
    await isLive(nobody);
    assert.equal(await nobody.textContent('.points-id code'), room.student.id);
  },

  /** @param {Browser} browser */
  async 'adjustments are for administrators'(browser) {
    const room = await Classroom.enter(server);
    const teacher = await room.openAsTeacher(browser);
    assert.equal(await teacher.locator('.posting [data-kind="ADJUSTMENT"]').count(), 0);
    const admin = await browser.open(
      `${server.base}/#/points/${room.student.id}`,
      {},
      server.token('admin', 'ADMIN'),
    );
    await isLive(admin);
    await fill(admin, 'ADJUSTMENT', -3, 'below zero there is nothing');
    await admin.click('[data-action="post"]');
    await admin.waitForSelector('[data-outcome="INSUFFICIENT_POINTS"]');
    await fill(admin, 'ADJUSTMENT', 8, 'forgotten last year');
    await admin.click('[data-action="post"]');
    await admin.waitForSelector('[data-outcome="booked"]');
    await shows(teacher, 8, 1);
  },

  /** @param {Browser} browser */
  async 'points beyond 2^53 are exact'(browser) {
    const room = await Classroom.enter(server);
    const page = await room.openAsTeacher(browser);
    await page.fill('#posting-amount', '9007199254740993');
    await page.fill('#posting-reason', 'as doubles this is another number');
    await page.click('[data-action="post"]');
    await page.waitForSelector('[data-outcome="booked"]');
    await page.waitForSelector('.points-summary[data-balance="9007199254740993"]');
    assert.equal(await page.textContent('.points-balance strong'), '9,007,199,254,740,993');
  },

  /** @param {Browser} browser */
  async 'the page works with the keyboard, and every field has a name'(browser) {
    const room = await Classroom.enter(server);
    await room.book(...TERM);
    const page = await room.openAsTeacher(browser);
    const nameless = await page.evaluate(() =>
      [...document.querySelectorAll('main :is(input, button)')]
        .filter((field) => {
          const labelled = /** @type {HTMLInputElement} */ (field).labels?.length ?? 0;
          return labelled === 0 && !(field.getAttribute('aria-label') ?? field.textContent);
        })
        .map((field) => field.outerHTML),
    );
    assert.deepEqual(nameless, []);

    await page.focus('.posting [data-kind="REDEEM"]');
    await page.keyboard.press('Space');
    await page.keyboard.press('Tab');
    await page.keyboard.type('10');
    await page.keyboard.press('Tab');
    await page.keyboard.type('a pencil');
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    await page.waitForSelector('[data-outcome="booked"]');
    await shows(page, 40, 6);
    // Ready for the next one.
    await page.waitForFunction(() => document.activeElement?.id === 'posting-amount');
  },

  /** @param {Browser} browser */
  async 'points in Chinese and English, light and dark'(browser) {
    const room = await Classroom.enter(server);
    await room.book(...TERM);
    const page = await room.openAsTeacher(browser, { colorScheme: 'light' });
    await page.waitForSelector('.entry[data-sequence="5"]');
    assert.match(await page.title(), /points/);
    await browser.screenshot(page, 'points-light');
    await page.click('[data-action="theme"]');
    await browser.screenshot(page, 'points-dark');
    await page.click('[data-action="theme"]');
    await page.click('[data-action="locale"]');
    assert.equal(await page.getAttribute('html', 'lang'), 'zh-CN');
    assert.equal(await page.textContent('h1'), 'Lin Xiao 的积分');
    assert.match(await page.title(), /积分/);
    await fill(page, 'DEDUCT_POINTS', 60, '太多了');
    await page.click('[data-action="post"]');
    await page.waitForSelector('[data-outcome="INSUFFICIENT_POINTS"]');
    assert.match((await page.textContent('[data-outcome]')) ?? '', /^积分不足：余额为 50/);
    await browser.screenshot(page, 'points-zh');
    const seen = await page.evaluate(() => document.querySelector('main')?.innerText ?? '');
    assert.doesNotMatch(seen, /Award|Deduct|Redeem|Balance|History|undefined/);
  },

  /** @param {Browser} browser */
  async 'points on a phone, without scrolling sideways'(browser) {
    const room = await Classroom.enter(server);
    await room.book(...TERM);
    await room.book(['ADD_POINTS', Number.MAX_SAFE_INTEGER - 1000, 'W'.repeat(300)]);
    for (const [name, page] of /** @type {const} */ ([
      ['student', await room.openAsStudent(browser, PHONE)],
      ['teacher', await room.openAsTeacher(browser, PHONE)],
    ])) {
      await page.waitForSelector('.entry[data-sequence="6"]');
      for (const language of ['en', 'zh-CN']) {
        assert.equal(await page.getAttribute('html', 'lang'), language);
        const width = await page.evaluate(() => document.documentElement.scrollWidth);
        assert.ok(width <= 360, `the page is ${width} px wide`);
        await browser.screenshot(page, `points-phone-${name}-${language}`);
        await page.click('[data-action="locale"]');
      }
    }
  },

  /** @param {Browser} browser */
  async 'from the ranking to the points and back'(browser) {
    const room = await Classroom.enter(server);
    const page = await browser.open(`${server.base}/`, {}, room.student.token);
    await page.waitForSelector('.bar .connection[data-state="live"]');
    await page.click('.page-link >> text=Points');
    await isLive(page);
    await page.click('.page-link >> text=Ranking');
    await page.waitForSelector('.bar .connection[data-state="live"]');
    await page.goBack();
    await isLive(page);
  },
});
