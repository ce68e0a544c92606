/** Slow clients, who is online, and the sockets of one user. */

import { user } from "./api.js";
import { byId, element, keyed, setText, Table } from "./dom.js";
import { bytes, count, duration, plural } from "./format.js";

/** Make the table of the slow clients. */
export function slowClientTable() {
  return new Table(byId("slow"), {
    label: "Slow clients table",
    key: (row) => `${row.gateway} ${row.userId} ${row.place}`,
    empty: "Every client reads what it gets.",
    columns: [
      { title: "User", text: (row) => row.userId ?? "connecting" },
      { title: "Gateway", text: (row) => row.gateway },
      { title: "Transport", text: (row) => row.transport },
      { title: "Unread", number: true, fill: fillUnread },
    ],
  });
}

function fillUnread(cell, row) {
  if (!cell.children.length) cell.append(element("span"), element("progress", { max: "1", "aria-hidden": "true" }));
  setText(cell.children[0], `${bytes(row.unreadBytes)} of ${bytes(row.unreadLimit)}`);
  cell.children[1].value = Math.min(1, row.unreadBytes / row.unreadLimit);
}

/** Show how many users are online, and some of them. */
export function showOnline(redis) {
  const some = redis.some ?? [];
  setText(byId("online"), redis.error ?? (redis.users === undefined ? "" : `${plural(redis.users, "user")} online.`));
  keyed(byId("some-users"), some, (id) => id, makeUser, () => {});
}

function makeUser(id) {
  const button = element("button", { type: "button", class: "chip" }, id);
  button.addEventListener("click", () => {
    byId("user").value = id;
    showUser(id);
  });
  return element("li", {}, button);
}

/** Let the form look a user up. */
export function listenForUsers() {
  byId("find-user").addEventListener("submit", (event) => {
    event.preventDefault();
    showUser(byId("user").value.trim());
  });
}

async function showUser(id) {
  const shown = byId("found-user");
  if (!id) return;
  try {
    const found = await user(id);
    const name = found.name && found.name !== found.user ? ` (${found.name})` : "";
    const state = found.online ? "online" : "offline";
    const text = `${found.user}${name} is ${state}, and a member of ${plural(found.conversations, "conversation")}.`;
    shown.replaceChildren(element("p", {}, text));
    if (!found.sockets.length) return;
    const place = element("div");
    shown.append(place);
    new Table(place, {
      label: "Sockets of the user",
      key: (row) => row.socket,
      empty: "",
      columns: [
        { title: "Socket", text: (row) => row.socket },
        { title: "Gateway", text: (row) => row.gateway },
        { title: "Lease", text: (row) => duration(Math.max(0, row.seconds_left)), number: true },
      ],
    }).show(found.sockets);
  } catch (error) {
    shown.replaceChildren(element("p", { class: "problem" }, error.message));
  }
}

/** Forget what was looked up. */
export function clearUsers() {
  byId("found-user").replaceChildren();
  byId("user").value = "";
}

/** A sentence about what is stored. */
export function storedText(mongodb) {
  if (mongodb.error || mongodb.messages === undefined) return mongodb.error ?? "";
  return `${count(mongodb.messages)} messages of ${plural(mongodb.conversations, "conversation")} are stored.`;
}
