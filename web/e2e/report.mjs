import assert from 'node:assert/strict';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

/** @typedef {import('./browser.mjs').Browser} Browser */

/**
 * The page of an audit, from the disk: of a source in which everything is wrong.
 * @param {string} file
 */
export const report = (file) => ({
  /** @param {Browser} browser */
  async 'the page of an audit needs nothing but itself and reads in both languages'(browser) {
    const url = pathToFileURL(path.resolve(file)).href;
    const page = await browser.open('about:blank', { colorScheme: 'light' });
    /** @type {string[]} */
    const requests = [];
    page.on('request', (request) => requests.push(request.url()));
    await page.goto(url);
    assert.deepEqual(requests, [url], 'only the page itself is read');

    const languages = /** @type {const} */ ([
      ['English', 'Do the numbers tally?', 'Drift found', 'The same thing recorded more than once'],
      ['中文', '数据对得上吗？', '发现不一致', '重复记录'],
    ]);
    for (const [language, heading, verdict, finding] of languages) {
      await page.getByLabel(language).check();
      assert.equal((await page.locator('h1').innerText()).trim(), heading);
      assert.ok((await page.locator('.verdict').innerText()).includes(verdict));
      const findings = page.locator('details');
      assert.ok((await findings.count()) >= 8, 'every finding has its examples');
      const shown = (await findings.allInnerTexts()).join('\n');
      assert.ok(shown.includes(finding), shown);
      assert.ok(shown.includes('artwork_id 99'), shown);
      const others = languages.filter(([name]) => name !== language);
      const text = await page.locator('body').innerText();
      for (const [, other] of others) assert.ok(!text.includes(other), `${other} in ${language}`);
      await browser.screenshot(page, `audit-${language === 'English' ? 'en' : 'zh'}`);
    }
    // A phone: tables scroll in their own boxes, the page does not.
    await page.setViewportSize({ width: 390, height: 844 });
    const wide = await page.evaluate(
      () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
    );
    assert.ok(wide <= 0, `${wide} pixels wider than the screen`);
  },
});
