// The state of conversations and participants, and the store.

import assert from "node:assert/strict";
import { test } from "node:test";

import {
  avatarOf,
  byActivity,
  firstUnread,
  looksSame,
  previewOf,
  titleOf,
  typingLine,
  unreadTotal,
} from "../../../gateway/src/parley/gateway/web/state/selectors.js";
import { INITIAL, reduce, Store } from "../../../gateway/src/parley/gateway/web/state/store.js";
import { after, ALICE, BOB, c, compose, conversation, ME, message, ready, received, signedIn } from "./fixtures.mjs";

test("an unknown event throws", () => {
  assert.throws(() => reduce(INITIAL, { type: "nonsense" }), /unknown event: nonsense/);
});

test("the reducer does not change the previous state", () => {
  const frozen = structuredClone(ready);
  after(ready, received(message(1)), compose("x"), { type: "disconnected" });
  assert.deepEqual(ready, frozen);
});

test("a typing indicator ends with an event, a message or a disconnect", () => {
  const typing = reduce(ready, { type: "typingChanged", conversationId: "c", userId: "bob", name: "Bob" });
  assert.equal(typingLine(c(typing)), "Bob is typing…");
  const stops = [
    { type: "typingChanged", conversationId: "c", userId: "bob" },
    received(message(1)),
    { type: "disconnected" },
  ];
  for (const stop of stops) assert.equal(typingLine(c(reduce(typing, stop))), "");
});

test("the avatar of a direct conversation shows presence", () => {
  const direct = after(
    signedIn,
    { type: "conversationLoaded", conversation: conversation({ type: "direct", name: "" }) },
    { type: "onlineUsersLoaded", users: ["alice", "bob"] },
  );
  assert.deepEqual(avatarOf(c(direct), direct), { name: "Bob", id: "bob", online: true });
  const lost = reduce(direct, { type: "disconnected" });
  assert.equal(avatarOf(c(lost), lost).online, undefined);
  const gone = reduce(direct, { type: "presenceChanged", userId: "bob", online: false });
  assert.equal(avatarOf(c(gone), gone).online, false);
  assert.equal(titleOf(c(gone), ME), "Bob");
});

test("participants are added and removed, and a removed user loses the conversation", () => {
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

test("conversations are sorted by activity and unread counts add up", () => {
  const state = after(signedIn, {
    type: "listed",
    nextCursor: null,
    conversations: [
      conversation({ unreadCount: 2 }),
      conversation({ _id: "d", lastActivityAt: "2026-02-01T00:00:00.000Z", unreadCount: 1 }),
    ],
  });
  assert.deepEqual(
    byActivity(state).map((one) => one._id),
    ["d", "c"],
  );
  assert.equal(unreadTotal(state), 3);
});

test("the first unread message is never the user's own, and never a deleted one", () => {
  const gone = message(2, BOB, { deletedAt: "2026-01-01T11:00:00.000Z" });
  const state = after(ready, received(message(1), gone, message(3, ALICE), message(4)));
  const read = (seq) => ({ type: "receiptReceived", conversationId: "c", kind: "read", userId: "alice", seq });
  assert.equal(firstUnread(c(state), ME), 1);
  assert.equal(firstUnread(c(reduce(state, read(1))), ME), 4);
  assert.equal(firstUnread(c(reduce(state, read(4))), ME), 0);
});

test("the list distinguishes a file without text from a deleted message", () => {
  const file = after(ready, received(message(1, BOB, { type: "file", content: "" })));
  assert.equal(previewOf(c(file), ME), "Bob: A file");
  const deletion = {
    type: "messageDeleted",
    conversationId: "c",
    messageId: "m1",
    rev: 2,
    deletedAt: "2026-01-01T11:00:00.000Z",
  };
  assert.equal(previewOf(c(reduce(file, deletion)), ME), "Bob: Message deleted");
});

test("signing out resets everything but the reason", () => {
  const out = reduce(ready, { type: "signedOut", notice: "Your token has expired." });
  assert.deepEqual(out, { ...INITIAL, notice: "Your token has expired." });
  assert.equal(reduce(out, { type: "disconnected" }), out);
});

test("listeners are notified of changes only, until they unsubscribe", () => {
  const store = new Store();
  const states = [];
  const unsubscribe = store.subscribe((state) => states.push(state.toast?.text));
  store.dispatch({ type: "toastShown", text: "hello" });
  store.dispatch({ type: "toastExpired", id: 99 });
  unsubscribe();
  store.dispatch({ type: "toastShown", text: "again" });
  assert.deepEqual(states, ["hello"]);
});

test("a message that has been read leaves a state that looks as before, but its count does not", () => {
  const shown = reduce(after(ready, received(message(1, BOB))), { type: "opened", conversationId: "c" });
  const counted = (unread) => ({ type: "unreadChanged", conversationId: "c", unread });
  const read = { type: "receiptReceived", conversationId: "c", userId: ME.id, seq: 1, kind: "read" };
  assert.equal(looksSame(shown, reduce(shown, counted(1))), false);
  assert.equal(looksSame(shown, after(shown, counted(1), read, counted(0))), true);
  assert.equal(looksSame(shown, reduce(shown, { ...read, userId: BOB._id })), false);
  assert.equal(looksSame(shown, after(shown, received(message(2, BOB)))), false);
  assert.equal(looksSame(shown, reduce(shown, { type: "opened", conversationId: null })), false);
});

test("a participant's name is learned from the messages that the participant sends", () => {
  const nameless = { ...BOB, name: "", username: "" };
  const raw = conversation({ participants: [ALICE, nameless] });
  const before = reduce(ready, { type: "conversationLoaded", conversation: raw });
  const other = { _id: "alice", name: "Another" };
  const state = after(before, received(message(1, { _id: "bob", name: "Bob", username: "bob" }), message(2, other)));
  assert.deepEqual(c(state).participants, [ALICE, BOB]);
  assert.equal(c(after(state, received(message(3, BOB)))).participants, c(state).participants);
});
