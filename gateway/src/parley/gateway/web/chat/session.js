/** Who is signed in: the token of this tab, and what waits in its outbox. */

const TOKEN = "parley.token";
const OUTBOX = "parley.outbox";

/** The claims of a JWT, unchecked: the server checks it. Throws an Error for people. */
export function claimsOf(token) {
  let claims;
  try {
    const [, body] = token.split(".");
    const bytes = Uint8Array.from(atob(body.replaceAll("-", "+").replaceAll("_", "/")), (c) =>
      c.charCodeAt(0),
    );
    claims = JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    throw new Error("This is not a token: it has three parts with dots between them.");
  }
  const id = claims.sub ?? claims.userId ?? claims.id;
  if (id === undefined) throw new Error("This token names no user.");
  const expiresAt = (claims.exp ?? 0) * 1000;
  return { id: String(id), name: claims.name || claims.username || String(id), expiresAt };
}

/** The token that the address brings, which is then no longer in the address bar; or null. */
export function tokenFromAddress() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given !== null) history.replaceState(null, "", location.pathname + location.search);
  return given;
}

export const savedToken = () => sessionStorage.getItem(TOKEN);
export const saveToken = (token) => sessionStorage.setItem(TOKEN, token);
export const forgetToken = () => sessionStorage.removeItem(TOKEN);

/** What this user had not got rid of when the page was left. */
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
