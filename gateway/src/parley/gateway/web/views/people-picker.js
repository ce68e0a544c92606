/** A field that finds people with whom the user shares conversations. */

import { nameOf } from "../state/selectors.js";
import { Avatar, html, IconButton, useEffect, useState } from "./html.js";

const SHOWN = 6; // suggestions

/**
 * `chosen` are the people so far, `choose(people)` replaces them. `without` are the ids of people who cannot be
 * chosen. An unknown user id is taken only after a confirmation: a typing slip would create a user.
 */
export function PeoplePicker({ id, label, chat, chosen, choose, text, setText, without, autofocus }) {
  const known = useKnownPeople(chat);
  const taken = new Set([...without, ...chosen.map((person) => person._id)]);
  const free = known.filter((person) => !taken.has(person._id));
  const found = text.trim() ? free.filter((person) => matches(person, text)).slice(0, SHOWN) : free.slice(0, SHOWN);
  const unknown = idsIn(text).filter((one) => !known.some((person) => person._id === one) && !taken.has(one));
  const isUnknown = Boolean(text.trim()) && !found.length && unknown.length > 0;

  function add(people) {
    choose([...chosen, ...people]);
    setText("");
    document.getElementById(id)?.focus();
  }

  /** Take what was typed, if it names only people who are known: pasted ids, or the best match. */
  function pressed(event) {
    if (event.isComposing || event.keyCode === 229) return;
    if (event.key === "Backspace" && !text && chosen.length) choose(chosen.slice(0, -1));
    if (event.key !== "Enter" || !text.trim()) return;
    event.preventDefault();
    const named = free.filter((person) => idsIn(text).includes(person._id));
    if (named.length && !unknown.length) add(named);
    else if (found.length) add([found[0]]);
  }

  return html`
    <label for=${id}>${label}</label>
    ${
      chosen.length > 0 &&
      html`
        <ul class="picked" aria-label="Chosen people">
          ${chosen.map(
            (person) => html`
              <li key=${person._id}>
                <span dir="auto">${nameOf(person)}</span>
                <${IconButton}
                  name="close"
                  label=${`Remove ${nameOf(person)}`}
                  onClick=${() => choose(chosen.filter((one) => one._id !== person._id))}
                />
              </li>
            `,
          )}
        </ul>
      `
    }
    <input
      id=${id}
      dir="auto"
      autofocus=${autofocus}
      autocomplete="off"
      autocapitalize="off"
      spellcheck=${false}
      placeholder="A name"
      value=${text}
      aria-describedby=${`${id}-found`}
      onInput=${(event) => setText(event.target.value)}
      onKeyDown=${pressed}
    />
    <p id=${`${id}-found`} class="visually-hidden" role="status">
      ${text.trim() ? `${found.length} people found` : ""}
    </p>
    <ul class="people found" aria-label="People you know">
      ${found.map(
        (person) => html`
          <li key=${person._id}>
            <button type="button" class="person" onClick=${() => add([person])}>
              <${Avatar} name=${nameOf(person)} />
              <span>
                <strong dir="auto">${nameOf(person)}</strong>
                ${nameOf(person) !== person._id && html`${" "}<span class="hint">${person._id}</span>`}
              </span>
            </button>
          </li>
        `,
      )}
    </ul>
    ${isUnknown && html`<${Confirmation} ids=${unknown} add=${() => add(unknown.map((one) => ({ _id: one })))} />`}
  `;
}

function Confirmation({ ids, add }) {
  const quoted = ids.map((one) => `“${one}”`).join(", ");
  return html`
    <div class="confirmation">
      <p>
        Nobody you share a conversation with is called ${quoted}. Check the spelling: a wrong user id reaches nobody.
      </p>
      <button type="button" class="quiet strong" onClick=${add}>
        ${ids.length === 1 ? "Use it as a user id" : "Use them as user ids"}
      </button>
    </div>
  `;
}

/** Return the people of the user's conversations, by name. */
function useKnownPeople(chat) {
  const [people, setPeople] = useState([]);
  useEffect(() => {
    chat.people().then((all) => {
      const distinct = new Map(all.map((person) => [person._id, person]));
      setPeople([...distinct.values()].sort((one, other) => nameOf(one).localeCompare(nameOf(other))));
    });
  }, []);
  return people;
}

function matches({ name, username, _id }, text) {
  const wanted = text.trim().toLocaleLowerCase();
  return [name, username, _id].some((each) => each?.toLocaleLowerCase().includes(wanted));
}

/** Return the user ids in a text, separated by commas, spaces or line breaks. */
const idsIn = (text) => [...new Set(text.split(/[\s,;]+/).filter(Boolean))];
