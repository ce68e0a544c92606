/** Reports to the server the last message that was delivered, and the last one that was read. */

import { lastOfOthers } from "../state/selectors.js";

const DEBOUNCE_MILLISECONDS = 250;

export class Marks {
  #store;
  #server;
  #read = new Map(); // conversation id -> the last `seq` that was marked
  #delivered = new Map();
  #timer = null;

  constructor(store, server) {
    this.#store = store;
    this.#server = server;
  }

  /** Send marks shortly: messages often arrive in bursts. */
  schedule() {
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      if (!this.#server.connected) return;
      const { conversations, open } = this.#store.state;
      if (conversations[open] && isPageActive()) this.#markRead(conversations[open]);
      Object.values(conversations).forEach((conversation) => this.#markDelivered(conversation));
    }, DEBOUNCE_MILLISECONDS);
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
    this.#server.request(event, { conversationId: _id, ...payload }).catch((error) => {
      if (marks.get(_id) === seq) marks.set(_id, before);
      if (error.retryable && this.#server.connected) setTimeout(() => this.schedule(), 2_000);
    });
  }
}

const isPageActive = () => document.visibilityState === "visible" && document.hasFocus();
