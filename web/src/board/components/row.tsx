import { now } from '../clock';
import { formats, t } from '../preferences';
import { cooled, type Row as RankingRow } from '../ranking';
import { reactionOf, toggle, type Reaction } from '../reactions';
import type { Content } from '../types';
import { Cover } from './cover';
import { Heart, Star } from './icons';
import { Sparkline } from './sparkline';

/** `heat` is the share of the leader's score, drawn as the bar under the row. */
export function Row({ row, heat }: { row: RankingRow; heat: number }) {
  const { content, rank, level, moved } = row;
  const video = content.__typename === 'Video';
  return (
    <li
      class="row"
      data-id={content.id}
      data-likes={reactionOf(content, 'like').count}
      data-favorites={reactionOf(content, 'favorite').count}
      data-level={level}
      style={{ '--heat': heat }}
    >
      <div class="rank" data-rank={rank}>
        {rank}
        {moved && (
          // A new key restarts the animation, which ends invisible: no timer to clean up.
          <span key={moved.at} class={moved.places > 0 ? 'moved up' : 'moved down'} aria-hidden>
            {moved.places > 0 ? '▲' : '▼'}
            {Math.abs(moved.places)}
          </span>
        )}
      </div>
      <Cover id={content.id} url={content.coverUrl} video={video} />
      <div class="what">
        <h3 title={content.title}>{content.title}</h3>
        <p>
          {content.author ? t.value.by(content.author.name) : t.value.unknownAuthor}
          {video && <span class="kind">{t.value.video}</span>}
        </p>
      </div>
      <span class="level">{t.value.levels[level]}</span>
      <Sparkline id={content.id} title={content.title} />
      <Score row={row} />
      <div class="reactions">
        <ReactionButton content={content} reaction="like" />
        <ReactionButton content={content} reaction="favorite" />
      </div>
    </li>
  );
}

/** Its own component because it follows the clock; the rest of the row does not. */
function Score({ row }: { row: RankingRow }) {
  return (
    <div class="score">
      <strong>{formats.value.score(cooled(row, now.value))}</strong>
      <span>{t.value.score}</span>
    </div>
  );
}

function ReactionButton({ content, reaction }: { content: Content; reaction: Reaction }) {
  const { active, count } = reactionOf(content, reaction);
  const Symbol = reaction === 'like' ? Heart : Star;
  return (
    <button
      type="button"
      class={`reaction ${reaction}`}
      data-action={reaction}
      aria-pressed={active}
      aria-label={t.value[reaction](content.title, count)}
      onClick={() => toggle(content, reaction)}
    >
      <Symbol filled={active} />
      {/* The key makes a changed number a new element, which then pops. */}
      <span key={count} class="count">
        {formats.value.count(count)}
      </span>
    </button>
  );
}
