// The outbox: sends until they are confirmed.

import assert from "node:assert/strict";
import { test } from "node:test";

import { confirmedMessage, due, lostEntries } from "../../../gateway/src/parley/gateway/web/state/outbox.js";
import { audienceOf, timelineOf } from "../../../gateway/src/parley/gateway/web/state/entries.js";
import { reduce } from "../../../gateway/src/parley/gateway/web/state/store.js";
import { after, ALICE, BOB, c, compose, conversation, message, ready, received, seqs } from "./fixtures.mjs";

test("a sent message shows at once and is replaced by the stored one", () => {
  const going = reduce(ready, compose("one"));
  assert.deepEqual(
    timelineOf(going, c(going)).map((e) => [e.key, e.status]),
    [["one", "sending"]],
  );
  const stored = reduce(going, received(message(1, ALICE, { clientMessageId: "one" })));
  assert.deepEqual(
    timelineOf(stored, c(stored)).map((e) => [e.key, e.status]),
    [["one", "sent"]],
  );
  assert.deepEqual(stored.outbox, []);
});

test("a confirmation turns an outbox entry into the stored message", () => {
  const going = reduce(ready, compose("one"));
  const confirmed = confirmedMessage(going, { clientMessageId: "one", messageId: "m1", seq: 1, rev: 1 });
  const stored = reduce(going, received(confirmed));
  assert.deepEqual([seqs(stored), c(stored).messages[0].content, stored.outbox], [[1], "one", []]);
  assert.equal(confirmedMessage(stored, { clientMessageId: "one", messageId: "m1", seq: 1, rev: 1 }), null);
});

test("a message keeps its files, on its way and once it is confirmed", () => {
  const files = [{ id: "f", name: "notes.txt", size: 5 }];
  const going = reduce(ready, { ...compose("one"), attachments: files });
  assert.deepEqual(timelineOf(going, c(going))[0].attachments, files);
  const confirmed = confirmedMessage(going, { clientMessageId: "one", messageId: "m1", seq: 1, rev: 1 });
  assert.deepEqual(confirmed.attachments, files);
});

test("another user's message with the same clientMessageId leaves the outbox unchanged", () => {
  const state = after(ready, compose("one"), received(message(1, BOB, { clientMessageId: "one" })));
  assert.equal(state.outbox.length, 1);
});

test("each conversation has one send in flight, in the order of writing", () => {
  const state = after(ready, compose("a1"), compose("a2"), compose("b1", "other"));
  const names = (s, now = 0) => due(s, now).map((entry) => entry.clientMessageId);
  assert.deepEqual(names(state), ["a1", "b1"]);
  assert.deepEqual(names(after(state, { type: "sendStarted", clientMessageId: "a1" })), ["b1"]);
  assert.deepEqual(names(after(state, { type: "sendAccepted", clientMessageId: "a1", now: 0 })), [
    "a2",
    "b1",
  ]);
});

test("a deferred send blocks later ones until it is due", () => {
  const state = after(ready, compose("a1"), compose("a2"), {
    type: "sendDeferred",
    clientMessageId: "a1",
    dueAt: 500,
  });
  assert.deepEqual(due(state, 499), []);
  assert.deepEqual(
    due(state, 500).map((entry) => entry.clientMessageId),
    ["a1"],
  );
});

test("a failed send blocks nothing, and can be retried or discarded", () => {
  const failed = after(ready, compose("a1"), compose("a2"), {
    type: "sendFailed",
    clientMessageId: "a1",
    error: "no",
  });
  assert.deepEqual(
    due(failed, 0).map((entry) => entry.clientMessageId),
    ["a2"],
  );
  assert.equal(reduce(failed, { type: "sendRetried", clientMessageId: "a1" }).outbox[0].state, "waiting");
  assert.equal(reduce(failed, { type: "sendDiscarded", clientMessageId: "a1" }).outbox.length, 1);
});

test("unconfirmed sends are retried after a reconnect under their clientMessageId", () => {
  const state = after(
    ready,
    compose("a1"),
    compose("a2"),
    compose("a3"),
    { type: "sendAccepted", clientMessageId: "a1", now: 0 },
    { type: "sendStarted", clientMessageId: "a2" },
    { type: "sendFailed", clientMessageId: "a3", error: "no" },
    { type: "sendsUnconfirmed" },
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

test("only sends accepted long ago and never confirmed are retried", () => {
  const state = after(
    ready,
    compose("a1"),
    compose("a2"),
    { type: "sendAccepted", clientMessageId: "a1", now: 10 },
    { type: "sendStarted", clientMessageId: "a2" },
    { type: "sendsUnconfirmed", acceptedBefore: 11 },
  );
  assert.deepEqual(
    state.outbox.map((e) => e.state),
    ["waiting", "sending"],
  );
});

test("statuses follow the receipts of others, never the user's own, and never regress", () => {
  const mark = (kind, userId, seq) => ({ type: "receiptReceived", conversationId: "c", kind, userId, seq });
  const ticks = (state) => timelineOf(state, c(state)).map((entry) => entry.status);
  const two = after(ready, received(message(1, ALICE), message(2, ALICE)));
  assert.deepEqual(ticks(reduce(two, mark("read", "alice", 2))), ["sent", "sent"]);
  const further = after(two, mark("delivered", "bob", 2), mark("read", "bob", 1));
  assert.deepEqual(ticks(further), ["read", "delivered"]);
  assert.deepEqual(ticks(after(further, received(message(1, ALICE, { rev: 5 })))), ["read", "delivered"]);
});

test("what waits for a conversation that the user is removed from is kept as not sent", () => {
  const removal = { type: "participantRemoved", conversationId: "c", userId: "alice", removedBy: "bob" };
  const removed = after(ready, { type: "opened", conversationId: "c" }, compose("one"), removal);
  assert.deepEqual(
    lostEntries(removed).map((entry) => [entry.content, entry.state, entry.error]),
    [["one", "failed", "You are no longer in this conversation."]],
  );
  assert.deepEqual(removed.left, { conversationId: "c", title: "A group" });
  const again = reduce(removed, { type: "conversationLoaded", conversation: conversation() });
  assert.deepEqual([lostEntries(again), again.outbox.length], [[], 1]);
});

test("the readers of a message are those who have read up to it", () => {
  const read = (userId, seq) => ({ type: "receiptReceived", conversationId: "c", kind: "read", userId, seq });
  const state = after(ready, received(message(1, ALICE), message(2, ALICE)), read("bob", 2), read("carol", 1));
  assert.deepEqual(
    timelineOf(state, c(state)).map((entry) => entry.readers),
    [2, 1],
  );
  const { readers, receivers } = audienceOf(c(after(state, read("carol", 2))), 2);
  assert.deepEqual([readers.map((one) => one._id), receivers], [["bob", "carol"], []]);
});

test("an entry that has not changed is the same object", () => {
  const state = after(ready, received(message(1), message(2, ALICE)));
  const grown = reduce(state, received(message(3)));
  const [before, now] = [timelineOf(state, c(state)), timelineOf(grown, c(grown))];
  assert.ok(before.every((entry, index) => entry === now[index]));
});
