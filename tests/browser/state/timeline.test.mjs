// Messages and their order: loaded, received, synced, deleted.

import assert from "node:assert/strict";
import { test } from "node:test";

import { previewOf } from "../../../gateway/src/parley/gateway/web/state/selectors.js";
import {
  after,
  BOB,
  c,
  conversation,
  joined,
  listed,
  loading,
  ME,
  message,
  page,
  ready,
  received,
  seqs,
} from "./fixtures.mjs";

test("messages are sorted by number in whatever order they arrive", () => {
  const state = after(ready, received(message(3)), received(message(1)), received(message(2)));
  assert.deepEqual(seqs(state), [1, 2, 3]);
});

test("a message that arrives twice is shown once", () => {
  const state = after(ready, received(message(1)), received(message(1)), page(null, message(1)));
  assert.deepEqual(seqs(state), [1]);
});

test("an older revision does not overwrite a newer one", () => {
  const state = after(
    ready,
    received(message(1, BOB, { rev: 5, content: "new" })),
    received(message(1, BOB, { rev: 1 })),
  );
  assert.equal(c(state).messages[0].content, "new");
});

test("a message received while the first page loads leaves no gap", () => {
  const waiting = after(
    listed,
    { type: "conversationLoaded", conversation: conversation({ lastSeq: 80 }) },
    { type: "joined", conversationId: "c", rev: 80 },
    { type: "historyRequested", conversationId: "c" },
  );
  const state = after(
    waiting,
    received(message(7, BOB, { rev: 81 })),
    received(message(81, BOB, { rev: 82 })),
    page("79", message(79), message(80)),
  );
  assert.deepEqual(seqs(state), [79, 80, 81]);
});

test("an edit or deletion during a page load is not undone by the page", () => {
  const deletion = { type: "messageDeleted", conversationId: "c", deletedAt: "2026-01-01T11:00:00.000Z" };
  const waiting = after(
    listed,
    { type: "conversationLoaded", conversation: conversation({ lastSeq: 3 }) },
    { type: "joined", conversationId: "c", rev: 3 },
    { type: "historyRequested", conversationId: "c" },
  );
  const state = after(
    waiting,
    received(message(1, BOB, { rev: 4, content: "edited" })),
    { ...deletion, messageId: "m2", rev: 5 },
    received(message(3, BOB, { rev: 6, content: "edited first" })),
    { ...deletion, messageId: "m3", rev: 7 },
    page(null, message(1, BOB, { status: "read" }), message(2), message(3)),
  );
  assert.deepEqual(
    c(state).messages.map(({ content, rev, deletedAt }) => [content, rev, Boolean(deletedAt)]),
    [
      ["edited", 4, false],
      ["", 5, true],
      ["", 7, true],
    ],
  );
  assert.equal(c(state).messages[0].status, "read");
  assert.equal(previewOf(c(state), ME), "Bob: Message deleted");
  const newer = after(state, page(null, message(1, BOB, { rev: 8, content: "edited again" })));
  assert.equal(c(newer).messages[0].content, "edited again");
});

test("an edit is not undone by an older page", () => {
  const state = after(
    loading,
    page("5", message(5)),
    received(message(3, BOB, { rev: 9, content: "edited" })),
    page("3", message(3), message(4)),
  );
  assert.deepEqual([seqs(state), c(state).messages[0].content], [[3, 4, 5], "edited"]);
});

test("an older page is prepended and moves the cursor", () => {
  const state = after(loading, page("5", message(5), message(6)), page("3", message(3), message(4)));
  assert.deepEqual([seqs(state), c(state).older], [[3, 4, 5, 6], "3"]);
  assert.equal(c(after(state, page(null, message(1), message(2)))).older, null);
});

test("reloading the newest page keeps older messages", () => {
  const state = after(
    loading,
    page("5", message(5)),
    page("3", message(3), message(4)),
    page("5", message(5), message(6)),
  );
  assert.deepEqual([seqs(state), c(state).older], [[3, 4, 5, 6], "3"]);
});

test("a message without a loaded history updates only the list entry", () => {
  const state = after(joined, received(message(4)));
  assert.deepEqual([seqs(state), c(state).lastMessage.content, c(state).lastSeq], [[], "message 4", 4]);
});

