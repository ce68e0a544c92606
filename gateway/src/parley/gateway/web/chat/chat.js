/** A signed-in user's chat: holds the connection, and offers the views' actions. */

import { CatchUp } from "./catch-up.js";
import { Drafts } from "./drafts.js";
import { History } from "./history.js";
import { OutboxSender } from "./outbox-sender.js";
import { listen } from "./listen.js";
import { isPageActive, Marks } from "./marks.js";
import { PendingFiles } from "./pending-files.js";
import { saveAs } from "./save-as.js";
import { Server, ServerError } from "./server.js";
import { Typing } from "./typing.js";
import { titleOf } from "../state/selectors.js";

const RETRY_MILLISECONDS = 2_000;
const PEOPLE_PAGES = 10; // of the list, searched for people

export class Chat {
  #store;
  #creation = null;
  #server;
  #outboxSender;
  #marks;
  #catchUp;
  #history;
  #opened = null; // the conversation that was open at the last change
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
    this.#history = new History(store, this.#server, (work) => this.#try(work));
    this.drafts = new Drafts(store.state.me.id);
    this.places = new Map(); // conversation id -> where its reader was: {seq, top}
    this.typing = new Typing(this.#server);
    this.files = new PendingFiles(
      (file) => this.#server.upload(file),
      (text) => this.#dispatch("toastShown", { text }),
    );
    this.#unsubscribe = store.subscribe((_state, event) => this.#onStateChange(event));
    listen(this.#server.socket, store, (id) => this.#joinNew(id));
    this.#server.socket.on("connect", () => this.#onConnect());
    this.#server.socket.on("disconnect", (reason) => this.#onDisconnect(reason));
    this.#server.socket.on("connect_error", (error) => this.#onConnectError(error));
    this.#server.socket.connect();
    this.#catchUp.preview();
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

  /** Return whether the user can see the page, and is using it. */
  isActive() {
    return isPageActive();
  }

  /** Note the last message of another user that is in view; see `Marks.look`. */
  look(inView) {
    this.#marks.look(inView);
  }

  /** Return the number of the last message of a conversation that was in view. */
  seenSeq(conversationId) {
    return this.#marks.seenSeq(conversationId);
  }

  conversation(id) {
    return this.#store.state.conversations[id];
  }

  /** Send a text, and the files that wait to be sent with it. */
  send(conversationId, content) {
    const attachments = this.files.take(conversationId);
    const clientMessageId = newId();
    const createdAt = new Date().toISOString();
    const title = titleOf(this.conversation(conversationId), this.#store.state.me);
    this.typing.stop();
    this.#dispatch("composed", { clientMessageId, conversationId, title, content, attachments, createdAt });
    this.#outboxSender.sendDue();
  }

  sendAgain(clientMessageId) {
    this.#dispatch("sendRetried", { clientMessageId });
    this.#outboxSender.sendDue();
  }

  discard(clientMessageId) {
    this.#dispatch("sendDiscarded", { clientMessageId });
  }

  /** Have the browser save a file. */
  async saveFile(attachment) {
    const content = await this.#try(() => this.#server.download(attachment));
    if (content) saveAs(attachment.name, content);
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
    // The answer to an earlier attempt may have been lost: the same wish keeps its name until it succeeds.
    const wish = JSON.stringify(payload);
    if (this.#creation?.wish !== wish) this.#creation = { wish, id: newId() };
    const named = { ...payload, clientConversationId: this.#creation.id };
    const { conversation } = await this.#server.request("createConversation", named);
    this.#creation = null;
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
      this.#dispatch("conversationRemoved", { conversationId, isOwnWish: true });
    }
  }

  /** Load more of the history; the result is whether that worked. */
  loadOlder(conversation) {
    return this.#history.older(conversation);
  }

  loadNewer(conversation) {
    return this.#history.newer(conversation);
  }

  loadEnd(conversation) {
    return this.#history.end(conversation);
  }

  async loadMoreConversations() {
    const page = await this.#try(() => this.#server.conversations(this.#store.state.older));
    if (!page) return;
    this.#dispatch("listed", page);
    await Promise.all(page.conversations.map(({ _id }) => this.#catchUp.join(_id)));
  }

  /** Return the people with whom the user shares conversations: those of the list, also of its later pages. */
  async people() {
    const { conversations, older } = this.#store.state;
    const found = Object.values(conversations).flatMap((one) => one.participants);
    for (let cursor = older, pages = 0; cursor && pages < PEOPLE_PAGES; pages += 1) {
      const page = await this.#try(() => this.#server.conversations(cursor));
      if (!page) break;
      found.push(...page.conversations.flatMap((one) => one.participants));
      cursor = page.nextCursor;
    }
    return found;
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

  #onStateChange({ type, unread }) {
    const { conversations, open } = this.#store.state;
    const conversation = conversations[open];
    const isOpening = open !== this.#opened;
    this.#opened = open;
    if (conversation?.joined && (conversation.history === "none" || (isOpening && hasUnreadBelow(conversation))))
      this.#history.open(conversation);
    // The answers to a mark ask for no further one.
    if (type !== "receiptReceived" && unread !== 0) this.#marks.schedule();
  }

  async #onConnect() {
    const { id } = this.#server.socket;
    try {
      await this.#catchUp.run(() => this.#outboxSender.sendDue());
      await this.#refresh();
    } catch (error) {
      // A fault of the page itself would be retried for ever, and nobody would learn of it.
      if (!(error instanceof ServerError)) reportError(error);
      if (error.code === "UNAUTHORIZED") this.#signOut(error.message);
      else setTimeout(() => this.#server.socket.id === id && this.#onConnect(), RETRY_MILLISECONDS);
    }
  }

  /** Reload the receipts of the open conversation: they have no revision, so `sync` does not include them. */
  async #refresh() {
    const { conversations, open } = this.#store.state;
    if (conversations[open]?.history === "ready") await this.#history.receipts(open);
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

/** Return whether the first unread message is after the loaded part of the history. */
function hasUnreadBelow({ history, newer, unread, readSeq }) {
  return history === "ready" && newer && unread > 0 && readSeq >= Number(newer);
}

/** Return a random UUID. `crypto.randomUUID` exists only in secure contexts. */
function newId() {
  const hex = [...crypto.getRandomValues(new Uint8Array(16))]
    .map((byte, at) => (at === 6 ? (byte & 15) | 64 : at === 8 ? (byte & 63) | 128 : byte))
    .map((byte) => byte.toString(16).padStart(2, "0"))
    .join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
