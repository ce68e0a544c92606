/** The participants of a conversation, with the actions to add people and to leave. */

import { nameOf } from "../state/selectors.js";
import { Dialog } from "./dialog.js";
import { PeoplePicker } from "./people-picker.js";
import { OFFLINE } from "./words.js";
import { Avatar, html, useState } from "./html.js";

export function Group({ state, conversation, chat, isOffline, close }) {
  const isGroup = conversation.type === "group";
  return html`<${Dialog} title="People" close=${close}>
    <ul class="people" aria-label="Participants">
      ${conversation.participants.map(
        (person) => html`<${Person} key=${person._id} state=${state} person=${person} />`,
      )}
    </ul>
    ${isGroup && html`<${AddPeople} conversation=${conversation} chat=${chat} isOffline=${isOffline} />`}
    ${isGroup && html`<${Leave} conversation=${conversation} chat=${chat} isOffline=${isOffline} />`}
    ${isGroup && isOffline && html`<p class="hint">${OFFLINE}</p>`}
  <//>`;
}

function Person({ state, person }) {
  const isUnknown = state.connection === "reconnecting";
  const online = isUnknown ? undefined : Boolean(state.online[person._id]);
  const name = nameOf(person);
  const facts = [
    name === person._id ? "" : person._id,
    isUnknown ? "" : online ? "online" : "offline",
    person.role === "member" ? "" : person.role,
  ];
  return html`
    <li>
      <${Avatar} name=${name} online=${online} />
      <span>
        <strong dir="auto">${name}${person._id === state.me.id ? " (you)" : ""}</strong>
        <span class="hint">${facts.filter(Boolean).join(", ")}</span>
      </span>
    </li>
  `;
}

function AddPeople({ conversation, chat, isOffline }) {
  const [people, setPeople] = useState([]);
  const [text, setText] = useState("");
  const [problem, setProblem] = useState("");

  async function submit(event) {
    event.preventDefault();
    if (text.trim()) return setProblem("Choose a person from the list, or confirm the user id.");
    if (!people.length) return setProblem("Choose at least one person.");
    try {
      await chat.addParticipants(
        conversation._id,
        people.map((person) => person._id),
      );
      setPeople([]);
      return setProblem("");
    } catch (error) {
      return setProblem(error.message);
    }
  }

  return html`
    <form onSubmit=${submit}>
      <${PeoplePicker}
        id="add"
        label="Add people"
        chat=${chat}
        chosen=${people}
        choose=${setPeople}
        text=${text}
        setText=${(value) => (setText(value), setProblem(""))}
        without=${conversation.participants.map((person) => person._id)}
      />
      <p class="problem" role="alert">${problem}</p>
      <button type="submit" class="primary" disabled=${isOffline} title=${isOffline ? OFFLINE : undefined}>
        Add
      </button>
    </form>
  `;
}

function Leave({ conversation, chat, isOffline }) {
  const [isConfirming, setConfirming] = useState(false);
  const leave = () => (isConfirming ? chat.leave(conversation._id) : setConfirming(true));
  return html`
    <button
      type="button"
      class="danger"
      disabled=${isOffline}
      title=${isOffline ? OFFLINE : undefined}
      onClick=${leave}
    >
      ${isConfirming ? "Yes, leave this group" : "Leave the group"}
    </button>
  `;
}
