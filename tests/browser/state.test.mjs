// How the chat page's state follows what happens: run by test_state.py.

import assert from "node:assert/strict";
import { test } from "node:test";

import { confirmedMessage, due } from "../../gateway/src/gateway/web/state/outbox.js";
import {
  faceOf,
  firstUnread,
  ordered,
  previewOf,
  timelineOf,
  titleOf,
  typingLine,
  unreadTotal,
} from "../../gateway/src/gateway/web/state/selectors.js";
import { INITIAL, reduce, Store } from "../../gateway/src/gateway/web/state/store.js";

const ALICE = { _id: "alice", name: "Alice", username: "alice", role: "owner" };
const BOB = { _id: "bob", name: "Bob", username: "bob", role: "member" };
const ME = { id: "alice", name: "Alice", expiresAt: 0 };

const after = (state, ...events) => events.reduce(reduce, state);
const said = (seq, sender = BOB, more = {}) => ({
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
const conversation = (more = {}) => ({
  _id: "c",
  type: "group",
  name: "A group",
  participants: [ALICE, BOB],
  lastSeq: 0,
  rev: 9,
  unreadCount: 0,
  lastActivityAt: "2026-01-01T10:00:00.000Z",
  ...more,
});
const heard = (...messages) => ({ type: "heard", conversationId: "c", messages });
const page = (nextCursor, ...messages) => ({ type: "pageRead", conversationId: "c", messages, nextCursor });
const compose = (name, conversationId = "c") => ({
  type: "composed",
  clientMessageId: name,
  conversationId,
  content: name,
  createdAt: "2026-01-01T10:01:00.000Z",
});

const signedIn = reduce(INITIAL, { type: "signedIn", me: ME });
const listed = after(signedIn, {
  type: "listed",
  conversations: [conversation()],
  nextCursor: null,
  first: true,
});
const joined = reduce(listed, { type: "joined", conversationId: "c", rev: 0 });
const asked = reduce(joined, { type: "historyRequested", conversationId: "c" });
const ready = reduce(asked, page(null));
const c = (state) => state.conversations.c;
const seqs = (state) => c(state).messages.map((m) => m.seq);

test("an event that does not exist is refused", () => {
  assert.throws(() => reduce(INITIAL, { type: "nonsense" }), /no event nonsense/);
});

test("the state that came before is left as it was", () => {
  const frozen = structuredClone(ready);
  after(ready, heard(said(1)), compose("x"), { type: "disconnected" });
  assert.deepEqual(ready, frozen);
});

test("messages stand in the order of their numbers, whatever order they come in", () => {
  assert.deepEqual(seqs(after(ready, heard(said(3)), heard(said(1)), heard(said(2)))), [1, 2, 3]);
});

test("a message that comes twice is there once", () => {
  assert.deepEqual(seqs(after(ready, heard(said(1)), heard(said(1)), page(null, said(1)))), [1]);
});

test("an older revision does not overwrite a newer one", () => {
  const state = after(
    ready,
    heard(said(1, BOB, { rev: 5, content: "new" })),
    heard(said(1, BOB, { rev: 1 })),
  );
  assert.equal(c(state).messages[0].content, "new");
});

test("what is heard while the first page is read makes no hole", () => {
  const waiting = after(
    listed,
    { type: "conversation", conversation: conversation({ lastSeq: 80 }) },
    { type: "joined", conversationId: "c", rev: 80 },
    { type: "historyRequested", conversationId: "c" },
  );
  const state = after(
    waiting,
    heard(said(7, BOB, { rev: 81 })),
    heard(said(81, BOB, { rev: 82 })),
    page("79", said(79), said(80)),
  );
  assert.deepEqual(seqs(state), [79, 80, 81]);
});

test("an older page goes on top and moves the cursor", () => {
  const state = after(asked, page("5", said(5), said(6)), page("3", said(3), said(4)));
  assert.deepEqual([seqs(state), c(state).older], [[3, 4, 5, 6], "3"]);
  assert.equal(c(after(state, page(null, said(1), said(2)))).older, null);
});

test("reading the newest page again forgets nothing of what is above", () => {
  const state = after(asked, page("5", said(5)), page("3", said(3), said(4)), page("5", said(5), said(6)));
  assert.deepEqual([seqs(state), c(state).older], [[3, 4, 5, 6], "3"]);
});

test("without a history only the list's entry follows", () => {
  const state = after(joined, heard(said(4)));
  assert.deepEqual([seqs(state), c(state).lastMessage.content, c(state).lastSeq], [[], "message 4", 4]);
});

test("a list that is older than what was heard does not turn it back", () => {
  const state = after(ready, heard(said(4)), {
    type: "conversation",
    conversation: conversation({ lastSeq: 3 }),
  });
  assert.equal(c(state).lastMessage.seq, 4);
});

test("the revision that is held stands still from a disconnect until the sync", () => {
  const lost = after(
    ready,
    heard(said(1)),
    { type: "disconnected" },
    { type: "joined", conversationId: "c", rev: 4 },
  );
  const live = after(lost, heard(said(5)));
  assert.equal(c(live).rev, 1);
  const whole = after(live, {
    type: "synced",
    conversationId: "c",
    rev: 4,
    messages: [said(2), said(3), said(4)],
  });
  assert.deepEqual([seqs(whole), c(whole).rev, c(whole).synced], [[1, 2, 3, 4, 5], 5, true]);
});

test("after a first join there is nothing to sync", () => {
  assert.equal(c(joined).synced, true);
  assert.equal(c(after(joined, { type: "disconnected" })).synced, false);
});

test("when it is too far, the history is read anew", () => {
  const state = after(
    ready,
    heard(said(1)),
    { type: "disconnected" },
    { type: "synced", conversationId: "c", rev: 900, tooFar: true },
  );
  assert.deepEqual([seqs(state), c(state).history, c(state).rev], [[], "none", 900]);
});

test("a deleted message stays as a tombstone", () => {
  const state = after(ready, heard(said(1)), heard(said(2)), {
    type: "deleted",
    conversationId: "c",
    messageId: "m2",
    rev: 3,
    deletedAt: "2026-01-01T11:00:00.000Z",
  });
  assert.deepEqual([seqs(state), c(state).messages[1].content, c(state).rev], [[1, 2], "", 3]);
  assert.equal(previewOf(c(state), ME), "Bob: Message deleted");
});

test("a late old edit does not bring a deleted message back", () => {
  const state = after(
    ready,
    heard(said(1)),
    { type: "deleted", conversationId: "c", messageId: "m1", rev: 3, deletedAt: "2026-01-01T11:00:00.000Z" },
    heard(said(1, BOB, { rev: 2, content: "edited" })),
  );
  assert.ok(c(state).messages[0].deletedAt);
});

test("what one sends shows at once and becomes the stored message without a second one", () => {
  const going = reduce(ready, compose("one"));
  assert.deepEqual(
    timelineOf(going, c(going)).map((e) => [e.key, e.status]),
    [["one", "sending"]],
  );
  const stored = reduce(going, heard(said(1, ALICE, { clientMessageId: "one" })));
  assert.deepEqual(
    timelineOf(stored, c(stored)).map((e) => [e.key, e.status]),
    [["one", "sent"]],
  );
  assert.deepEqual(stored.outbox, []);
});

test("a confirmation alone makes the message out of what was sent", () => {
  const going = reduce(ready, compose("one"));
  const message = confirmedMessage(going, { clientMessageId: "one", messageId: "m1", seq: 1, rev: 1 });
  const stored = reduce(going, heard(message));
  assert.deepEqual([seqs(stored), c(stored).messages[0].content, stored.outbox], [[1], "one", []]);
  assert.equal(confirmedMessage(stored, { clientMessageId: "one", messageId: "m1", seq: 1, rev: 1 }), null);
});

test("somebody else's message with the same name is not taken for one's own", () => {
  const state = after(ready, compose("one"), heard(said(1, BOB, { clientMessageId: "one" })));
  assert.equal(state.outbox.length, 1);
});

test("of each conversation one send is under way, in the order of writing", () => {
  const state = after(ready, compose("a1"), compose("a2"), compose("b1", "other"));
  const names = (s, now = 0) => due(s, now).map((entry) => entry.clientMessageId);
  assert.deepEqual(names(state), ["a1", "b1"]);
  assert.deepEqual(names(after(state, { type: "sendStarted", clientMessageId: "a1" })), ["b1"]);
  assert.deepEqual(names(after(state, { type: "sendAccepted", clientMessageId: "a1", now: 0 })), [
    "a2",
    "b1",
  ]);
});

test("a send that was put off holds back the ones behind it until it is due", () => {
  const state = after(ready, compose("a1"), compose("a2"), {
    type: "sendPutOff",
    clientMessageId: "a1",
    dueAt: 500,
  });
  assert.deepEqual(due(state, 499), []);
  assert.deepEqual(
    due(state, 500).map((entry) => entry.clientMessageId),
    ["a1"],
  );
});

test("a send that failed holds nothing back, and can be tried again or dropped", () => {
  const failed = after(ready, compose("a1"), compose("a2"), {
    type: "sendFailed",
    clientMessageId: "a1",
    error: "no",
  });
  assert.deepEqual(
    due(failed, 0).map((entry) => entry.clientMessageId),
    ["a2"],
  );
  assert.equal(reduce(failed, { type: "sendAgain", clientMessageId: "a1" }).outbox[0].state, "waiting");
  assert.equal(reduce(failed, { type: "sendDropped", clientMessageId: "a1" }).outbox.length, 1);
});

test("after a reconnect everything unconfirmed is sent again under its own name", () => {
  const state = after(
    ready,
    compose("a1"),
    compose("a2"),
    compose("a3"),
    { type: "sendAccepted", clientMessageId: "a1", now: 0 },
    { type: "sendStarted", clientMessageId: "a2" },
    { type: "sendFailed", clientMessageId: "a3", error: "no" },
    { type: "sendsUncertain" },
  );
  assert.deepEqual(
    state.outbox.map((e) => [e.clientMessageId, e.state]),
    [
      ["a1", "waiting"],
      ["a2", "waiting"],
      ["a3", "failed"],
    ],
  );
});

test("what was accepted long ago and never confirmed is asked for again, and nothing else", () => {
  const state = after(
    ready,
    compose("a1"),
    compose("a2"),
    { type: "sendAccepted", clientMessageId: "a1", now: 10 },
    { type: "sendStarted", clientMessageId: "a2" },
    { type: "sendsUncertain", acceptedBefore: 11 },
  );
  assert.deepEqual(
    state.outbox.map((e) => e.state),
    ["waiting", "sending"],
  );
});

test("ticks follow the marks of others, never one's own, and never go back", () => {
  const mark = (kind, userId, seq) => ({ type: "receipt", conversationId: "c", kind, userId, seq });
  const ticks = (state) => timelineOf(state, c(state)).map((entry) => entry.status);
  const two = after(ready, heard(said(1, ALICE), said(2, ALICE)));
  assert.deepEqual(ticks(reduce(two, mark("read", "alice", 2))), ["sent", "sent"]);
  const further = after(two, mark("delivered", "bob", 2), mark("read", "bob", 1));
  assert.deepEqual(ticks(further), ["read", "delivered"]);
  assert.deepEqual(ticks(after(further, heard(said(1, ALICE, { rev: 5 })))), ["read", "delivered"]);
});

test("typing ends with a word, a message or a disconnect", () => {
  const typing = reduce(ready, { type: "typing", conversationId: "c", userId: "bob", name: "Bob" });
  assert.equal(typingLine(c(typing)), "Bob is typing…");
  const stops = [
    { type: "typing", conversationId: "c", userId: "bob" },
    heard(said(1)),
    { type: "disconnected" },
  ];
  for (const stop of stops) assert.equal(typingLine(c(reduce(typing, stop))), "");
});

test("presence shows on the face of a direct conversation", () => {
  const direct = after(
    signedIn,
    { type: "conversation", conversation: conversation({ type: "direct", name: "" }) },
    { type: "onlineUsers", users: ["alice", "bob"] },
  );
  assert.deepEqual(faceOf(c(direct), direct), { name: "Bob", id: "bob", online: true });
  const gone = reduce(direct, { type: "status", userId: "bob", online: false });
  assert.equal(faceOf(c(gone), gone).online, false);
  assert.equal(titleOf(c(gone), ME), "Bob");
});

test("people come and go, and being put out takes the conversation away", () => {
  const carol = { _id: "carol", name: "Carol" };
  const added = after(
    ready,
    { type: "opened", conversationId: "c" },
    { type: "participantsAdded", conversationId: "c", participants: [carol, BOB] },
  );
  assert.deepEqual(
    c(added).participants.map((p) => p._id),
    ["alice", "bob", "carol"],
  );
  const left = reduce(added, {
    type: "participantRemoved",
    conversationId: "c",
    userId: "alice",
    newOwner: "bob",
  });
  assert.deepEqual([left.conversations, left.open], [{}, null]);
  const without = reduce(added, {
    type: "participantRemoved",
    conversationId: "c",
    userId: "bob",
    newOwner: "carol",
  });
  assert.deepEqual(
    c(without).participants.map((p) => p.role),
    ["owner", "owner"],
  );
});

test("the liveliest conversation comes first and unread counts add up", () => {
  const state = after(signedIn, {
    type: "listed",
    nextCursor: null,
    conversations: [
      conversation({ unreadCount: 2 }),
      conversation({ _id: "d", lastActivityAt: "2026-02-01T00:00:00.000Z", unreadCount: 1 }),
    ],
  });
  assert.deepEqual(
    ordered(state).map((one) => one._id),
    ["d", "c"],
  );
  assert.equal(unreadTotal(state), 3);
});

test("the first unread message is found past one's own", () => {
  const state = after(ready, heard(said(1), said(2), said(3, ALICE), said(4)), {
    type: "unread",
    conversationId: "c",
    unread: 2,
  });
  assert.equal(firstUnread(c(state), ME), 2);
  assert.equal(firstUnread({ ...c(state), unread: 0 }, ME), 0);
});

test("signing out forgets everything but why", () => {
  const out = reduce(ready, { type: "signedOut", notice: "Your token has expired." });
  assert.deepEqual(out, { ...INITIAL, notice: "Your token has expired." });
  assert.equal(reduce(out, { type: "disconnected" }), out);
});

test("listeners hear of changes until they stop, and not of events that change nothing", () => {
  const store = new Store();
  const states = [];
  const stop = store.subscribe((state) => states.push(state.toast?.text));
  store.dispatch({ type: "said", text: "hello" });
  store.dispatch({ type: "toastOver", id: 99 });
  stop();
  store.dispatch({ type: "said", text: "again" });
  assert.deepEqual(states, ["hello"]);
});
