/** What the views show of the state. */

import { statusOf } from "./timeline.js";

const byName = (one, other) => one.localeCompare(other);

/** Conversations, the liveliest first. */
export const ordered = (state) =>
  Object.values(state.conversations).sort(
    (one, other) =>
      (other.lastActivityAt ?? "").localeCompare(one.lastActivityAt ?? "") || byName(one._id, other._id),
  );

export const nameOf = (person) => person?.name || person?.username || person?._id || "";

/** The name of who wrote a message; its sender may have told theirs only later. */
export function senderName({ sender }, conversation) {
  const person = conversation.participants.find(({ _id }) => _id === sender._id);
  return nameOf(sender) === sender._id ? nameOf(person ?? sender) : nameOf(sender);
}

export const others = (conversation, me) =>
  conversation.participants.filter((person) => person._id !== me?.id);

/** The name over a conversation. */
export function titleOf(conversation, me) {
  if (conversation.type === "group" && conversation.name) return conversation.name;
  return others(conversation, me).map(nameOf).join(", ") || conversation.name || "Just you";
}

/** Whose avatar stands for a conversation: `{name, online?}`; online is unknown of groups. */
export function faceOf(conversation, state) {
  const [other] = others(conversation, state.me);
  if (conversation.type === "group" || !other) return { name: titleOf(conversation, state.me) };
  return { name: nameOf(other), id: other._id, online: Boolean(state.online[other._id]) };
}

/** One line about the last message. */
export function previewOf(conversation, me) {
  const last = conversation.lastMessage;
  if (!last) return "No messages yet";
  const text = last.deletedAt ? "" : last.content || (last.type === "file" ? "A file" : "");
  const said = text || "Message deleted";
  if (last.senderId === me?.id) return `You: ${said}`;
  const sender = conversation.participants.find((person) => person._id === last.senderId);
  return conversation.type === "group" ? `${nameOf(sender) || last.senderId}: ${said}` : said;
}

/** `Bob is typing…`, or nothing. */
export function typingLine(conversation) {
  const names = Object.values(conversation.typing).sort(byName);
  if (!names.length) return "";
  if (names.length > 3) return "Several people are typing…";
  return `${names.join(", ")} ${names.length === 1 ? "is" : "are"} typing…`;
}

/**
 * What stands in the thread, from top to bottom: stored messages, then what is on its way.
 * Each has `key, mine, status, first` (begins a run of one sender), `day` (begins a new day).
 */
export function timelineOf(state, conversation) {
  const stored = conversation.messages.map((message) => ({
    ...message,
    key: message.clientMessageId ?? message._id,
    mine: message.sender._id === state.me.id,
    status: statusOf(message, conversation),
  }));
  const going = state.outbox
    .filter((entry) => entry.conversationId === conversation._id)
    .map((entry) => ({
      ...entry,
      key: entry.clientMessageId,
      mine: true,
      sender: { _id: state.me.id },
      status: entry.state === "waiting" ? "sending" : entry.state,
    }));
  return [...stored, ...going].map(grouped);
}

const RUN_MILLISECONDS = 5 * 60_000;

function grouped(entry, index, all) {
  const before = all[index - 1];
  const at = new Date(entry.createdAt);
  const day = !before || new Date(before.createdAt).toDateString() !== at.toDateString();
  const pause = before && at - new Date(before.createdAt) > RUN_MILLISECONDS;
  return { ...entry, day, first: day || pause || before.sender._id !== entry.sender._id };
}

/** The number of the first unread message among those that are there; 0 when there is none. */
export function firstUnread(conversation, me) {
  let left = conversation.unread;
  for (const message of conversation.messages.toReversed()) {
    if (message.sender._id !== me.id && left > 0) left -= 1;
    if (left === 0 && conversation.unread > 0 && message.sender._id !== me.id) return message.seq;
  }
  return 0;
}

/** The last message by someone else, or undefined. */
export const lastOfOthers = (conversation, me) =>
  conversation.messages.findLast((message) => message.sender._id !== me.id);

/** How much is unread altogether. */
export const unreadTotal = (state) =>
  Object.values(state.conversations).reduce((sum, c) => sum + c.unread, 0);
