/** @typedef {import('playwright-core').Page} Page */

/**
 * Resolves, in the page, with the time at which it shows something like this. Observed there rather
 * than polled from here, so that the test does not measure itself.
 * @param {Page} page
 * @param {string} selector
 */
export function sees(page, selector) {
  return page.evaluate(
    (selector) =>
      /** @type {Promise<number>} */ (
        new Promise((resolve, reject) => {
          const observer = new MutationObserver(look);
          const timer = setTimeout(() => reject(new Error(`never saw ${selector}`)), 10_000);
          function look() {
            if (!document.querySelector(selector)) return;
            observer.disconnect();
            clearTimeout(timer);
            resolve(Date.now());
          }
          observer.observe(document.body, { subtree: true, childList: true, attributes: true });
          look();
        })
      ),
    selector,
  );
}

/**
 * Clicks, and returns when the click arrived in the page.
 * @param {Page} page
 * @param {import('playwright-core').Locator} target
 */
export async function clickedAt(page, target) {
  const [clicked] = await Promise.all([
    page.evaluate(
      () =>
        /** @type {Promise<number>} */ (
          new Promise((resolve) => {
            document.addEventListener('click', () => resolve(Date.now()), {
              capture: true,
              once: true,
            });
          })
        ),
    ),
    target.click(),
  ]);
  return clicked;
}
