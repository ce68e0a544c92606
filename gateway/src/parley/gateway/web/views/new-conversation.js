/** Starting a conversation: with one person directly, or a group. */

import { Dialog, idsIn } from "./dialog.js";
import { html, useState } from "./html.js";

const GROUP = "A group: more people can be added later.";
const DIRECT = "One person and no name: a direct conversation.";

export function NewConversation({ chat, close, open }) {
  const [people, setPeople] = useState("");
  const [name, setName] = useState("");
  const [problem, complain] = useState("");
  const participants = idsIn(people);
  const isGroup = participants.length > 1 || Boolean(name.trim());

  async function submit(event) {
    event.preventDefault();
    if (!participants.length) return complain("Say who you want to talk with.");
    try {
      open(await chat.start({ type: isGroup ? "group" : "direct", name: name.trim(), participants }));
      return close();
    } catch (error) {
      return complain(error.message);
    }
  }

  return html`<${Dialog} title="New conversation" close=${close}>
    <form onSubmit=${submit}>
      <label for="people">With whom? Their user ids</label>
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
      <button type="submit" class="primary">${isGroup ? "Start the group" : "Start talking"}</button>
    </form>
  <//>`;
}
