/** Reports to the server the last message that was delivered, and the last one that was in view. */

const DEBOUNCE_MILLISECONDS = 250;

/** Return whether the user can see the page, and is using it. */
export const isPageActive = () => document.visibilityState === "visible" && document.hasFocus();

export class Marks {
  #store;
  #server;
  #inView = null; // {conversationId, seq, messageId}: the last message of another user that is in view
  #seen = new Map(); // conversation id -> the last message that was in view while the page was active
  #read = new Map(); // conversation id -> the last `seq` that was marked
  #delivered = new Map();
  #timer = null;

  constructor(store, server) {
    this.#store = store;
    this.#server = server;
  }

  /** Note the last message of another user that is in view, or null if no conversation is. */
  look(inView) {
    this.#inView = inView;
    this.schedule();
  }

  /** Return the number of the last message of another user that was in view while the page was active. */
  seenSeq(conversationId) {
    return this.#seen.get(conversationId)?.seq ?? 0;
  }

  /** Send marks shortly: messages often arrive in bursts, and those that only rush by are not read. */
  schedule() {
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      this.#note();
      if (!this.#server.connected) return;
      const { conversations } = this.#store.state;
      for (const [id, seen] of this.#seen) if (conversations[id]) this.#markRead(conversations[id], seen);
      Object.values(conversations).forEach((conversation) => this.#markDelivered(conversation));
    }, DEBOUNCE_MILLISECONDS);
  }

  stop() {
    clearTimeout(this.#timer);
  }

  #note() {
    if (!this.#inView || !isPageActive()) return;
    const { conversationId, seq } = this.#inView;
    if (seq > (this.#seen.get(conversationId)?.seq ?? 0)) this.#seen.set(conversationId, this.#inView);
  }

  #markRead(conversation, { seq, messageId }) {
    const known = Math.max(this.#read.get(conversation._id) ?? 0, conversation.readSeq);
    if (!conversation.unread || seq <= known) return;
    this.#mark(this.#read, conversation, seq, "markAsRead", { messageId });
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
