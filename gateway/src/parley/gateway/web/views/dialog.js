/** A modal dialog: it traps the focus, and Escape closes it. */

import { html, IconButton, useEffect, useRef } from "./html.js";

export function Dialog({ title, close, children }) {
  const dialog = useRef(null);
  useEffect(() => dialog.current.showModal(), []);
  return html`
    <dialog
      ref=${dialog}
      aria-label=${title}
      onClose=${close}
      onClick=${(event) => event.target === dialog.current && dialog.current.close()}
    >
      <div class="dialog">
        <header>
          <h2>${title}</h2>
          <${IconButton} name="close" label="Close" onClick=${() => dialog.current.close()} />
        </header>
        ${children}
      </div>
    </dialog>
  `;
}

/** Return the user ids in a text, separated by commas, spaces or line breaks. */
export const idsIn = (text) => [...new Set(text.split(/[\s,;]+/).filter(Boolean))];
