/** Values that the views derive from the state. */

import { statusOf } from "./timeline.js";

const byName = (one, other) => one.localeCompare(other);

/** Conversations, the most recently active first. */
export const byActivity = (state) =>
  Object.values(state.conversations).sort(
    (one, other) =>
      (other.lastActivityAt ?? "").localeCompare(one.lastActivityAt ?? "") || byName(one._id, other._id),
  );

export const nameOf = (person) => person?.name || person?.username || person?._id || "";

/** Return the name of a message's sender; the participants may have a newer one than the message. */
export function senderName({ sender }, conversation) {
  const person = conversation.participants.find(({ _id }) => _id === sender._id);
  return nameOf(sender) === sender._id ? nameOf(person ?? sender) : nameOf(sender);
}

export const others = (conversation, me) =>
  conversation.participants.filter((person) => person._id !== me?.id);

/** Return the title of a conversation. */
export function titleOf(conversation, me) {
  if (conversation.type === "group" && conversation.name) return conversation.name;
  return others(conversation, me).map(nameOf).join(", ") || conversation.name || "Just you";
}

/** Return the avatar of a conversation: `{name, online?}`. A group has no `online`. */
export function avatarOf(conversation, state) {
  const [other] = others(conversation, state.me);
  if (conversation.type === "group" || !other) return { name: titleOf(conversation, state.me) };
  return { name: nameOf(other), id: other._id, online: Boolean(state.online[other._id]) };
}

/** Return one line about the last message. */
export function previewOf(conversation, me) {
  const last = conversation.lastMessage;
  if (!last) return "No messages yet";
  const text = last.deletedAt ? "" : last.content || (last.type === "file" ? "A file" : "");
  const shown = text || "Message deleted";
  if (last.senderId === me?.id) return `You: ${shown}`;
  const sender = conversation.participants.find((person) => person._id === last.senderId);
  return conversation.type === "group" ? `${nameOf(sender) || last.senderId}: ${shown}` : shown;
}

/** Return `Bob is typing…`, or an empty string. */
export function typingLine(conversation) {
  const names = Object.values(conversation.typing).sort(byName);
  if (!names.length) return "";
  if (names.length > 3) return "Several people are typing…";
  return `${names.join(", ")} ${names.length === 1 ? "is" : "are"} typing…`;
}

/**
 * Return the thread's entries from top to bottom: stored messages, then the outbox.
 * Each has `key, mine, status, first` (of consecutive messages of one sender) and `day` (first of its day).
 */
export function timelineOf(state, conversation) {
  const stored = conversation.messages.map((message) => ({
    ...message,
    key: message.clientMessageId ?? message._id,
    mine: message.sender._id === state.me.id,
    status: statusOf(message, conversation),
  }));
  const unconfirmed = state.outbox
    .filter((entry) => entry.conversationId === conversation._id)
    .map((entry) => ({
      ...entry,
      key: entry.clientMessageId,
      mine: true,
      sender: { _id: state.me.id },
      status: entry.state === "waiting" ? "sending" : entry.state,
    }));
  return [...stored, ...unconfirmed].map(grouped);
}

const GROUP_MILLISECONDS = 5 * 60_000;

function grouped(entry, index, all) {
  const before = all[index - 1];
  const at = new Date(entry.createdAt);
  const day = !before || new Date(before.createdAt).toDateString() !== at.toDateString();
  const pause = before && at - new Date(before.createdAt) > GROUP_MILLISECONDS;
  return { ...entry, day, first: day || pause || before.sender._id !== entry.sender._id };
}

/** Return the number of the first unread message that is loaded, or 0. */
export function firstUnread(conversation, me) {
  let left = conversation.unread;
  for (const message of conversation.messages.toReversed()) {
    if (message.sender._id !== me.id && left > 0) left -= 1;
    if (left === 0 && conversation.unread > 0 && message.sender._id !== me.id) return message.seq;
  }
  return 0;
}

/** Return the last message of another user, or undefined. */
export const lastOfOthers = (conversation, me) =>
  conversation.messages.findLast((message) => message.sender._id !== me.id);

/** Return the number of unread messages of all conversations. */
export const unreadTotal = (state) =>
  Object.values(state.conversations).reduce((sum, c) => sum + c.unread, 0);
