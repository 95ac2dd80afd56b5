/** Stroke icons on a 24 grid; the text beside them or their button's label says what they mean. */

function Icon({ path, filled = false }: { path: string; filled?: boolean }) {
  return (
    <svg class="icon" viewBox="0 0 24 24" aria-hidden="true" data-filled={filled || undefined}>
      <path d={path} />
    </svg>
  );
}

export const Heart = ({ filled }: { filled: boolean }) => (
  <Icon
    filled={filled}
    path="M12 20.5S3.5 15.6 3.5 9.4A4.7 4.7 0 0 1 8.2 4.6c1.7 0 3 .9 3.8 2.2.8-1.3 2.1-2.2 3.8-2.2a4.7 4.7 0 0 1 4.7 4.8c0 6.2-8.5 11.1-8.5 11.1Z"
  />
);

export const Star = ({ filled }: { filled: boolean }) => (
  <Icon
    filled={filled}
    path="m12 3.6 2.6 5.3 5.8.8-4.2 4.1 1 5.8-5.2-2.7-5.2 2.7 1-5.8-4.2-4.1 5.8-.8L12 3.6Z"
  />
);

export const Sun = () => (
  <Icon path="M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8ZM12 2.5v2M12 19.5v2M2.5 12h2M19.5 12h2M5.3 5.3l1.4 1.4M17.3 17.3l1.4 1.4M5.3 18.7l1.4-1.4M17.3 6.7l1.4-1.4" />
);

export const Moon = () => <Icon path="M20 14.2A8.2 8.2 0 0 1 9.8 4a8.2 8.2 0 1 0 10.2 10.2Z" />;

export const Arrow = () => <Icon path="M7 17 17 7M9 7h8v8" />;

export const Close = () => <Icon path="m6 6 12 12M18 6 6 18" />;
