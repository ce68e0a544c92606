/** Events of a conversation's history: rooms, syncs, pages, messages, receipts. */

import { advanceRevision, markDeleted, mergeMessages, mergeWaiting } from "./timeline.js";

export const NOTHING = { rev: 0, epoch: 0 };

const FORGOTTEN = {
  lastSeq: 0,
  lastMessage: null,
  messages: [],
  older: null,
  newer: null,
  changed: {},
  readSeq: 0,
  readUpTo: 0,
  deliveredUpTo: 0,
  marks: {},
};

/** Return the state with one conversation changed. */
export function withConversation(state, id, change) {
  const found = state.conversations[id];
  if (!found) return state;
  return { ...state, conversations: { ...state.conversations, [id]: change(found) } };
}

/** Remove the outbox entries of messages that are stored. */
function withoutStored(state, messages) {
  const names = new Set(
    messages.filter((m) => m.sender._id === state.me?.id && m.seq).map((m) => m.clientMessageId),
  );
  const outbox = state.outbox.filter((entry) => !names.has(entry.clientMessageId));
  return outbox.length === state.outbox.length ? state : { ...state, outbox };
}

/**
 * Return the participants with the names that their messages bring.
 *
 * The server learns the name of a user from the user's token: a member who has never connected has none.
 */
function withNames(participants, messages, me) {
  const named = new Map(messages.filter(({ sender }) => sender.name).map(({ sender }) => [sender._id, sender]));
  named.delete(me?.id);
  const isNews = ({ _id, name }) => named.has(_id) && named.get(_id).name !== name;
  if (!participants.some(isNews)) return participants;
  return participants.map((person) => (isNews(person) ? { ...person, ...named.get(person._id) } : person));
}

function messagesReceived(state, { conversationId, messages }) {
  const merge = (conversation) => {
    const typing = { ...conversation.typing };
    for (const message of messages) delete typing[message.sender._id];
    const participants = withNames(conversation.participants, messages, state.me);
    return messages.reduce(advanceRevision, { ...mergeMessages(conversation, messages), typing, participants });
  };
  return withoutStored(withConversation(state, conversationId, merge), messages);
}

/** Load a page before the loaded messages, or the first page; `newer` is set if that is not the newest one. */
function pageLoaded(state, { conversationId, messages, nextCursor, newer = null }) {
  const load = (c) => {
    const first = c.history === "loading";
    const from = nextCursor ? messages[0].seq : 0;
    const floor = first ? from : Math.min(c.floor, from);
    const older = !first && floor === c.floor ? c.older : nextCursor;
    const page = { ...c, floor, older, newer: first ? newer : c.newer, history: "ready" };
    return mergeWaiting(mergeMessages(page, messages));
  };
  return withoutStored(withConversation(state, conversationId, load), messages);
}

/** Load a page after the loaded messages. */
function newerPageLoaded(state, { conversationId, messages, nextCursor }) {
  const load = (c) => mergeWaiting(mergeMessages({ ...c, newer: nextCursor }, messages));
  return withoutStored(withConversation(state, conversationId, load), messages);
}

/** Load the newest page in place of a part of the history that ends before it. */
function endLoaded(state, { conversationId, messages, nextCursor }) {
  const load = (c) => {
    if (!c.newer) return c;
    const floor = nextCursor ? messages[0].seq : 0;
    return mergeWaiting(mergeMessages({ ...c, messages: [], floor, older: nextCursor, newer: null }, messages));
  };
  return withoutStored(withConversation(state, conversationId, load), messages);
}

/** Take in the changes that `sync` has answered; with `more`, another request follows. */
function synced(state, { conversationId, rev, epoch = 0, messages, tooFar, more }) {
  if (more) {
    const merge = (c) => ({ ...mergeMessages(c, messages), rev, epoch });
    return withoutStored(withConversation(state, conversationId, merge), messages);
  }
  const caughtUp = (c) => advanceRevision({ ...c, synced: true, rev, epoch, ahead: NOTHING }, c.ahead);
  if (tooFar) {
    // The stored history may be another one, with fewer messages: keep no number of the old one.
    const forget = (c) => ({ ...caughtUp(c), ...FORGOTTEN, history: "none" });
    return withConversation(state, conversationId, forget);
  }
  const merge = (c) => caughtUp(mergeMessages(c, messages));
  return withoutStored(withConversation(state, conversationId, merge), messages);
}

function joined(state, { conversationId, rev, epoch = 0 }) {
  return withConversation(state, conversationId, (c) =>
    // Without a history there is nothing to sync.
    c.history === "none" ? { ...c, joined: true, synced: true, rev, epoch, ahead: NOTHING } : { ...c, joined: true },
  );
}

function receiptReceived(state, { conversationId, userId, seq, kind }) {
  const mark = { userId, readSeq: kind === "read" ? seq : 0, deliveredSeq: kind === "read" ? 0 : seq };
  return receiptsLoaded(state, { conversationId, receipts: [mark] });
}

function receiptsLoaded(state, { conversationId, receipts }) {
  return withConversation(state, conversationId, (conversation) =>
    receipts.reduce((c, receipt) => withReceipt(c, receipt, state.me), conversation),
  );
}

function withReceipt(c, { userId, readSeq, deliveredSeq }, me) {
  if (userId === me?.id) return { ...c, readSeq: Math.max(c.readSeq, readSeq) };
  const before = c.marks[userId] ?? { read: 0, delivered: 0 };
  const mark = {
    read: Math.max(before.read, readSeq),
    delivered: Math.max(before.delivered, deliveredSeq, readSeq),
  };
  return {
    ...c,
    marks: { ...c.marks, [userId]: mark },
    readUpTo: Math.max(c.readUpTo, readSeq),
    deliveredUpTo: Math.max(c.deliveredUpTo, deliveredSeq),
  };
}

export const HISTORY_EVENTS = {
  joined,
  synced,
  // A first page that is not the newest one would leave a gap below messages that arrive meanwhile.
  historyRequested: (state, { conversationId, isNewest = true }) =>
    withConversation(state, conversationId, (c) => ({
      ...c,
      history: "loading",
      messages: [],
      newer: null,
      floor: isNewest ? c.lastSeq + 1 : Infinity,
      changed: {},
    })),
  historyFailed: (state, { conversationId }) =>
    withConversation(state, conversationId, (c) => ({ ...c, history: "none", messages: [] })),
  pageLoaded,
  newerPageLoaded,
  endLoaded,
  messagesReceived,
  messageDeleted: (state, event) =>
    withConversation(state, event.conversationId, (c) => advanceRevision(markDeleted(c, event), event)),
  receiptReceived,
  receiptsLoaded,
};
