import { t } from '../preferences';
import { trail } from '../trails';

const WIDTH = 112;
const HEIGHT = 32;
const MARGIN = 3;

/** The way of one score. Its scale is its own: it shows movement, not who is ahead. */
export function Sparkline({ id, title }: { id: string; title: string }) {
  const points = trail(id).value;
  if (points.length < 2) return <div class="sparkline" />;

  const low = Math.min(...points);
  const high = Math.max(...points);
  const x = (i: number) => MARGIN + (i / (points.length - 1)) * (WIDTH - 2 * MARGIN);
  const y = (score: number) =>
    // Without movement there is no scale either: draw the line through the middle.
    high === low
      ? HEIGHT / 2
      : HEIGHT - MARGIN - ((score - low) / (high - low)) * (HEIGHT - 2 * MARGIN);
  const line = points.map((score, i) => `${x(i).toFixed(1)} ${y(score).toFixed(1)}`).join('L');

  return (
    <svg
      class="sparkline"
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
      role="img"
      aria-label={t.value.trend(title)}
    >
      <path
        class="sparkline-area"
        d={`M${MARGIN} ${HEIGHT}L${line}L${WIDTH - MARGIN} ${HEIGHT}Z`}
      />
      <path class="sparkline-line" d={`M${line}`} />
      <circle class="sparkline-now" cx={x(points.length - 1)} cy={y(points.at(-1)!)} r="2.6" />
    </svg>
  );
}
