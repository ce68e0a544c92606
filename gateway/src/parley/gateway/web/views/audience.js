/** The dialog that names the readers of a message, and those who have only received it. */

import { audienceOf } from "../state/entries.js";
import { nameOf } from "../state/selectors.js";
import { Dialog } from "./dialog.js";
import { Avatar, html } from "./html.js";

export function Audience({ entry, chat, close }) {
  const { readers, receivers } = audienceOf(chat.conversation(entry.conversationId), entry.seq);
  return html`
    <${Dialog} title="Read by" close=${close}>
      <${People} people=${readers} label="Read by" />
      ${
        receivers.length > 0 &&
        html`
          <h3>Delivered to</h3>
          <${People} people=${receivers} label="Delivered to" />
        `
      }
    <//>
  `;
}

function People({ people, label }) {
  return html`
    <ul class="people" aria-label=${label}>
      ${people.map(
        (person) => html`
          <li key=${person._id}>
            <${Avatar} name=${nameOf(person)} />
            <span dir="auto">${nameOf(person)}</span>
          </li>
        `,
      )}
    </ul>
  `;
}
