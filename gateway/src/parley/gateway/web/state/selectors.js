/** Values that the views derive from the state. */

import { isSameExcept } from "./same.js";
import { indexFrom } from "./timeline.js";

const byName = (one, other) => one.localeCompare(other);

/** Conversations, the most recently active first. */
export const byActivity = (state) =>
  Object.values(state.conversations).sort(
    (one, other) => compare(other.lastActivityAt ?? "", one.lastActivityAt ?? "") || compare(one._id, other._id),
  );

const compare = (one, other) => (one < other ? -1 : Number(one > other));

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

/** Return the avatar of a conversation: `{name, online?}`. A group has no `online`; offline, nobody has. */
export function avatarOf(conversation, state) {
  const [other] = others(conversation, state.me);
  if (conversation.type === "group" || !other) return { name: titleOf(conversation, state.me) };
  const online = state.connection === "reconnecting" ? undefined : Boolean(state.online[other._id]);
  return { name: nameOf(other), id: other._id, online };
}

/** Return the number of all participants; `participants` are the first ones. */
export const countOf = ({ participantCount, participants }) => participantCount ?? participants.length;

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

/** Return the number of the first loaded message that the user has not read; 0 if there is none. */
export function firstUnread({ messages, readSeq }, me) {
  const isUnread = (message) => message.sender._id !== me.id && !message.deletedAt;
  for (let index = indexFrom(messages, readSeq + 1); index < messages.length; index += 1)
    if (isUnread(messages[index])) return messages[index].seq;
  return 0;
}

/** Return the number of unread messages of all conversations. */
export const unreadTotal = (state) =>
  Object.values(state.conversations).reduce((sum, c) => sum + c.unread, 0);

/** Return whether two states look the same: no view shows up to which number the user has read. */
export function looksSame(one, other) {
  const { open } = one;
  return (
    isSameExcept("conversations", one, other) &&
    isSameExcept(open, one.conversations, other.conversations) &&
    isSameExcept("readSeq", one.conversations[open] ?? {}, other.conversations[open] ?? {})
  );
}
