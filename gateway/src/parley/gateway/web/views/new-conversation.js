/** The dialog that starts a direct conversation or a group. */

import { Dialog, idsIn } from "./dialog.js";
import { html, useState } from "./html.js";

const GROUP = "A group. You can add more people later.";
const DIRECT = "A direct conversation: one person and no group name.";

export function NewConversation({ chat, close, open }) {
  const [people, setPeople] = useState("");
  const [name, setName] = useState("");
  const [problem, setProblem] = useState("");
  const participants = idsIn(people);
  const isGroup = participants.length > 1 || Boolean(name.trim());

  async function submit(event) {
    event.preventDefault();
    if (!participants.length) return setProblem("Enter at least one user id.");
    try {
      open(await chat.start({ type: isGroup ? "group" : "direct", name: name.trim(), participants }));
      return close();
    } catch (error) {
      return setProblem(error.message);
    }
  }

  return html`<${Dialog} title="New conversation" close=${close}>
    <form onSubmit=${submit}>
      <label for="people">User ids of the participants</label>
      <input
        id="people"
        autofocus
        autocomplete="off"
        autocapitalize="off"
        spellcheck=${false}
        placeholder="bob, carol"
        value=${people}
        onInput=${(event) => setPeople(event.target.value)}
      />
      <label for="name">Name of the group <span class="hint">(optional)</span></label>
      <input
        id="name"
        autocomplete="off"
        maxlength="200"
        value=${name}
        onInput=${(event) => setName(event.target.value)}
      />
      <p class="hint">${isGroup ? GROUP : DIRECT}</p>
      <p class="problem" role="alert">${problem}</p>
      <button type="submit" class="primary">${isGroup ? "Start the group" : "Start the conversation"}</button>
    </form>
  <//>`;
}
