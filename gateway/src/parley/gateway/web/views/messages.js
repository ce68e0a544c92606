/** The messages of a conversation, with dividers between days and before the first unread one. */

import { nameOf, senderName } from "../state/selectors.js";
import { timelineOf } from "../state/entries.js";
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
  reader.entries = shown ? timelineOf(state, conversation, shown) : [];

  useLayoutEffect(() => {
    reader.settle(box.current);
    takeTabStop(box.current);
    onPlace(reader.isAtEnd || !shown);
  });
  useEffect(() => {
    const observer = new ResizeObserver(() => reader.resized(box.current));
    observer.observe(box.current);
    const look = () => reader.look(box.current);
    addEventListener("focus", look);
    return () => {
      observer.disconnect();
      removeEventListener("focus", look);
      chat.look(null);
    };
  }, []);
  useForgottenLine(reader, conversation, chat, () => render((count) => count + 1));
  useAnnouncements(conversation, state.me, announce);

  const row = useRows({ conversation, chat, edit, editing, remove: setDeleting, state });
  const isEmpty = isReady && !reader.entries.length;
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
      <div class="rows">
        ${isEmpty && html`<p class="hint empty">No messages yet. Write the first one.</p>`}
        ${!isReady && html`<p class="hint empty">Loading…</p>`}
        ${reader.entries.flatMap((entry) => row(entry, reader.newFrom))}
      </div>
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

/** Return a function that makes the rows of an entry; a row whose input has not changed is not rendered again. */
function useRows({ conversation, chat, edit, editing, remove, state }) {
  const known = useRef(new Map());
  const isGroup = conversation.type === "group";
  const isOffline = state.connection !== "connected";
  const { participants } = conversation;
  const lastOwn = conversation.messages.findLast((one) => one.sender._id === state.me.id)?.seq;

  function message(entry) {
    const isEdited = Boolean(editing) && editing._id === entry._id;
    const before = known.current.get(entry.key);
    const isLastOwn = entry.seq !== undefined && entry.seq === lastOwn;
    const input = [entry, participants, isEdited, isOffline, isLastOwn];
    if (before?.input.every((value, index) => value === input[index])) return before.row;
    const row = html`
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
    known.current.set(entry.key, { input, row });
    return row;
  }

  return (entry, newFrom) => [
    ...(entry.day ? [html`<${Divider} key=${`day ${entry.key}`} text=${dayName(entry.createdAt)} />`] : []),
    ...(newFrom > 0 && entry.seq === newFrom ? [html`<${Divider} key="new" text="New" kind="new" />`] : []),
    message(entry),
  ];
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

/** Announce messages of others that arrive, and no loaded ones. */
function useAnnouncements(conversation, me, announce) {
  const before = useRef(null);
  const { history, newer, lastMessage, lastSeq } = conversation;
  useEffect(() => {
    const last = before.current;
    before.current = history === "ready" ? lastSeq : null;
    if (last === null || lastSeq <= last || newer || !lastMessage || lastMessage.senderId === me.id) return;
    const sender = conversation.participants.find((person) => person._id === lastMessage.senderId);
    const name = nameOf(sender) || lastMessage.senderId;
    const count = lastSeq - last;
    announce(count > 1 ? `${count} new messages` : `${name}: ${lastMessage.content || "A file"}`);
  }, [history, lastSeq]);
}
