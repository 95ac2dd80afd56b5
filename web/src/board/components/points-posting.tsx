import { useEffect, useRef, useState } from 'preact/hooks';

import { isAdmin, whose } from '../points/account';
import {
  outcome,
  pending,
  post,
  putAside,
  sending,
  tryAgain,
  type Outcome,
} from '../points/posting';
import { whyNot } from '../points/refusal';
import { addKinds, type AddKind, type AddPointsInput } from '../points/types';
import { formats, t } from '../preferences';

/** Awards and deducts; see points/posting.ts for why nothing counts twice. */
export function Posting() {
  const words = t.value.points;
  const [kind, setKind] = useState<AddKind>('ADD_POINTS');
  const [amount, setAmount] = useState('');
  const [reason, setReason] = useState('');
  const amountField = useRef<HTMLInputElement>(null);
  const waiting = pending.value;
  const signed = kind === 'ADJUSTMENT';

  const submit = async (event: Event) => {
    event.preventDefault();
    const userId = whose.value;
    if (userId === null) return;
    await post({ userId, kind, amount: digits(amount), reason: reason.trim() });
  };

  // Booked now or by a retry: what is still in the form would be another one.
  const booked = outcome.value?.kind === 'booked';
  useEffect(() => {
    if (!booked) return;
    setAmount('');
    setReason('');
  }, [booked]);

  // A field that is switched off loses the focus, and a keyboard user the place.
  const wasWaiting = useRef(false);
  useEffect(() => {
    if (wasWaiting.current && waiting === null) amountField.current?.focus();
    wasWaiting.current = waiting !== null;
  }, [waiting]);

  return (
    <section class="card posting">
      <h2 id="posting-title">{words.add}</h2>
      <form aria-labelledby="posting-title" onSubmit={submit}>
        <fieldset disabled={waiting !== null}>
          <legend class="unseen">{words.add}</legend>
          <div class="tabs" role="group" aria-label={words.addWhat}>
            {addKinds
              .filter((name) => name !== 'ADJUSTMENT' || isAdmin.value)
              .map((name) => (
                <button
                  type="button"
                  key={name}
                  data-kind={name}
                  aria-pressed={kind === name}
                  onClick={() => setKind(name)}
                >
                  {words.submit[name]}
                </button>
              ))}
          </div>
          <label for="posting-amount">{words.amount}</label>
          <input
            id="posting-amount"
            ref={amountField}
            required
            autocomplete="off"
            // Phones offer no minus among the numbers.
            inputmode={signed ? 'text' : 'numeric'}
            maxLength={20}
            pattern={signed ? ' *[+\\-−]?0*[1-9][0-9]* *' : ' *0*[1-9][0-9]* *'}
            title={signed ? words.adjustmentHint : words.amountHint}
            aria-describedby="posting-amount-hint"
            value={amount}
            onInput={(event) => setAmount(event.currentTarget.value)}
          />
          <p id="posting-amount-hint" class="hint">
            {signed ? words.adjustmentHint : words.amountHint}
          </p>
          <label for="posting-reason">{words.reason}</label>
          <input
            id="posting-reason"
            required
            autocomplete="off"
            maxLength={500}
            pattern=".*\S.*"
            title={words.reason}
            value={reason}
            onInput={(event) => setReason(event.currentTarget.value)}
          />
          <button type="submit" class="primary" data-action="post" aria-busy={sending.value}>
            {sending.value ? words.sending : words.submit[kind]}
          </button>
        </fieldset>
      </form>
      {waiting && !sending.value && <Unanswered {...waiting} />}
      {outcome.value && <Said outcome={outcome.value} />}
    </section>
  );
}

/** As BigInt and the server's parser take them: no spaces, no plus, the plain minus. */
function digits(typed: string): string {
  return BigInt(typed.trim().replace('−', '-').replace(/^\+/, '')).toString();
}

function Unanswered({ kind, amount, reason }: AddPointsInput) {
  const words = t.value.points;
  const sign = kind === 'DEDUCT_POINTS' || kind === 'REDEEM' ? -1n : 1n;
  return (
    <div class="notice" role="alert" data-outcome="unanswered">
      <p>{words.unanswered(formats.value.signed(sign * BigInt(amount)), reason)}</p>
      <p class="hint">{words.unansweredHint}</p>
      <p class="card-actions">
        <button type="button" class="plain" data-action="again" onClick={() => void tryAgain()}>
          {words.retry}
        </button>
        <button type="button" class="plain" data-action="aside" onClick={putAside}>
          {words.drop}
        </button>
      </p>
    </div>
  );
}

function Said({ outcome }: { outcome: Outcome }) {
  const words = t.value.points;
  const { signed, whole } = formats.value;
  if (outcome.kind === 'unanswered') return null;
  if (outcome.kind === 'booked') {
    const say = outcome.replayed ? words.bookedBefore : words.booked;
    return (
      <p class="notice" role="status" data-outcome={outcome.replayed ? 'replayed' : 'booked'}>
        {say(signed(outcome.amount), whole(outcome.balance))}
      </p>
    );
  }
  return (
    <p class="notice error" role="alert" data-outcome={outcome.why.code}>
      {refused(outcome.why)}
    </p>
  );
}

function refused(why: Extract<Outcome, { kind: 'refused' }>['why']): string {
  const words = t.value.points;
  const { balance, overdraftLimit } = why.details;
  if (why.code === 'CONFLICT') return words.conflict;
  if (why.code === 'INSUFFICIENT_POINTS' && typeof balance === 'string') {
    const { whole } = formats.value;
    const limited = typeof overdraftLimit === 'string' && overdraftLimit !== '0';
    return words.insufficient(
      whole(BigInt(balance)),
      limited ? whole(BigInt(overdraftLimit)) : null,
    );
  }
  // Of the act, not of the page: the server says which.
  return why.code === 'FORBIDDEN' ? why.message : whyNot(why);
}
