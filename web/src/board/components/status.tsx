import { eventCount } from '../activity';
import { now } from '../clock';
import { connection } from '../live';
import { formats, t } from '../preferences';
import { tab, updatedAt, type Tab } from '../ranking';

const tabs: Tab[] = ['ALL', 'ARTWORK', 'VIDEO'];

/** The line above the list: what is ranked, and how alive it is. */
export function Bar() {
  return (
    <div class="bar">
      <div class="tabs" role="group" aria-label={t.value.tabsLabel}>
        {tabs.map((name) => (
          <button
            type="button"
            key={name}
            data-tab={name}
            aria-pressed={tab.value === name}
            onClick={() => (tab.value = name)}
          >
            {t.value.tabs[name]}
          </button>
        ))}
      </div>
      <Pulse />
    </div>
  );
}

function Pulse() {
  const state = connection.value;
  const seconds =
    updatedAt.value === null ? null : Math.max(0, Math.round((now.value - updatedAt.value) / 1000));
  return (
    <p class="pulse">
      {/* Only the state is announced; numbers that change all the time would never let go. */}
      <span class="connection" data-state={state} role="status">
        {t.value.connection[state]}
      </span>
      {seconds !== null && <span>{t.value.updated(seconds)}</span>}
      {eventCount.value > 0 && <span>{t.value.events(formats.value.whole(eventCount.value))}</span>}
    </p>
  );
}
