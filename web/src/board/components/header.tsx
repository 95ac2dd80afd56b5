import logo from '../../shared/favicon.svg';
import { accountOpen, readOnly, viewer } from '../identity';
import { locale, t, theme, toggleLocale, toggleTheme } from '../preferences';
import { pointsHref, rankingHref, route } from '../route';
import { Arrow, Moon, Sun } from './icons';

export function Header() {
  const points = route.value.page === 'points';
  const dark = theme.value === 'dark';
  return (
    <header class="top">
      <a class="brand" href={rankingHref}>
        <img src={logo} alt="" width="30" height="30" />
        tally
      </a>
      <nav>
        <a class="quiet page-link" href={rankingHref} aria-current={points ? undefined : 'page'}>
          {t.value.link}
        </a>
        <a class="quiet page-link" href={pointsHref()} aria-current={points ? 'page' : undefined}>
          {t.value.points.link}
        </a>
        <a class="quiet graphiql-link" href="/graphiql">
          GraphiQL
          <Arrow />
        </a>
        <button
          type="button"
          class="quiet square"
          data-action="locale"
          aria-label={t.value.otherLanguage}
          title={t.value.otherLanguage}
          lang={locale.value === 'en' ? 'zh' : 'en'}
          onClick={toggleLocale}
        >
          {locale.value === 'en' ? '中' : 'EN'}
        </button>
        <button
          type="button"
          class="quiet square"
          data-action="theme"
          aria-label={dark ? t.value.toLight : t.value.toDark}
          title={dark ? t.value.toLight : t.value.toDark}
          onClick={toggleTheme}
        >
          {dark ? <Sun /> : <Moon />}
        </button>
        <Viewer />
      </nav>
    </header>
  );
}

function Viewer() {
  const user = viewer.value;
  if (!user && !readOnly.value) return null;
  return (
    <button
      type="button"
      class="viewer"
      data-user={user?.id}
      aria-haspopup="dialog"
      title={t.value.account}
      onClick={() => (accountOpen.value = true)}
    >
      {user ? (
        <>
          <span class="avatar" aria-hidden="true">
            {[...user.name][0]}
          </span>
          <span class="viewer-name">{user.name}</span>
        </>
      ) : (
        t.value.signIn
      )}
    </button>
  );
}
