/** Events of conversations: the list, rooms, syncs, history pages, messages, receipts, participants. */

import { advanceRevision, markDeleted, mergeMessages } from "./timeline.js";

const NOTHING = { rev: 0, epoch: 0 };

const INITIAL = {
  lastSeq: 0,
  messages: [],
  history: "none", // loading | ready
  older: null, // the cursor of the page before the first message
  floor: 0, // every message from this number on is loaded
  changed: {}, // by id, received changes of messages that are not loaded yet
  rev: 0, // every change up to this revision is known
  epoch: 0, // the epoch of `rev`: another one at the same revision means another history
  ahead: NOTHING, // the newest revision received since the last disconnect
  joined: false,
  synced: false,
  readUpTo: 0,
  deliveredUpTo: 0,
  typing: {}, // user id -> name
};

const FORGOTTEN = {
  lastSeq: 0,
  lastMessage: null,
  messages: [],
  older: null,
  changed: {},
  readUpTo: 0,
  deliveredUpTo: 0,
};

/** Merge a conversation from the server. Events received meanwhile may be newer than it. */
function merged(raw, known = INITIAL) {
  const { unreadCount = 0, rev: theirs = 0, ...rest } = raw;
  const fresh = { ...INITIAL, ...known, ...rest, unread: unreadCount };
  const isOlder = known.lastSeq > fresh.lastSeq || (known.synced && known.rev > theirs);
  if (!isOlder) return fresh;
  const { lastSeq, lastMessage, lastActivityAt, unread } = known;
  return { ...fresh, lastSeq, lastMessage, lastActivityAt, unread };
}

function withConversation(state, id, change) {
  const found = state.conversations[id];
  if (!found) return state;
  return { ...state, conversations: { ...state.conversations, [id]: change(found) } };
}

function withAll(state, change) {
  const entries = Object.entries(state.conversations).map(([id, c]) => [id, change(c)]);
  return { ...state, conversations: Object.fromEntries(entries) };
}

function upserted(state, raws) {
  const conversations = { ...state.conversations };
  for (const raw of raws) conversations[raw._id] = merged(raw, conversations[raw._id]);
  return { ...state, conversations };
}

function without(state, id) {
  const { [id]: _gone, ...conversations } = state.conversations;
  return { ...state, conversations, open: state.open === id ? null : state.open };
}

/** Remove the outbox entries of messages that are stored. */
function withoutStored(state, messages) {
  const names = new Set(
    messages.filter((m) => m.sender._id === state.me?.id && m.seq).map((m) => m.clientMessageId),
  );
  const outbox = state.outbox.filter((entry) => !names.has(entry.clientMessageId));
  return outbox.length === state.outbox.length ? state : { ...state, outbox };
}

function messagesReceived(state, { conversationId, messages }) {
  const merge = (conversation) => {
    const typing = { ...conversation.typing };
    for (const message of messages) delete typing[message.sender._id];
    return messages.reduce(advanceRevision, { ...mergeMessages(conversation, messages), typing });
  };
  return withoutStored(withConversation(state, conversationId, merge), messages);
}

function pageLoaded(state, { conversationId, messages, nextCursor }) {
  const load = (c) => {
    const first = c.history === "loading";
    const from = nextCursor ? messages[0].seq : 0;
    const floor = first ? from : Math.min(c.floor, from);
    const older = !first && floor === c.floor ? c.older : nextCursor;
    return mergeMessages({ ...c, floor, older, history: "ready" }, messages);
  };
  return withoutStored(withConversation(state, conversationId, load), messages);
}

function synced(state, { conversationId, rev, epoch = 0, messages, tooFar }) {
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
  if (userId === state.me?.id) return state;
  const mark = kind === "read" ? "readUpTo" : "deliveredUpTo";
  return withConversation(state, conversationId, (c) => ({ ...c, [mark]: Math.max(c[mark], seq) }));
}

function participantsAdded(state, { conversationId, participants }) {
  return withConversation(state, conversationId, (c) => {
    const known = new Set(c.participants.map((person) => person._id));
    const fresh = participants.filter((person) => !known.has(person._id));
    return { ...c, participants: [...c.participants, ...fresh.map((p) => ({ role: "member", ...p }))] };
  });
}

function participantRemoved(state, { conversationId, userId, newOwner }) {
  if (userId === state.me?.id) return without(state, conversationId);
  return withConversation(state, conversationId, (c) => ({
    ...c,
    participants: c.participants
      .filter((person) => person._id !== userId)
      .map((person) => (person._id === newOwner ? { ...person, role: "owner" } : person)),
    typing: Object.fromEntries(Object.entries(c.typing).filter(([id]) => id !== userId)),
  }));
}

/** Merge a page of the list. Reloading the first page keeps the cursor of the last loaded one. */
const listed = (state, { conversations, nextCursor, first }) => ({
  ...upserted(state, conversations),
  listed: true,
  older: first && state.listed ? state.older : nextCursor,
});

export const CONVERSATION_EVENTS = {
  connected: (state) => ({ ...state, connection: "connected" }),
  disconnected: (state) =>
    state.me
      ? withAll({ ...state, connection: "reconnecting" }, (c) => ({
          ...c,
          joined: false,
          synced: false,
          typing: {},
        }))
      : state,
  listed,
  conversationLoaded: (state, { conversation }) => upserted(state, [conversation]),
  conversationRemoved: (state, { conversationId }) => without(state, conversationId),
  opened: (state, { conversationId }) => ({ ...state, open: conversationId }),
  joined,
  synced,
  historyRequested: (state, { conversationId }) =>
    withConversation(state, conversationId, (c) => ({
      ...c,
      history: "loading",
      floor: c.lastSeq + 1,
      changed: {},
    })),
  historyFailed: (state, { conversationId }) =>
    withConversation(state, conversationId, (c) => ({ ...c, history: "none", messages: [] })),
  pageLoaded,
  messagesReceived,
  messageDeleted: (state, event) =>
    withConversation(state, event.conversationId, (c) => advanceRevision(markDeleted(c, event), event)),
  receiptReceived,
  unreadChanged: (state, { conversationId, unread }) =>
    withConversation(state, conversationId, (c) => ({ ...c, unread })),
  participantsAdded,
  participantRemoved,
};
