import { computed, signal } from '@preact/signals';

import { GraphQLFailure, request } from '../shared/graphql';
import {
  adoptToken,
  forgetToken,
  openDemoSession,
  openSession,
  remember,
  type Session,
} from '../shared/session';
import { t } from './preferences';
import { toast } from './toasts';

/** `undefined`: not asked yet (or the server could not be asked); `null`: nobody. */
const session = signal<Session | null | undefined>(undefined);

export const viewer = computed(() => session.value?.user ?? null);
export const token = computed(() => session.value?.token ?? null);
export const readOnly = computed(() => session.value === null);

export const demoUser = computed(() => session.value?.demo ?? false);

/** The dialog that says who you are and takes a token. */
export const accountOpen = signal(false);

let opening: Promise<void> | null = null;

/** Finds out who we are unless that is known. Never throws: the live connection retries anyway. */
export function ensureSession(): Promise<void> {
  if (session.peek() !== undefined) return Promise.resolve();
  opening ??= openSession()
    .then((opened) => {
      // Whoever signed in or out meanwhile has said who they are.
      if (session.peek() === undefined) be(opened);
    })
    .catch(() => undefined)
    .finally(() => {
      opening = null;
    });
  return opening;
}

function be(known: Session | null): void {
  if (known) remember(known);
  session.value = known;
}

/**
 * The server said no to this token. In demo mode there is another one to be had. Which token
 * matters: a request and the live connection can both be told, and only the first one acts on it.
 */
export async function renewSession(rejected: string): Promise<void> {
  if (rejected === token.peek()) {
    forgetToken();
    session.value = undefined;
  }
  await ensureSession();
  const renewed = session.peek();
  // Still undefined: the server is gone as well, which is announced elsewhere.
  if (renewed !== undefined) toast(renewed ? t.value.sessionRenewed : t.value.tokenRejected);
}

export async function signIn(pasted: string): Promise<boolean> {
  const adopted = await adoptToken(pasted);
  if (adopted) be(adopted);
  return adopted !== null;
}

export function signOut(): void {
  forgetToken();
  session.value = null;
}

export async function becomeAnotherDemoUser(role?: 'TEACHER'): Promise<void> {
  const opened = await openDemoSession(role);
  if (opened) be(opened);
}

/** A request as the viewer; once more with a new session if the old one has run out. */
export async function requestAsViewer<Data>(
  query: string,
  variables: Record<string, unknown> = {},
): Promise<Data> {
  await ensureSession();
  const used = token.peek();
  try {
    return await request<Data>(query, variables, used);
  } catch (error) {
    const rejected = error instanceof GraphQLFailure && error.unauthenticated;
    if (!rejected || used === null) throw error;
    await renewSession(used);
    return request<Data>(query, variables, token.peek());
  }
}
