/** What every answer must be like, whatever was asked. */

/** Words that only a leak has: SQL, names of our code and of libraries, paths of a build, panics. */
const LEAKS = [
  /\bSELECT\s.*\bFROM\b/,
  /\bINSERT INTO\b/,
  /\bUPDATE\s+\w+\s+SET\b/,
  /sqlx/i,
  /sea_orm/i,
  /sqlite/i,
  /postgres/i,
  /panicked/,
  /unwrap\(\)/,
  /\bRUST_BACKTRACE\b/,
  /\/root\//,
  /\/home\//,
  /\.cargo\//,
  /\bsrc\/\w/,
  /tally::/,
  /\.rs:\d/,
];

/**
 * The first thing that is wrong with an answer; null when all is well. `sent` is what was asked: a message may repeat
 * it, so its words are no leak.
 */
export function fault({ status, text, json, headers }, sent = '') {
  if (status >= 500) return `status ${status}`;
  const type = headers.get?.('content-type') ?? '';
  const isGraphql = /^application\/(graphql-response\+)?json/.test(type);
  if (isGraphql) {
    if (json === undefined) return 'not JSON, says it is';
    const parts = Array.isArray(json) ? json : [json];
    for (const part of parts) {
      const wrong = partFault(part, status);
      if (wrong) return wrong;
    }
  }
  const shown = isGraphql || status >= 400 ? text : '';
  for (const leak of LEAKS) {
    const found = leak.exec(shown)?.[0];
    if (found && !sent.includes(found)) return `leaks ${JSON.stringify(found)}`;
  }
  return null;
}

function partFault(part, status) {
  if (part === null || typeof part !== 'object') return 'a part that is no object';
  const { errors, ...rest } = part;
  if (errors === undefined) {
    return 'data' in rest ? null : 'neither data nor errors';
  }
  if (!Array.isArray(errors) || errors.length === 0)
    return 'errors that are no list, or an empty one';
  if (status >= 400 && 'data' in rest) return 'data, though the status says that nothing ran';
  for (const error of errors) {
    if (typeof error?.message !== 'string' || error.message === '')
      return 'an error without a message';
    if (typeof error.extensions?.code !== 'string') return 'an error without extensions.code';
    if (error.message.length > 4_000) return 'a message that repeats what was sent at length';
    if (/INTERNAL/.test(error.extensions.code)) return `an internal error: ${error.message}`;
  }
  return null;
}
