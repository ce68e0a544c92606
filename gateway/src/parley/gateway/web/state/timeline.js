/** A conversation's messages: sorted by number, each once, in its newest revision. */

const RANKS = ["sent", "delivered", "read"];

/** Return the later one of two statuses. */
export const further = (one, other) => RANKS[Math.max(RANKS.indexOf(one), RANKS.indexOf(other), 0)];

/** Return the index of the first message from number `seq` on; `messages.length` if there is none. */
export function indexFrom(messages, seq) {
  let [low, high] = [0, messages.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (messages[middle].seq < seq) low = middle + 1;
    else high = middle;
  }
  return low;
}

/**
 * Merge messages into a conversation.
 *
 * Messages below `floor` and above `newer` are not loaded, so a message from there would leave a gap beside
 * it. It is kept in `changed` until its page arrives: that page may have been read before the change, and
 * would be stale.
 */
export function mergeMessages(conversation, incoming) {
  const { messages: known, history } = conversation;
  const changed = { ...conversation.changed };
  const arrived = new Map();
  const latest = incoming.map((message) => {
    const { _id, seq } = message;
    if (!seq || history === "none") return message;
    const now = newest(arrived.get(_id) ?? at(known, message) ?? changed[_id], message);
    delete changed[_id];
    if (isLoaded(conversation, seq)) arrived.set(_id, now);
    else changed[_id] = now;
    return now;
  });
  const messages = placed(known, arrived);
  return latest.reduce(preview, { ...conversation, messages, changed });
}

const isLoaded = ({ floor, newer }, seq) => seq >= floor && (!newer || seq <= Number(newer));

/** Merge the changes that were waiting for the newest page, once it is loaded. */
export function mergeWaiting(conversation) {
  const waiting = Object.values(conversation.changed);
  return mergeMessages(
    conversation,
    waiting.filter(({ seq }) => seq && isLoaded(conversation, seq)),
  );
}

function at(messages, { _id, seq }) {
  const found = messages[indexFrom(messages, seq)];
  return found?._id === _id ? found : undefined;
}

/** Return the messages with some added or replaced. Most are new and belong to the end. */
function placed(known, arrived) {
  if (!arrived.size) return known;
  const messages = [...known];
  const added = [];
  for (const message of arrived.values()) {
    const index = indexFrom(known, message.seq);
    if (known[index]?._id === message._id) messages[index] = message;
    else added.push(message);
  }
  added.sort((one, other) => one.seq - other.seq);
  const isAtEnd = !known.length || !added.length || added[0].seq > known.at(-1).seq;
  messages.push(...added);
  return isAtEnd ? messages : messages.sort((one, other) => one.seq - other.seq);
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
  const isKnown = conversation.history === "none" || messages.some((m) => m._id === messageId);
  return {
    ...conversation,
    messages: messages.map((m) => (m._id === messageId ? tombstone(m) : m)),
    changed: isKnown ? changed : { ...changed, [messageId]: tombstone(changed[messageId]) },
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
