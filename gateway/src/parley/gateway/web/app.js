/** The chat page: restores the session, and connects store, chat and views. */

import { Chat } from "./chat/chat.js";
import { isPageActive } from "./chat/marks.js";
import * as session from "./chat/session.js";
import { unreadTotal } from "./state/selectors.js";
import { Store } from "./state/store.js";
import { App } from "./views/app.js";
import { html, render } from "./views/html.js";

const TITLE_MILLISECONDS = 500; // in which changes of the title are gathered

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

const unopened = () => location.pathname + location.search;

/** Open a conversation. The URL follows, so that the browser's back button works. */
function open(id) {
  if (id !== store.state.open)
    history.pushState({ isBelowList: !store.state.open }, "", `#/${encodeURIComponent(id)}`);
  store.dispatch({ type: "opened", conversationId: id });
}

/** Go back to the list: by the history if the list is the entry before, as the browser's back button does. */
function back() {
  if (history.state?.isBelowList && store.state.open) return history.back();
  history.replaceState(null, "", unopened());
  return store.dispatch({ type: "opened", conversationId: null });
}

function openFromAddress() {
  store.dispatch({ type: "opened", conversationId: conversationInAddress() });
}

/** Return the id in the URL's fragment, or null if there is none or it cannot be decoded. */
function conversationInAddress() {
  const [, id] = location.hash.match(/^#\/(.+)$/) ?? [];
  try {
    return id ? decodeURIComponent(id) : null;
  } catch {
    return null;
  }
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
  if (me && outbox !== savedOutbox) session.saveOutbox(me, outbox);
  savedOutbox = outbox;
});
let opened = null;
store.subscribe(({ open: id }) => {
  // After leaving, a removal and a sign-out the URL names no conversation any more.
  if (opened && !id && location.hash.startsWith("#/")) history.replaceState(null, "", unopened());
  opened = id;
});
let titleTimer = null;
store.subscribe(({ open: id }, { type, conversationId }) => {
  // The title does not count the messages of the conversation that is being read.
  const isBeingRead = type !== "opened" && conversationId === id && isPageActive();
  if (!isBeingRead) showTitleSoon();
});

function showTitleSoon() {
  titleTimer ??= setTimeout(showTitle, TITLE_MILLISECONDS);
}

/** Show the number of unread messages in the title: those of the conversation that is being read are in view. */
function showTitle() {
  titleTimer = null;
  const { conversations, open: id } = store.state;
  const inView = isPageActive() ? (conversations[id]?.unread ?? 0) : 0;
  const unread = unreadTotal(store.state) - inView;
  const title = unread ? `(${unread}) Parley` : "Parley";
  // A browser passes each assignment on to its window, even of the same title.
  if (title !== document.title) document.title = title;
}

addEventListener("hashchange", () => (location.hash.includes("token=") ? restoreSession() : openFromAddress()));
addEventListener("popstate", openFromAddress);
for (const event of ["focus", "online"]) addEventListener(event, () => chat?.wake());
for (const event of ["focus", "blur"]) addEventListener(event, showTitleSoon);
document.addEventListener("visibilitychange", () => chat?.wake());

restoreSession();
render(
  html`<${App} store=${store} chat=${() => chat} open=${open} back=${back} signIn=${signIn} signOut=${signOut} />`,
  document.getElementById("app"),
);
