/** Small parts of the page: text with code and links, and expandable content. */

import { html, useState } from "../views/html.js";

const MARKED = /(`[^`]+`|\[[^\]]+\]\([^)\s]+\))/;

/** Text as paragraphs. */
export function Prose({ text }) {
  if (!text) return null;
  return text.split(/\n\s*\n/).map((paragraph) => html`<p>${inlineMarkup(paragraph)}</p>`);
}

/** Render the code and the links of a text. */
export function inlineMarkup(text) {
  return text.split(MARKED).map(inline);
}

function inline(piece) {
  if (piece.startsWith("`")) return html`<code>${piece.slice(1, -1)}</code>`;
  const [, label, address] = piece.match(/^\[(.+)\]\((.+)\)$/) ?? [];
  return address ? html`<a href=${address}>${label}</a>` : piece;
}

/** Expandable content, which is rendered on first opening only. */
export function Expandable({ label, id, children, opened = false }) {
  const [isOpen, setOpen] = useState(opened);
  return html`
    <details id=${id} open=${isOpen} onToggle=${(event) => setOpen(event.currentTarget.open)}>
      <summary>${label}</summary>
      ${isOpen && html`<div class="inside">${children}</div>`}
    </details>
  `;
}
