import { perBrowser } from './storage';

export type Theme = 'light' | 'dark';

const THEME_KEY = 'tally.theme';
const prefersDark = matchMedia('(prefers-color-scheme: dark)');

/** What the visitor chose with the toggle; null means "as the system does". */
export function chosenTheme(): Theme | null {
  const stored = perBrowser.read(THEME_KEY);
  return stored === 'light' || stored === 'dark' ? stored : null;
}

export function chooseTheme(theme: Theme): void {
  perBrowser.write(THEME_KEY, theme);
}

export function systemTheme(): Theme {
  return prefersDark.matches ? 'dark' : 'light';
}

export function onSystemThemeChange(listener: () => void): void {
  prefersDark.addEventListener('change', listener);
}
