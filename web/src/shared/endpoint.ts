export const GRAPHQL_PATH = '/graphql';

/** Queries and subscriptions share one path; only the scheme differs. */
export function subscriptionUrl(): string {
  const url = new URL(GRAPHQL_PATH, location.href);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  return url.href;
}
