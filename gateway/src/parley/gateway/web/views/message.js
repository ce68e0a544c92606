/** A message. Its content is rendered as text, never as HTML. */

import { clock } from "./times.js";
import { html, Icon, IconButton, useState } from "./html.js";

const STATUSES = {
  sending: "sending",
  accepted: "accepted",
  sent: "sent",
  delivered: "delivered",
  read: "read",
  failed: "not sent",
};

export function Message({ entry, name, isGroup, chat, edit, isEdited }) {
  const { mine, first, deletedAt, status } = entry;
  const classes = ["message", mine ? "mine" : "theirs", first && "first", isEdited && "is-edited", status];
  return html`
    <article class=${classes.filter(Boolean).join(" ")} aria-label=${mine ? "You" : name}>
      ${first && !mine && isGroup && html`<span class="sender">${name}</span>`}
      <div class="bubble" tabindex=${mine ? "-1" : undefined}>
        ${
          deletedAt
            ? html`<p class="content gone">Message deleted</p>`
            : html`<p class="content">${entry.content}</p>`
        }
        ${!deletedAt && entry.attachments?.map((file) => html`<p class="file">${file.name}</p>`)}
        <span class="meta">
          ${entry.editedAt && !deletedAt && html`<span>edited</span>`}
          <time dateTime=${entry.createdAt}>${clock(entry.createdAt)}</time>
          ${
            mine &&
            !deletedAt &&
            html`
              <span class="status" title=${STATUSES[status]}>
                <${Icon} name=${status} />
                <span class="visually-hidden">${STATUSES[status]}</span>
              </span>
            `
          }
        </span>
      </div>
      ${mine && entry.seq && !deletedAt && html`<${Actions} entry=${entry} chat=${chat} edit=${edit} />`}
      ${status === "failed" && html`<${Failure} entry=${entry} chat=${chat} />`}
    </article>
  `;
}

function Actions({ entry, chat, edit }) {
  const [isConfirming, setConfirming] = useState(false);
  const remove = () => (isConfirming ? chat.remove(entry) : setConfirming(true));
  return html`
    <span class="actions" onMouseLeave=${() => setConfirming(false)}>
      <${IconButton} name="edit" label="Edit" onClick=${() => edit(entry)} />
      ${
        isConfirming
          ? html`
              <button type="button" class="danger small" onClick=${remove} onBlur=${() => setConfirming(false)}>
                Delete?
              </button>
            `
          : html`<${IconButton} name="bin" label="Delete" onClick=${remove} />`
      }
    </span>
  `;
}

function Failure({ entry: { clientMessageId, error }, chat }) {
  return html`
    <span class="failure" role="alert">
      Not sent: ${error}
      <button type="button" class="link" onClick=${() => chat.sendAgain(clientMessageId)}>Try again</button>
      <button type="button" class="link" onClick=${() => chat.discard(clientMessageId)}>Discard</button>
    </span>
  `;
}
