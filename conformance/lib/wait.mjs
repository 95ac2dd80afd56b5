/** Waiting for conditions, never for time alone. */
import { PATIENCE_MS } from './server.mjs';

/** What `promise` gives, or an error that says what did not come. */
export async function deadline(promise, what, most = PATIENCE_MS) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no ${what} within ${most} ms`)), most);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Repeats `act` until `promise` settles: a listener says nothing when it has begun to listen, so the first act may come
 * too early for it.
 */
export async function eventually(promise, act, most = PATIENCE_MS) {
  const until = performance.now() + most;
  let settled = false;
  const done = promise.finally(() => {
    settled = true;
  });
  done.catch(() => {});
  while (!settled && performance.now() < until) {
    await act();
    await Promise.race([done.catch(() => {}), new Promise((resolve) => setTimeout(resolve, 150))]);
  }
  return deadline(done, 'event', 1);
}
