import { batch, effect, signal, untracked } from '@preact/signals';

import type { GraphQLFailure } from '../../shared/graphql';
import { perTab } from '../../shared/storage';
import { requestAsViewer, viewer } from '../identity';
import { connection } from '../live';
import { observe, refresh, whose } from './account';
import { addPoints, type PointsAdded } from './documents';
import { refusal } from './refusal';
import type { AddPointsInput } from './types';

/**
 * Awards and deductions. A request is kept, with its idempotency key, from before it is sent until
 * the server has said yes or no: through lost answers, reconnects and a reload of the page. Asked
 * again it has the same key, and the server books a key once.
 */
export type Outcome =
  | { kind: 'booked'; amount: bigint; balance: bigint; replayed: boolean }
  | { kind: 'refused'; why: GraphQLFailure }
  /** It may have been booked or not. */
  | { kind: 'unanswered' };

export const pending = signal<AddPointsInput | null>(null);
export const sending = signal(false);
export const outcome = signal<Outcome | null>(null);

const TRIES = 3;
const FIRST_WAIT_MS = 400;
/** A second click of a double click is no second award, however fast the answer was. */
const BUSY_AT_LEAST_MS = 600;

/** Where what is shown is kept: whose account, and in whose name. */
let place: string | null = null;
/** Sent by this page as it is: then it goes on by itself when the server is back. */
let goOn = false;

export function startPosting(): void {
  effect(() => {
    const [actor, user] = [viewer.value?.id, whose.value];
    const next = actor && user ? `tally.points.pending ${actor} ${user}` : null;
    if (next === place) return;
    place = next;
    goOn = false;
    batch(() => {
      pending.value = next === null ? null : stored(next);
      sending.value = false;
      outcome.value = pending.peek() && { kind: 'unanswered' };
    });
  });
  effect(() => {
    if (connection.value === 'live' && goOn) untracked(() => void tryAgain());
  });
}

/** Books it; the result says whether it is booked now. */
export async function post(input: Omit<AddPointsInput, 'idempotencyKey'>): Promise<boolean> {
  if (sending.peek() || pending.peek() || place === null) return false;
  return send({ ...input, idempotencyKey: newKey() });
}

/** The same again, under the same key. */
export async function tryAgain(): Promise<boolean> {
  const again = pending.peek();
  return again !== null && !sending.peek() && send(again);
}

/** Lets go of a request without an answer; if it was booked, the history has it. */
export function putAside(): void {
  if (sending.peek() || place === null) return;
  settle(place, null);
  refresh();
}

async function send(input: AddPointsInput): Promise<boolean> {
  const from = place;
  if (from === null) return false;
  const busyUntil = Date.now() + BUSY_AT_LEAST_MS;
  batch(() => {
    sending.value = true;
    pending.value = input;
    outcome.value = null;
  });
  perTab.write(from, JSON.stringify(input));
  const result = await ask(input);
  if (result.kind !== 'unanswered') perTab.write(from, null);
  await pause(busyUntil - Date.now());
  // Somebody else's account, or in somebody else's name: that page has nothing to do with it.
  if (from !== place) return false;
  goOn = result.kind === 'unanswered';
  if (result.kind === 'unanswered') {
    batch(() => {
      sending.value = false;
      outcome.value = result;
    });
  } else {
    settle(from, result);
  }
  return result.kind === 'booked';
}

async function ask(input: AddPointsInput): Promise<Outcome> {
  for (let attempt = 1; ; attempt++) {
    try {
      const { addPoints: added } = await requestAsViewer<PointsAdded>(addPoints, { input });
      observe(input.userId, added.transaction);
      return {
        kind: 'booked',
        amount: BigInt(added.transaction.amount),
        balance: BigInt(added.account.balance),
        replayed: added.replayed,
      };
    } catch (error) {
      const why = refusal(error);
      if (why) return { kind: 'refused', why };
      if (attempt === TRIES) return { kind: 'unanswered' };
      await pause(FIRST_WAIT_MS * 2 ** (attempt - 1));
    }
  }
}

function settle(from: string, result: Outcome | null): void {
  perTab.write(from, null);
  goOn = false;
  batch(() => {
    sending.value = false;
    pending.value = null;
    outcome.value = result;
  });
}

function stored(from: string): AddPointsInput | null {
  const text = perTab.read(from);
  return text === null ? null : (JSON.parse(text) as AddPointsInput);
}

/** 128 random bits. Not randomUUID, which plain http other than localhost does not have. */
function newKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return `board:${Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')}`;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, Math.max(0, ms)));
}
