import { effect, signal } from '@preact/signals';
import { CloseCode, createClient } from 'graphql-ws';

import { subscriptionUrl } from '../shared/endpoint';
import { authorization } from '../shared/graphql';
import { ensureSession, renewSession, token } from './identity';

/** One WebSocket for all subscriptions; it comes back for as long as the page is open. */

export type Connection = 'connecting' | 'live' | 'reconnecting';
export const connection = signal<Connection>('connecting');

const PING_EVERY_MS = 10_000;
const PONG_WITHIN_MS = 5_000;
const LONGEST_WAIT_MS = 5_000;

let presented: string | null = null;
/** Subscriptions that somebody wants. Without any the socket closes by itself, which is no loss. */
let wanted = 0;
let pongMissing: ReturnType<typeof setTimeout> | undefined;

const client = createClient({
  url: subscriptionUrl(),
  connectionParams: async () => {
    await ensureSession();
    presented = token.peek();
    return authorization(presented);
  },
  retryAttempts: Infinity,
  shouldRetry: () => true,
  retryWait: backOff,
  // Switching tabs ends one subscription before it starts the next: keep the socket in between.
  lazyCloseTimeout: 3_000,
  keepAlive: PING_EVERY_MS,
  on: {
    connected: () => (connection.value = 'live'),
    closed: (event) => {
      clearTimeout(pongMissing);
      connection.value = wanted > 0 ? 'reconnecting' : 'connecting';
      const code = (event as CloseEvent).code;
      // The token does not hold, or holds no longer: the client comes back by itself.
      if (code === CloseCode.Forbidden && presented !== null) void renewSession(presented);
    },
    // A phone that changes networks leaves a socket that is open and dead: nobody closes it
    // but us, when a ping stays without an answer.
    ping: (received) => {
      if (!received) pongMissing = setTimeout(() => client.terminate(), PONG_WITHIN_MS);
    },
    pong: (received) => {
      if (received) clearTimeout(pongMissing);
    },
  },
});

// Who the viewer is travels in connection_init, so a new identity needs a new connection;
// the client subscribes again by itself.
effect(() => {
  if (connection.value === 'live' && token.value !== presented) client.terminate();
});

/**
 * Subscribes until the returned function is called, whatever happens in between. `onRestart` hears
 * of a subscription that ended on its own and was begun again while the connection stayed.
 */
export function subscribe<Data>(
  query: string,
  variables: Record<string, unknown>,
  onData: (data: Data) => void,
  onRestart?: () => void,
): () => void {
  wanted += 1;
  let stopped = false;
  let release = () => {};

  const start = () => {
    release = client.subscribe<Data>(
      { query, variables },
      {
        next: ({ data }) => {
          if (data) onData(data);
        },
        // The client gives up on some close codes, and a server that shuts down completes its
        // subscriptions in an orderly way. Neither is a reason for the board to stand still.
        error: (reason) => {
          console.warn('subscription interrupted', reason);
          void restart();
        },
        complete: () => void restart(),
      },
    );
  };
  const restart = async () => {
    if (stopped) return;
    await backOff(3);
    if (stopped) return;
    start();
    onRestart?.();
  };

  start();
  return () => {
    if (stopped) return;
    stopped = true;
    wanted -= 1;
    release();
  };
}

/** 0.25 s, 0.5 s, 1 s … 5 s, spread so that a thousand boards do not return at once. */
async function backOff(retries: number): Promise<void> {
  const longest = Math.min(LONGEST_WAIT_MS, 250 * 2 ** retries);
  const wait = longest * (0.5 + Math.random() / 2);
  await new Promise<void>((resolve) => {
    const done = () => {
      clearTimeout(timer);
      removeEventListener('online', done);
      resolve();
    };
    const timer = setTimeout(done, wait);
    // The network is back: no need to wait for the rest.
    addEventListener('online', done);
  });
}
