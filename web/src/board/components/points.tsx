import { useState } from 'preact/hooks';

import { GraphQLFailure } from '../../shared/graphql';
import { accountOpen, viewer } from '../identity';
import { connection } from '../live';
import {
  account,
  isOwn,
  isTeacher,
  refresh,
  signedOut,
  trouble,
  whose,
  type Account,
} from '../points/account';
import { whyNot } from '../points/refusal';
import { formats, t } from '../preferences';
import { pointsHref } from '../route';
import { BalanceAt, Other } from './points-forms';
import { History } from './points-history';
import { Posting } from './points-posting';

/** An account of points: what there is, what happened, and what may be done. */
export function Points() {
  const { heading, headingOf, lead, link, goneUser } = t.value.points;
  const shown = account.value;
  const others = shown === null ? link : headingOf(shown.name ?? goneUser);
  return (
    <>
      <div class="intro">
        <h1>{isOwn.value ? heading : others}</h1>
        <p>{lead}</p>
      </div>
      {signedOut.value ? <SignedOut /> : <Known shown={shown} />}
    </>
  );
}

function SignedOut() {
  return (
    <main class="empty">
      <h2>{t.value.points.signedOut}</h2>
      <button type="button" class="primary" onClick={() => (accountOpen.value = true)}>
        {t.value.signIn}
      </button>
    </main>
  );
}

function Known({ shown }: { shown: Account | null }) {
  return (
    // A new account begins with empty forms.
    <main class="points" key={whose.value}>
      {shown !== null && <Summary {...shown} />}
      {shown === null && (trouble.value === null ? <Loading /> : <Trouble error={trouble.value} />)}
      <div class="points-forms">
        {shown !== null && isTeacher.value && <Posting />}
        {isTeacher.value && <Other />}
        {shown !== null && <BalanceAt />}
      </div>
      {shown !== null && <History />}
    </main>
  );
}

function Loading() {
  return (
    <div class="points-summary card skeleton" role="status" aria-label={t.value.points.loading} />
  );
}

/** Why there is nothing to see. */
function Trouble({ error }: { error: unknown }) {
  const words = t.value.points;
  const code = error instanceof GraphQLFailure ? error.code : null;
  return (
    <div class="points-summary empty" role="alert" data-code={code}>
      <h2>{words.unreadable}</h2>
      <p>{whyNot(error)}</p>
      <p class="card-actions">
        <button type="button" class="plain" onClick={refresh}>
          {words.retry}
        </button>
        {!isOwn.value && (
          <a class="plain" href={pointsHref()}>
            {words.own}
          </a>
        )}
      </p>
    </div>
  );
}

function Summary({ name, balance, overdraftLimit, sequence }: Account) {
  const words = t.value.points;
  const { whole } = formats.value;
  return (
    <section class="points-summary card" data-balance={balance} data-sequence={sequence}>
      <div class="points-balance">
        <h2>{words.balance}</h2>
        {/* The key makes a changed number a new element, which then pops. */}
        <strong key={balance} style={{ '--characters': whole(balance).length }}>
          {whole(balance)}
        </strong>
        <p class="hint">
          {words.transactions(whole(sequence))}
          {overdraftLimit > 0n && ` · ${words.overdraft(whole(overdraftLimit))}`}
        </p>
        <p class="unseen" role="status">
          {words.balanceIs(whole(balance))}
        </p>
      </div>
      <div class="points-whose">
        <p class="pulse">
          <span class="connection" data-state={connection.value} role="status">
            {t.value.connection[connection.value]}
          </span>
        </p>
        <p class="points-name">{name ?? words.goneUser}</p>
        {whose.value !== null && <UserId id={whose.value} />}
        {!isOwn.value && viewer.value && <a href={pointsHref()}>{words.own}</a>}
      </div>
    </section>
  );
}

function UserId({ id }: { id: string }) {
  const words = t.value.points;
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    await navigator.clipboard.writeText(id);
    setCopied(true);
    setTimeout(() => setCopied(false), 2000);
  };
  return (
    <p class="points-id">
      <code aria-label={words.accountId}>{id}</code>
      {/* Absent on plain http other than localhost. */}
      {'clipboard' in navigator && (
        <button type="button" class="link" onClick={copy}>
          {copied ? words.copied : words.copyId}
        </button>
      )}
    </p>
  );
}
