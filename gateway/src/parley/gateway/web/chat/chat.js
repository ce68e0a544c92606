/** A signed-in user's chat: holds the connection, and offers the views' actions. */

import { CatchUp } from "./catch-up.js";
import { OutboxSender } from "./outbox-sender.js";
import { listen } from "./listen.js";
import { Marks } from "./marks.js";
import { Server } from "./server.js";
import { Typing } from "./typing.js";

const RETRY_MILLISECONDS = 2_000;

export class Chat {
  #store;
  #server;
  #outboxSender;
  #marks;
  #catchUp;
  #unsubscribe;
  #signOut;

  /** `signOut(notice)` is called when the server no longer accepts the token. */
  constructor(store, token, signOut) {
    this.#store = store;
    this.#signOut = signOut;
    this.#server = new Server(token);
    this.#outboxSender = new OutboxSender(store, this.#server);
    this.#marks = new Marks(store, this.#server);
    this.#catchUp = new CatchUp(store, this.#server);
    this.drafts = new Map(); // conversation id -> unsent text
    this.typing = new Typing(this.#server);
    this.#unsubscribe = store.subscribe(() => this.#onStateChange());
    listen(this.#server.socket, store, (id) => this.#joinNew(id));
    this.#server.socket.on("connect", () => this.#onConnect());
    this.#server.socket.on("disconnect", (reason) => this.#onDisconnect(reason));
    this.#server.socket.on("connect_error", (error) => this.#onConnectError(error));
    this.#server.socket.connect();
  }

  close() {
    this.#unsubscribe();
    this.#outboxSender.stop();
    this.#marks.stop();
    this.#server.close();
  }

  /** React to the user's return to the page, or the machine's return to the network. */
  wake() {
    if (navigator.onLine && this.#store.state.connection === "reconnecting") this.#server.reconnectNow();
    this.#marks.schedule();
  }

  send(conversationId, content) {
    const clientMessageId = newId();
    const createdAt = new Date().toISOString();
    this.typing.stop();
    this.#dispatch("composed", { clientMessageId, conversationId, content, createdAt });
    this.#outboxSender.sendDue();
  }

  sendAgain(clientMessageId) {
    this.#dispatch("sendRetried", { clientMessageId });
    this.#outboxSender.sendDue();
  }

  discard(clientMessageId) {
    this.#dispatch("sendDiscarded", { clientMessageId });
  }

  /** Edit a message; the result is null if that failed, and a toast shows why. */
  edit(message, content) {
    const { conversationId, _id: messageId } = message;
    return this.#try(() => this.#server.request("editMessage", { conversationId, messageId, content }));
  }

  /** Delete a message; see `edit` for the result. */
  remove({ conversationId, _id: messageId }) {
    return this.#try(() => this.#server.request("deleteMessage", { conversationId, messageId }));
  }

  /** Create a conversation and return its id; throws ServerError. */
  async start({ type, name, participants }) {
    const payload = { type, participants, ...(name && { name }) };
    const { conversation } = await this.#server.request("createConversation", payload);
    this.#dispatch("conversationLoaded", { conversation });
    this.#joinNew(conversation._id);
    return conversation._id;
  }

  /** Reload a conversation with all its participants; the list has only the first ones. */
  async refresh(conversationId) {
    const conversation = await this.#try(() => this.#server.conversation(conversationId));
    if (conversation) this.#dispatch("conversationLoaded", { conversation });
  }

  /** Add users to a group; throws ServerError. */
  async addParticipants(id, participants) {
    const path = `/conversations/${encodeURIComponent(id)}/participants`;
    const conversation = await this.#server.rest("POST", path, { participants });
    this.#dispatch("conversationLoaded", { conversation });
  }

  async leave(conversationId) {
    const path = `/conversations/${encodeURIComponent(conversationId)}/leave`;
    if (await this.#try(() => this.#server.rest("POST", path))) {
      this.#dispatch("conversationRemoved", { conversationId });
    }
  }

  /** Load the page before the first loaded message. */
  async loadOlder(conversation) {
    const { _id: conversationId, older } = conversation;
    const page = older && (await this.#try(() => this.#server.history(conversationId, older)));
    if (page) this.#dispatch("pageLoaded", { conversationId, ...page });
  }

  async loadMoreConversations() {
    const page = await this.#try(() => this.#server.conversations(this.#store.state.older));
    if (!page) return;
    this.#dispatch("listed", page);
    await Promise.all(page.conversations.map(({ _id }) => this.#catchUp.join(_id)));
  }

  #dispatch(type, fields) {
    this.#store.dispatch({ type, ...fields });
  }

  /** Return the result of `work()`, or null after showing its error. */
  async #try(work) {
    try {
      return await work();
    } catch (error) {
      this.#dispatch("toastShown", { text: error.message });
      return null;
    }
  }

  #onStateChange() {
    const { conversations, open } = this.#store.state;
    const conversation = conversations[open];
    if (conversation?.joined && conversation.history === "none") this.#loadHistory(open);
    this.#marks.schedule();
  }

  async #loadHistory(conversationId) {
    this.#dispatch("historyRequested", { conversationId });
    try {
      this.#dispatch("pageLoaded", { conversationId, ...(await this.#server.history(conversationId)) });
    } catch {
      setTimeout(() => this.#dispatch("historyFailed", { conversationId }), RETRY_MILLISECONDS);
    }
  }

  async #onConnect() {
    const { id } = this.#server.socket;
    try {
      await this.#catchUp.run(() => this.#outboxSender.sendDue());
    } catch (error) {
      if (error.code === "UNAUTHORIZED") this.#signOut(error.message);
      else setTimeout(() => this.#server.socket.id === id && this.#onConnect(), RETRY_MILLISECONDS);
    }
  }

  /** Load and join a conversation that is not in the list. */
  #joinNew(conversationId) {
    this.#try(() => this.#catchUp.joinNew(conversationId));
  }

  #onDisconnect(reason) {
    this.#dispatch("disconnected");
    if (this.#isExpired()) this.#signOut("The token has expired.");
    else if (reason === "io server disconnect") this.#server.reconnectSoon();
  }

  #onConnectError(error) {
    if (error.data?.code === "UNAUTHORIZED") this.#signOut(error.message);
    else if (!this.#server.socket.active) this.#server.reconnectSoon();
    this.#dispatch("disconnected");
  }

  #isExpired() {
    const expiresAt = this.#store.state.me?.expiresAt;
    return Boolean(expiresAt) && expiresAt <= Date.now();
  }
}

/** Return a random UUID. `crypto.randomUUID` exists only in secure contexts. */
function newId() {
  const hex = [...crypto.getRandomValues(new Uint8Array(16))]
    .map((byte, at) => (at === 6 ? (byte & 15) | 64 : at === 8 ? (byte & 63) | 128 : byte))
    .map((byte) => byte.toString(16).padStart(2, "0"))
    .join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
