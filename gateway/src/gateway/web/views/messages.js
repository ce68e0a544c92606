/** The messages of a conversation, in a scroller that stays where the reader is. */

import { firstUnread, nameOf } from "../state/selectors.js";
import { Message } from "./message.js";
import { dayName } from "./times.js";
import { html, IconButton, useEffect, useLayoutEffect, useRef, useState } from "./html.js";

const NEAR = 80; // pixels

export function Messages({ state, conversation, timeline, chat, edit, editing }) {
  const scroller = useRef(null);
  const [atEnd, setAtEnd] = useState(true);
  const place = useRef({ atEnd: true, height: 0, first: undefined, last: undefined });
  const newFrom = useNewFrom(conversation, state.me);

  const toEnd = () => (scroller.current.scrollTop = scroller.current.scrollHeight);
  const [first, last] = [timeline[0]?.key, timeline.at(-1)];

  useLayoutEffect(() => {
    const { current: box } = scroller;
    const before = place.current;
    const ownNew = last?.key !== before.last && last?.mine;
    const mark = !before.placed && conversation.history === "ready" && box.querySelector(".divider.new");
    if (mark) {
      mark.scrollIntoView({ block: "center" });
      scrolled();
    } else if (before.atEnd || ownNew) toEnd();
    else if (first !== before.first) box.scrollTop += box.scrollHeight - before.height;
    const placed = before.placed || conversation.history === "ready";
    place.current = { ...place.current, placed, height: box.scrollHeight, first, last: last?.key };
  });

  useEffect(() => {
    const observer = new ResizeObserver(() => place.current.atEnd && toEnd());
    observer.observe(scroller.current);
    return () => observer.disconnect();
  }, []);

  const reading = useRef(false);
  async function readOlder() {
    if (reading.current || !conversation.older) return;
    reading.current = true;
    await chat.older(conversation);
    reading.current = false;
  }

  function scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = scroller.current;
    const isAtEnd = scrollHeight - scrollTop - clientHeight < NEAR;
    place.current.atEnd = isAtEnd;
    setAtEnd(isAtEnd);
    if (scrollTop < NEAR * 4) readOlder();
  }

  // A page that does not fill the scroller leaves nothing to scroll.
  useEffect(() => {
    if (conversation.older && scroller.current.scrollHeight <= scroller.current.clientHeight) readOlder();
  });

  const names = new Map(conversation.participants.map((person) => [person._id, nameOf(person)]));
  return html`<div class="messages-place">
    <div class="messages" ref=${scroller} onScroll=${scrolled} role="log" aria-label="Messages" tabindex="0">
      ${conversation.older && html`<button type="button" class="quiet more" onClick=${readOlder}>Show older messages</button>`}
      ${conversation.history === "ready" && !timeline.length && html`<p class="hint empty">Nothing said yet. Say hello.</p>`}
      ${conversation.history !== "ready" && html`<p class="hint empty">Loading…</p>`}
      ${timeline.map((entry) => html`
        ${entry.day && html`<div class="divider" key=${`day ${entry.key}`}><span>${dayName(entry.createdAt)}</span></div>`}
        ${entry.seq === newFrom && newFrom > 0 && html`<div class="divider new" key="new"><span>New</span></div>`}
        <${Message} key=${entry.key} entry=${entry} name=${nameOf(entry.sender) === entry.sender._id ? names.get(entry.sender._id) : nameOf(entry.sender)} isGroup=${conversation.type === "group"} chat=${chat} edit=${edit} isEdited=${editing?._id === entry._id && Boolean(editing)} />
      `)}
    </div>
    ${!atEnd && html`<${IconButton} name="down" label="To the newest message" class="icon-button to-end" onClick=${toEnd} />`}
  </div>`;
}

/** The number at which unread messages began when the conversation was opened. */
function useNewFrom(conversation, me) {
  const from = useRef(null);
  if (from.current === null && conversation.history === "ready") from.current = firstUnread(conversation, me);
  return from.current;
}
