/** A conversation's messages: in the order of their numbers, each once, in its newest revision. */

const RANKS = ["sent", "delivered", "read"];

/** The further one of two statuses. */
export const further = (one, other) => RANKS[Math.max(RANKS.indexOf(one), RANKS.indexOf(other), 0)];

/**
 * The conversation with messages put in their places.
 *
 * Below `floor` the page has not read yet: what changed there would make a hole now. It waits in
 * `changed` for its page, which may be under way with what the message was before.
 */
export function place(conversation, incoming) {
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

/** The conversation with its list entry brought up to a message. */
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

/** The conversation with one message as a tombstone. */
export function bury(conversation, { messageId, rev, deletedAt }) {
  const gone = (message) => ({ ...message, content: "", deletedAt, rev: rev ?? message?.rev });
  const { lastMessage: last, messages, changed } = conversation;
  const isThere = conversation.history === "none" || messages.some((m) => m._id === messageId);
  return {
    ...conversation,
    messages: messages.map((m) => (m._id === messageId ? gone(m) : m)),
    changed: isThere ? changed : { ...changed, [messageId]: gone(changed[messageId]) },
    lastMessage: last?._id === messageId ? { ...last, content: "", deletedAt } : last,
  };
}

/** The conversation with the revision that the page holds moved on, unless it must sync first. */
export function advance(conversation, rev = 0) {
  if (conversation.synced) return { ...conversation, rev: Math.max(conversation.rev, rev) };
  return { ...conversation, ahead: Math.max(conversation.ahead, rev) };
}

/** How far a message of one's own has come. */
export function statusOf(message, conversation) {
  if (message.seq <= conversation.readUpTo) return "read";
  return further(message.status, message.seq <= conversation.deliveredUpTo ? "delivered" : "sent");
}
