/** One signed-in user's chat: connects, and does what the views ask for. */

import { CatchUp } from "./catch-up.js";
import { Courier } from "./courier.js";
import { listen } from "./listen.js";
import { Marks } from "./marks.js";
import { Server } from "./server.js";
import { Typing } from "./typing.js";

const AGAIN_MILLISECONDS = 2_000;

export class Chat {
  #store;
  #server;
  #courier;
  #marks;
  #catchUp;
  #unsubscribe;
  #signOut;

  /** `signOut(notice)` is called when the server no longer accepts the token. */
  constructor(store, token, signOut) {
    this.#store = store;
    this.#signOut = signOut;
    this.#server = new Server(token);
    this.#courier = new Courier(store, this.#server);
    this.#marks = new Marks(store, this.#server);
    this.#catchUp = new CatchUp(store, this.#server);
    this.drafts = new Map(); // conversation -> what was written and not sent
    this.typing = new Typing(this.#server);
    this.#unsubscribe = store.subscribe(() => this.#react());
    listen(this.#server.socket, store, (id) => this.#meet(id));
    this.#server.socket.on("connect", () => this.#connected());
    this.#server.socket.on("disconnect", (reason) => this.#lost(reason));
    this.#server.socket.on("connect_error", (error) => this.#refused(error));
    this.#server.socket.connect();
  }

  close() {
    this.#unsubscribe();
    this.#courier.stop();
    this.#marks.stop();
    this.#server.close();
  }

  /** The user is back at the page, or the machine is back on the network. */
  wake() {
    if (navigator.onLine && this.#store.state.connection === "reconnecting") this.#server.hurry();
    this.#marks.consider();
  }

  send(conversationId, content) {
    const clientMessageId = newId();
    const createdAt = new Date().toISOString();
    this.typing.stop();
    this.#say("composed", { clientMessageId, conversationId, content, createdAt });
    this.#courier.pump();
  }

  sendAgain(clientMessageId) {
    this.#say("sendAgain", { clientMessageId });
    this.#courier.pump();
  }

  discard(clientMessageId) {
    this.#say("sendDropped", { clientMessageId });
  }

  /** Say what a message shall be; null when it was refused, which has been said then. */
  edit(message, content) {
    const { conversationId, _id: messageId } = message;
    return this.#try(() => this.#server.ask("editMessage", { conversationId, messageId, content }));
  }

  remove({ conversationId, _id: messageId }) {
    return this.#try(() => this.#server.ask("deleteMessage", { conversationId, messageId }));
  }

  /** Start a conversation and open it; throws ServerError. */
  async start({ type, name, participants }) {
    const payload = { type, participants, ...(name && { name }) };
    const { conversation } = await this.#server.ask("createConversation", payload);
    this.#say("conversation", { conversation });
    this.#meet(conversation._id);
    return conversation._id;
  }

  /** Read a conversation anew, with all its people: lists show only some. */
  async look(conversationId) {
    const conversation = await this.#try(() => this.#server.conversation(conversationId));
    if (conversation) this.#say("conversation", { conversation });
  }

  /** Bring people into a group; throws ServerError. */
  async add(id, participants) {
    const path = `/conversations/${encodeURIComponent(id)}/participants`;
    this.#say("conversation", { conversation: await this.#server.rest("POST", path, { participants }) });
  }

  async leave(conversationId) {
    const path = `/conversations/${encodeURIComponent(conversationId)}/leave`;
    if (await this.#try(() => this.#server.rest("POST", path))) {
      this.#say("conversationGone", { conversationId });
    }
  }

  /** Read the page before the first message that is there. */
  async older(conversation) {
    const { _id: conversationId, older } = conversation;
    const page = older && (await this.#try(() => this.#server.history(conversationId, older)));
    if (page) this.#say("pageRead", { conversationId, ...page });
  }

  async moreConversations() {
    const page = await this.#try(() => this.#server.conversations(this.#store.state.older));
    if (!page) return;
    this.#say("listed", page);
    await Promise.all(page.conversations.map(({ _id }) => this.#catchUp.join(_id)));
  }

  #say(type, fields) {
    this.#store.dispatch({ type, ...fields });
  }

  /** The result, or null after a word about what went wrong. */
  async #try(work) {
    try {
      return await work();
    } catch (error) {
      this.#say("said", { text: error.message });
      return null;
    }
  }

  #react() {
    const { conversations, open } = this.#store.state;
    const conversation = conversations[open];
    if (conversation?.joined && conversation.history === "none") this.#load(open);
    this.#marks.consider();
  }

  async #load(conversationId) {
    this.#say("historyRequested", { conversationId });
    try {
      this.#say("pageRead", { conversationId, ...(await this.#server.history(conversationId)) });
    } catch {
      setTimeout(() => this.#say("historyFailed", { conversationId }), AGAIN_MILLISECONDS);
    }
  }

  async #connected() {
    const { id } = this.#server.socket;
    try {
      await this.#catchUp.run(() => this.#courier.pump());
    } catch (error) {
      if (error.code === "UNAUTHORIZED") this.#signOut(error.message);
      else setTimeout(() => this.#server.socket.id === id && this.#connected(), AGAIN_MILLISECONDS);
    }
  }

  /** A conversation that was not in the list. */
  #meet(conversationId) {
    this.#try(() => this.#catchUp.meet(conversationId));
  }

  #lost(reason) {
    this.#say("disconnected");
    if (this.#isExpired()) this.#signOut("The token has expired.");
    else if (reason === "io server disconnect") this.#server.again();
  }

  #refused(error) {
    if (error.data?.code === "UNAUTHORIZED") this.#signOut(error.message);
    else if (!this.#server.socket.active) this.#server.again();
    this.#say("disconnected");
  }

  #isExpired() {
    const expiresAt = this.#store.state.me?.expiresAt;
    return Boolean(expiresAt) && expiresAt <= Date.now();
  }
}

/** A UUID also where the page is not served securely, which crypto.randomUUID asks for. */
function newId() {
  const hex = [...crypto.getRandomValues(new Uint8Array(16))]
    .map((byte, at) => (at === 6 ? (byte & 15) | 64 : at === 8 ? (byte & 63) | 128 : byte))
    .map((byte) => byte.toString(16).padStart(2, "0"))
    .join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
