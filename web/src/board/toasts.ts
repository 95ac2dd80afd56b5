import { signal } from '@preact/signals';

import { GraphQLFailure } from '../shared/graphql';
import { t } from './preferences';

export interface Toast {
  id: number;
  text: string;
}

export const toasts = signal<readonly Toast[]>([]);

const SHOWN_MS = 5000;
let lastId = 0;

export function toast(text: string): void {
  // Ten failures of the same kind are one message.
  if (toasts.value.some((shown) => shown.text === text)) return;
  const id = ++lastId;
  toasts.value = [...toasts.value, { id, text }];
  setTimeout(() => {
    toasts.value = toasts.value.filter((shown) => shown.id !== id);
  }, SHOWN_MS);
}

export function toastError(error: unknown): void {
  const reason = error instanceof GraphQLFailure ? error.message : t.value.unreachable;
  toast(t.value.failed(reason));
}
