import { computed, signal } from '@preact/signals';

/**
 * What is seen follows the address: `#/points` is one's own account, `#/points/user_…` that of
 * somebody else, everything else the ranking. What is after # never reaches the server: it has
 * one page to serve, and needs to know of no other.
 */
export type Route = { page: 'ranking' } | { page: 'points'; userId: string | null };

const hash = signal(location.hash);
addEventListener('hashchange', () => (hash.value = location.hash));

export const route = computed<Route>(() => {
  const [, page, userId] = hash.value.split('/');
  return page === 'points' ? { page, userId: userId || null } : { page: 'ranking' };
});

export const rankingHref = '#/';

export function pointsHref(userId?: string): string {
  return userId === undefined ? '#/points' : `#/points/${encodeURIComponent(userId)}`;
}
