/** Says that the user types: again while it goes on, and when it ends. */

const AGAIN_MILLISECONDS = 3_000;

export class Typing {
  #server;
  #conversationId = null;
  #saidAt = 0;
  #timer = null;

  constructor(server) {
    this.#server = server;
  }

  typed(conversationId) {
    if (this.#conversationId !== conversationId) this.stop();
    this.#conversationId = conversationId;
    if (Date.now() - this.#saidAt >= AGAIN_MILLISECONDS) {
      this.#saidAt = Date.now();
      this.#server.tell("typing", { conversationId });
    }
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.stop(), AGAIN_MILLISECONDS);
  }

  stop() {
    clearTimeout(this.#timer);
    if (this.#conversationId) this.#server.tell("stopTyping", { conversationId: this.#conversationId });
    this.#conversationId = null;
    this.#saidAt = 0;
  }
}
