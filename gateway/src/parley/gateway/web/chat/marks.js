/** Tells the server how far this device has received, and how far its user has read. */

import { lastOfOthers } from "../state/selectors.js";

const GATHER_MILLISECONDS = 250;

export class Marks {
  #store;
  #server;
  #read = new Map(); // conversation -> the number marked
  #delivered = new Map();
  #timer = null;

  constructor(store, server) {
    this.#store = store;
    this.#server = server;
  }

  /** Mark what is new, in a moment: much may come at once. */
  consider() {
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      if (!this.#server.connected) return;
      const { conversations, open } = this.#store.state;
      if (conversations[open] && isLookedAt()) this.#markRead(conversations[open]);
      Object.values(conversations).forEach((conversation) => this.#markDelivered(conversation));
    }, GATHER_MILLISECONDS);
  }

  stop() {
    clearTimeout(this.#timer);
  }

  #markRead(conversation) {
    const last = lastOfOthers(conversation, this.#store.state.me);
    const known = this.#read.get(conversation._id) ?? 0;
    if (!last || !conversation.unread || conversation.history !== "ready" || last.seq <= known) return;
    this.#mark(this.#read, conversation, last.seq, "markAsRead", { messageId: last._id });
  }

  #markDelivered(conversation) {
    const last = conversation.lastMessage;
    const known = Math.max(this.#read.get(conversation._id) ?? 0, this.#delivered.get(conversation._id) ?? 0);
    if (!conversation.joined || !conversation.unread || !last || last.seq <= known) return;
    if (last.senderId === this.#store.state.me.id) return;
    this.#mark(this.#delivered, conversation, last.seq, "markAsDelivered", { seq: last.seq });
  }

  #mark(marks, { _id }, seq, event, payload) {
    const before = marks.get(_id) ?? 0;
    marks.set(_id, seq);
    this.#server.ask(event, { conversationId: _id, ...payload }).catch((error) => {
      if (marks.get(_id) === seq) marks.set(_id, before);
      if (error.retryable && this.#server.connected) setTimeout(() => this.consider(), 2_000);
    });
  }
}

const isLookedAt = () => document.visibilityState === "visible" && document.hasFocus();
