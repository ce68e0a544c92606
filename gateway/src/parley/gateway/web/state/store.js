/** The page's state, and its reducer: pure functions, which are tested without a browser. */

import { CONVERSATION_EVENTS } from "./conversations.js";
import { HISTORY_EVENTS } from "./history.js";
import { OUTBOX_EVENTS } from "./outbox.js";
import { PEOPLE_EVENTS } from "./people.js";

export const INITIAL = Object.freeze({
  me: null, // {id, name, expiresAt}
  connection: "signed-out", // connecting | connected | reconnecting
  notice: "", // the reason for signing out
  conversations: {}, // by id
  listed: false, // whether the first page of the list is loaded
  older: null, // the list's next cursor
  open: null, // the id of the open conversation
  online: {}, // user ids that are online, as keys
  outbox: [], // sends that are not confirmed yet
  gone: {}, // the ids of conversations that the user is no longer in, as keys
  left: null, // {conversationId, title} of the open conversation that the user was removed from
  toast: null, // {id, text}
});

const SESSION_EVENTS = {
  signedIn: (_state, { me, outbox = [] }) => ({ ...INITIAL, me, outbox, connection: "connecting" }),
  signedOut: (_state, { notice = "" }) => ({ ...INITIAL, notice }),
  toastShown: (state, { text }) => ({ ...state, toast: { id: (state.toast?.id ?? 0) + 1, text } }),
  toastExpired: (state, { id }) => (state.toast?.id === id ? { ...state, toast: null } : state),
};

const EVENTS = { ...SESSION_EVENTS, ...CONVERSATION_EVENTS, ...HISTORY_EVENTS, ...OUTBOX_EVENTS, ...PEOPLE_EVENTS };

/** Return the state after an event `{type, ...}`. */
export function reduce(state, event) {
  const change = EVENTS[event.type];
  if (!change) throw new Error(`unknown event: ${event.type}`);
  return change(state, event);
}

/** Holds the state and notifies its listeners of each change. */
export class Store {
  #listeners = new Set();

  constructor(state = INITIAL) {
    this.state = state;
  }

  dispatch(event) {
    const before = this.state;
    this.state = reduce(before, event);
    if (this.state !== before) for (const listener of [...this.#listeners]) listener(this.state, event);
  }

  /** Call `listener(state, event)` after each change; returns a function that unsubscribes. */
  subscribe(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
