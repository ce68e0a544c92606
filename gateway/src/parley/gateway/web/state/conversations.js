/** What happens to conversations: they come and go, are joined and synced, paged, heard and read. */

import { advance, bury, place } from "./timeline.js";

const FRESH = {
  lastSeq: 0,
  messages: [],
  history: "none", // loading | ready
  older: null, // the cursor of the page before the first message
  floor: 0, // the number from which on the page holds every message
  changed: {}, // by id, what was heard of messages that the page does not hold yet
  rev: 0, // the revision up to which it knows every change
  ahead: 0, // the newest revision heard since it lost touch
  joined: false,
  synced: false,
  readUpTo: 0,
  deliveredUpTo: 0,
  typing: {}, // user id -> name
};

/** A conversation as the server shows it; what was heard meanwhile may be newer. */
function shown(raw, known = FRESH) {
  const { unreadCount = 0, rev: theirs = 0, ...rest } = raw;
  const fresh = { ...FRESH, ...known, ...rest, unread: unreadCount };
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
  for (const raw of raws) conversations[raw._id] = shown(raw, conversations[raw._id]);
  return { ...state, conversations };
}

function without(state, id) {
  const { [id]: _gone, ...conversations } = state.conversations;
  return { ...state, conversations, open: state.open === id ? null : state.open };
}

/** The state without outbox entries of messages that are known to be stored. */
function delivered(state, messages) {
  const names = new Set(
    messages.filter((m) => m.sender._id === state.me?.id && m.seq).map((m) => m.clientMessageId),
  );
  const outbox = state.outbox.filter((entry) => !names.has(entry.clientMessageId));
  return outbox.length === state.outbox.length ? state : { ...state, outbox };
}

function heard(state, { conversationId, messages }) {
  const put = (conversation) => {
    const typing = { ...conversation.typing };
    for (const message of messages) delete typing[message.sender._id];
    const rev = Math.max(0, ...messages.map((message) => message.rev ?? 0));
    return advance({ ...place(conversation, messages), typing }, rev);
  };
  return delivered(withConversation(state, conversationId, put), messages);
}

function pageRead(state, { conversationId, messages, nextCursor }) {
  const read = (c) => {
    const first = c.history === "loading";
    const from = nextCursor ? messages[0].seq : 0;
    const floor = first ? from : Math.min(c.floor, from);
    const older = !first && floor === c.floor ? c.older : nextCursor;
    return place({ ...c, floor, older, history: "ready" }, messages);
  };
  return delivered(withConversation(state, conversationId, read), messages);
}

function synced(state, { conversationId, rev, messages, tooFar }) {
  const caughtUp = (c) => ({ ...c, synced: true, rev: Math.max(rev, c.ahead), ahead: 0 });
  if (tooFar) {
    const forget = (c) => ({ ...caughtUp(c), messages: [], history: "none", older: null });
    return withConversation(state, conversationId, forget);
  }
  const put = (c) => caughtUp(place(c, messages));
  return delivered(withConversation(state, conversationId, put), messages);
}

function joined(state, { conversationId, rev }) {
  return withConversation(state, conversationId, (c) =>
    // Without a history there is nothing to catch up with.
    c.history === "none" ? { ...c, joined: true, synced: true, rev, ahead: 0 } : { ...c, joined: true },
  );
}

function receipt(state, { conversationId, userId, seq, kind }) {
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

/** A list read from the start is the whole truth about what is in it, not about what is not. */
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
  conversation: (state, { conversation }) => upserted(state, [conversation]),
  conversationGone: (state, { conversationId }) => without(state, conversationId),
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
  pageRead,
  heard,
  deleted: (state, event) =>
    withConversation(state, event.conversationId, (c) => advance(bury(c, event), event.rev)),
  receipt,
  unread: (state, { conversationId, unread }) =>
    withConversation(state, conversationId, (c) => ({ ...c, unread })),
  participantsAdded,
  participantRemoved,
};
