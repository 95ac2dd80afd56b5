import { useState } from 'preact/hooks';

import { GRAPHQL_PATH } from '../../shared/endpoint';
import { happenings, type Happening } from '../activity';
import { formats, t } from '../preferences';
import { hotnessSettings } from '../ranking';
import type { Level } from '../types';
import { Arrow } from './icons';

const FIRST_QUERY = `{
  hotRanking(first: 3) {
    rank
    score
    content { title likeCount }
  }
}`;

export function Aside() {
  return (
    <aside>
      <Activity />
      <Levels />
      <FirstQuery />
    </aside>
  );
}

function Activity() {
  return (
    <section class="card">
      <h2>{t.value.activity}</h2>
      {happenings.value.length === 0 ? (
        <p class="hint">{t.value.activityEmpty}</p>
      ) : (
        <ol class="activity">
          {happenings.value.map((happening) => (
            <Happened key={happening.number} {...happening} />
          ))}
        </ol>
      )}
    </section>
  );
}

function Happened({ content, cause, level, score, previousScore }: Happening) {
  const difference = score - previousScore;
  return (
    <li data-level={level}>
      <p>
        <strong>{content.title}</strong> {t.value.causes[cause]}
      </p>
      <span class="difference">
        {difference < 0 ? '−' : '+'}
        {formats.value.score(Math.abs(difference))}
      </span>
    </li>
  );
}

function Levels() {
  const settings = hotnessSettings.value;
  if (!settings) return null;
  const { from, levelNotes, levels } = t.value;
  const { score } = formats.value;
  const legend: [Level, string][] = [
    ['BLAZING', from(score(settings.blazingFrom))],
    ['HOT', from(score(settings.hotFrom))],
    ['WARM', from(score(settings.warmFrom))],
    ['COLD', levelNotes.COLD],
    ['NEW', levelNotes.NEW],
  ];
  return (
    <section class="card">
      <h2>{t.value.howHot}</h2>
      <p class="hint">{t.value.halfLife(formats.value.whole(settings.halfLifeHours))}</p>
      <ul class="legend">
        {legend.map(([level, note]) => (
          <li key={level} data-level={level}>
            <span class="level">{levels[level]}</span>
            <span>{note}</span>
          </li>
        ))}
      </ul>
    </section>
  );
}

function FirstQuery() {
  const [copied, setCopied] = useState(false);
  const curl = [
    `curl ${location.origin}${GRAPHQL_PATH} \\`,
    `  -H 'content-type: application/json' \\`,
    `  -d '${JSON.stringify({ query: FIRST_QUERY.replace(/\s+/g, ' ') })}'`,
  ].join('\n');
  const copy = async () => {
    await navigator.clipboard.writeText(curl);
    setCopied(true);
    setTimeout(() => setCopied(false), 2000);
  };
  return (
    <section class="card">
      <h2>{t.value.firstQuery}</h2>
      <p class="hint">{t.value.firstQueryHint}</p>
      <pre>{FIRST_QUERY}</pre>
      <div class="card-actions">
        {/* Absent on plain http other than localhost. */}
        {'clipboard' in navigator && (
          <button type="button" class="plain" onClick={copy}>
            {copied ? t.value.copied : t.value.copy}
          </button>
        )}
        <a class="plain" href="/graphiql">
          {t.value.openGraphiql}
          <Arrow />
        </a>
      </div>
    </section>
  );
}
