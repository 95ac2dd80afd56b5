import { batch, computed, effect, signal, untracked } from '@preact/signals';

import { GraphQLFailure } from '../../shared/graphql';
import { ensureSession, readOnly, requestAsViewer, token, viewer } from '../identity';
import { connection, subscribe } from '../live';
import { route } from '../route';
import { toastError } from '../toasts';
import {
  accountQuery,
  pointsChanged,
  rolesQuery,
  type AccountRead,
  type PointsChanged,
  type RolesRead,
} from './documents';
import { refusal } from './refusal';
import type { AccountFigures, Kind, Role, Transaction } from './types';

/**
 * The account that is looked at, and its ledger. Three things move it: what is read, what the
 * subscription says, and what this page booked. Whatever has the higher sequence counts; a
 * subscription that skips a number (it is conflated) or that was away is followed by a read of
 * everything that is newer than the newest entry known, so that nothing is missed.
 */
export interface Account {
  /** Null once the user is gone. */
  name: string | null;
  balance: bigint;
  overdraftLimit: bigint;
  sequence: bigint;
}

export interface Filter {
  kinds: readonly Kind[];
  actorId: string;
  /** As a datetime-local field has them: local time without a zone; empty for no bound. */
  from: string;
  to: string;
}

const everything: Filter = { kinds: [], actorId: '', from: '', to: '' };

const onPage = computed(() => route.value.page === 'points');
/** Whose account is looked at; null on the other page, and before the viewer is known. */
export const whose = computed(() => {
  const there = route.value;
  if (there.page !== 'points' || viewer.value === null) return null;
  return there.userId ?? viewer.value.id;
});
export const isOwn = computed(() => whose.value === viewer.value?.id);
export const signedOut = readOnly;

export const account = signal<Account | null>(null);
/** Newest first; null until they are read. */
export const entries = signal<readonly Transaction[] | null>(null);
/** The cursor after which older ones come; null when there are none. */
export const older = signal<string | null>(null);
export const readingOlder = signal(false);
export const filter = signal<Filter>(everything);
export const narrowed = computed(() => filter.value !== everything);
/** Why the last read failed; null when it did not. */
export const trouble = signal<unknown>(null);

const roles = signal<readonly Role[] | null>(null);
const above: readonly Role[] = ['TEACHER', 'SERVICE', 'OPERATOR', 'ADMIN'];
export const isTeacher = computed(() => roles.value?.some((role) => above.includes(role)) ?? false);
export const isAdmin = computed(() => roles.value?.includes('ADMIN') ?? false);

const PAGE = 20;
/** Entries that are caught up with in one go; when more came, the list begins anew. */
const CATCH_UP = 50;
const RETRY_MS = 3_000;
/** The server does not say when a subscription has begun; what came before that is read then. */
const SETTLED_MS = 2_000;
/** A change that nobody announced (a node without a broker) shows within this time. */
const LOOK_AGAIN_MS = 30_000;

/** One list: of one account, through one filter. Answers to an earlier one are dropped. */
interface Look {
  userId: string;
  /** The first page has been read: what is read from now on is what is newer. */
  begun: boolean;
  /** The cursor of the newest entry that was read; null while there is none. */
  newest: string | null;
  reading: boolean;
  again: boolean;
  /** The read after one that failed. */
  retry: ReturnType<typeof setTimeout> | undefined;
}
let look: Look | null = null;
/** Of the account: one subscription for all filters. */
let unsubscribe: (() => void) | null = null;

export function startPoints(): void {
  effect(() => {
    if (onPage.value && viewer.value === null && !readOnly.value) return learnWho();
  });
  effect(() => {
    const userId = whose.value;
    void token.value;
    if (userId !== null) return untracked(() => watch(userId));
  });
}

/** Until the server says who we are: it may be away. */
function learnWho(): () => void {
  void ensureSession();
  const timer = setInterval(() => void ensureSession(), RETRY_MS);
  return () => clearInterval(timer);
}

function watch(userId: string): () => void {
  batch(() => {
    account.value = null;
    roles.value = null;
    filter.value = everything;
  });
  begin(userId);
  let wasLive = connection.peek() === 'live';
  const stopReconnects = effect(() => {
    const isLive = connection.value === 'live';
    if (isLive && !wasLive) refreshTwice();
    wasLive = isLive;
  });
  const refreshIfSeen = () => {
    if (!document.hidden) refresh();
  };
  const timer = setInterval(refreshIfSeen, LOOK_AGAIN_MS);
  document.addEventListener('visibilitychange', refreshIfSeen);
  return () => {
    look = null;
    unsubscribe?.();
    unsubscribe = null;
    stopReconnects();
    clearInterval(timer);
    document.removeEventListener('visibilitychange', refreshIfSeen);
  };
}

export function narrow(change: Partial<Filter>): void {
  const next = { ...filter.peek(), ...change };
  const all = next.kinds.length === 0 && !next.actorId && !next.from && !next.to;
  filter.value = all ? everything : next;
  if (look) begin(look.userId);
}

function begin(userId: string): void {
  batch(() => {
    entries.value = null;
    older.value = null;
    readingOlder.value = false;
    trouble.value = null;
  });
  look = { userId, begun: false, newest: null, reading: false, again: false, retry: undefined };
  refresh();
}

/** Reads what is new; one read at a time, and one more if somebody asked meanwhile. */
export function refresh(): void {
  untracked(() => {
    if (look) void read(look);
  });
}

/** Now, and when a subscription that began just now is sure to hear of what comes. */
function refreshTwice(): void {
  refresh();
  setTimeout(refresh, SETTLED_MS);
}

