/** The sign-in form, for a token. */

import { waitingInTab } from "../chat/session.js";
import { counted } from "./words.js";
import { html, useState } from "./html.js";

const ICON = new URL("../icon.svg", import.meta.url).pathname;

export function SignIn({ notice, signIn }) {
  const [error, setError] = useState("");
  const shown = error || notice;

  function submit(event) {
    event.preventDefault();
    try {
      signIn(new FormData(event.target).get("token").trim());
    } catch (problem) {
      setError(problem.message);
    }
  }

  function pressed(event) {
    if (event.key !== "Enter" || event.isComposing) return;
    event.preventDefault();
    event.target.form.requestSubmit();
  }

  return html`
    <main class="sign-in">
      <form class="card" onSubmit=${submit}>
        <img src=${ICON} alt="" width="48" height="48" />
        <h1>Parley</h1>
        <label for="token">Your token</label>
        <textarea
          id="token"
          name="token"
          rows="4"
          required
          autofocus
          autocomplete="off"
          autocapitalize="off"
          spellcheck=${false}
          aria-describedby="how"
          aria-invalid=${Boolean(shown)}
          placeholder="eyJ…"
          onInput=${() => setError("")}
          onKeyDown=${pressed}
        ></textarea>
        <p class="problem" role="alert">${shown}</p>
        ${waitingInTab().map(
          ({ name, count }) => html`
            <p class="waiting" key=${name} dir="auto">
              ${counted(count, "message")} of ${name} ${count === 1 ? "is" : "are"} not sent yet. This tab keeps
              ${count === 1 ? " it " : " them "} until ${name} signs in again.
            </p>
          `,
        )}
        <button type="submit" class="primary">Sign in</button>
        <p id="how" class="hint">
          On the machine that runs Parley,${" "}<code>make token USER=alice</code>${" "}prints one. Only this tab stores it.
        </p>
      </form>
    </main>
  `;
}
