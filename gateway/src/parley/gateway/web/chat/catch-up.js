/** Catching up after each connect: the list, the rooms, and the changes missed meanwhile. */

const SYNC_BATCH = 100; // conversations

export class CatchUp {
  #store;
  #server;

  constructor(store, server) {
    this.#store = store;
    this.#server = server;
  }

  /** Show the list while the socket is connecting; catching up reads it again, because it may have changed. */
  async preview() {
    const page = await this.#server.conversations().catch(() => null);
    const { me, listed } = this.#store.state;
    if (page && me && !listed) this.#dispatch("listed", { ...page, first: true });
  }

  /** Catch up, and call `onReady()` once sends may go out. Throws ServerError. */
  async run(onReady) {
    const { id } = this.#server.socket;
    const page = await this.#server.conversations();
    if (this.#server.socket.id !== id) return;
    this.#dispatch("listed", { ...page, first: true });
    await this.#loadThoseOfOutbox();
    await Promise.all(Object.keys(this.#store.state.conversations).map((one) => this.join(one)));
    this.#dispatch("connected");
    this.#dispatch("sendsUnconfirmed");
    onReady();
    await this.#sync();
  }

  /** Join a conversation's room, or remove the conversation if the user is no longer a member. */
  async join(conversationId) {
    try {
      const { seq, rev, epoch } = await this.#server.request("joinRoom", { conversationId });
      this.#dispatch("joined", { conversationId, rev, epoch });
      const known = this.#store.state.conversations[conversationId];
      if (known && seq > known.lastSeq) await this.#load(conversationId);
    } catch (error) {
      this.#removeIfGone(conversationId, error);
    }
  }

  /** Load the conversations of waiting messages that the first page of the list does not have. */
  async #loadThoseOfOutbox() {
    const { outbox, conversations } = this.#store.state;
    const ids = new Set(outbox.map((entry) => entry.conversationId).filter((id) => !conversations[id]));
    await Promise.all([...ids].map((id) => this.#load(id).catch((error) => this.#removeIfGone(id, error))));
  }

  #removeIfGone(conversationId, error) {
    if (error.code !== "NOT_FOUND") throw error;
    this.#dispatch("conversationRemoved", { conversationId });
  }

  /** Load and join a conversation that is not in the list. */
  async joinNew(conversationId) {
    const known = this.#store.state.conversations[conversationId];
    if (known?.joined) return;
    if (!known) await this.#load(conversationId);
    await this.join(conversationId);
    this.#server.emit("getOnlineUsers");
  }

  async #load(conversationId) {
    this.#dispatch("conversationLoaded", { conversation: await this.#server.conversation(conversationId) });
  }

  async #sync() {
    for (let stale = this.#stale(); stale.length; stale = this.#stale()) {
      const answer = await this.#changes(stale.slice(0, SYNC_BATCH));
      for (const [conversationId, { error, ...changes }] of Object.entries(answer.conversations)) {
        if (error) this.#removeIfGone(conversationId, error);
        else this.#dispatch("synced", { conversationId, ...changes });
        if (changes.tooFar) await this.#load(conversationId);
      }
    }
  }

  async #changes(conversations) {
    const revs = (held) => ({ conversations: Object.fromEntries(conversations.map((c) => [c._id, held(c)])) });
    try {
      return await this.#server.request("sync", revs(({ rev, epoch }) => ({ rev, epoch })));
    } catch (error) {
      // A gateway of version 0.2.0, which may still run during an upgrade, takes revisions without an epoch.
      if (error.code !== "INVALID") throw error;
      return this.#server.request("sync", revs(({ rev }) => rev));
    }
  }

  #stale() {
    return Object.values(this.#store.state.conversations).filter((c) => c.joined && !c.synced);
  }

  #dispatch(type, fields) {
    this.#store.dispatch({ type, ...fields });
  }
}
