/** What the user has typed and not sent, for each conversation. This tab keeps it through reloads and sign-outs. */

import { load, save } from "./session.js";

export class Drafts {
  #userId;
  #texts; // by conversation id
  #edits; // by conversation id: {message, text}

  constructor(userId) {
    this.#userId = userId;
    const { texts = {}, edits = {} } = load("drafts", userId) ?? {};
    this.#texts = texts;
    this.#edits = edits;
  }

  text(conversationId) {
    return this.#texts[conversationId] ?? "";
  }

  write(conversationId, text) {
    if (text) this.#texts[conversationId] = text;
    else delete this.#texts[conversationId];
    this.#save();
  }

  /** Return the edit that was begun: `{message, text}`, or null. */
  edit(conversationId) {
    return this.#edits[conversationId] ?? null;
  }

  /** Keep the text of an edit; null ends it. */
  writeEdit(conversationId, edit) {
    if (edit) this.#edits[conversationId] = edit;
    else delete this.#edits[conversationId];
    this.#save();
  }

  #save() {
    save("drafts", this.#userId, { texts: this.#texts, edits: this.#edits });
  }
}
