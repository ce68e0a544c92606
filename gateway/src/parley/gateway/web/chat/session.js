/** The session in this tab's storage: the token, and the outbox. */

const TOKEN = "parley.token";
const OUTBOX = "parley.outbox";

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

/** Return the outbox that this user left; interrupted sends start again. */
export function savedOutbox(userId) {
  try {
    const saved = JSON.parse(sessionStorage.getItem(OUTBOX) ?? "{}");
    return (saved.userId === userId ? saved.entries : []).map((entry) => ({
      ...entry,
      state: entry.state === "failed" ? "failed" : "waiting",
      dueAt: 0,
    }));
  } catch {
    return [];
  }
}

export function saveOutbox(userId, entries) {
  sessionStorage.setItem(OUTBOX, JSON.stringify({ userId, entries }));
}
