/** A modal dialog: it traps the focus, and Escape closes it. */

import { html, IconButton, useLayoutEffect, useRef } from "./html.js";

export function Dialog({ title, role, describedBy, close, children }) {
  const dialog = useRef(null);
  // Before the next paint, or a key pressed at once would not reach the dialog.
  useLayoutEffect(() => dialog.current.showModal(), []);
  return html`
    <dialog
      ref=${dialog}
      role=${role}
      aria-label=${title}
      aria-describedby=${describedBy}
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
