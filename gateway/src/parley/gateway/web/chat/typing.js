/** Reports that the user is typing: repeatedly while it lasts, and when it ends. */

const REPEAT_MILLISECONDS = 3_000;

export class Typing {
  #server;
  #conversationId = null;
  #sentAt = 0;
  #timer = null;

  constructor(server) {
    this.#server = server;
  }

  typed(conversationId) {
    if (this.#conversationId !== conversationId) this.stop();
    this.#conversationId = conversationId;
    if (Date.now() - this.#sentAt >= REPEAT_MILLISECONDS) {
      this.#sentAt = Date.now();
      this.#server.emit("typing", { conversationId });
    }
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.stop(), REPEAT_MILLISECONDS);
  }

  stop() {
    clearTimeout(this.#timer);
    if (this.#conversationId) this.#server.emit("stopTyping", { conversationId: this.#conversationId });
    this.#conversationId = null;
    this.#sentAt = 0;
  }
}
