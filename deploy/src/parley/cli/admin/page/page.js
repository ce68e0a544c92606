/** The admin page: signs in, asks every two seconds while the tab is visible, and shows the answers. */

import { overview } from "./api.js";
import { Chart } from "./chart.js";
import { byId, element, keyed, setText } from "./dom.js";
import { clock, count, duration, rate } from "./format.js";
import { clearLetters, listenForLetters, showCount } from "./letters.js";
import { gatewayTable, showPartitions, workerTable } from "./services.js";
import { forget, keep, takeFromAddress, token } from "./session.js";
import { clearUsers, listenForUsers, showOnline, slowClientTable, storedText } from "./users.js";

const RETRY_MS = 2000;
const KEPT_SECONDS = 300;
const FINE = { level: "fine", text: "Every part answers, and every partition has an owner." };

const percentiles = (name) => ["P50", "P95", "P99"].map((part) => ({ name: name + part, label: part.toLowerCase() }));
const charts = [
  new Chart({
    title: "Sockets",
    series: [{ name: "websocket", label: "websocket" }, { name: "polling", label: "polling" }],
    format: count,
    stacked: true,
    least: 5,
  }),
  new Chart({
    title: "Messages and changes a second",
    series: [{ name: "accepted", label: "accepted" }, { name: "stored", label: "stored" }, { name: "refusals", label: "refused" }],
    format: rate,
  }),
  new Chart({
    title: "Events a second",
    series: [{ name: "deliveries", label: "to clients" }, { name: "events", label: "from clients" }],
    format: rate,
  }),
  new Chart({ title: "Accepted to stored", series: percentiles("stored"), format: duration, least: 0.005 }),
  new Chart({ title: "Accepted to delivered", series: percentiles("delivered"), format: duration, least: 0.005 }),
  new Chart({
    title: "Lag",
    series: [{ name: "lagSeconds", label: "oldest record" }, { name: "loopSeconds", label: "event loop" }],
    format: duration,
    least: 0.01,
  }),
];
const tables = { gateways: gatewayTable(), workers: workerTable(), slow: slowClientTable() };

let points = [];
let timer = 0;
let turn = 0;

function connection(name, text) {
  byId("connection").className = `connection ${name}`;
  setText(byId("connection"), text);
}

function showPage(isSignedIn) {
  byId("page").hidden = !isSignedIn;
  byId("sign-out").hidden = !isSignedIn;
  byId("sign-in").hidden = isSignedIn;
}

function show(found) {
  const last = found.history.at(-1);
  points = [...points, ...found.history].filter(({ at }) => at > (last ?? points.at(-1))?.at - KEPT_SECONDS);
  for (const chart of charts) chart.draw(points);
  tables.gateways.show(found.gateways);
  tables.workers.show(found.workers);
  // A user may have several slow sockets at one gateway, which have no other name here.
  tables.slow.show(found.slowClients.map((client, place) => ({ ...client, place })));
  showPartitions(found.rabbitmq, found.workers);
  showOnline(found.redis);
  showCount(found.rabbitmq);
  setText(byId("stored"), storedText(found.mongodb));
  const attention = found.attention.length ? found.attention : [FINE];
  keyed(byId("attention"), attention, ({ text }) => text, ({ level, text }) => element("li", { class: level }, text), () => {});
  setText(byId("updated"), `${found.administrator} · ${clock(Date.now() / 1000)}`);
}

async function look() {
  clearTimeout(timer);
  const own = ++turn;
  let wait = RETRY_MS;
  try {
    const found = await overview(points.at(-1)?.at ?? 0);
    if (own !== turn || !token()) return;
    showPage(true);
    show(found);
    connection("live", "Live");
    wait = found.lookSeconds * 1000;
  } catch (error) {
    if (own !== turn) return;
    if (error.status === undefined) throw error;
    if (error.isDenied) return signOut(error.message);
    if (byId("page").hidden) return showSignIn(error.message);
    connection("away", error.message);
    wait = Math.max(wait, (error.retryAfter ?? 0) * 1000);
  }
  if (!document.hidden) timer = setTimeout(look, wait);
}

function showSignIn(problem) {
  showPage(false);
  connection("", "Signed out");
  setText(byId("updated"), "");
  setText(byId("problem"), problem);
  byId("token").focus();
}

function signOut(problem = "") {
  turn += 1;
  clearTimeout(timer);
  forget();
  points = [];
  clearLetters();
  clearUsers();
  showSignIn(problem);
}

function begin() {
  if (!token()) return showSignIn("");
  connection("", "Connecting");
  return look();
}

byId("charts").append(...charts.map((chart) => chart.element));
listenForLetters();
listenForUsers();
byId("sign-in").addEventListener("submit", (event) => {
  event.preventDefault();
  keep(byId("token").value);
  byId("token").value = "";
  setText(byId("problem"), "");
  begin();
});
byId("sign-out").addEventListener("click", () => signOut());
addEventListener("hashchange", () => takeFromAddress() && begin());
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && token()) look();
});
takeFromAddress();
begin();
