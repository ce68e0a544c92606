/** Loads a conversation's history: its first page, more pages in both directions, and the receipts. */

const RETRY_MILLISECONDS = 2_000;
const NEAR_END = 40; // messages that the newest page certainly has

export class History {
  #store;
  #server;
  #attempt;

  /** `attempt(work)` returns the result of `work()`, or null after showing its error. */
  constructor(store, server, attempt) {
    this.#store = store;
    this.#server = server;
    this.#attempt = attempt;
  }

  /** Load the page with the first unread message, else the newest one; again later if that fails. */
  async open(conversation) {
    const { _id: conversationId, unread, readSeq, lastSeq } = conversation;
    const isNewest = !unread || lastSeq - readSeq <= NEAR_END;
    this.#dispatch("historyRequested", { conversationId, isNewest });
    try {
      const load = isNewest ? this.#server.history(conversationId) : this.#around(conversationId, readSeq);
      const [page] = await Promise.all([load, this.receipts(conversationId)]);
      this.#dispatch("pageLoaded", { conversationId, ...page });
    } catch {
      setTimeout(() => this.#dispatch("historyFailed", { conversationId }), RETRY_MILLISECONDS);
    }
  }

  async #around(conversationId, seq) {
    const [before, after] = await Promise.all([
      seq ? this.#server.history(conversationId, { before: seq + 1 }) : { messages: [], nextCursor: null },
      this.#server.history(conversationId, { after: seq }),
    ]);
    const messages = [...before.messages, ...after.messages];
    return { messages, nextCursor: before.nextCursor, newer: after.nextCursor };
  }

  /** Load the page before the first loaded message. Returns whether that worked, as the others do. */
  older({ _id, older }) {
    return this.#page("pageLoaded", _id, { before: older });
  }

  /** Load the page after the last loaded message. */
  newer({ _id, newer }) {
    return this.#page("newerPageLoaded", _id, { after: newer });
  }

  /** Load the newest page in place of what is loaded. */
  end({ _id }) {
    return this.#page("endLoaded", _id);
  }

  async #page(type, conversationId, edge) {
    const page = await this.#attempt(() => this.#server.history(conversationId, edge));
    if (page) this.#dispatch(type, { conversationId, ...page });
    return Boolean(page);
  }

  async receipts(conversationId) {
    this.#dispatch("receiptsLoaded", { conversationId, ...(await this.#server.receipts(conversationId)) });
  }

  #dispatch(type, fields) {
    this.#store.dispatch({ type, ...fields });
  }
}
