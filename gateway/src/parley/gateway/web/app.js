/** The chat page: finds out who is signed in, and puts store, chat and views together. */

import { Chat } from "./chat/chat.js";
import * as session from "./chat/session.js";
import { unreadTotal } from "./state/selectors.js";
import { Store } from "./state/store.js";
import { App } from "./views/app.js";
import { html, render } from "./views/html.js";

const store = new Store();
let chat = null;

/** Throws an Error for people when this is no token. */
function signIn(token) {
  const me = session.claimsOf(token);
  chat?.close();
  session.saveToken(token);
  store.dispatch({ type: "signedIn", me, outbox: session.savedOutbox(me.id) });
  chat = new Chat(store, token, signOut);
  openFromAddress();
}

function signOut(notice = "") {
  chat?.close();
  chat = null;
  session.forgetToken();
  store.dispatch({ type: "signedOut", notice });
}

/** Open a conversation, or null for the list; it stands in the address, so that going back works. */
function open(id) {
  if (id !== store.state.open)
    history.pushState(null, "", id ? `#/${encodeURIComponent(id)}` : location.pathname);
  store.dispatch({ type: "opened", conversationId: id });
}

function openFromAddress() {
  const [, id] = location.hash.match(/^#\/(.+)$/) ?? [];
  store.dispatch({ type: "opened", conversationId: id ? decodeURIComponent(id) : null });
}

function arrive() {
  const given = session.tokenFromAddress();
  const token = (given ?? session.savedToken())?.trim();
  if (!token) return;
  try {
    signIn(token);
  } catch (error) {
    signOut(error.message);
  }
}

let shownOutbox = store.state.outbox;
store.subscribe(({ me, outbox }) => {
  // Signing out keeps what waits: the same user may come back with a new token.
  if (me && outbox !== shownOutbox) session.saveOutbox(me.id, outbox);
  shownOutbox = outbox;
});
store.subscribe((state) => {
  const unread = unreadTotal(state);
  document.title = unread ? `(${unread}) Parley` : "Parley";
});

addEventListener("hashchange", () => (location.hash.includes("token=") ? arrive() : openFromAddress()));
addEventListener("popstate", openFromAddress);
for (const event of ["focus", "online"]) addEventListener(event, () => chat?.wake());
document.addEventListener("visibilitychange", () => chat?.wake());

arrive();
render(
  html`<${App} store=${store} chat=${() => chat} open=${open} signIn=${signIn} signOut=${signOut} />`,
  document.getElementById("app"),
);
