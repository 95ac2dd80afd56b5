/**
 * Randomness from a seed, so that a failure can be had again. `make test` asks the same every time, so that it fails for
 * what was changed; `make soak` (SOAK) looks further each time.
 */

const USUAL = 20_211_001;
const drawn = () => (process.env.SOAK ? Math.floor(Math.random() * 2 ** 31) : USUAL);
export const SEED = Number(process.env.SEED ?? drawn());

/** A stream of its own for each purpose: one test's draws do not move another's. */
export function random(purpose) {
  let state = SEED;
  for (const char of purpose) state = (Math.imul(state, 31) + char.codePointAt(0)) | 0;
  // mulberry32
  const next = () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  return {
    /** From 0 to below `most`. */
    below: (most) => Math.floor(next() * most),
    chance: (probability) => next() < probability,
    pick: (items) => items[Math.floor(next() * items.length)],
    shuffle: (items) =>
      items
        .map((item) => [next(), item])
        .sort(([a], [b]) => a - b)
        .map(([, item]) => item),
  };
}
