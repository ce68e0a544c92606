/** The page as a whole. */

import { Sidebar } from "./sidebar.js";
import { SignIn } from "./sign-in.js";
import { Thread } from "./thread.js";
import { html, useEffect, useState } from "./html.js";

const TOAST_MILLISECONDS = 5_000;

export function App({ store, chat, open, signIn, signOut }) {
  const [state, show] = useState(store.state);
  useEffect(() => {
    show(store.state);
    return store.subscribe(show);
  }, [store]);

  if (!state.me) return html`<${SignIn} notice=${state.notice} signIn=${signIn} />`;
  const conversation = state.conversations[state.open];
  return html`
    <div class="app ${state.open ? "has-open" : ""}">
      <${Banner} connection=${state.connection} />
      <${Sidebar} state=${state} chat=${chat()} open=${open} signOut=${signOut} />
      ${
        conversation
          ? html`
              <${Thread}
                key=${conversation._id}
                state=${state}
                conversation=${conversation}
                chat=${chat()}
                open=${open}
              />
            `
          : html`<${NothingOpen} state=${state} open=${open} />`
      }
      <${Toast} toast=${state.toast} over=${(id) => store.dispatch({ type: "toastOver", id })} />
    </div>
  `;
}

function Banner({ connection }) {
  const lost = connection === "reconnecting";
  return html`
    <div class="banner ${lost ? "shown" : ""}" role="status">
      ${lost && "Reconnecting… what you write now is sent as soon as the connection is back."}
    </div>
  `;
}

function NothingOpen({ state, open }) {
  const waiting = state.open && !state.listed;
  const text = waiting
    ? "Loading…"
    : state.open
      ? "This conversation is not here any more."
      : "Choose a conversation, or start one.";
  return html`
    <main class="nothing-open">
      <p>${text}</p>
      ${
        state.open &&
        !waiting &&
        html`<button type="button" class="quiet" onClick=${() => open(null)}>Back to the list</button>`
      }
    </main>
  `;
}

function Toast({ toast, over }) {
  useEffect(() => {
    if (!toast) return undefined;
    const timer = setTimeout(() => over(toast.id), TOAST_MILLISECONDS);
    return () => clearTimeout(timer);
  }, [toast?.id]);
  return html`
    <div class="toast-place" role="alert">
      ${toast && html`<div class="toast" key=${toast.id}>${toast.text}</div>`}
    </div>
  `;
}
