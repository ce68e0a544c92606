// People, conversations and the store itself.

import assert from "node:assert/strict";
import { test } from "node:test";

import {
  faceOf,
  firstUnread,
  ordered,
  previewOf,
  titleOf,
  typingLine,
  unreadTotal,
} from "../../../gateway/src/parley/gateway/web/state/selectors.js";
import { INITIAL, reduce, Store } from "../../../gateway/src/parley/gateway/web/state/store.js";
import { after, ALICE, BOB, c, compose, conversation, heard, ME, ready, said, signedIn } from "./given.mjs";

test("an event that does not exist is refused", () => {
  assert.throws(() => reduce(INITIAL, { type: "nonsense" }), /no event nonsense/);
});

test("the state that came before is left as it was", () => {
  const frozen = structuredClone(ready);
  after(ready, heard(said(1)), compose("x"), { type: "disconnected" });
  assert.deepEqual(ready, frozen);
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

test("the list tells a file without words from a message that was deleted", () => {
  const file = after(ready, heard(said(1, BOB, { type: "file", content: "" })));
  assert.equal(previewOf(c(file), ME), "Bob: A file");
  const gone = { type: "deleted", conversationId: "c", messageId: "m1", rev: 2, deletedAt: "2026-01-01T11:00:00.000Z" };
  assert.equal(previewOf(c(reduce(file, gone)), ME), "Bob: Message deleted");
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
