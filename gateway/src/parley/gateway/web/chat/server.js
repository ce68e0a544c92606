/** The server's API: Socket.IO events with acknowledgements, and REST. */

import { io } from "../vendor/socket.io.js";
import { inPlainWords } from "./plain-words.js";

const ACK_MILLISECONDS = 10_000;
const RECONNECT_MILLISECONDS = 1_000;

/** An error of the server, or a timeout; `retryable` if the same request may succeed later. */
export class ServerError extends Error {
  constructor(error = {}) {
    super(inPlainWords(error));
    this.code = error.code ?? "INTERNAL";
    this.retryable = error.retryable ?? false;
  }
}

const NO_ANSWER = { code: "NO_ANSWER", message: "The server did not answer.", retryable: true };

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

  /** Reconnect now instead of after the client's delay. */
  reconnectNow() {
    if (!this.socket.connected) this.socket.disconnect().connect();
  }

  /** Reconnect in a moment. The client itself does not after a `connect_error` or a server's disconnect. */
  reconnectSoon() {
    setTimeout(() => this.socket.connect(), RECONNECT_MILLISECONDS);
  }

  close() {
    this.socket.off();
    this.socket.disconnect();
  }

  /** Emit an event that may be lost. */
  emit(event, payload) {
    if (this.connected) this.socket.volatile.emit(event, payload);
  }

  /** Emit an event and return its acknowledgement; throws ServerError. */
  async request(event, payload) {
    if (!this.connected) throw new ServerError(NO_ANSWER);
    let answer;
    try {
      answer = await this.socket.timeout(ACK_MILLISECONDS).emitWithAck(event, payload);
    } catch {
      throw new ServerError(NO_ANSWER);
    }
    if (!answer.success) throw new ServerError(answer.error);
    return answer;
  }

  /** Call a REST path below /chats and return the JSON; throws ServerError. */
  rest(method, path, body) {
    const headers = { "Content-Type": "application/json" };
    return this.#fetch(`/chats${path}`, { method, headers, body: body && JSON.stringify(body) });
  }

  /** Store a file and return its attachment; throws ServerError. */
  async upload(file) {
    const body = new FormData();
    body.append("file", file);
    return (await this.#fetch("/attachments", { method: "POST", body })).attachment;
  }

  /** Return the content of an attachment as a blob; throws ServerError. */
  download({ url }) {
    return this.#fetch(url, {}, (response) => response.blob());
  }

  async #fetch(path, { headers, ...options }, read = (response) => response.json()) {
    let response, answer;
    try {
      const authorization = `Bearer ${this.#token}`;
      response = await fetch(path, { ...options, headers: { ...headers, Authorization: authorization } });
      answer = await (response.ok ? read(response) : response.json());
    } catch {
      throw new ServerError(NO_ANSWER);
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

  /** Return a page of messages: the newest ones, those before a number, or those after one. */
  history(id, { before, after } = {}) {
    const edge = before ? `&before=${before}` : after === undefined ? "" : `&after=${after}`;
    return this.rest("GET", `/conversations/${encodeURIComponent(id)}/messages?limit=50${edge}`);
  }

  receipts(id) {
    return this.rest("GET", `/conversations/${encodeURIComponent(id)}/receipts`);
  }
}
