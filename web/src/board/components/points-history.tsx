import { useEffect, useState } from 'preact/hooks';

import {
  entries,
  filter,
  isOwn,
  narrow,
  narrowed,
  older,
  readOlder,
  readingOlder,
  refresh,
  trouble,
} from '../points/account';
import { whyNot } from '../points/refusal';
import { kinds, type Transaction } from '../points/types';
import { formats, t } from '../preferences';

/** The ledger, newest first. */
export function History() {
  return (
    <section class="points-history">
      <h2>{t.value.points.history}</h2>
      <Filters />
      {trouble.value !== null && (
        <p class="notice error" role="alert">
          {whyNot(trouble.value)}{' '}
          <button type="button" class="link" onClick={refresh}>
            {t.value.points.retry}
          </button>
        </p>
      )}
      <Entries />
    </section>
  );
}

function Filters() {
  const words = t.value.points;
  const { kinds: chosen, actorId, from, to } = filter.value;
  const [actor, setActor] = useState(actorId);
  // Chosen in the list, or cleared.
  useEffect(() => setActor(actorId), [actorId]);

  const apply = (event: Event) => {
    event.preventDefault();
    narrow({ actorId: actor.trim() });
  };
  return (
    <form class="filters" role="search" aria-label={words.filters} onSubmit={apply}>
      <div class="chips" role="group" aria-label={words.filterKinds}>
        {kinds.map((kind) => (
          <button
            type="button"
            key={kind}
            class="chip"
            data-kind={kind}
            aria-pressed={chosen.includes(kind)}
            onClick={() =>
              narrow({
                kinds: chosen.includes(kind)
                  ? chosen.filter((other) => other !== kind)
                  : [...chosen, kind],
              })
            }
          >
            {words.kinds[kind]}
          </button>
        ))}
      </div>
      <div class="filter-fields">
        <label>
          {words.filterActor}
          <input
            id="filter-actor"
            autocomplete="off"
            spellcheck={false}
            placeholder="user_…"
            title={words.filterActorHint}
            value={actor}
            onInput={(event) => setActor(event.currentTarget.value)}
            onChange={apply}
          />
        </label>
        <label>
          {words.filterFrom}
          <input
            id="filter-from"
            type="datetime-local"
            value={from}
            onChange={(event) => narrow({ from: event.currentTarget.value })}
          />
        </label>
        <label>
          {words.filterTo}
          <input
            id="filter-to"
            type="datetime-local"
            value={to}
            onChange={(event) => narrow({ to: event.currentTarget.value })}
          />
        </label>
        {narrowed.value && (
          <button
            type="button"
            class="plain"
            data-action="clear-filters"
            onClick={() => narrow({ kinds: [], actorId: '', from: '', to: '' })}
          >
            {words.clearFilters}
          </button>
        )}
      </div>
    </form>
  );
}

function Entries() {
  const words = t.value.points;
  const shown = entries.value;
  if (shown === null) {
    if (trouble.value !== null) return null;
    return (
      <div class="ledger skeleton" role="status" aria-label={words.loading}>
        {Array.from({ length: 4 }, () => (
          <div class="entry" />
        ))}
      </div>
    );
  }
  if (shown.length === 0) {
    return (
      <p class="empty" data-empty>
        {narrowed.value ? words.emptyFiltered : isOwn.value ? words.emptyOwn : words.empty}
      </p>
    );
  }
  return (
    <>
      <ol class="ledger">
        {shown.map((entry) => (
          <Entry key={entry.id} entry={entry} />
        ))}
      </ol>
      {older.value === null ? (
        <p class="hint ledger-end">{words.allShown}</p>
      ) : (
        <button
          type="button"
          class="plain ledger-end"
          data-action="older"
          aria-busy={readingOlder.value}
          onClick={() => void readOlder()}
        >
          {readingOlder.value ? words.loadingOlder : words.older}
        </button>
      )}
    </>
  );
}

function Entry({ entry }: { entry: Transaction }) {
  const words = t.value.points;
  const { signed, time, whole } = formats.value;
  const amount = BigInt(entry.amount);
  const limit = entry.kind === 'OVERDRAFT_LIMIT';
  const direction = amount > 0n ? 'up' : amount < 0n ? 'down' : undefined;
  return (
    <li class="entry" data-id={entry.id} data-sequence={entry.sequence}>
      <span class="entry-number">{whole(BigInt(entry.sequence))}</span>
      <div class="entry-what">
        <p class="entry-reason">{reasonOf(entry)}</p>
        <p class="hint">
          <span class="entry-kind" data-kind={entry.kind}>
            {words.kinds[entry.kind]}
          </span>
          {entry.reverses && <span>{words.takesBack(whole(BigInt(entry.reverses.sequence)))}</span>}
          <Actor {...entry} />
          <time dateTime={entry.createdAt}>{time(entry.createdAt)}</time>
        </p>
      </div>
      <div class="entry-points">
        <strong data-direction={direction}>
          {limit ? words.limitSet(whole(BigInt(entry.overdraftLimit))) : signed(amount)}
        </strong>
        <span class="hint">
          {words.after} {whole(BigInt(entry.balanceAfter))}
        </span>
      </div>
    </li>
  );
}

/** A rule's own reasons are in English: the page says it in the reader's language. */
function reasonOf({ rule, kind, reason }: Transaction): string {
  const words = t.value.points;
  if (rule === null) return reason;
  return kind === 'REVERSAL' ? words.takenBack[rule] : words.given[rule];
}

function Actor({ actor, rule }: Transaction) {
  const words = t.value.points;
  if (rule !== null) return <span data-rule={rule}>{words.byRule}</span>;
  if (actor === null) return <span>{words.byNobody}</span>;
  return (
    <button
      type="button"
      class="link"
      data-action="only-actor"
      title={words.onlyOf(actor.name)}
      onClick={() => narrow({ actorId: actor.id })}
    >
      {words.by(actor.name)}
    </button>
  );
}
