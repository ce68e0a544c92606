/** The page as a whole. */

import { NothingOpen } from "./nothing-open.js";
import { Sidebar } from "./sidebar.js";
import { SignIn } from "./sign-in.js";
import { Thread } from "./thread.js";
import { html, useEffect, useMemo, useState } from "./html.js";

const TOAST_MILLISECONDS = 5_000;
const FRAME_MILLISECONDS = 16;

export function App({ store, chat, open, back, signIn, signOut }) {
  const [state, setState] = useState(store.state);
  useEffect(() => {
    setState(store.state);
    return store.subscribe(oncePerFrame(() => setState(store.state)));
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

/**
 * Return a function that calls `work()` soon, and at most once a frame, however often it is called.
 *
 * It does not wait for a frame: a change that no view shows would cost one.
 */
function oncePerFrame(work) {
  let isDue = false;
  let last = -FRAME_MILLISECONDS;
  const run = () => {
    isDue = false;
    last = performance.now();
    work();
  };
  return () => {
    if (isDue) return;
    isDue = true;
    setTimeout(run, last + FRAME_MILLISECONDS - performance.now());
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
