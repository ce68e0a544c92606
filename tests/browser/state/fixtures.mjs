// Fixtures of the state tests: Alice shares a group with Bob.

import { INITIAL, reduce } from "../../../gateway/src/parley/gateway/web/state/store.js";

export const ALICE = { _id: "alice", name: "Alice", username: "alice", role: "owner" };
export const BOB = { _id: "bob", name: "Bob", username: "bob", role: "member" };
export const ME = { id: "alice", name: "Alice", expiresAt: 0 };

/** Return the state after some events. */
export const after = (state, ...events) => events.reduce(reduce, state);
/** Return message number `seq`. */
export const message = (seq, sender = BOB, more = {}) => ({
  _id: `m${seq}`,
  conversationId: "c",
  sender,
  content: `message ${seq}`,
  status: "sent",
  createdAt: `2026-01-01T10:00:${String(seq).padStart(2, "0")}.000Z`,
  seq,
  rev: seq,
  ...more,
});
export const conversation = (more = {}) => ({
  _id: "c",
  type: "group",
  name: "A group",
  participants: [ALICE, BOB],
  participantCount: 2,
  lastSeq: 0,
  rev: 9,
  unreadCount: 0,
  lastActivityAt: "2026-01-01T10:00:00.000Z",
  ...more,
});
export const received = (...messages) => ({ type: "messagesReceived", conversationId: "c", messages });
export const page = (nextCursor, ...messages) => ({
  type: "pageLoaded",
  conversationId: "c",
  messages,
  nextCursor,
});
export const compose = (name, conversationId = "c") => ({
  type: "composed",
  clientMessageId: name,
  conversationId,
  content: name,
  createdAt: "2026-01-01T10:01:00.000Z",
});

export const signedIn = reduce(INITIAL, { type: "signedIn", me: ME });
export const listed = after(signedIn, {
  type: "listed",
  conversations: [conversation()],
  nextCursor: null,
  first: true,
});
export const joined = reduce(listed, { type: "joined", conversationId: "c", rev: 0 });
export const loading = reduce(joined, { type: "historyRequested", conversationId: "c" });
export const ready = reduce(loading, page(null));
export const c = (state) => state.conversations.c;
/** Return the numbers of the loaded messages. */
export const seqs = (state) => c(state).messages.map((m) => m.seq);
