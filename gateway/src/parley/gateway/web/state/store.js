/** The page's whole state, and how each event changes it: pure functions, tested without a browser. */

import { CONVERSATION_EVENTS } from "./conversations.js";
import { OUTBOX_EVENTS } from "./outbox.js";
import { PEOPLE_EVENTS } from "./people.js";

export const INITIAL = Object.freeze({
  me: null, // {id, name, expiresAt}
  connection: "signed-out", // connecting | connected | reconnecting
  notice: "", // why one is signed out
  conversations: {}, // by id
  listed: false, // whether the first page of the list is there
  older: null, // the list's next cursor
  open: null, // the conversation that is looked at
  online: {}, // user ids that are online, as keys
  outbox: [], // sends that are not known to be stored
  toast: null, // {id, text}
});

const SESSION_EVENTS = {
  signedIn: (_state, { me, outbox = [] }) => ({ ...INITIAL, me, outbox, connection: "connecting" }),
  signedOut: (_state, { notice = "" }) => ({ ...INITIAL, notice }),
  said: (state, { text }) => ({ ...state, toast: { id: (state.toast?.id ?? 0) + 1, text } }),
  toastOver: (state, { id }) => (state.toast?.id === id ? { ...state, toast: null } : state),
};

const EVENTS = { ...SESSION_EVENTS, ...CONVERSATION_EVENTS, ...OUTBOX_EVENTS, ...PEOPLE_EVENTS };

/** The state after an event `{type, ...}`. */
export function reduce(state, event) {
  const change = EVENTS[event.type];
  if (!change) throw new Error(`there is no event ${event.type}`);
  return change(state, event);
}

/** Holds the state and tells its listeners of each change. */
export class Store {
  #listeners = new Set();

  constructor(state = INITIAL) {
    this.state = state;
  }

  dispatch(event) {
    const before = this.state;
    this.state = reduce(before, event);
    if (this.state !== before) for (const listener of [...this.#listeners]) listener(this.state);
  }

  /** Call `listener(state)` after each change; gives back how to stop that. */
  subscribe(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
