/** Messages that cannot be sent, because the user is no longer in their conversations. */

import { html, useState } from "./html.js";

export function Unsent({ entries, chat, discarded }) {
  return html`
    <ul class="unsent" aria-label="Not sent">
      ${entries.map(
        (entry) => html`<${Entry} key=${entry.clientMessageId} entry=${entry} chat=${chat} discarded=${discarded} />`,
      )}
    </ul>
  `;
}

function Entry({ entry, chat, discarded }) {
  const { clientMessageId, title, attachments = [], isDraft } = entry;
  const content = [entry.content, ...attachments.map((file) => file.name)].filter(Boolean).join("\n");
  const [isHidden, setHidden] = useState(false);
  function discard() {
    if (isDraft) discarded(entry);
    else chat.discard(clientMessageId);
    setHidden(true);
  }
  if (isHidden) return null;
  return html`
    <li>
      <span class="hint" dir="auto">${isDraft ? "Your draft" : "Not sent"}${title ? ` to ${title}` : ""}</span>
      <p class="content" dir="auto">${content}</p>
      <span class="row end">
        <button type="button" class="link" onClick=${() => copy(content)}>Copy</button>
        <button type="button" class="link" onClick=${discard}>Discard</button>
      </span>
    </li>
  `;
}

/** Copy a text. `navigator.clipboard` exists only in secure contexts; elsewhere the text can be selected. */
const copy = (text) => navigator.clipboard?.writeText(text).catch(() => {});
