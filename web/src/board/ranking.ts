import { batch, effect, signal } from '@preact/signals';

import { rankingChanged, settings, type RankingChanged, type Settings } from './documents';
import { requestAsViewer } from './identity';
import { connection, subscribe } from './live';
import { route } from './route';
import { recordScores } from './trails';
import type { ContentKind, HotnessSettings, RankingEntry, Reactions } from './types';

export type Tab = 'ALL' | ContentKind;

/** An entry as the server sent it, and what the row wants to know about how it got there. */
export interface Row extends RankingEntry {
  /** When this score was new; it cools from there. */
  scoredAt: number;
  /** Places won (or lost) at the last move, and when that was. */
  moved: { places: number; at: number } | null;
}

export const tab = signal<Tab>('ALL');
/** null until the first answer. A change of tab keeps the old rows until the new ones come. */
export const rows = signal<readonly Row[] | null>(null);
export const updatedAt = signal<number | null>(null);
export const hotnessSettings = signal<HotnessSettings | null>(null);

export function startRanking(): void {
  effect(() => {
    if (route.value.page !== 'ranking') return;
    const kind = tab.value === 'ALL' ? null : tab.value;
    let first = true;
    return subscribe<RankingChanged>(rankingChanged, { kind }, ({ hotRankingChanged }) => {
      const at = Date.now();
      batch(() => {
        // Ranks of different tabs do not compare: the first answer of a tab moves nobody.
        rows.value = arrange(first ? [] : (rows.peek() ?? []), hotRankingChanged.entries, at);
        updatedAt.value = at;
        recordScores(hotRankingChanged.entries);
      });
      first = false;
    });
  });

  effect(() => {
    // Settings can change with a restart of the server, so each connection asks once.
    if (connection.value !== 'live') return;
    requestAsViewer<Settings>(settings).then(
      (answer) => (hotnessSettings.value = answer.hotnessSettings),
      () => undefined, // Nice to have: without it scores do not tick between updates.
    );
  });
}

function arrange(previous: readonly Row[], entries: readonly RankingEntry[], at: number): Row[] {
  const before = new Map(previous.map((row) => [row.content.id, row]));
  return entries.map((entry) => {
    const old = before.get(entry.content.id);
    const places = old ? old.rank - entry.rank : 0;
    return {
      ...entry,
      scoredAt: old && old.score === entry.score ? old.scoredAt : at,
      moved: places === 0 ? (old?.moved ?? null) : { places, at },
    };
  });
}

/** What a mutation answered is newer than what the stream sent last. */
export function mergeReactions(id: string, reactions: Partial<Reactions>): void {
  rows.value =
    rows
      .peek()
      ?.map((row) =>
        row.content.id === id ? { ...row, content: { ...row.content, ...reactions } } : row,
      ) ?? null;
}

export function cooled(row: Row, now: number): number {
  const halfLifeHours = hotnessSettings.value?.halfLifeHours;
  if (!halfLifeHours) return row.score;
  const hours = Math.max(0, now - row.scoredAt) / 3_600_000;
  return row.score * 0.5 ** (hours / halfLifeHours);
}