test("a stale list does not undo received events", () => {
  const state = after(ready, received(message(4)), {
    type: "conversationLoaded",
    conversation: conversation({ lastSeq: 3 }),
  });
  assert.equal(c(state).lastMessage.seq, 4);
  const edited = after(ready, received(message(4, BOB, { rev: 12, content: "edited" })), {
    type: "conversationLoaded",
    conversation: conversation({ lastSeq: 4, rev: 11, lastMessage: message(4) }),
  });
  assert.equal(previewOf(c(edited), ME), "Bob: edited");
});

test("the known revision does not advance between a disconnect and the sync", () => {
  const lost = after(
    ready,
    received(message(1)),
    { type: "disconnected" },
    { type: "joined", conversationId: "c", rev: 4 },
  );
  const live = after(lost, received(message(5)));
  assert.equal(c(live).rev, 1);
  const synced = after(live, {
    type: "synced",
    conversationId: "c",
    rev: 4,
    messages: [message(2), message(3), message(4)],
  });
  assert.deepEqual([seqs(synced), c(synced).rev, c(synced).synced], [[1, 2, 3, 4, 5], 5, true]);
});

test("a part of the missed changes leaves the conversation behind until the last part", () => {
  const lost = after(
    ready,
    received(message(1)),
    { type: "disconnected" },
    { type: "joined", conversationId: "c", rev: 3 },
  );
  const part = after(lost, { type: "synced", conversationId: "c", rev: 2, messages: [message(2)], more: true });
  const live = after(part, received(message(4)));
  assert.deepEqual([c(live).rev, c(live).synced], [2, false]);
  const whole = after(live, { type: "synced", conversationId: "c", rev: 3, messages: [message(3)] });
  assert.deepEqual([seqs(whole), c(whole).rev, c(whole).synced], [[1, 2, 3, 4], 4, true]);
});

test("a first join needs no sync", () => {
  assert.equal(c(joined).synced, true);
  assert.equal(c(after(joined, { type: "disconnected" })).synced, false);
});

test("a sync that is too far behind reloads the history", () => {
  const state = after(
    ready,
    received(message(1)),
    { type: "disconnected" },
    { type: "synced", conversationId: "c", rev: 900, tooFar: true },
  );
  assert.deepEqual([seqs(state), c(state).history, c(state).rev], [[], "none", 900]);
});

test("a sync with another history forgets the numbers of the known one", () => {
  const state = after(
    ready,
    received(message(7, BOB, { epoch: 11 })),
    { type: "disconnected" },
    { type: "synced", conversationId: "c", rev: 2, epoch: 12, tooFar: true },
    {
      type: "conversationLoaded",
      conversation: conversation({ lastSeq: 2, rev: 2, lastMessage: message(2) }),
    },
  );
  assert.deepEqual([seqs(state), c(state).lastSeq, c(state).lastMessage.seq], [[], 2, 2]);
  assert.deepEqual([c(state).rev, c(state).epoch], [2, 12]);
});

test("the known revision keeps the epoch that it came with", () => {
  const live = after(
    ready,
    received(message(2, BOB, { rev: 12, epoch: 11 })),
    received(message(1, BOB, { rev: 10, epoch: 10 })),
  );
  assert.deepEqual([c(live).rev, c(live).epoch], [12, 11]);
  const ahead = after(live, { type: "disconnected" }, received(message(3, BOB, { rev: 14, epoch: 13 })));
  const synced = after(ahead, { type: "synced", conversationId: "c", rev: 13, epoch: 12, messages: [] });
  assert.deepEqual([c(synced).rev, c(synced).epoch], [14, 13]);
});

test("a deleted message stays as a tombstone", () => {
  const state = after(ready, received(message(1)), received(message(2)), {
    type: "messageDeleted",
    conversationId: "c",
    messageId: "m2",
    rev: 3,
    deletedAt: "2026-01-01T11:00:00.000Z",
  });
  assert.deepEqual([seqs(state), c(state).messages[1].content, c(state).rev], [[1, 2], "", 3]);
  assert.equal(previewOf(c(state), ME), "Bob: Message deleted");
});

test("a late edit of an older revision does not restore a deleted message", () => {
  const state = after(
    ready,
    received(message(1)),
    {
      type: "messageDeleted",
      conversationId: "c",
      messageId: "m1",
      rev: 3,
      deletedAt: "2026-01-01T11:00:00.000Z",
    },
    received(message(1, BOB, { rev: 2, content: "edited" })),
  );
  assert.ok(c(state).messages[0].deletedAt);
});
