/** The files that wait to be sent with the next message, and what hands them over: a button, pasting, dropping. */

import { OFFLINE, counted } from "./words.js";
import { html, IconButton, useRef } from "./html.js";

export function Pending({ files, remove }) {
  const uploading = files.filter((file) => !file.attachment).length;
  const ready = files.length ? `${counted(files.length, "file")} ready to send` : "";
  return html`
    <p class="visually-hidden" role="status">${uploading ? `Uploading ${counted(uploading, "file")}` : ready}</p>
    ${
      files.length > 0 &&
      html`
        <ul class="picked pending" aria-label="Files to send">
          ${files.map(
            ({ key, name, attachment }) => html`
              <li key=${key}>
                <span dir="auto">${name}</span>
                ${!attachment && html`<span class="hint">${" uploading…"}</span>`}
                <${IconButton} name="close" label=${`Do not send ${name}`} onClick=${() => remove(key)} />
              </li>
            `,
          )}
        </ul>
      `
    }
  `;
}

export function Attach({ isOffline, add }) {
  const field = useRef(null);
  function chosen() {
    add(field.current.files);
    // The same file can be chosen again.
    field.current.value = "";
  }
  return html`
    <${IconButton}
      name="file"
      label="Attach files"
      disabled=${isOffline}
      reason=${isOffline && OFFLINE}
      onClick=${() => field.current.click()}
    />
    <input type="file" multiple hidden ref=${field} onChange=${chosen} />
  `;
}

/** Return the files of a paste. Programs copy a table as text and, besides, as a picture: that is a text. */
export function pastedFiles({ clipboardData }) {
  const isText = ["text/plain", "text/html"].every((type) => clipboardData.types.includes(type));
  return isText ? [] : clipboardData.files;
}

/** Return the handlers for files that are dropped: without them the browser would leave the page for the file. */
export function dropHandlers(add) {
  const ifFiles = (handle) => (event) => {
    if (!event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    handle(event.dataTransfer);
  };
  return {
    onDragOver: ifFiles((data) => (data.dropEffect = "copy")),
    onDrop: ifFiles((data) => add(data.files)),
  };
}
