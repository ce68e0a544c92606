/** A conversation: its header, its messages, and the composer. */

import { avatarOf, others, timelineOf, titleOf, typingLine } from "../state/selectors.js";
import { Composer } from "./composer.js";
import { Group } from "./group.js";
import { Messages } from "./messages.js";
import { Avatar, html, IconButton, useState } from "./html.js";

const LISTED = 50; // participants of each conversation that the list includes

export function Thread({ state, conversation, chat, open }) {
  const [isPeopleOpen, setPeopleOpen] = useState(false);
  const [editing, setEditing] = useState(null);
  const timeline = timelineOf(state, conversation);
  const editLast = () =>
    setEditing(timeline.findLast((entry) => entry.mine && entry.seq && !entry.deletedAt) ?? null);
  const done = () => setEditing((now) => (now === editing ? null : now));
  const typing = typingLine(conversation);

  function openPeople() {
    if (conversation.participants.length === LISTED) chat.refresh(conversation._id);
    setPeopleOpen(true);
  }

  return html`
    <main class="thread">
      <header>
        <${IconButton}
          name="back"
          label="Back to the list"
          class="icon-button back"
          onClick=${() => open(null)}
        />
        <${Avatar} ...${avatarOf(conversation, state)} />
        <div class="titles">
          <h1>${titleOf(conversation, state.me)}</h1>
          <span class="hint">${about(state, conversation)}</span>
        </div>
        <${IconButton} name="people" label="People" onClick=${openPeople} />
      </header>
      <${Messages}
        state=${state}
        conversation=${conversation}
        timeline=${timeline}
        chat=${chat}
        edit=${setEditing}
        editing=${editing}
      />
      <p class="typing-line" role="status">${typing}</p>
      <${Composer}
        key=${editing?._id ?? "new"}
        conversation=${conversation}
        chat=${chat}
        editing=${editing}
        editLast=${editLast}
        done=${done}
      />
      ${
        isPeopleOpen &&
        html`
          <${Group}
            state=${state}
            conversation=${conversation}
            chat=${chat}
            close=${() => setPeopleOpen(false)}
          />
        `
      }
    </main>
  `;
}

function about(state, conversation) {
  const them = others(conversation, state.me);
  if (conversation.type !== "group") return state.online[them[0]?._id] ? "online" : "offline";
  const online = them.filter((person) => state.online[person._id]).length + 1;
  const count = conversation.participants.length;
  if (count === LISTED) return `${count} people or more`;
  return count === 1 ? "only you" : `${count} people, ${online} online`;
}
