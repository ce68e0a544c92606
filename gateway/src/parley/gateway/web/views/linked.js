/** A text whose web addresses are links. Other schemes stay text, and the text stays as it was written. */

import { html } from "./html.js";

// Punctuation at the end belongs to the sentence. Characters that reorder a text could disguise an address.
const ADDRESS = /\bhttps?:\/\/[^\s<>"\u202a-\u202e\u2066-\u2069]*[^\s<>"\u202a-\u202e\u2066-\u2069.,:;!?'\]}]/giu;

/** Return what to render of a text: itself, or a list of its parts. */
export function linked(text) {
  const parts = [];
  let end = 0;
  for (const { 0: found, index } of text.matchAll(ADDRESS)) {
    const address = withoutParenthesis(found);
    parts.push(text.slice(end, index), html`<${Link} address=${address} />`);
    end = index + address.length;
  }
  return parts.length ? [...parts, text.slice(end)] : text;
}

function Link({ address }) {
  return html`
    <a class="link" tabindex="-1" href=${address} target="_blank" rel="noopener noreferrer">${address}</a>
  `;
}

/** Leave out a last parenthesis that was opened before the address. */
function withoutParenthesis(address) {
  const isOwn = address.split("(").length >= address.split(")").length;
  return address.endsWith(")") && !isOwn ? address.slice(0, -1) : address;
}
