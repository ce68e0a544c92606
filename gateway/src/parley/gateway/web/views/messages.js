/** The messages of a conversation, by days and with a line before what is new. */

import { firstUnread, senderName } from "../state/selectors.js";
import { Message } from "./message.js";
import { useScrolling } from "./scrolling.js";
import { dayName } from "./times.js";
import { html, IconButton, useRef } from "./html.js";

const TO_END = "To the newest message";

export function Messages({ state, conversation, timeline, chat, edit, editing }) {
  const ready = conversation.history === "ready";
  const newFrom = useNewFrom(conversation, state.me);
  const reading = useRef(false);

  async function readOlder() {
    if (reading.current || !conversation.older) return;
    reading.current = true;
    await chat.older(conversation);
    reading.current = false;
  }

  const { ref, scrolled, atEnd, toEnd } = useScrolling({
    first: timeline[0],
    last: timeline.at(-1),
    ready,
    readOlder,
  });

  const row = (entry) => html`
    ${entry.day && html`<${Divider} key=${`day ${entry.key}`} text=${dayName(entry.createdAt)} />`}
    ${newFrom > 0 && entry.seq === newFrom && html`<${Divider} key="new" text="New" kind="new" />`}
    <${Message}
      key=${entry.key}
      entry=${entry}
      name=${senderName(entry, conversation)}
      isGroup=${conversation.type === "group"}
      isEdited=${Boolean(editing) && editing._id === entry._id}
      chat=${chat}
      edit=${edit}
    />
  `;

  return html`
    <div class="messages-place">
      <div class="messages" ref=${ref} onScroll=${scrolled} role="log" aria-label="Messages" tabindex="0">
        ${
          conversation.older &&
          html`<button type="button" class="quiet more" onClick=${readOlder}>Show older messages</button>`
        }
        ${ready && !timeline.length && html`<p class="hint empty">Nothing said yet. Say hello.</p>`}
        ${!ready && html`<p class="hint empty">Loading…</p>`}
        ${timeline.map(row)}
      </div>
      ${!atEnd && html`<${IconButton} name="down" label=${TO_END} class="icon-button to-end" onClick=${toEnd} />`}
    </div>
  `;
}

function Divider({ text, kind = "" }) {
  return html`<div class="divider ${kind}"><span>${text}</span></div>`;
}

/** The number at which unread messages began when the conversation was opened; 0 while that is above. */
function useNewFrom(conversation, me) {
  const opened = useRef(null);
  if (conversation.history !== "ready") return 0;
  opened.current ??= { unread: conversation.unread, lastSeq: conversation.lastSeq };
  const messages = conversation.messages.filter((message) => message.seq <= opened.current.lastSeq);
  return firstUnread({ messages, unread: opened.current.unread }, me);
}
