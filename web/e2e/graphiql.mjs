import assert from 'node:assert/strict';

import { buildClientSchema, getIntrospectionQuery, parse, validate } from 'graphql';

/** @typedef {import('playwright-core').Page} Page */
/** @typedef {import('./browser.mjs').Browser} Browser */

/** @param {Browser} browser */
async function openGraphiql(browser) {
  const page = await browser.open('/graphiql', { colorScheme: 'light' });
  await page.waitForSelector('.graphiql-query-editor .view-line');
  return page;
}

/**
 * GraphiQL reads the operations of a tab a moment after it is shown (it debounces, 100 ms) and does
 * not let anyone see when: a person is never fast enough to notice, a test is.
 * @param {Page} page
 * @param {string} name
 */
async function changeTab(page, name) {
  await page.getByRole('tab', { name }).click();
  await page.waitForTimeout(600);
}

/**
 * Waits until the response pane (a Monaco editor: no-break spaces, visible lines only) matches.
 * @param {Page} page
 * @param {RegExp} pattern
 */
function response(page, pattern) {
  return page.waitForFunction((source) => {
    const text = document.querySelector('.result-window .view-lines')?.textContent ?? '';
    return new RegExp(source).test(text.replaceAll('\u00a0', ' '));
  }, pattern.source);
}

export const graphiql = {
  /** @param {Browser} browser */
  async 'GraphiQL loads the schema and runs the example with the button'(browser) {
    const page = await openGraphiql(browser);
    await page.getByRole('button', { name: 'Documentation Explorer' }).click();
    await page.waitForSelector('.graphiql-doc-explorer-content >> text=Query');
    await page.getByRole('button', { name: 'Documentation Explorer' }).click();
    await page.click('.graphiql-execute-button');
    await response(page, /"data": \{.*"hotRanking": \[.*"rank": 1/);
    await browser.screenshot(page, 'graphiql');
  },

  /** @param {Browser} browser */
  async 'GraphiQL runs with the keyboard, as the demo user'(browser) {
    const page = await openGraphiql(browser);
    await changeTab(page, 'Artworks');
    await page.click('.graphiql-query-editor .view-lines');
    const [sent] = await Promise.all([
      page.waitForRequest((request) => request.postData()?.includes('query Artworks') ?? false),
      page.keyboard.press('Control+Enter'),
    ]);
    assert.match(sent.headers().authorization ?? '', /^Bearer ./);
    await response(page, /"data": \{.*"artworks": \{.*"totalCount": \d+/);
  },

  /** @param {Browser} browser */
  async 'GraphiQL receives the first message of a subscription'(browser) {
    const page = await openGraphiql(browser);
    await changeTab(page, 'LiveRanking');
    await page.click('.graphiql-execute-button');
    await response(page, /"data": \{.*"hotRankingChanged": \{/);
  },

  /** @param {Browser} browser */
  async 'all example tabs are valid for the schema of this server'(browser) {
    const introspection = await fetch(new URL('/graphql', browser.base), {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ query: getIntrospectionQuery() }),
    });
    const schema = buildClientSchema((await introspection.json()).data);

    const page = await openGraphiql(browser);
    await changeTab(page, 'LiveRanking');
    const stored = await page.waitForFunction(() => localStorage.getItem('graphiql:tabState'));
    /** @type {{ tabs: { query: string }[] }} */
    const { tabs } = JSON.parse((await stored.jsonValue()) ?? '');
    assert.equal(tabs.length, 4);
    for (const { query } of tabs) assert.deepEqual(validate(schema, parse(query)), []);
  },
};
