import { useEffect, useRef, useState } from 'preact/hooks';

import { accountOpen, becomeAnotherDemoUser, demoUser, signIn, signOut, viewer } from '../identity';
import { t } from '../preferences';
import { toastError } from '../toasts';
import { Close } from './icons';

/** A native dialog: focus trap, Escape and the backdrop come with it. */
export function Account() {
  const dialog = useRef<HTMLDialogElement>(null);
  const open = accountOpen.value;
  const close = () => (accountOpen.value = false);

  useEffect(() => {
    if (open) dialog.current?.showModal();
    else dialog.current?.close();
  }, [open]);

  const act = (action: () => void | Promise<void>) => async () => {
    try {
      await action();
      close();
    } catch (error) {
      toastError(error);
    }
  };

  return (
    <dialog ref={dialog} class="account" aria-labelledby="account-title" onClose={close}>
      <header>
        <h2 id="account-title">{viewer.value ? t.value.account : t.value.signIn}</h2>
        <button type="button" class="quiet square" aria-label={t.value.close} onClick={close}>
          <Close />
        </button>
      </header>
      <p>{viewer.value ? t.value.signedInAs(viewer.value.name) : t.value.readOnly}</p>
      {demoUser.value && (
        <>
          <button type="button" class="primary" onClick={act(() => becomeAnotherDemoUser())}>
            {t.value.anotherDemoUser}
          </button>
          <button type="button" class="plain" onClick={act(() => becomeAnotherDemoUser('TEACHER'))}>
            {t.value.demoTeacher}
          </button>
        </>
      )}
      <TokenForm onDone={close} />
      {viewer.value && !demoUser.value && (
        <button type="button" class="plain" onClick={act(signOut)}>
          {t.value.signOut}
        </button>
      )}
    </dialog>
  );
}

function TokenForm({ onDone }: { onDone: () => void }) {
  const [pasted, setPasted] = useState('');
  const [rejected, setRejected] = useState(false);

  const submit = async (event: Event) => {
    event.preventDefault();
    try {
      const accepted = await signIn(pasted.trim().replace(/^Bearer\s+/i, ''));
      setRejected(!accepted);
      if (!accepted) return;
      setPasted('');
      onDone();
    } catch (error) {
      toastError(error);
    }
  };

  return (
    <form onSubmit={submit}>
      <label for="token">{t.value.tokenLabel}</label>
      <textarea
        id="token"
        rows={3}
        required
        autocomplete="off"
        spellcheck={false}
        value={pasted}
        aria-invalid={rejected}
        aria-describedby="token-hint"
        onInput={(event) => setPasted(event.currentTarget.value)}
      />
      <p
        id="token-hint"
        class={rejected ? 'hint error' : 'hint'}
        role={rejected ? 'alert' : undefined}
      >
        {rejected ? t.value.tokenRejected : t.value.tokenHint}
      </p>
      <button type="submit" class={demoUser.value ? 'plain' : 'primary'}>
        {t.value.useToken}
      </button>
    </form>
  );
}
