/** What stands in the place of a conversation: a hint, or that the user was removed from the one that was open. */

import { lostEntries } from "../state/outbox.js";
import { Unsent } from "./unsent.js";
import { html } from "./html.js";

export function NothingOpen({ state, chat, back }) {
  const { open, left, listed } = state;
  const isLoading = open && !listed;
  const title = isLoading ? "Loading…" : left ? removal(left) : open ? "Not available" : "Conversations";
  return html`
    <main class="nothing-open">
      <h1 class=${open || left ? "" : "visually-hidden"} dir="auto">${title}</h1>
      ${!isLoading && !left && html`<p>${open ? UNAVAILABLE : "Choose a conversation, or start one."}</p>`}
      ${left && html`<${Left} state=${state} chat=${chat} left=${left} />`}
      ${
        (open || left) &&
        !isLoading &&
        html`<button type="button" class="quiet" onClick=${back}>Back to the list</button>`
      }
    </main>
  `;
}

const UNAVAILABLE = "This conversation does not exist, or you are no longer in it.";

const removal = ({ title }) => `You were removed from ${title ? `“${title}”` : "this conversation"}`;

/** What the user had not sent to the conversation that they were removed from. */
function Left({ state, chat, left: { conversationId, title } }) {
  const lost = lostEntries(state).filter((entry) => entry.conversationId === conversationId);
  const draft = chat?.drafts.text(conversationId);
  const entries = draft ? [...lost, { clientMessageId: "draft", title, content: draft, isDraft: true }] : lost;
  const discard = (entry) => (entry.isDraft ? chat.drafts.write(conversationId, "") : undefined);
  return html`
    <p role="status">You can no longer read it or write to it.</p>
    ${entries.length > 0 && html`<${Unsent} entries=${entries} chat=${chat} discarded=${discard} />`}
  `;
}
