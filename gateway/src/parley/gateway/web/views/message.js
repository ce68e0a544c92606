/** A message. Its content is rendered as text, never as HTML. */

import { OFFLINE, sizeOf } from "./words.js";
import { clock } from "./times.js";
import { linked } from "./linked.js";
import { html, Icon, IconButton, useState } from "./html.js";
import { Audience } from "./audience.js";

const STATUSES = {
  sending: "sending",
  accepted: "accepted",
  sent: "sent",
  delivered: "delivered",
  read: "read",
  failed: "not sent",
};

export function Message({ entry, name, isGroup, chat, edit, remove, isEdited, isOffline, isLastOwn }) {
  const { mine, first, deletedAt, status } = entry;
  const classes = ["message", mine ? "mine" : "theirs", first && "first", isEdited && "is-edited", status];
  const hasReaders = isGroup && entry.readers > 0 && !deletedAt;
  const text = `text-${entry.seq ?? entry.key}`;
  return html`
    <article
      class=${classes.filter(Boolean).join(" ")}
      tabindex="-1"
      data-seq=${entry.seq}
      aria-label=${mine ? "You" : name}
      aria-describedby=${text}
    >
      ${first && !mine && isGroup && html`<span class="sender" dir="auto">${name}</span>${" "}`}
      <div class="bubble" id=${text}>
        ${
          deletedAt
            ? html`<p class="content gone">Message deleted</p>`
            : html`<p class="content" dir="auto">${linked(entry.content)}</p>`
        }
        ${!deletedAt && entry.attachments?.map((file) => html`<${File} key=${file.id} file=${file} chat=${chat} />`)}
        ${" "}
        <span class="meta">
          ${entry.editedAt && !deletedAt && html`<span>edited</span>${" "}`}
          <time dateTime=${entry.createdAt}>${clock(entry.createdAt)}</time>${" "}
          ${mine && !deletedAt && html`<${Status} status=${status} />`}
        </span>
      </div>
      ${
        mine &&
        entry.seq &&
        !deletedAt &&
        html`
          <span class="actions">
            ${hasReaders && !isLastOwn && html`<${Readers} entry=${entry} chat=${chat} />`}
            <${Action} name="edit" label="Edit" isOffline=${isOffline} onClick=${() => edit(entry)} />
            <${Action} name="bin" label="Delete" isOffline=${isOffline} onClick=${() => remove(entry)} />
          </span>
        `
      }
      ${hasReaders && isLastOwn && html`<${Readers} entry=${entry} chat=${chat} />`}
      ${status === "failed" && html`<${Failure} entry=${entry} chat=${chat} />`}
    </article>
  `;
}

/** A file, which a click saves: a browser could not open its address, which asks for the token. */
function File({ file, chat }) {
  const save = () => chat.saveFile(file);
  return html`
    <button type="button" class="file" tabindex="-1" title="Save this file" onClick=${save}>
      <${Icon} name="file" />
      <span dir="auto">${file.name}</span>${" "}
      <span class="size">${sizeOf(file)}</span>
    </button>
  `;
}

function Status({ status }) {
  return html`
    <span class="status" title=${STATUSES[status]}>
      <${Icon} name=${status} />
      <span class="visually-hidden">${STATUSES[status]}</span>
    </span>
  `;
}

function Action({ name, label, isOffline, onClick }) {
  return html`
    <${IconButton}
      name=${name}
      label=${label}
      tabindex="-1"
      disabled=${isOffline}
      reason=${isOffline && OFFLINE}
      onClick=${onClick}
    />
  `;
}

/** Who has read a message of a group; a click shows the names. */
function Readers({ entry, chat }) {
  const [isOpen, setOpen] = useState(false);
  return html`
    <button type="button" class="readers" tabindex="-1" onClick=${() => setOpen(true)}>
      Read by ${entry.readers}
    </button>
    ${isOpen && html`<${Audience} entry=${entry} chat=${chat} close=${() => setOpen(false)} />`}
  `;
}

function Failure({ entry: { clientMessageId, error }, chat }) {
  return html`
    <span class="failure" role="alert">
      <span>Not sent: ${error}</span>${" "}
      <button type="button" class="link" tabindex="-1" onClick=${() => chat.sendAgain(clientMessageId)}>
        Try again
      </button>
      ${" "}
      <button type="button" class="link" tabindex="-1" onClick=${() => chat.discard(clientMessageId)}>
        Discard
      </button>
    </span>
  `;
}
