// What one sends, until it is known to be stored.

import assert from "node:assert/strict";
import { test } from "node:test";

import { confirmedMessage, due } from "../../../gateway/src/parley/gateway/web/state/outbox.js";
import { timelineOf } from "../../../gateway/src/parley/gateway/web/state/selectors.js";
import { reduce } from "../../../gateway/src/parley/gateway/web/state/store.js";
import { after, ALICE, BOB, c, compose, heard, ready, said, seqs } from "./given.mjs";

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
