import { GraphQLFailure, request } from './graphql';
import { perTab } from './storage';

/** Where the bearer token is kept (sessionStorage); the board and GraphiQL share it. */
export const TOKEN_KEY = 'tally.token';

/** Set beside a token that came from /demo/session: there are more where that came from. */
const DEMO_KEY = 'tally.token.demo';

export interface User {
  id: string;
  name: string;
}

export interface Session {
  token: string;
  user: User;
  /** One of the users a server in demo mode hands out. */
  demo: boolean;
}

/** The session of this tab if its token still works, else a demo user's, else null. */
export async function openSession(): Promise<Session | null> {
  const stored = perTab.read(TOKEN_KEY);
  const demo = perTab.read(DEMO_KEY) !== null;
  return (stored !== null ? await adoptToken(stored, demo) : null) ?? (await openDemoSession());
}

/** Another demo user with each call; null when the server is not in demo mode. */
export async function openDemoSession(role?: 'TEACHER'): Promise<Session | null> {
  const path = role ? `/demo/session?role=${role}` : '/demo/session';
  const response = await fetch(path, { cache: 'no-store' });
  if (response.status === 404) return null;
  if (!response.ok) throw new Error(`GET ${path} answered ${response.status}`);
  const { token, user } = (await response.json()) as { token: string; user: User };
  return { token, user, demo: true };
}

/** Asks the server whose token this is; null when the server rejects it. */
export async function adoptToken(token: string, demo = false): Promise<Session | null> {
  const user = await owner(token);
  return user && { token, user, demo };
}

export function forgetToken(): void {
  perTab.write(TOKEN_KEY, null);
  perTab.write(DEMO_KEY, null);
}

/** Keeps it for this tab, the board as well as GraphiQL. */
export function remember(session: Session): void {
  perTab.write(TOKEN_KEY, session.token);
  perTab.write(DEMO_KEY, session.demo ? 'yes' : null);
}

async function owner(token: string): Promise<User | null> {
  try {
    const { me } = await request<{ me: { user: User } | null }>(
      'query Me { me { user { id name } } }',
      {},
      token,
    );
    return me?.user ?? null;
  } catch (error) {
    if (error instanceof GraphQLFailure && error.unauthenticated) return null;
    throw error;
  }
}
