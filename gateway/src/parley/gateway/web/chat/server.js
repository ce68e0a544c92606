/** The server as promises: events with acknowledgements over Socket.IO, and REST. */

import { io } from "../vendor/socket.io.js";

const ACK_MILLISECONDS = 10_000;
const AGAIN_MILLISECONDS = 1_000;

/** A refusal, or no answer: `retryable` when the same may succeed later. */
export class ServerError extends Error {
  constructor({ code = "INTERNAL", message = "Something went wrong.", retryable = false } = {}) {
    super(message);
    this.code = code;
    this.retryable = retryable;
  }
}

const SILENCE = { code: "NO_ANSWER", message: "The server did not answer.", retryable: true };

export class Server {
  #token;

  constructor(token) {
    this.#token = token;
    this.socket = io("/chat", {
      auth: { token },
      autoConnect: false,
      transports: ["websocket", "polling"],
      tryAllTransports: true,
      reconnectionDelay: 300,
      reconnectionDelayMax: 3_000,
    });
  }

  get connected() {
    return this.socket.connected;
  }

  /** Try now, whatever the waiting time was. */
  hurry() {
    if (!this.socket.connected) this.socket.disconnect().connect();
  }

  /** Try again soon where the client itself gives up: after a refusal, or when the server hung up. */
  again() {
    setTimeout(() => this.socket.connect(), AGAIN_MILLISECONDS);
  }

  close() {
    this.socket.off();
    this.socket.disconnect();
  }

  /** Emit an event that nobody needs to hear. */
  tell(event, payload) {
    if (this.connected) this.socket.volatile.emit(event, payload);
  }

  /** Emit and give the acknowledgement; throws ServerError. */
  async ask(event, payload) {
    if (!this.connected) throw new ServerError(SILENCE);
    let answer;
    try {
      answer = await this.socket.timeout(ACK_MILLISECONDS).emitWithAck(event, payload);
    } catch {
      throw new ServerError(SILENCE);
    }
    if (!answer.success) throw new ServerError(answer.error);
    return answer;
  }

  /** A REST call below /chats: its JSON; throws ServerError. */
  async rest(method, path, body) {
    let response, answer;
    try {
      response = await fetch(`/chats${path}`, {
        method,
        headers: { Authorization: `Bearer ${this.#token}`, "Content-Type": "application/json" },
        body: body && JSON.stringify(body),
      });
      answer = await response.json();
    } catch {
      throw new ServerError(SILENCE);
    }
    if (!response.ok) throw new ServerError(answer.error);
    return answer;
  }

  conversations(before) {
    return this.rest(
      "GET",
      `/conversations?limit=50${before ? `&before=${encodeURIComponent(before)}` : ""}`,
    );
  }

  conversation(id) {
    return this.rest("GET", `/conversations/${encodeURIComponent(id)}`);
  }

  history(id, before) {
    const page = `limit=50${before ? `&before=${encodeURIComponent(before)}` : ""}`;
    return this.rest("GET", `/conversations/${encodeURIComponent(id)}/messages?${page}`);
  }
}
