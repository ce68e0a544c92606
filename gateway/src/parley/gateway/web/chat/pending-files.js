/** Files for the next message of each conversation: uploaded at once, kept as long as the page is open. */

const MOST = 10; // files of a message, as the server counts them
const NONE = [];

export class PendingFiles {
  #lists = new Map(); // conversation id -> its files: {key, name, attachment?}
  #upload;
  #refuse;
  #changed = () => {};
  #lastKey = 0;

  /** `upload(file)` returns the attachment, or throws; `refuse(sentence)` is called with what went wrong. */
  constructor(upload, refuse) {
    this.#upload = upload;
    this.#refuse = refuse;
  }

  /** Call a function whenever a list changes; the function that is returned ends it. */
  listen(changed) {
    this.#changed = changed;
    return () => {
      if (this.#changed === changed) this.#changed = () => {};
    };
  }

  /** Return a conversation's files: those without an `attachment` are being uploaded. */
  list(conversationId) {
    return this.#lists.get(conversationId) ?? NONE;
  }

  add(conversationId, files) {
    const free = MOST - this.list(conversationId).length;
    if (files.length > free) this.#refuse(`A message may have ${MOST} files.`);
    for (const file of [...files].slice(0, free)) this.#add(conversationId, file);
  }

  remove(conversationId, key) {
    this.#replace(
      conversationId,
      this.list(conversationId).filter((one) => one.key !== key),
    );
  }

  /** Remove a conversation's files, and return their attachments. */
  take(conversationId) {
    const attachments = this.list(conversationId).map((one) => one.attachment);
    this.#replace(conversationId, NONE);
    return attachments;
  }

  async #add(conversationId, file) {
    const key = (this.#lastKey += 1);
    this.#replace(conversationId, [...this.list(conversationId), { key, name: file.name }]);
    try {
      const attachment = await this.#upload(file);
      const stored = (one) => (one.key === key ? { ...one, attachment } : one);
      this.#replace(conversationId, this.list(conversationId).map(stored));
    } catch (error) {
      this.remove(conversationId, key);
      this.#refuse(`${file.name}: ${error.message}`);
    }
  }

  #replace(conversationId, files) {
    this.#lists.set(conversationId, files);
    this.#changed();
  }
}
