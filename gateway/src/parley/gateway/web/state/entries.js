/** The entries of a thread: stored messages, then the outbox, as the views show them. */

import { indexFrom, statusOf } from "./timeline.js";

const GROUP_MILLISECONDS = 5 * 60_000;
const ALL = { from: 0, to: Infinity };

const cache = new WeakMap(); // stored message -> its last entry

/**
 * Return a part of the thread's entries, from top to bottom: the stored messages `from` one number `to` another,
 * and the outbox if `to` is Infinity.
 *
 * Each has `key, mine, status, first` (of consecutive messages of one sender), `day` (first of its day) and
 * `readers` (the number of other participants who have read it). An entry that has not changed is the same
 * object as before.
 */
export function timelineOf(state, conversation, { from, to } = ALL) {
  const { messages } = conversation;
  const start = indexFrom(messages, from);
  const end = to === Infinity ? messages.length : indexFrom(messages, to + 1);
  const stored = messages.slice(start, end).map((message, index) => {
    const before = messages[start + index - 1];
    return entryOf(message, before, conversation, state.me);
  });
  return to === Infinity ? [...stored, ...outboxOf(state, conversation)] : stored;
}

function entryOf(message, before, conversation, me) {
  const mine = message.sender._id === me.id;
  const status = statusOf(message, conversation);
  const readers = mine ? readerCount(conversation, message.seq) : 0;
  const known = cache.get(message);
  if (known && known.before === before && known.entry.status === status && known.entry.readers === readers)
    return known.entry;
  const key = message.clientMessageId ?? message._id;
  const entry = { ...message, key, mine, status, readers, ...grouping(message, before) };
  cache.set(message, { before, entry });
  return entry;
}

function outboxOf(state, conversation) {
  let before = conversation.messages.at(-1);
  return state.outbox
    .filter((one) => one.conversationId === conversation._id)
    .map((one) => {
      const sender = { _id: state.me.id };
      const status = one.state === "waiting" ? "sending" : one.state;
      const entry = { ...one, key: one.clientMessageId, mine: true, sender, status, readers: 0 };
      Object.assign(entry, grouping(entry, before));
      before = entry;
      return entry;
    });
}

function grouping(message, before) {
  const at = new Date(message.createdAt);
  const day = !before || new Date(before.createdAt).toDateString() !== at.toDateString();
  const pause = before && at - new Date(before.createdAt) > GROUP_MILLISECONDS;
  return { day, first: day || pause || before.sender._id !== message.sender._id };
}

const sortedMarks = new WeakMap(); // marks -> the numbers that the others have read up to, in ascending order

function readerCount({ marks }, seq) {
  if (!sortedMarks.has(marks)) {
    const read = Object.values(marks).map((mark) => ({ seq: mark.read }));
    sortedMarks.set(
      marks,
      read.sort((one, other) => one.seq - other.seq),
    );
  }
  const read = sortedMarks.get(marks);
  return read.length - indexFrom(read, seq);
}

/** Return the participants who have read one of the user's messages, and those who have only received it. */
export function audienceOf(conversation, seq) {
  const people = new Map(conversation.participants.map((person) => [person._id, person]));
  const person = ([id]) => people.get(id) ?? { _id: id };
  const marks = Object.entries(conversation.marks);
  return {
    readers: marks.filter(([, mark]) => mark.read >= seq).map(person),
    receivers: marks.filter(([, mark]) => mark.read < seq && mark.delivered >= seq).map(person),
  };
}
