/** A conversation: its header, its messages, and the composer. */

import { avatarOf, countOf, others, titleOf, typingLine } from "../state/selectors.js";
import { Composer } from "./composer.js";
import { Group } from "./group.js";
import { Messages } from "./messages.js";
import { dropHandlers } from "./pending.js";
import { counted } from "./words.js";
import { Avatar, html, Icon, IconButton, useMemo, useRef, useState } from "./html.js";

export function Thread({ state, conversation, chat, back }) {
  const { _id } = conversation;
  const [isPeopleOpen, setPeopleOpen] = useState(false);
  const [editing, setEditing] = useState(chat.drafts.edit(_id)?.message ?? null);
  const [isAtEnd, setAtEnd] = useState(true);
  const announcer = useRef(null);
  // A render of its own would lay the page out once more.
  const announce = (text) => (announcer.current.textContent = text);
  const position = useRef(null);
  const isOffline = state.connection !== "connected";
  const latest = useRef(null);
  latest.current = conversation;

  function edit(message) {
    const { content } = message;
    if (message._id !== editing?._id) chat.drafts.writeEdit(_id, { message: brief(message), text: content });
    setEditing(message);
  }

  function editLast() {
    const isOwn = (message) => message.sender._id === state.me.id && !message.deletedAt && message.content;
    const last = isOffline ? null : latest.current.messages.findLast(isOwn);
    if (last) edit(last);
  }

  function done() {
    if (chat.drafts.edit(_id)?.message._id === editing?._id) chat.drafts.writeEdit(_id, null);
    setEditing((now) => (now === editing ? null : now));
  }

  function openPeople() {
    if (latest.current.participants.length < countOf(latest.current)) chat.refresh(_id);
    setPeopleOpen(true);
  }

  function drop(files) {
    if (!editing) chat.files.add(_id, files);
  }

  // Preact does not render the same element again. The handlers read the conversation from the ref.
  const { name, online } = avatarOf(conversation, state);
  const [title, hint] = [titleOf(conversation, state.me), about(state, conversation)];
  const header = useMemo(
    () => html`<${Header} avatar=${{ name, online }} title=${title} hint=${hint} back=${back} openPeople=${openPeople} />`,
    [name, online, title, hint, back, chat],
  );
  const composer = useMemo(
    () => html`
      <${Composer}
        key=${editing?._id ?? "new"}
        conversationId=${_id}
        chat=${chat}
        editing=${editing}
        isOffline=${isOffline}
        editLast=${editLast}
        done=${done}
      />
    `,
    [_id, chat, editing, isOffline],
  );

  return html`
    <main class="thread" ...${dropHandlers(drop)}>
      ${header}
      <${Messages}
        state=${state}
        conversation=${conversation}
        chat=${chat}
        edit=${edit}
        editing=${editing}
        position=${position}
        onPlace=${setAtEnd}
        announce=${announce}
      />
      <div class="below">
        <p class="typing-line" role="status" dir="auto">${typingLine(conversation)}</p>
        ${!isAtEnd && html`<${ToEnd} unread=${conversation.unread} onClick=${() => position.current.toEnd()} />`}
      </div>
      <p class="visually-hidden" role="status" ref=${announcer}></p>
      ${composer}
      ${
        isPeopleOpen &&
        html`
          <${Group}
            state=${state}
            conversation=${conversation}
            chat=${chat}
            isOffline=${isOffline}
            close=${() => setPeopleOpen(false)}
          />
        `
      }
    </main>
  `;
}

function Header({ avatar, title, hint, back, openPeople }) {
  return html`
    <header>
      <${IconButton} name="back" label="Back to the list" class="icon-button back" onClick=${back} />
      <${Avatar} ...${avatar} />
      <div class="titles">
        <h1 dir="auto">${title}</h1>
        <span class="hint">${hint}</span>
      </div>
      <${IconButton} name="people" label="People" onClick=${openPeople} />
    </header>
  `;
}

/** The button to the newest message, with the number of those that the user has not read. */
function ToEnd({ unread, onClick }) {
  const label = "Scroll to the newest message";
  return html`
    <button
      type="button"
      class="to-end"
      title=${label}
      aria-label=${unread ? `${label}, ${counted(unread, "new message")}` : label}
      onClick=${onClick}
    >
      ${unread > 0 && html`<span class="badge">${unread > 999 ? "999+" : unread}</span>`}
      <${Icon} name="down" />
    </button>
  `;
}

/** Return what an edit needs of a message. */
const brief = ({ _id, conversationId, content }) => ({ _id, conversationId, content });

function about(state, conversation) {
  if (state.connection === "reconnecting") return "";
  const them = others(conversation, state.me);
  if (conversation.type !== "group") return state.online[them[0]?._id] ? "online" : "offline";
  const online = them.filter((person) => state.online[person._id]).length + 1;
  const count = countOf(conversation);
  if (count > conversation.participants.length) return `${count} people`;
  return count === 1 ? "only you" : `${count} people, ${online} online`;
}
