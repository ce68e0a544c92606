/** The dialog that starts a direct conversation or a group. */

import { Dialog } from "./dialog.js";
import { PeoplePicker } from "./people-picker.js";
import { OFFLINE } from "./words.js";
import { html, useState } from "./html.js";

const GROUP = "A group. You can add more people later.";
const DIRECT = "A direct conversation: one person and no group name.";
const UNCHOSEN = "Choose a person from the list, or confirm the user id.";

export function NewConversation({ state, chat, isOffline, close, open }) {
  const [people, setPeople] = useState([]);
  const [text, setText] = useState("");
  const [name, setName] = useState("");
  const [problem, setProblem] = useState("");
  const isGroup = people.length > 1 || Boolean(name.trim());

  async function submit(event) {
    event.preventDefault();
    if (text.trim()) return setProblem(UNCHOSEN);
    if (!people.length) return setProblem("Choose at least one person.");
    const participants = people.map((person) => person._id);
    try {
      open(await chat.start({ type: isGroup ? "group" : "direct", name: name.trim(), participants }));
      return close();
    } catch (error) {
      return setProblem(error.message);
    }
  }

  return html`<${Dialog} title="New conversation" close=${close}>
    <form onSubmit=${submit}>
      <${PeoplePicker}
        id="people"
        label="People"
        autofocus
        chat=${chat}
        chosen=${people}
        choose=${setPeople}
        text=${text}
        setText=${(value) => (setText(value), setProblem(""))}
        without=${[state.me.id]}
      />
      <label for="name">Name of the group${" "}<span class="hint">(optional)</span></label>
      <input
        id="name"
        dir="auto"
        autocomplete="off"
        maxlength="200"
        value=${name}
        onInput=${(event) => setName(event.target.value)}
      />
      <p class="hint">${isGroup ? GROUP : DIRECT}</p>
      <p class="problem" role="alert">${problem}</p>
      <button type="submit" class="primary" disabled=${isOffline} title=${isOffline ? OFFLINE : undefined}>
        ${isGroup ? "Start the group" : "Start the conversation"}
      </button>
    </form>
  <//>`;
}
