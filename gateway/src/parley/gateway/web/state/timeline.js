/** A conversation's messages: sorted by number, each once, in its newest revision. */

const RANKS = ["sent", "delivered", "read"];

/** Return the later one of two statuses. */
export const further = (one, other) => RANKS[Math.max(RANKS.indexOf(one), RANKS.indexOf(other), 0)];

/**
 * Merge messages into a conversation.
 *
 * The history below `floor` is not loaded, so a message from there would leave a gap above it. It is kept
 * in `changed` until its page arrives: that page may have been read before the change, and would be stale.
 */
export function mergeMessages(conversation, incoming) {
  const known = new Map(conversation.messages.map((message) => [message._id, message]));
  const changed = { ...conversation.changed };
  for (const message of incoming) {
    const { _id, seq } = message;
    if (!seq || conversation.history === "none") continue;
    const now = newest(known.get(_id) ?? changed[_id], message);
    delete changed[_id];
    if (seq < conversation.floor) changed[_id] = now;
    else known.set(_id, now);
  }
  const messages = [...known.values()].sort((one, other) => one.seq - other.seq);
  const newestOf = (message) => known.get(message._id) ?? message;
  return incoming.map(newestOf).reduce(preview, { ...conversation, messages, changed });
}

function newest(known, message) {
  if (!known) return message;
  const status = further(known.status, message.status);
  return (message.rev ?? 0) >= (known.rev ?? 0) ? { ...message, status } : { ...message, ...known, status };
}

/** Update the list entry of a conversation with a message. */
function preview(conversation, message) {
  const last = conversation.lastMessage;
  if (!message.seq || message.seq < (last?.seq ?? 0)) return conversation;
  const lastMessage = {
    _id: message._id,
    seq: message.seq,
    senderId: message.sender._id,
    content: message.content,
    type: message.type,
    deletedAt: message.deletedAt,
    createdAt: message.createdAt,
  };
  const lastSeq = Math.max(conversation.lastSeq, message.seq);
  return { ...conversation, lastMessage, lastSeq, lastActivityAt: message.createdAt };
}

/** Replace a message by a tombstone. */
export function markDeleted(conversation, { messageId, rev, deletedAt }) {
  const tombstone = (message) => ({ ...message, content: "", deletedAt, rev: rev ?? message?.rev });
  const { lastMessage: last, messages, changed } = conversation;
  const isLoaded = conversation.history === "none" || messages.some((m) => m._id === messageId);
  return {
    ...conversation,
    messages: messages.map((m) => (m._id === messageId ? tombstone(m) : m)),
    changed: isLoaded ? changed : { ...changed, [messageId]: tombstone(changed[messageId]) },
    lastMessage: last?._id === messageId ? { ...last, content: "", deletedAt } : last,
  };
}

/** Advance the known revision; before the sync it is only remembered in `ahead`. */
export function advanceRevision(conversation, { rev = 0, epoch = 0 }) {
  const known = conversation.synced ? conversation : conversation.ahead;
  if (rev <= known.rev) return conversation;
  return conversation.synced ? { ...conversation, rev, epoch } : { ...conversation, ahead: { rev, epoch } };
}

/** Return the status of one of the user's own messages. */
export function statusOf(message, conversation) {
  if (message.seq <= conversation.readUpTo) return "read";
  return further(message.status, message.seq <= conversation.deliveredUpTo ? "delivered" : "sent");
}
