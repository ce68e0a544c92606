// The part of a thread that is in the document, and the pages around it.

import assert from "node:assert/strict";
import { test } from "node:test";

import { timelineOf } from "../../../gateway/src/parley/gateway/web/state/entries.js";
import { reduce } from "../../../gateway/src/parley/gateway/web/state/store.js";
import {
  around,
  atEnd,
  movedDown,
  movedUp,
  SIZE,
  SPARE,
  STEP,
  trimmed,
} from "../../../gateway/src/parley/gateway/web/state/thread-window.js";
import { after, BOB, c, compose, joined, message, received, seqs } from "./fixtures.mjs";

const long = (first, last, newer = null) => ({
  messages: Array.from({ length: last - first + 1 }, (_, index) => message(first + index)),
  newer,
});
const around100 = { type: "historyRequested", conversationId: "c", isNewest: false };
const page = (type, first, last, more) => ({
  type,
  conversationId: "c",
  messages: long(first, last).messages,
  ...more,
});
/** A history whose pages from 90 to 109 of more than 200 messages are loaded. */
const middle = after(joined, around100, page("pageLoaded", 90, 109, { nextCursor: "90", newer: "109" }));

test("a window at the end follows it and shows the outbox", () => {
  const state = after(joined, around100, page("pageLoaded", 1, 120, { nextCursor: null }), compose("x"));
  const shown = timelineOf(state, c(state), atEnd(c(state).messages));
  assert.deepEqual([shown.length, shown[0].seq, shown.at(-1).key], [STEP + 1, 71, "x"]);
});

test("a window moves through all messages and never grows beyond its bound", () => {
  const history = long(1, 1_000);
  let window = atEnd(history.messages);
  const size = () => Math.min(window.to, 1_000) - window.from + 1;
  while (window.from > 1) {
    window = movedUp(window, history);
    assert.ok(size() <= SIZE + STEP);
  }
  assert.ok(window.to < Infinity);
  while (window.to < Infinity) {
    window = movedDown(window, history);
    assert.ok(size() <= SIZE + STEP);
  }
  assert.equal(movedDown(window, history), window);
});

test("a window around a message has messages on both sides, and ends where they end", () => {
  assert.deepEqual(around(long(1, 1_000), 500), { from: 450, to: 550 });
  assert.deepEqual(around(long(1, 60), 30), { from: 1, to: Infinity });
  assert.deepEqual(around(long(1, 60, "60"), 30), { from: 1, to: 60 });
});

test("a window that follows the end drops what is far out of view, and one that is left behind stops following", () => {
  const history = long(1, SIZE + STEP + 1);
  const all = { from: 1, to: Infinity };
  assert.deepEqual(trimmed(all, history, { isFollowing: true, hasSpare: true }), { from: SPARE + 1, to: Infinity });
  assert.equal(trimmed(all, history, { isFollowing: true, hasSpare: false }), all);
  assert.deepEqual(trimmed(all, history, { isFollowing: false, hasSpare: true }), { from: 1, to: SIZE });
});

test("a message beyond the loaded part leaves no gap, and is there when the end is", () => {
  const live = after(middle, received(message(201)));
  assert.deepEqual([seqs(live).at(-1), c(live).lastSeq], [109, 201]);
  const further = reduce(live, page("newerPageLoaded", 110, 159, { nextCursor: "159" }));
  assert.deepEqual([seqs(further).at(-1), c(further).newer], [159, "159"]);
  const end = reduce(further, page("newerPageLoaded", 160, 200, { nextCursor: null }));
  assert.deepEqual([seqs(end).at(-1), seqs(end).length, c(end).newer], [201, 112, null]);
});

test("the newest page replaces a part that ends before it", () => {
  const live = after(middle, received(message(201, BOB, { content: "the last" })));
  const end = reduce(live, page("endLoaded", 151, 200, { nextCursor: "151" }));
  assert.deepEqual([seqs(end)[0], seqs(end).at(-1), c(end).older, c(end).newer], [151, 201, "151", null]);
});

test("an edit beyond the loaded part is not undone by its page", () => {
  const edited = after(middle, received(message(120, BOB, { rev: 300, content: "edited" })));
  const loaded = reduce(edited, page("newerPageLoaded", 110, 159, { nextCursor: "159" }));
  assert.equal(c(loaded).messages.find((one) => one.seq === 120).content, "edited");
});
