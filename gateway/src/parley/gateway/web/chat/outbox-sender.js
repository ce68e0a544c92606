/** Sends the outbox: one message per conversation at a time, retried until it is confirmed. */

import { due } from "../state/outbox.js";

const TICK_MILLISECONDS = 1_000;
const CONFIRM_MILLISECONDS = 10_000;
const LONGEST_BACKOFF_MILLISECONDS = 15_000;

const backoff = (attempts) => Math.min(LONGEST_BACKOFF_MILLISECONDS, 500 * 2 ** attempts);

export class OutboxSender {
  #store;
  #server;
  #timer;

  constructor(store, server) {
    this.#store = store;
    this.#server = server;
    this.#timer = setInterval(() => this.#tick(), TICK_MILLISECONDS);
  }

  stop() {
    clearInterval(this.#timer);
  }

  /** Send the entries that are due; an entry's acceptance makes the next one due. */
  sendDue() {
    if (!this.#server.connected) return;
    for (const entry of due(this.#store.state, Date.now())) this.#send(entry);
  }

  #tick() {
    const acceptedBefore = Date.now() - CONFIRM_MILLISECONDS;
    const late = (entry) => entry.state === "accepted" && entry.acceptedAt < acceptedBefore;
    if (this.#store.state.outbox.some(late)) this.#store.dispatch({ type: "sendsUnconfirmed", acceptedBefore });
    this.sendDue();
  }

  async #send({ clientMessageId, conversationId, content, attachments = [], attempts }) {
    const dispatch = (type, fields) => this.#store.dispatch({ type, clientMessageId, ...fields });
    dispatch("sendStarted");
    try {
      const files = attachments.map(({ id }) => id);
      const type = files.length ? "file" : "text";
      const message = { conversationId, content, type, clientMessageId, attachments: files };
      await this.#server.request("sendMessage", message);
      dispatch("sendAccepted", { now: Date.now() });
    } catch (error) {
      if (error.retryable) dispatch("sendDeferred", { dueAt: Date.now() + backoff(attempts) });
      else dispatch("sendFailed", { error: error.message });
    }
    this.sendDue();
  }
}
