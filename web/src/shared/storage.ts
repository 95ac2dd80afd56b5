/**
 * Web storage throws when the visitor blocks site data. Everything kept there is a
 * convenience, so the pages then simply forget.
 */
export interface Store {
  read(key: string): string | null;
  write(key: string, value: string | null): void;
}

function guarded(storage: () => Storage): Store {
  return {
    read(key) {
      try {
        return storage().getItem(key);
      } catch {
        return null;
      }
    },
    write(key, value) {
      try {
        if (value === null) storage().removeItem(key);
        else storage().setItem(key, value);
      } catch {
        // Not remembered; see above.
      }
    },
  };
}

/** Lives as long as the browser tab: who you are. */
export const perTab = guarded(() => sessionStorage);

/** Outlives the tab: how you like the page. */
export const perBrowser = guarded(() => localStorage);
