/** Events of conversations: the connection, the list, unread counts, participants. */

import { NOTHING, withConversation } from "./history.js";
import { failAll } from "./outbox.js";
import { countOf, titleOf } from "./selectors.js";

const INITIAL = {
  lastSeq: 0,
  messages: [],
  history: "none", // loading | ready
  older: null, // the cursor of the page before the first message
  newer: null, // the number of the last loaded message, if later ones are not loaded
  floor: 0, // every message from this number on is loaded, up to `newer`
  changed: {}, // by id, received changes of messages that are not loaded yet
  rev: 0, // every change up to this revision is known
  epoch: 0, // the epoch of `rev`: another one at the same revision means another history
  ahead: NOTHING, // the newest revision received since the last disconnect
  joined: false,
  synced: false,
  readSeq: 0, // the user has read all messages up to this number
  readUpTo: 0, // another participant has
  deliveredUpTo: 0,
  marks: {}, // user id -> {read, delivered} of the other participants, as far as known
  typing: {}, // user id -> name
};

/** Merge a conversation from the server. Events received meanwhile may be newer than it. */
function merged(raw, known = INITIAL) {
  const { unreadCount = 0, rev: theirs = 0, ...rest } = raw;
  const readSeq = Math.max(known.readSeq, raw.readSeq ?? 0);
  const fresh = { ...INITIAL, ...known, ...rest, readSeq, unread: unreadCount };
  const isOlder = known.lastSeq > fresh.lastSeq || (known.synced && known.rev > theirs);
  if (!isOlder) return fresh;
  const { lastSeq, lastMessage, lastActivityAt, unread } = known;
  return { ...fresh, lastSeq, lastMessage, lastActivityAt, unread };
}

function withAll(state, change) {
  const entries = Object.entries(state.conversations).map(([id, c]) => [id, change(c)]);
  return { ...state, conversations: Object.fromEntries(entries) };
}

function upserted(state, raws) {
  const conversations = { ...state.conversations };
  const gone = { ...state.gone };
  for (const raw of raws) {
    conversations[raw._id] = merged(raw, conversations[raw._id]);
    delete gone[raw._id];
  }
  return { ...state, conversations, gone };
}

const NO_MEMBER = "You are no longer in this conversation.";

/** Remove a conversation. What waits for it stays in the outbox; `isOwnWish` if the user has left it. */
function without(state, id, isOwnWish = false) {
  const { [id]: gone, ...conversations } = state.conversations;
  const isOpen = state.open === id;
  const left = isOpen && !isOwnWish ? { conversationId: id, title: gone ? titleOf(gone, state.me) : "" } : state.left;
  const removed = { ...state, conversations, left, open: isOpen ? null : state.open };
  return failAll({ ...removed, gone: { ...state.gone, [id]: true } }, id, NO_MEMBER);
}

function participantsAdded(state, { conversationId, participants }) {
  return withConversation(state, conversationId, (c) => {
    const known = new Set(c.participants.map((person) => person._id));
    const fresh = participants.filter((person) => !known.has(person._id));
    const all = [...c.participants, ...fresh.map((p) => ({ role: "member", ...p }))];
    return { ...c, participants: all, participantCount: countOf(c) + fresh.length };
  });
}

function participantRemoved(state, { conversationId, userId, removedBy, newOwner }) {
  if (userId === state.me?.id) return without(state, conversationId, removedBy === userId);
  return withConversation(state, conversationId, (c) => ({
    ...c,
    participantCount: countOf(c) - 1,
    participants: c.participants
      .filter((person) => person._id !== userId)
      .map((person) => (person._id === newOwner ? { ...person, role: "owner" } : person)),
    marks: Object.fromEntries(Object.entries(c.marks).filter(([id]) => id !== userId)),
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
      ? withAll({ ...state, connection: "reconnecting", online: {} }, (c) => ({
          ...c,
          joined: false,
          synced: false,
          typing: {},
        }))
      : state,
  listed,
  conversationLoaded: (state, { conversation }) => upserted(state, [conversation]),
  conversationRemoved: (state, { conversationId, isOwnWish }) => without(state, conversationId, isOwnWish),
  opened: (state, { conversationId }) => ({ ...state, open: conversationId, left: null }),
  unreadChanged: (state, { conversationId, unread }) =>
    withConversation(state, conversationId, (c) => ({ ...c, unread })),
  participantsAdded,
  participantRemoved,
};
