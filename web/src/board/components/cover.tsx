import { useState } from 'preact/hooks';

import { motifs, paletteOf, randomFrom } from './cover-art';

/** The work's own cover, or, where there is none (or it does not load), a picture made of its id. */
export function Cover({ id, url, video }: { id: string; url: string | null; video: boolean }) {
  const [broken, setBroken] = useState(false);
  return (
    <div class="cover">
      {url && !broken ? (
        <img src={url} alt="" loading="lazy" onError={() => setBroken(true)} />
      ) : (
        <GeneratedCover id={id} />
      )}
      {video && (
        <svg class="cover-play" viewBox="0 0 24 24" aria-hidden="true">
          <path d="M9 7.5v9l7.5-4.5L9 7.5Z" />
        </svg>
      )}
    </div>
  );
}

function GeneratedCover({ id }: { id: string }) {
  const random = randomFrom(id);
  const palette = paletteOf(random);
  const draw = motifs[Math.floor(random() * motifs.length)]!;
  const gradient = `sky-${id}`;
  return (
    <svg viewBox="0 0 64 64" preserveAspectRatio="xMidYMid slice" aria-hidden="true">
      <linearGradient id={gradient} x1="0" y1="0" x2={random() * 0.6} y2="1">
        <stop offset="0" stop-color={palette.from} />
        <stop offset="1" stop-color={palette.to} />
      </linearGradient>
      <rect width="64" height="64" fill={`url(#${gradient})`} />
      {draw(random, palette)}
    </svg>
  );
}
