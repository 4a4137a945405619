/** Who asks, and what is looked at: both come from the address's fragment; the token leaves it at once and stays in this tab. */

const KEY = "tailor-token";

/** What a fragment asks for: `#view=user&model=m&user=u`. Pure. */
export function readFragment(hash) {
  return Object.fromEntries(new URLSearchParams(hash.replace(/^#/, "")));
}

/** The fragment of a view; fields that are empty are left out. Pure. */
export function fragment(view, fields = {}) {
  const given = Object.entries(fields).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  return `#${new URLSearchParams([["view", view], ...given])}`;
}

/** The view that the address asks for. A token in it is kept for this tab, and taken out of the address and its history. */
export function address() {
  const { token, ...rest } = readFragment(location.hash);
  if (token !== undefined) {
    keepToken(token);
    const { view = "now", ...fields } = rest;
    history.replaceState(null, "", fragment(view, fields));
  }
  return rest;
}

export const token = () => sessionStorage.getItem(KEY);

export function keepToken(value) {
  sessionStorage.setItem(KEY, value.trim());
}

export function forgetToken() {
  sessionStorage.removeItem(KEY);
}
