import { signal } from '@preact/signals';

import { reactionMutation, type Reacted, type ReactionMutation } from './documents';
import { accountOpen, readOnly, requestAsViewer } from './identity';
import { mergeReactions } from './ranking';
import { toastError } from './toasts';
import type { Content, Reactions } from './types';

/**
 * Likes and favourites are optimistic. What the viewer wants is kept beside the server's rows
 * rather than written into them, so that updates which arrive in the meantime neither undo it nor
 * count it twice.
 */
export type Reaction = 'like' | 'favorite';

const fields = {
  like: { active: 'viewerHasLiked', count: 'likeCount', undo: 'unlike' },
  favorite: { active: 'viewerHasFavorited', count: 'favoriteCount', undo: 'unfavorite' },
} as const satisfies Record<
  Reaction,
  { active: keyof Reactions; count: keyof Reactions; undo: ReactionMutation }
>;

/** A ranking that was computed before the mutation can still arrive after its answer. */
const STRAGGLERS_MS = 1500;

const wanted = signal<ReadonlyMap<string, boolean>>(new Map());
const inFlight = new Set<string>();
/** What is wanted is forgotten when the stragglers are over; a new click begins anew. */
const lettingGo = new Map<string, ReturnType<typeof setTimeout>>();

export function reactionOf(content: Content, reaction: Reaction) {
  const { active, count } = fields[reaction];
  const is = content[active];
  const want = wanted.value.get(key(content.id, reaction)) ?? is;
  return { active: want, count: Math.max(0, content[count] + Number(want) - Number(is)) };
}

export function toggle(content: Content, reaction: Reaction): void {
  if (readOnly.peek()) {
    accountOpen.value = true;
    return;
  }
  want(content.id, reaction, !reactionOf(content, reaction).active);
  void send(content.id, reaction);
}

/** One request at a time for each button; clicks in between only change what is wanted. */
async function send(id: string, reaction: Reaction): Promise<void> {
  const k = key(id, reaction);
  if (inFlight.has(k)) return;
  inFlight.add(k);
  clearTimeout(lettingGo.get(k));
  try {
    let sent: boolean | undefined;
    for (;;) {
      const next = wanted.peek().get(k);
      if (next === undefined || next === sent) break;
      sent = next;
      const mutation = next ? reaction : fields[reaction].undo;
      const { reaction: answer } = await requestAsViewer<Reacted>(reactionMutation(mutation), {
        id,
      });
      // Of the other button another request may have said something newer.
      const { active, count } = fields[reaction];
      const { content } = answer;
      mergeReactions(id, { [active]: content[active], [count]: content[count] });
    }
    const letGo = () => want(id, reaction, undefined);
    lettingGo.set(k, setTimeout(letGo, STRAGGLERS_MS));
  } catch (error) {
    want(id, reaction, undefined);
    toastError(error);
  } finally {
    inFlight.delete(k);
  }
}

function want(id: string, reaction: Reaction, state: boolean | undefined): void {
  const next = new Map(wanted.peek());
  if (state === undefined) next.delete(key(id, reaction));
  else next.set(key(id, reaction), state);
  wanted.value = next;
}

function key(id: string, reaction: Reaction): string {
  return `${reaction} ${id}`;
}
