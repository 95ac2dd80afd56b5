import { useRef, useState } from 'preact/hooks';

import { requestAsViewer } from '../identity';
import { moment, whose } from '../points/account';
import { balanceAtQuery, type BalanceAtRead } from '../points/documents';
import { whyNot } from '../points/refusal';
import { formats, t } from '../preferences';
import { pointsHref } from '../route';

/** Whose account is looked at. For teachers and above. */
export function Other() {
  const words = t.value.points;
  const [id, setId] = useState('');
  const submit = (event: Event) => {
    event.preventDefault();
    location.hash = pointsHref(id.trim());
  };
  return (
    <section class="card">
      <h2 id="other-title">{words.other}</h2>
      <form aria-labelledby="other-title" onSubmit={submit}>
        <label for="other-id">{words.otherLabel}</label>
        <div class="field-and-button">
          <input
            id="other-id"
            required
            autocomplete="off"
            spellcheck={false}
            placeholder="user_…"
            aria-describedby="other-hint"
            value={id}
            onInput={(event) => setId(event.currentTarget.value)}
          />
          <button type="submit" class="plain">
            {words.open}
          </button>
        </div>
        <p id="other-hint" class="hint">
          {words.otherHint}
        </p>
      </form>
    </section>
  );
}

type Then = { balance: bigint; at: string } | { error: unknown };

/** What the balance was. */
export function BalanceAt() {
  const words = t.value.points;
  const [local, setLocal] = useState('');
  const [then, setThen] = useState<Then | null>(null);
  const asked = useRef(0);
  const submit = async (event: Event) => {
    event.preventDefault();
    const time = moment(local);
    if (time === null) return;
    const which = ++asked.current;
    // Only the answer to the last question is one.
    const answered = (answer: Then) => which === asked.current && setThen(answer);
    try {
      const { pointAccount } = await requestAsViewer<BalanceAtRead>(balanceAtQuery, {
        userId: whose.value,
        time,
      });
      answered({ balance: BigInt(pointAccount.balanceAt), at: time });
    } catch (error) {
      answered({ error });
    }
  };
  return (
    <section class="card balance-at">
      <h2 id="balance-at-title">{words.balanceAt}</h2>
      <form aria-labelledby="balance-at-title" onSubmit={submit}>
        <label for="balance-at">{words.moment}</label>
        <div class="field-and-button">
          <input
            id="balance-at"
            type="datetime-local"
            step="1"
            required
            value={local}
            onInput={(event) => setLocal(event.currentTarget.value)}
          />
          <button type="submit" class="plain">
            {words.show}
          </button>
        </div>
      </form>
      <p role="status" class={then && 'error' in then ? 'hint error' : 'then'}>
        {then &&
          ('error' in then
            ? whyNot(then.error)
            : words.balanceThen(formats.value.whole(then.balance), formats.value.time(then.at)))}
      </p>
    </section>
  );
}
