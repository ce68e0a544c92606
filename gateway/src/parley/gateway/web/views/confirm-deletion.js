/** The question whether to delete a message. Afterwards the message, which stays as a tombstone, has the focus. */

import { Dialog } from "./dialog.js";
import { focusMessage } from "./message-keys.js";
import { html, useRef } from "./html.js";

export function ConfirmDeletion({ entry, chat, announce, close }) {
  const form = useRef(null);
  const isConfirmed = useRef(false);

  async function closed() {
    close();
    const article = document.querySelector(`article[data-seq="${entry.seq}"]`);
    if (article) focusMessage(article.closest(".messages"), article);
    if (isConfirmed.current && (await chat.remove(entry))) announce("Message deleted");
  }

  function confirm(event) {
    event.preventDefault();
    isConfirmed.current = true;
    form.current.closest("dialog").close();
  }

  return html`
    <${Dialog} title="Delete this message?" role="alertdialog" describedBy="deleted-for-all" close=${closed}>
      <form ref=${form} onSubmit=${confirm}>
        <blockquote class="excerpt" dir="auto">${entry.content || "A file"}</blockquote>
        <p id="deleted-for-all" class="hint">It is deleted for everyone in this conversation.</p>
        <div class="row end">
          <button
            type="button"
            class="quiet"
            autofocus
            onClick=${() => form.current.closest("dialog").close()}
          >
            Cancel
          </button>
          <button type="submit" class="danger">Delete</button>
        </div>
      </form>
    <//>
  `;
}
