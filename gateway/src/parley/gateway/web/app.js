/** The chat page: restores the session, and connects store, chat and views. */

import { Chat } from "./chat/chat.js";
import * as session from "./chat/session.js";
import { unreadTotal } from "./state/selectors.js";
import { Store } from "./state/store.js";
import { App } from "./views/app.js";
import { html, render } from "./views/html.js";

const store = new Store();
let chat = null;

/** Sign in with a token; throws an Error whose message is for the user. */
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

/** Open a conversation, or the list for null. The URL follows, so that the browser's back button works. */
function open(id) {
  if (id !== store.state.open)
    history.pushState(null, "", id ? `#/${encodeURIComponent(id)}` : location.pathname);
  store.dispatch({ type: "opened", conversationId: id });
}

function openFromAddress() {
  const [, id] = location.hash.match(/^#\/(.+)$/) ?? [];
  store.dispatch({ type: "opened", conversationId: id ? decodeURIComponent(id) : null });
}

function restoreSession() {
  const token = (session.takeTokenFromAddress() ?? session.savedToken())?.trim();
  if (!token) return;
  try {
    signIn(token);
  } catch (error) {
    signOut(error.message);
  }
}

let savedOutbox = store.state.outbox;
store.subscribe(({ me, outbox }) => {
  // Signing out keeps the saved outbox: the user may sign in again with a new token.
  if (me && outbox !== savedOutbox) session.saveOutbox(me.id, outbox);
  savedOutbox = outbox;
});
store.subscribe((state) => {
  const unread = unreadTotal(state);
  document.title = unread ? `(${unread}) Parley` : "Parley";
});

addEventListener("hashchange", () => (location.hash.includes("token=") ? restoreSession() : openFromAddress()));
addEventListener("popstate", openFromAddress);
for (const event of ["focus", "online"]) addEventListener(event, () => chat?.wake());
document.addEventListener("visibilitychange", () => chat?.wake());

restoreSession();
render(
  html`<${App} store=${store} chat=${() => chat} open=${open} signIn=${signIn} signOut=${signOut} />`,
  document.getElementById("app"),
);
