import { batch, effect, signal } from '@preact/signals';

import { hotnessChanged, type HotnessChanged } from './documents';
import { subscribe } from './live';
import { route } from './route';
import type { HotnessChange } from './types';

/** What just happened, newest first, and how much happened since the page was opened. */
export interface Happening extends HotnessChange {
  number: number;
}

export const eventCount = signal(0);
export const happenings = signal<readonly Happening[]>([]);

const SHOWN = 6;
const SHOW_EVERY_MS = 300;

let arrived: Happening[] = [];
let total = 0;

export function startActivity(): void {
  effect(() => {
    if (route.value.page !== 'ranking') return;
    return subscribe<HotnessChanged>(hotnessChanged, {}, (data) => {
      arrived.unshift({ ...data.hotnessChanged, number: ++total });
      // Events come as fast as people like things; nobody reads faster than a few a second.
      if (arrived.length === 1) setTimeout(show, SHOW_EVERY_MS);
    });
  });
}

function show(): void {
  batch(() => {
    happenings.value = [...arrived, ...happenings.peek()].slice(0, SHOWN);
    eventCount.value = total;
  });
  arrived = [];
}
