import { signal } from '@preact/signals';

/** Ticks once a second while somebody can see it: scores cool, "updated n s ago" grows. */
export const now = signal(Date.now());

setInterval(() => {
  if (!document.hidden) now.value = Date.now();
}, 1000);

document.addEventListener('visibilitychange', () => {
  if (!document.hidden) now.value = Date.now();
});
