/** A dialog over the page: it takes the keyboard, and Escape closes it. */

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

/** User ids as people type them: with commas, spaces or lines between them. */
export const idsIn = (text) => [...new Set(text.split(/[\s,;]+/).filter(Boolean))];
