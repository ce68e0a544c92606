/** Preact with htm's tagged templates, icons and avatars. */

import { html } from "../vendor/preact.js";

export { html, render, useEffect, useLayoutEffect, useMemo, useRef, useState } from "../vendor/preact.js";

const PATHS = {
  back: "M15 5l-7 7 7 7",
  people: "M9 11a4 4 0 1 0 0-7 4 4 0 0 0 0 7zM3 20a6 6 0 0 1 12 0M16.5 4.5a3.5 3.5 0 0 1 0 6.5M18 14a6 6 0 0 1 3 6",
  plus: "M12 5v14M5 12h14",
  send: "M4 12l16-8-6 16-3-7z",
  edit: "M4 20h4L19 9l-4-4L4 16zM13 7l4 4",
  bin: "M4 7h16M9 7V4h6v3M6 7l1 13h10l1-13M10 11v5M14 11v5",
  close: "M6 6l12 12M18 6L6 18",
  leave: "M14 4h5v16h-5M11 8l-4 4 4 4M7 12h9",
  down: "M6 9l6 6 6-6",
  file: "M20 11l-8.5 8.5a5 5 0 0 1-7-7L13 4a3.3 3.3 0 0 1 4.7 4.7l-8.5 8.4a1.7 1.7 0 0 1-2.4-2.3L14 7.5",
  sending: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM12 7v5l3 2",
  accepted: "M5 13l4 4L19 7",
  sent: "M5 13l4 4L19 7",
  delivered: "M2 13l4 4L16 7M11 16l1 1L22 7",
  read: "M12 1a11 11 0 1 0 0 22 11 11 0 0 0 0-22z",
  failed: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM12 7v6M12 16v1",
};

/** An icon, hidden from screen readers. */
export function Icon({ name }) {
  return html`
    <svg class="icon" viewBox="0 0 24 24" aria-hidden="true">
      <path d=${PATHS[name]} />
      ${name === "read" && html`<path class="tick" d="M6.5 12.5l4 4 7-8" />`}
    </svg>
  `;
}

/** A button with only an icon. Its label is its accessible name, its tooltip is that or why it is disabled. */
export function IconButton({ name, label, reason, ...rest }) {
  return html`
    <button
      type="button"
      class="icon-button"
      aria-label=${label}
      aria-description=${reason || undefined}
      title=${reason ? `${label}: ${reason.toLowerCase()}` : label}
      ...${rest}
    >
      <${Icon} name=${name} />
    </button>
  `;
}

/** A circle with initials; with a dot if `online` is given. */
export function Avatar({ name, online }) {
  const initials = name
    .split(/[\s_.-]+/)
    .filter(Boolean)
    .slice(0, 2)
    .map((word) => [...word][0])
    .join("");
  const hue = [...name].reduce((sum, c) => (sum * 31 + c.codePointAt(0)) % 8, 0);
  return html`
    <span class="avatar hue-${hue}" aria-hidden="true">
      ${initials.toUpperCase() || "?"}
      ${online !== undefined && html`<span class="dot ${online ? "online" : ""}"></span>`}
    </span>
  `;
}
