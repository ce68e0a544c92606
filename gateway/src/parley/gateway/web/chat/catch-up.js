/** After a connection is there (again): the list, the rooms, and what changed meanwhile. */

const SYNCED_AT_ONCE = 100;

export class CatchUp {
  #store;
  #server;

  constructor(store, server) {
    this.#store = store;
    this.#server = server;
  }

  /** Catch up; `ready()` is called when sends may go out. Throws ServerError. */
  async run(ready) {
    const { id } = this.#server.socket;
    const page = await this.#server.conversations();
    if (this.#server.socket.id !== id) return;
    this.#say("listed", { ...page, first: true });
    await Promise.all(Object.keys(this.#store.state.conversations).map((one) => this.join(one)));
    this.#say("connected");
    this.#say("sendsUncertain");
    ready();
    await this.#sync();
    await this.#refresh();
  }

  /** Hear a conversation's messages; it is gone when it is not the user's any more. */
  async join(conversationId) {
    try {
      const { seq, rev } = await this.#server.ask("joinRoom", { conversationId });
      this.#say("joined", { conversationId, rev });
      const known = this.#store.state.conversations[conversationId];
      if (known && seq > known.lastSeq) await this.#look(conversationId);
    } catch (error) {
      if (error.code !== "NOT_FOUND") throw error;
      this.#say("conversationGone", { conversationId });
    }
  }

  /** Come to know a conversation that was not in the list. */
  async meet(conversationId) {
    const known = this.#store.state.conversations[conversationId];
    if (known?.joined) return;
    if (!known) await this.#look(conversationId);
    await this.join(conversationId);
    this.#server.tell("getOnlineUsers");
  }

  async #look(conversationId) {
    this.#say("conversation", { conversation: await this.#server.conversation(conversationId) });
  }

  async #sync() {
    const behind = Object.values(this.#store.state.conversations).filter((c) => c.joined && !c.synced);
    for (let start = 0; start < behind.length; start += SYNCED_AT_ONCE) {
      const revs = behind.slice(start, start + SYNCED_AT_ONCE).map((c) => [c._id, c.rev]);
      const answer = await this.#server.ask("sync", { conversations: Object.fromEntries(revs) });
      for (const [conversationId, changes] of Object.entries(answer.conversations)) {
        this.#say("synced", { conversationId, ...changes });
      }
    }
  }

  /** Receipts are no revisions: what was read meanwhile stands in the history. */
  async #refresh() {
    const { conversations, open } = this.#store.state;
    if (conversations[open]?.history !== "ready") return;
    this.#say("pageRead", { conversationId: open, ...(await this.#server.history(open)) });
  }

  #say(type, fields) {
    this.#store.dispatch({ type, ...fields });
  }
}
