import type { JSX } from 'preact';

/** Small abstract pictures. The same id gives the same picture in every browser. */

export interface Palette {
  from: string;
  to: string;
  ink: string;
  light: string;
}

type Random = () => number;
type Motif = (random: Random, palette: Palette) => JSX.Element;

const palettes: Palette[] = [
  { from: '#ffb36b', to: '#e0435c', ink: '#7a1f4b', light: '#fff1d6' },
  { from: '#ffd77a', to: '#f2784b', ink: '#a83a32', light: '#fff8e4' },
  { from: '#8fd3c8', to: '#2f7f8f', ink: '#17465c', light: '#f2fbe9' },
  { from: '#a5c8ff', to: '#5763d6', ink: '#2b2a78', light: '#fdf0ff' },
  { from: '#f7b2c4', to: '#a45cc7', ink: '#54297f', light: '#fff3ea' },
  { from: '#c8e08b', to: '#3f9a6b', ink: '#1c5a50', light: '#fdfbdc' },
  { from: '#3b4a7a', to: '#1a1c3a', ink: '#0e1024', light: '#ffd9a0' },
  { from: '#f4d6b8', to: '#c98a6b', ink: '#6e3f3a', light: '#fffaf0' },
  { from: '#7fe0e6', to: '#3b7de0', ink: '#1c3f9c', light: '#f5ffe6' },
  { from: '#6d4a8f', to: '#2a1d4e', ink: '#150f2e', light: '#ff9fb0' },
];

export function paletteOf(random: Random): Palette {
  return palettes[Math.floor(random() * palettes.length)]!;
}

/** FNV-1a to get from the id to a number, mulberry32 to get from there to many. */
export function randomFrom(id: string): Random {
  let state = 0x811c9dc5;
  for (let i = 0; i < id.length; i++) {
    state = Math.imul(state ^ id.charCodeAt(i), 0x01000193);
  }
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const between = (random: Random, low: number, high: number) =>
  Math.round((low + random() * (high - low)) * 10) / 10;

const hills: Motif = (random, { ink, light }) => {
  const ridge = (y: number) =>
    `M0 ${y}Q${between(random, 10, 24)} ${y - between(random, 8, 18)} 34 ${y}T64 ${y - 4}V64H0Z`;
  return (
    <>
      <circle
        cx={between(random, 16, 48)}
        cy={between(random, 14, 26)}
        r={between(random, 6, 10)}
        fill={light}
      />
      <path d={ridge(40)} fill={ink} opacity="0.35" />
      <path d={ridge(48)} fill={ink} opacity="0.6" />
      <path d={ridge(57)} fill={ink} />
    </>
  );
};

const rings: Motif = (random, { ink, light }) => {
  const x = between(random, 14, 50);
  const y = between(random, 14, 50);
  return (
    <g fill="none" stroke={light} stroke-width="2.4">
      {[8, 16, 25, 35, 46].map((r, i) => (
        <circle cx={x} cy={y} r={r} opacity={0.9 - i * 0.16} />
      ))}
      <circle cx={x} cy={y} r="4" fill={ink} stroke="none" />
    </g>
  );
};

const waves: Motif = (random, { ink, light }) => {
  const swell = between(random, 4, 8);
  const line = (y: number) => `M-8 ${y}q10 ${-swell} 20 0t20 0t20 0t20 0V72H-8Z`;
  return (
    <>
      <circle cx={between(random, 14, 50)} cy="17" r={between(random, 6, 9)} fill={light} />
      {[30, 39, 48, 57].map((y, i) => (
        <path d={line(y)} fill={ink} opacity={0.22 + i * 0.18} />
      ))}
    </>
  );
};

const blocks: Motif = (random, { ink, light }) => (
  <g>
    <path d={`M0 64A${between(random, 34, 46)} 40 0 0 1 42 26V64Z`} fill={ink} opacity="0.75" />
    <circle cx={between(random, 38, 50)} cy={between(random, 14, 24)} r="11" fill={light} />
    <rect x="42" y={between(random, 36, 46)} width="22" height="30" fill={light} opacity="0.45" />
    <path d={`M8 ${between(random, 8, 16)}h16M8 21h16`} stroke={light} stroke-width="2.5" />
  </g>
);

const night: Motif = (random, { ink, light }) => (
  <g fill={light}>
    {Array.from({ length: 11 }, () => (
      <circle
        cx={between(random, 3, 61)}
        cy={between(random, 3, 42)}
        r={between(random, 0.6, 1.5)}
        opacity="0.85"
      />
    ))}
    <path
      transform={`translate(${between(random, 16, 34)} ${between(random, 10, 20)})`}
      d="M13 0a11 11 0 1 0 7 17.500A9 9 0 0 1 13 0Z"
    />
    <path d={`M0 64V52L${between(random, 12, 22)} 38 34 53 46 43 64 57V64Z`} fill={ink} />
  </g>
);

const petals: Motif = (random, { ink, light }) => {
  const count = 5 + Math.floor(random() * 4);
  const turn = random() * 90;
  return (
    <g transform={`translate(32 32) rotate(${turn.toFixed(1)})`}>
      {Array.from({ length: count }, (_, i) => (
        <ellipse
          cy="-14"
          rx={between(random, 6, 7.5)}
          ry="13"
          fill={i % 2 ? light : ink}
          opacity={i % 2 ? 0.75 : 0.5}
          transform={`rotate(${((360 / count) * i).toFixed(1)})`}
        />
      ))}
      <circle r="5.5" fill={light} />
    </g>
  );
};

export const motifs: Motif[] = [hills, rings, waves, blocks, night, petals];
