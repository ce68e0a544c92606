/** The dead letters: how many there are, and on demand the newest, without what users wrote. */

import { deadLetters } from "./api.js";
import { byId, element, setText, Table } from "./dom.js";
import { bytes, clock, count, dateTime, plural } from "./format.js";

const NAMES = {
  id: "Id",
  at: "Dead since",
  partition: "Partition",
  kind: "Kind",
  conversationId: "Conversation",
  userId: "User",
  reason: "Reason",
  bytes: "Size",
};

let table;

/** Let the buttons read the letters, and close the shown one. */
export function listenForLetters() {
  byId("read-letters").addEventListener("click", read);
  byId("close-letter").addEventListener("click", () => byId("letter").close());
}

/** Show how many letters there are. */
export function showCount(rabbitmq) {
  const letters = rabbitmq.deadLetters;
  byId("read-letters").hidden = !letters;
  if (letters === undefined) return;
  setText(byId("letters-count"), letters
    ? `${plural(letters, "record")} could not be stored. Reading them takes them out of the queue for a moment, and gives them back.`
    : "Every record could be stored.");
}

async function read() {
  const button = byId("read-letters");
  button.disabled = true;
  setText(byId("letters-problem"), "");
  try {
    const found = await deadLetters();
    const shown = found.letters.length < found.count ? `the newest ${count(found.letters.length)} of ` : "";
    makeTable().show(found.letters);
    setText(button, `Read again (${shown}${count(found.count)} read at ${clock(found.readAt)})`);
  } catch (error) {
    setText(byId("letters-problem"), error.message);
  } finally {
    button.disabled = false;
  }
}

function makeTable() {
  table ??= new Table(byId("letters"), {
    label: "Dead letters table",
    key: (letter) => `${letter.id} ${letter.position}`,
    empty: "There is none any more.",
    columns: [
      { title: "Dead since", fill: fillTime },
      { title: "Kind", text: (letter) => letter.kind },
      { title: "Partition", text: (letter) => count(letter.partition), number: true },
      { title: "Conversation", text: (letter) => letter.conversationId ?? "–" },
      { title: "User", text: (letter) => letter.userId ?? "–" },
      { title: "Reason", text: (letter) => letter.reason },
    ],
  });
  return table;
}

function fillTime(cell, letter) {
  if (cell.children.length) return;
  const button = element("button", { type: "button", class: "link" },
    letter.at ? dateTime(letter.at) : "unknown time");
  button.addEventListener("click", () => show(letter));
  cell.append(button);
}

function show(letter) {
  const texts = { ...letter, at: dateTime(letter.at), bytes: bytes(letter.bytes) };
  const fields = Object.entries(NAMES).map(([name, title]) =>
    element("div", {}, element("dt", {}, title), element("dd", {}, String(texts[name] ?? "–"))));
  byId("letter-fields").replaceChildren(...fields);
  setText(byId("letter-records"), JSON.stringify(letter.records, null, 2));
  byId("letter").showModal();
}

/** Forget the letters. */
export function clearLetters() {
  byId("letter").close();
  table?.show([]);
  byId("letters").replaceChildren();
  table = undefined;
  setText(byId("read-letters"), "Read the letters");
  setText(byId("letters-problem"), "");
}
