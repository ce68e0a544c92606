/** Carries the outbox: one send of a conversation at a time, again until it is known to be stored. */

import { due } from "../state/outbox.js";

const PUMP_MILLISECONDS = 1_000;
const CONFIRM_MILLISECONDS = 10_000;
const LONGEST_PAUSE = 15_000;

const pause = (attempts) => Math.min(LONGEST_PAUSE, 500 * 2 ** attempts);

export class Courier {
  #store;
  #server;
  #timer;

  constructor(store, server) {
    this.#store = store;
    this.#server = server;
    this.#timer = setInterval(() => this.#tick(), PUMP_MILLISECONDS);
  }

  stop() {
    clearInterval(this.#timer);
  }

  /** Send what is due; more is due as soon as that is accepted. */
  pump() {
    if (!this.#server.connected) return;
    for (const entry of due(this.#store.state, Date.now())) this.#deliver(entry);
  }

  #tick() {
    const acceptedBefore = Date.now() - CONFIRM_MILLISECONDS;
    const late = (entry) => entry.state === "accepted" && entry.acceptedAt < acceptedBefore;
    if (this.#store.state.outbox.some(late)) this.#store.dispatch({ type: "sendsUncertain", acceptedBefore });
    this.pump();
  }

  async #deliver({ clientMessageId, conversationId, content, attempts }) {
    const say = (type, fields) => this.#store.dispatch({ type, clientMessageId, ...fields });
    say("sendStarted");
    try {
      await this.#server.ask("sendMessage", { conversationId, content, type: "text", clientMessageId });
      say("sendAccepted", { now: Date.now() });
    } catch (error) {
      if (error.retryable) say("sendPutOff", { dueAt: Date.now() + pause(attempts) });
      else say("sendFailed", { error: error.message });
    }
    this.pump();
  }
}
