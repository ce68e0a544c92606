/** The participants of a conversation, with the actions to add people and to leave. */

import { nameOf } from "../state/selectors.js";
import { Dialog, idsIn } from "./dialog.js";
import { Avatar, html, useState } from "./html.js";

export function Group({ state, conversation, chat, close }) {
  return html`<${Dialog} title="People" close=${close}>
    <ul class="people">
      ${conversation.participants.map(
        (person) => html`<${Person} key=${person._id} state=${state} person=${person} />`,
      )}
    </ul>
    ${conversation.type === "group" && html`<${AddPeople} conversation=${conversation} chat=${chat} />`}
    ${conversation.type === "group" && html`<${Leave} conversation=${conversation} chat=${chat} />`}
  <//>`;
}

function Person({ state, person }) {
  const online = Boolean(state.online[person._id]);
  const name = nameOf(person);
  const role = person.role === "member" ? "" : `, ${person.role}`;
  return html`
    <li>
      <${Avatar} name=${name} online=${online} />
      <span>
        <strong>${name}${person._id === state.me.id ? " (you)" : ""}</strong>
        <span class="hint">
          ${name === person._id ? "" : `${person._id}, `}${online ? "online" : "offline"}${role}
        </span>
      </span>
    </li>
  `;
}

function AddPeople({ conversation, chat }) {
  const [people, setPeople] = useState("");
  const [problem, setProblem] = useState("");

  async function submit(event) {
    event.preventDefault();
    if (!idsIn(people).length) return;
    try {
      await chat.addParticipants(conversation._id, idsIn(people));
      setPeople("");
      setProblem("");
    } catch (error) {
      setProblem(error.message);
    }
  }

  return html`
    <form onSubmit=${submit}>
      <label for="add">Add people by their user ids</label>
      <div class="row">
        <input
          id="add"
          autocomplete="off"
          autocapitalize="off"
          spellcheck=${false}
          placeholder="dave"
          value=${people}
          onInput=${(event) => setPeople(event.target.value)}
        />
        <button type="submit" class="primary">Add</button>
      </div>
      <p class="problem" role="alert">${problem}</p>
    </form>
  `;
}

function Leave({ conversation, chat }) {
  const [isConfirming, setConfirming] = useState(false);
  const leave = () => (isConfirming ? chat.leave(conversation._id) : setConfirming(true));
  return html`
    <button type="button" class="danger" onClick=${leave}>
      ${isConfirming ? "Yes, leave this group" : "Leave the group"}
    </button>
  `;
}
