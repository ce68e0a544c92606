/** The messages of a conversation, with dividers between days and before the first unread one. */

import { nameOf, senderName } from "../state/selectors.js";
import { timelineOf } from "../state/entries.js";
import { isSame } from "../state/same.js";
import { ConfirmDeletion } from "./confirm-deletion.js";
import { Message } from "./message.js";
import { messageFocused, messageKeys, takeTabStop } from "./message-keys.js";
import { ThreadPosition } from "./thread-position.js";
import { dayName } from "./times.js";
import { html, useEffect, useLayoutEffect, useRef, useState } from "./html.js";

const LINGER_MILLISECONDS = 2_500; // that the line of new messages stays once all are read

/**
 * The scroller with a part of the messages. `position` is a ref that is given a `ThreadPosition`;
 * `onPlace(isAtEnd)` is called when the reader leaves the end or returns to it.
 */
export function Messages({ state, conversation, chat, edit, editing, position, onPlace, announce }) {
  const [, render] = useState(0);
  const [deleting, setDeleting] = useState(null);
  const box = useRef(null);
  position.current ??= new ThreadPosition(chat, state.me, () => render((count) => count + 1));
  const { current: reader } = position;
  const isReady = conversation.history === "ready";

  const lastOwn = state.outbox.findLast((entry) => entry.conversationId === conversation._id)?.clientMessageId;
  const shown = reader.choose(conversation, lastOwn);
  reader.entries = useTimeline(state, conversation, shown);
  const rowsOf = useRows({
    conversation,
    first: shown?.from,
    chat,
    edit,
    editing,
    remove: setDeleting,
    state,
  });
  const empty = reader.entries.length ? "" : "No messages yet. Write the first one.";
  const rows = rowsOf(reader.entries, reader.newFrom, isReady ? empty : "Loading…");

  // Before the layout that settling asks for.
  useAnnouncements(conversation, state.me, announce);
  useLayoutEffect(() => {
    reader.settle(box.current, rows);
    takeTabStop(box.current);
    onPlace(reader.isAtEnd || !shown);
  });
  useEffect(() => {
    const observer = new ResizeObserver(() => reader.resized(box.current));
    observer.observe(box.current);
    return () => {
      observer.disconnect();
      chat.look(null);
    };
  }, []);
  useForgottenLine(reader, conversation, chat, () => render((count) => count + 1));

  return html`
    <div
      class="messages"
      ref=${box}
      onScroll=${() => reader.scrolled(box.current)}
      onKeyDown=${messageKeys}
      onFocusIn=${messageFocused}
      role="log"
      aria-live="off"
      aria-label="Messages"
    >
      ${rows}
    </div>
    ${
      deleting &&
      html`<${ConfirmDeletion}
        entry=${deleting}
        chat=${chat}
        announce=${announce}
        close=${() => setDeleting(null)}
      />`
    }
  `;
}

/** Return the entries to show; the same array as before, if nothing that they are made from has changed. */
function useTimeline(state, conversation, shown) {
  const last = useRef({ input: [] });
  const { messages, readUpTo, deliveredUpTo, marks } = conversation;
  const input = [shown?.from, shown?.to, messages, readUpTo, deliveredUpTo, marks, state.outbox];
  if (!isSame(last.current.input, input))
    last.current = { input, entries: shown ? timelineOf(state, conversation, shown) : [] };
  return last.current.entries;
}

/**
 * Return a function that makes the element with the rows of entries.
 *
 * Rows whose input has not changed are not rendered again; if none has, the element is the same as before.
 */
function useRows({ conversation, first, chat, edit, editing, remove, state }) {
  const known = useRef(new Map());
  const last = useRef({ rows: [] });
  const isGroup = conversation.type === "group";
  const isOffline = state.connection !== "connected";
  const { participants } = conversation;
  const lastOwn = lastOwnSince(first, conversation.messages, state.me);

  function rowsOf(entry, newFrom) {
    const isEdited = Boolean(editing) && editing._id === entry._id;
    const isLastOwn = entry.seq !== undefined && entry.seq === lastOwn;
    const hasLine = newFrom > 0 && entry.seq === newFrom;
    const day = entry.day && dayName(entry.createdAt);
    const input = [entry, participants, isEdited, isOffline, isLastOwn, hasLine, day];
    const before = known.current.get(entry.key);
    if (before && isSame(before.input, input)) return before.rows;
    const message = html`
      <${Message}
        key=${entry.key}
        entry=${entry}
        name=${senderName(entry, conversation)}
        isGroup=${isGroup}
        isEdited=${isEdited}
        isOffline=${isOffline}
        isLastOwn=${isLastOwn}
        chat=${chat}
        edit=${edit}
        remove=${remove}
      />
    `;
    const rows = [
      day && html`<${Divider} key=${`day ${entry.key}`} text=${day} />`,
      hasLine && html`<${Divider} key="new" text="New" kind="new" />`,
      message,
    ].filter(Boolean);
    known.current.set(entry.key, { input, rows });
    return rows;
  }

  return (entries, newFrom, hint) => {
    const rows = [hint, ...entries.map((entry) => rowsOf(entry, newFrom))];
    if (!isSame(last.current.rows, rows)) {
      const shown = hint && html`<p class="hint empty">${hint}</p>`;
      last.current = { rows, element: html`<div class="rows">${shown}${rows.slice(1).flat()}</div>` };
    }
    return last.current.element;
  };
}

/**
 * Return the number of the user's last message, or undefined if it is below `first`.
 *
 * Rows below `first` are not rendered, so a thread of thousands without own messages is not searched to its top.
 */
function lastOwnSince(first, messages, me) {
  for (let index = messages.length - 1; index >= 0 && messages[index].seq >= first; index -= 1)
    if (messages[index].sender._id === me.id) return messages[index].seq;
  return undefined;
}

function Divider({ text, kind = "" }) {
  return html`<div class="divider ${kind}"><span>${text}</span></div>`;
}

/** Remove the line of new messages a while after all of them have been read. */
function useForgottenLine(reader, conversation, chat, render) {
  const isRead = reader.newFrom > 0 && !conversation.unread;
  useEffect(() => {
    if (!isRead) return undefined;
    const timer = setInterval(() => {
      if (!chat.isActive()) return;
      reader.newFrom = 0;
      render();
    }, LINGER_MILLISECONDS);
    return () => clearInterval(timer);
  }, [isRead, reader.newFrom]);
}

/**
 * Announce messages of others that arrive, and no loaded ones.
 *
 * An effect after the frame would cost another one: the announcement is rendered in the frame of the message.
 */
function useAnnouncements(conversation, me, announce) {
  const before = useRef(null);
  const { history, newer, lastMessage, lastSeq } = conversation;
  useLayoutEffect(() => {
    const last = before.current;
    before.current = history === "ready" ? lastSeq : null;
    if (last === null || lastSeq <= last || newer || !lastMessage || lastMessage.senderId === me.id) return;
    const sender = conversation.participants.find((person) => person._id === lastMessage.senderId);
    const name = nameOf(sender) || lastMessage.senderId;
    const count = lastSeq - last;
    announce(count > 1 ? `${count} new messages` : `${name}: ${lastMessage.content || "A file"}`);
  }, [history, lastSeq]);
}
