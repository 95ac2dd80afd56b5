import { computed, effect, signal } from '@preact/signals';

import { perBrowser } from '../shared/storage';
import {
  chooseTheme,
  chosenTheme,
  onSystemThemeChange,
  systemTheme,
  type Theme,
} from '../shared/theme';
import { dictionaries, type Locale } from './messages';
import { route } from './route';

const LOCALE_KEY = 'tally.locale';

export const locale = signal<Locale>(initialLocale());
export const t = computed(() => dictionaries[locale.value]);

const chosen = signal<Theme | null>(chosenTheme());
const system = signal<Theme>(systemTheme());
export const theme = computed<Theme>(() => chosen.value ?? system.value);

export function toggleLocale(): void {
  locale.value = locale.value === 'en' ? 'zh' : 'en';
  perBrowser.write(LOCALE_KEY, locale.value);
}

export function toggleTheme(): void {
  chosen.value = theme.value === 'dark' ? 'light' : 'dark';
  chooseTheme(chosen.value);
}

export const formats = computed(() => {
  const tag = locale.value === 'zh' ? 'zh-CN' : 'en';
  const whole = new Intl.NumberFormat(tag);
  const compact = new Intl.NumberFormat(tag, { notation: 'compact', maximumFractionDigits: 1 });
  const signed = new Intl.NumberFormat(tag, { signDisplay: 'exceptZero' });
  const time = new Intl.DateTimeFormat(tag, { dateStyle: 'medium', timeStyle: 'medium' });
  const score = new Intl.NumberFormat(tag, { minimumFractionDigits: 1, maximumFractionDigits: 1 });
  return {
    whole: (value: number | bigint) => whole.format(value).replace('-', '−'),
    signed: (value: bigint) => signed.format(value).replace('-', '−'),
    time: (value: string) => time.format(new Date(value)),
    count: (value: number) => (value < 10_000 ? whole : compact).format(value),
    score: (value: number) => (value < 10_000 ? score : compact).format(value),
  };
});

function initialLocale(): Locale {
  const stored = perBrowser.read(LOCALE_KEY);
  if (stored === 'en' || stored === 'zh') return stored;
  return navigator.language.toLowerCase().startsWith('zh') ? 'zh' : 'en';
}

onSystemThemeChange(() => (system.value = systemTheme()));

effect(() => {
  document.documentElement.lang = locale.value === 'zh' ? 'zh-CN' : 'en';
  document.title = route.value.page === 'points' ? t.value.points.title : t.value.title;
});

effect(() => {
  // Without a choice the attribute stays away and CSS follows the system on its own.
  if (chosen.value) document.documentElement.dataset.theme = chosen.value;
});
