import { Account } from './components/account';
import { Aside } from './components/aside';
import { Header } from './components/header';
import { List } from './components/list';
import { Points } from './components/points';
import { Bar } from './components/status';
import { connection } from './live';
import { t } from './preferences';
import { rows } from './ranking';
import { route } from './route';
import { toasts } from './toasts';

export function App() {
  return (
    <div class="page">
      <Header />
      {route.value.page === 'points' ? <Points /> : <RankingPage />}
      <Account />
      <Toasts />
    </div>
  );
}

function RankingPage() {
  return (
    <>
      <div class="intro">
        <h1>{t.value.heading}</h1>
        <p>{t.value.lead}</p>
      </div>
      <main>
        <Bar />
        <Ranking />
      </main>
      <Aside />
    </>
  );
}

function Ranking() {
  const current = rows.value;
  if (current === null) return <Skeleton />;
  if (current.length === 0) {
    return (
      <div class="empty">
        <h2>{t.value.emptyTitle}</h2>
        <p>{t.value.emptyBody}</p>
      </div>
    );
  }
  return <List rows={current} />;
}

function Skeleton() {
  return (
    <div class="list skeleton" role="status" aria-label={t.value.loading}>
      {Array.from({ length: 8 }, () => (
        <div class="row" />
      ))}
    </div>
  );
}

function Toasts() {
  return (
    <div class="toasts" role="status">
      {/* Shown with a delay (in CSS), so that a connection that is right back says nothing. */}
      {connection.value === 'reconnecting' && <p class="gone">{t.value.serverGone}</p>}
      {toasts.value.map(({ id, text }) => (
        <p key={id}>{text}</p>
      ))}
    </div>
  );
}
