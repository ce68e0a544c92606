/** The token: in this tab only, and never in an address, a cookie or a log. */

const KEY = "parley.admin.token";

/** Return the token of this tab, or an empty text. */
export function token() {
  return sessionStorage.getItem(KEY) ?? "";
}

/** Keep a token until the tab is closed. */
export function keep(text) {
  sessionStorage.setItem(KEY, text.trim().replace(/^bearer\s+/i, ""));
}

/** Forget the token. */
export function forget() {
  sessionStorage.removeItem(KEY);
}

/** Take the token of a link, `#token=…`, and remove it from the address and the history. */
export function takeFromAddress() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given === null) return false;
  history.replaceState(null, "", location.pathname);
  keep(given);
  return true;
}
