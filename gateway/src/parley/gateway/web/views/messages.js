/** The messages of a conversation, with dividers between days and before the first unread one. */

import { firstUnread, senderName } from "../state/selectors.js";
import { Message } from "./message.js";
import { useScrolling } from "./scrolling.js";
import { dayName } from "./times.js";
import { html, IconButton, useRef } from "./html.js";

const TO_END = "Scroll to the newest message";

export function Messages({ state, conversation, timeline, chat, edit, editing }) {
  const ready = conversation.history === "ready";
  const newFrom = useNewFrom(conversation, state.me);
  const isLoading = useRef(false);

  async function loadOlder() {
    if (isLoading.current || !conversation.older) return;
    isLoading.current = true;
    await chat.loadOlder(conversation);
    isLoading.current = false;
  }

  const { ref, scrolled, atEnd, toEnd } = useScrolling({
    first: timeline[0],
    last: timeline.at(-1),
    ready,
    loadOlder,
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
    <div class="messages-frame">
      <div class="messages" ref=${ref} onScroll=${scrolled} role="log" aria-label="Messages" tabindex="0">
        ${
          conversation.older &&
          html`<button type="button" class="quiet more" onClick=${loadOlder}>Show older messages</button>`
        }
        ${ready && !timeline.length && html`<p class="hint empty">No messages yet. Write the first one.</p>`}
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

/** Return the number of the first message that was unread on opening; 0 while it is not loaded. */
function useNewFrom(conversation, me) {
  const opened = useRef(null);
  if (conversation.history !== "ready") return 0;
  opened.current ??= { unread: conversation.unread, lastSeq: conversation.lastSeq };
  const messages = conversation.messages.filter((message) => message.seq <= opened.current.lastSeq);
  return firstUnread({ messages, unread: opened.current.unread }, me);
}
