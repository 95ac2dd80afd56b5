import { signal, type Signal } from '@preact/signals';

import { histories, type Histories } from './documents';
import { requestAsViewer } from './identity';

/**
 * The points behind the sparklines: the stored history once, when a work is first seen, then
 * the scores of the live updates.
 */
export type Trail = readonly number[];

const LONGEST = 48;
/** Half of the last digit shown: a drift that nobody sees in the number is no point either. */
const VISIBLE = 0.05;
const trails = new Map<string, Signal<Trail>>();

export function trail(id: string): Signal<Trail> {
  let known = trails.get(id);
  if (!known) trails.set(id, (known = signal<Trail>([])));
  return known;
}

export function recordScores(entries: readonly { score: number; content: { id: string } }[]): void {
  const unseen: string[] = [];
  for (const { content, score } of entries) {
    if (!trails.has(content.id)) unseen.push(content.id);
    const points = trail(content.id);
    const last = points.peek().at(-1) ?? -Infinity;
    if (Math.abs(score - last) >= VISIBLE) points.value = [...points.peek(), score].slice(-LONGEST);
  }
  if (unseen.length > 0) void loadHistories(unseen);
}

async function loadHistories(ids: string[]): Promise<void> {
  try {
    const { contents } = await requestAsViewer<Histories>(histories, { ids });
    for (const content of contents) {
      if (!content) continue;
      // The schema does not promise an order, and ISO times sort as text.
      const past = content.hotness.history
        .toSorted((a, b) => a.calculatedAt.localeCompare(b.calculatedAt))
        .map((point) => point.score);
      const points = trail(content.id);
      points.value = [...past, ...points.peek()].slice(-LONGEST);
    }
  } catch {
    // A sparkline without its past still draws what comes.
  }
}
