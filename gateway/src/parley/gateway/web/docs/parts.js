/** Small parts of the page: text with code and links in it, and what unfolds. */

import { html, useState } from "../views/html.js";

const MARKED = /(`[^`]+`|\[[^\]]+\]\([^)\s]+\))/;

/** Paragraphs of text. */
export function Prose({ text }) {
  if (!text) return null;
  return text.split(/\n\s*\n/).map((paragraph) => html`<p>${marked(paragraph)}</p>`);
}

/** Text with its code and its links. */
export function marked(text) {
  return text.split(MARKED).map(inline);
}

function inline(piece) {
  if (piece.startsWith("`")) return html`<code>${piece.slice(1, -1)}</code>`;
  const [, label, address] = piece.match(/^\[(.+)\]\((.+)\)$/) ?? [];
  return address ? html`<a href=${address}>${label}</a>` : piece;
}

/** Something that is made only when it is opened first. */
export function Unfolding({ label, id, children, opened = false }) {
  const [isOpen, setOpen] = useState(opened);
  return html`
    <details id=${id} open=${isOpen} onToggle=${(event) => setOpen(event.currentTarget.open)}>
      <summary>${label}</summary>
      ${isOpen && html`<div class="inside">${children}</div>`}
    </details>
  `;
}
