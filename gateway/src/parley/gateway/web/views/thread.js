/** One conversation: its head, its messages, and where one writes. */

import { faceOf, others, timelineOf, titleOf, typingLine } from "../state/selectors.js";
import { Composer } from "./composer.js";
import { Group } from "./group.js";
import { Messages } from "./messages.js";
import { Avatar, html, IconButton, useState } from "./html.js";

const LISTED = 50; // people that a list shows of each conversation

export function Thread({ state, conversation, chat, open }) {
  const [showsPeople, showPeople] = useState(false);
  const [editing, edit] = useState(null);
  const timeline = timelineOf(state, conversation);
  const editLast = () =>
    edit(timeline.findLast((entry) => entry.mine && entry.seq && !entry.deletedAt) ?? null);
  const done = () => edit((now) => (now === editing ? null : now));
  const typing = typingLine(conversation);

  function lookAtPeople() {
    if (conversation.participants.length === LISTED) chat.look(conversation._id);
    showPeople(true);
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
        <${Avatar} ...${faceOf(conversation, state)} />
        <div class="who">
          <h1>${titleOf(conversation, state.me)}</h1>
          <span class="hint">${about(state, conversation)}</span>
        </div>
        <${IconButton} name="people" label="People" onClick=${lookAtPeople} />
      </header>
      <${Messages}
        state=${state}
        conversation=${conversation}
        timeline=${timeline}
        chat=${chat}
        edit=${edit}
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
        showsPeople &&
        html`
          <${Group}
            state=${state}
            conversation=${conversation}
            chat=${chat}
            close=${() => showPeople(false)}
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
