/**
 * The part of a thread that is in the document: `{from, to}`, the numbers of its first and last message.
 *
 * A `to` of Infinity follows the end, and includes the outbox.
 */

import { indexFrom } from "./timeline.js";

export const SIZE = 150; // messages
export const STEP = 50;
export const SPARE = 20; // messages that leave the top of a window at once

const seqAt = (messages, index) => messages[Math.max(0, Math.min(index, messages.length - 1))]?.seq ?? 0;

/** Return the window at the end of the loaded messages. */
export const atEnd = (messages) => ({ from: seqAt(messages, messages.length - STEP), to: Infinity });

/** Return the window around a message. */
export function around({ messages, newer }, seq) {
  const index = indexFrom(messages, seq);
  return { from: seqAt(messages, index - STEP), to: end(messages, newer, index + STEP) };
}

/** Return the window moved up by a step, or the same one if it begins with the first loaded message. */
export function movedUp(window, { messages, newer }) {
  const first = indexFrom(messages, window.from);
  if (!first) return window;
  const last = lastIndex(window, messages);
  const start = Math.max(0, first - STEP);
  const isTooLong = last - start >= SIZE + STEP;
  return { from: messages[start].seq, to: isTooLong ? end(messages, newer, start + SIZE - 1) : window.to };
}

/** Return the window moved down by a step, or the same one if it follows the end. */
export function movedDown(window, { messages, newer }) {
  if (window.to === Infinity) return window;
  const last = Math.min(lastIndex(window, messages) + STEP, messages.length - 1);
  const to = end(messages, newer, last);
  if (to === window.to) return window;
  const first = indexFrom(messages, window.from);
  return { from: seqAt(messages, Math.max(first, last - SIZE - STEP + 1)), to };
}

/**
 * Return a shorter window that still ends at the end or, if it does not follow that, begins where it did.
 *
 * `hasSpare` is whether `SPARE` messages at the top are far out of view. Each message in the document makes the next one dearer.
 */
export function trimmed(window, { messages }, { isFollowing, hasSpare }) {
  const first = indexFrom(messages, window.from);
  if (window.to !== Infinity) return window;
  if (isFollowing) return hasSpare ? { ...window, from: seqAt(messages, first + SPARE) } : window;
  return messages.length - first > SIZE + STEP ? { ...window, to: seqAt(messages, first + SIZE - 1) } : window;
}

const lastIndex = ({ to }, messages) => (to === Infinity ? messages.length : indexFrom(messages, to + 1)) - 1;

function end(messages, newer, index) {
  return index >= messages.length - 1 && !newer ? Infinity : seqAt(messages, index);
}
