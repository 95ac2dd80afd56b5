import { GraphQLFailure } from '../../shared/graphql';
import { t } from '../preferences';

/** An answer that stays the same however often one asks. */
const FINAL = new Set([
  'INVALID_INPUT',
  'INSUFFICIENT_POINTS',
  'CONFLICT',
  'NOT_FOUND',
  'FORBIDDEN',
  'LEDGER_BROKEN',
  'TOO_COMPLEX',
]);

/**
 * The server looked at the request and said no: nothing was written. Everything else (no answer,
 * a proxy's 502, a COMMIT whose answer was lost) leaves that open.
 */
export function refusal(error: unknown): GraphQLFailure | null {
  const final = error instanceof GraphQLFailure && error.code !== null && FINAL.has(error.code);
  return final ? error : null;
}

/** In the reader's words. */
export function whyNot(error: unknown): string {
  const words = t.value.points;
  if (!(error instanceof GraphQLFailure)) return t.value.unreachable;
  if (error.code === 'FORBIDDEN') return words.forbidden;
  if (error.code === 'NOT_FOUND') return words.notFound;
  // A module that is switched off is not in the schema.
  if (/field "pointAccount"/.test(error.message)) return words.switchedOff;
  return error.message;
}
