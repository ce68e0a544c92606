/** The page as a whole. */

import { looksSame } from "../state/selectors.js";
import { NothingOpen } from "./nothing-open.js";
import { Sidebar } from "./sidebar.js";
import { SignIn } from "./sign-in.js";
import { Thread } from "./thread.js";
import { isPageActive } from "../chat/marks.js";
import { html, useEffect, useMemo, useState } from "./html.js";

const TOAST_MILLISECONDS = 5_000;
const FRAME_MILLISECONDS = 16;
const SETTLE_MILLISECONDS = 400; // longer than it takes to mark a message as read
const AT_ONCE = -1;

export function App({ store, chat, open, back, signIn, signOut }) {
  const [state, setState] = useState(store.state);
  useEffect(() => {
    setState(store.state);
    const render = gathered(() => setState((shown) => (looksSame(shown, store.state) ? shown : store.state)));
    return store.subscribe((now, event) => render(delayOf(now, event)));
  }, [store]);
  // Preact does not render the same element again.
  const banner = useMemo(() => html`<${Banner} connection=${state.connection} />`, [state.connection]);
  const toast = useMemo(() => {
    const expire = (id) => store.dispatch({ type: "toastExpired", id });
    return html`<${Toast} toast=${state.toast} expire=${expire} />`;
  }, [store, state.toast]);

  if (!state.me) return html`<${SignIn} notice=${state.notice} signIn=${signIn} />`;
  const conversation = state.conversations[state.open];
  return html`
    <div class="app ${state.open || state.left ? "has-open" : ""}">
      ${banner}
      <${Sidebar} state=${state} chat=${chat()} open=${open} signOut=${signOut} />
      ${
        conversation
          ? html`
              <${Thread}
                key=${conversation._id}
                state=${state}
                conversation=${conversation}
                chat=${chat()}
                back=${back}
              />
            `
          : html`<${NothingOpen} state=${state} chat=${chat()} back=${back} />`
      }
      ${toast}
    </div>
  `;
}

/** Return in how many milliseconds a change has to be rendered. */
function delayOf({ open, me }, { type, conversationId, userId }) {
  if (type === "composed" || type === "opened") return AT_ONCE;
  // The count comes and goes with each message that is read at once: only the last of these changes is rendered.
  const isCount = type === "unreadChanged" || (type === "receiptReceived" && userId === me?.id);
  return isCount && conversationId === open && isPageActive() ? SETTLE_MILLISECONDS : 0;
}

/**
 * Return a function that calls `work()` within some milliseconds, once for all calls meanwhile.
 *
 * It calls it once a frame at most, but does not wait for a frame: a change that no view shows would cost one.
 * What the user does is rendered before the next frame, which comes before timers: `AT_ONCE` needs none.
 */
function gathered(work) {
  let timer = null;
  let dueAt = Infinity;
  let last = -FRAME_MILLISECONDS;
  const run = () => {
    clearTimeout(timer);
    dueAt = Infinity;
    last = performance.now();
    work();
  };
  return (delay) => {
    if (delay === AT_ONCE) return queueMicrotask(run);
    const now = performance.now();
    const at = Math.max(now + delay, last + FRAME_MILLISECONDS);
    if (at >= dueAt) return undefined;
    clearTimeout(timer);
    dueAt = at;
    timer = setTimeout(run, at - now);
    return undefined;
  };
}

function Banner({ connection }) {
  const isShown = connection === "reconnecting";
  return html`
    <div class="banner ${isShown ? "shown" : ""}" role="status">
      ${isShown && "Reconnecting… Messages you write now are sent after the reconnect."}
    </div>
  `;
}

function Toast({ toast, expire }) {
  useEffect(() => {
    if (!toast) return undefined;
    const timer = setTimeout(() => expire(toast.id), TOAST_MILLISECONDS);
    return () => clearTimeout(timer);
  }, [toast?.id]);
  return html`
    <div class="toasts" role="alert">
      ${toast && html`<div class="toast" key=${toast.id}>${toast.text}</div>`}
    </div>
  `;
}
