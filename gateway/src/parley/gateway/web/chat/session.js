/** The session in this tab's storage: the token, and what each user of the tab has not sent. */

const TOKEN = "parley.token";

/**
 * Return the claims of a JWT, which only the server verifies.
 * Throws an Error whose message is for the user.
 */
export function claimsOf(token) {
  let claims;
  try {
    const [, body] = token.split(".");
    const bytes = Uint8Array.from(atob(body.replaceAll("-", "+").replaceAll("_", "/")), (c) =>
      c.charCodeAt(0),
    );
    claims = JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    throw new Error("This is not a token. A token has three parts, separated by dots.");
  }
  const id = claims.sub ?? claims.userId ?? claims.id;
  if (id === undefined) throw new Error("This token contains no user id.");
  const expiresAt = (claims.exp ?? 0) * 1000;
  return { id: String(id), name: claims.name || claims.username || String(id), expiresAt };
}

/** Return the token in the URL and remove it from there; null if there is none. */
export function takeTokenFromAddress() {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (token !== null) history.replaceState(null, "", location.pathname + location.search);
  return token;
}

export const savedToken = () => sessionStorage.getItem(TOKEN);
export const saveToken = (token) => sessionStorage.setItem(TOKEN, token);
export const forgetToken = () => sessionStorage.removeItem(TOKEN);

/** Return what was saved under a name for a user of this tab, or null. */
export function load(name, userId) {
  try {
    return JSON.parse(sessionStorage.getItem(`parley.${name}.${userId}`));
  } catch {
    return null;
  }
}

/** Save a value under a name for a user of this tab. A full or forbidden storage is no reason to fail. */
export function save(name, userId, value) {
  try {
    sessionStorage.setItem(`parley.${name}.${userId}`, JSON.stringify(value));
  } catch (error) {
    console.warn("This tab cannot save:", error.message);
  }
}

/** Return the outbox that this user left; interrupted sends start again. */
export function savedOutbox(userId) {
  return (load("outbox", userId)?.entries ?? []).map((entry) => ({
    ...entry,
    state: entry.state === "failed" ? "failed" : "waiting",
    dueAt: 0,
  }));
}

export const saveOutbox = ({ id, name }, entries) => save("outbox", id, { name, entries });

/** Return the names of the users whose messages wait in this tab, with the number of each: `[{name, count}]`. */
export function waitingInTab() {
  return Object.keys(sessionStorage)
    .filter((key) => key.startsWith("parley.outbox."))
    .map((key) => load("outbox", key.slice("parley.outbox.".length)))
    .filter((saved) => saved?.entries?.length)
    .map(({ name, entries }) => ({ name, count: entries.length }));
}
