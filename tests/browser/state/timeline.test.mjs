// Messages and their order: read, heard, synced, deleted.

import assert from "node:assert/strict";
import { test } from "node:test";

import { previewOf } from "../../../gateway/src/parley/gateway/web/state/selectors.js";
import {
  after,
  asked,
  BOB,
  c,
  conversation,
  heard,
  joined,
  listed,
  ME,
  page,
  ready,
  said,
  seqs,
} from "./given.mjs";

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

test("what is edited or deleted while its page is read is not turned back by the page", () => {
  const deletion = { type: "deleted", conversationId: "c", deletedAt: "2026-01-01T11:00:00.000Z" };
  const waiting = after(
    listed,
    { type: "conversation", conversation: conversation({ lastSeq: 3 }) },
    { type: "joined", conversationId: "c", rev: 3 },
    { type: "historyRequested", conversationId: "c" },
  );
  const state = after(
    waiting,
    heard(said(1, BOB, { rev: 4, content: "edited" })),
    { ...deletion, messageId: "m2", rev: 5 },
    heard(said(3, BOB, { rev: 6, content: "edited first" })),
    { ...deletion, messageId: "m3", rev: 7 },
    page(null, said(1, BOB, { status: "read" }), said(2), said(3)),
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
  const newer = after(state, page(null, said(1, BOB, { rev: 8, content: "edited again" })));
  assert.equal(c(newer).messages[0].content, "edited again");
});

test("nor by an older page", () => {
  const state = after(
    asked,
    page("5", said(5)),
    heard(said(3, BOB, { rev: 9, content: "edited" })),
    page("3", said(3), said(4)),
  );
  assert.deepEqual([seqs(state), c(state).messages[0].content], [[3, 4, 5], "edited"]);
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
  const edited = after(ready, heard(said(4, BOB, { rev: 12, content: "edited" })), {
    type: "conversation",
    conversation: conversation({ lastSeq: 4, rev: 11, lastMessage: said(4) }),
  });
  assert.equal(previewOf(c(edited), ME), "Bob: edited");
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