async function read(of: Look): Promise<void> {
  if (of.reading) {
    of.again = true;
    return;
  }
  clearTimeout(of.retry);
  of.reading = true;
  of.again = false;
  const page = of.begun ? { last: CATCH_UP, before: of.newest } : { first: PAGE };
  const known = account.peek()?.sequence ?? 0n;
  try {
    const answer = await requestAsViewer<AccountRead>(accountQuery, variables(of, page));
    if (of !== look) return;
    batch(() => take(of, answer, known));
    if (unsubscribe === null) listen(of.userId);
  } catch (error) {
    if (of !== look) return;
    failed(of, error);
  } finally {
    of.reading = false;
    if (of === look && of.again) void read(of);
  }
}

/** `before` is the sequence that was known when the read began. */
function take(of: Look, { me, pointAccount }: AccountRead, before: bigint): void {
  roles.value = me?.roles ?? [];
  trouble.value = null;
  const name = pointAccount.user?.name ?? null;
  const found = { name, ...figures(pointAccount) };
  const { nodes, pageInfo } = pointAccount.history;
  if (found.sequence < before) {
    // A read never misses what was known when it began: it is the ledger that is another one.
    account.value = found;
    startOver(of);
    return;
  }
  // The subscription has overtaken the read: what is shown is newer, and one more read follows.
  const overtaken = found.sequence < (account.peek()?.sequence ?? 0n);
  if (overtaken) of.again = true;
  else account.value = found;
  if (!of.begun) {
    entries.value = nodes;
    older.value = pageInfo.hasNextPage ? pageInfo.endCursor : null;
  } else {
    const shown = entries.peek() ?? [];
    const together = merged(nodes, shown);
    if (pageInfo.hasPreviousPage) {
      // There is more than one read catches up with, unless the subscription has told all of it.
      if (together.length > shown.length) {
        startOver(of);
        return;
      }
      of.again = true;
    }
    entries.value = together;
  }
  of.begun = true;
  of.newest = pageInfo.startCursor ?? of.newest;
}

function startOver(of: Look): void {
  of.begun = false;
  of.newest = null;
  of.again = true;
}

function failed(of: Look, error: unknown): void {
  // What is shown stays: the connection says by itself that the server is away.
  if (error instanceof GraphQLFailure || entries.peek() === null) trouble.value = error;
  if (refusal(error)) {
    // The answer was an error as a whole; whether others may be looked at is still to be known.
    if (roles.peek() === null) void learnRoles(of);
    return;
  }
  of.again = false;
  of.retry = setTimeout(() => {
    if (of === look) void read(of);
  }, RETRY_MS);
}

async function learnRoles(of: Look): Promise<void> {
  try {
    const { me } = await requestAsViewer<RolesRead>(rolesQuery);
    if (of === look) roles.value = me?.roles ?? [];
  } catch {
    // Then nothing is offered that only some may do.
  }
}

function listen(userId: string): void {
  unsubscribe = subscribe<PointsChanged>(
    pointsChanged,
    { userId },
    ({ pointsChanged: newest }) => observe(userId, newest),
    refreshTwice,
  );
  // Else the connection is still to come, and says so.
  if (connection.peek() === 'live') setTimeout(refresh, SETTLED_MS);
}

/** What the subscription or an answer says of the account's newest transaction. */
export function observe(userId: string, newest: Transaction): void {
  const known = account.peek();
  if (look?.userId !== userId || known === null) return;
  const sequence = BigInt(newest.sequence);
  if (sequence <= known.sequence) return;
  const shown = entries.peek();
  batch(() => {
    account.value = {
      name: known.name,
      balance: BigInt(newest.balanceAfter),
      overdraftLimit: BigInt(newest.overdraftLimit),
      sequence,
    };
    const next = sequence === known.sequence + 1n;
    if (next && shown && !narrowed.peek()) entries.value = merged([newest], shown);
    else refresh();
  });
}

export async function readOlder(): Promise<void> {
  const [of, after] = [look, older.peek()];
  if (of === null || after === null || readingOlder.peek()) return;
  readingOlder.value = true;
  try {
    const answer = await requestAsViewer<AccountRead>(
      accountQuery,
      variables(of, { first: PAGE, after }),
    );
    if (of !== look || older.peek() !== after) return;
    const { nodes, pageInfo } = answer.pointAccount.history;
    batch(() => {
      entries.value = merged(entries.peek() ?? [], nodes);
      older.value = pageInfo.hasNextPage ? pageInfo.endCursor : null;
    });
  } catch (error) {
    if (of === look) toastError(error);
  } finally {
    if (of === look) readingOlder.value = false;
  }
}

function variables(of: Look, page: Record<string, unknown>): Record<string, unknown> {
  const { kinds, actorId, from, to } = filter.peek();
  return {
    userId: of.userId,
    kinds,
    actorId: actorId || null,
    from: moment(from),
    to: moment(to),
    ...page,
  };
}

/** A datetime-local field's content as the schema's DateTime. */
export function moment(local: string): string | null {
  return local === '' ? null : new Date(local).toISOString();
}

function figures(read: AccountFigures): Omit<Account, 'name'> {
  return {
    balance: BigInt(read.balance),
    overdraftLimit: BigInt(read.overdraftLimit),
    sequence: BigInt(read.transactionCount),
  };
}

/** Newest first, each once. */
function merged(some: readonly Transaction[], others: readonly Transaction[]): Transaction[] {
  const byId = new Map([...others, ...some].map((entry) => [entry.id, entry]));
  return [...byId.values()].sort((a, b) => Number(BigInt(b.sequence) - BigInt(a.sequence)));
}
