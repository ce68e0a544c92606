/** The tables of gateways and workers, and the partitions. */

import { bytes, count, duration, percent, plural, rate, uptime } from "./format.js";
import { byId, element, keyed, setText, Table } from "./dom.js";

const STATES = {
  ready: "ready",
  notReady: "not ready",
  silent: "no answer",
  asked: "asked",
  gone: "gone",
  left: "removed",
};

/** Fill a cell with a main text and a soft one below. */
export function two(cell, main, below) {
  if (!cell.children.length) cell.append(element("span"), element("small"));
  setText(cell.children[0], main);
  setText(cell.children[1], below);
}

function state(cell, row) {
  if (!cell.children.length) cell.append(element("span"), element("small"));
  cell.children[0].className = `badge ${row.state}`;
  setText(cell.children[0], STATES[row.state]);
  const since = row.state === "silent" ? `for ${duration(row.silentSeconds)}` : "";
  setText(cell.children[1], row.problems.join("; ") || since);
}

const PROCESS = [
  { title: "Processor", text: (row) => percent(row.rates.processor), number: true },
  { title: "Memory", text: (row) => bytes(row.memoryBytes), number: true },
  { title: "Up", text: (row) => uptime(row.uptimeSeconds), number: true },
  { title: "Version", text: (row) => row.version ?? "–" },
];

/** Make the table of the gateways. */
export function gatewayTable() {
  return new Table(byId("gateways"), {
    label: "Gateways table",
    key: (row) => row.address,
    empty: "No gateway is known.",
    columns: [
      { title: "Gateway", fill: (cell, row) => two(cell, row.name ?? row.address, row.name ? row.address : "") },
      { title: "State", fill: state },
      {
        title: "Sockets",
        number: true,
        fill: (cell, row) => two(cell, count(row.websocket === null ? null : row.websocket + row.polling),
          row.polling ? `${count(row.polling)} polling` : ""),
      },
      { title: "Users", text: (row) => count(row.users), number: true },
      { title: "Events/s", text: (row) => rate(row.rates.events), number: true },
      { title: "Deliveries/s", text: (row) => rate(row.rates.deliveries), number: true },
      { title: "Loop lag", text: (row) => duration(row.hopDelays?.loop), number: true },
      { title: "Outbox", text: (row) => count(row.outbox), number: true },
      ...PROCESS,
    ],
  });
}

/** Make the table of the workers. */
export function workerTable() {
  return new Table(byId("workers"), {
    label: "Workers table",
    key: (row) => row.address,
    empty: "No worker is known.",
    columns: [
      { title: "Worker", fill: (cell, row) => two(cell, row.address, row.id ? row.id.slice(0, 8) : "") },
      { title: "State", fill: state },
      { title: "Partitions", text: (row) => count(row.partitions), number: true },
      { title: "Lag", text: (row) => duration(row.lagSeconds), number: true },
      { title: "Records/s", text: (row) => rate(row.rates.stored), number: true },
      ...PROCESS,
    ],
  });
}

/** Show the partitions with what waits in them and who owns them. */
export function showPartitions(rabbitmq, workers) {
  const partitions = rabbitmq.partitions ?? [];
  const waiting = partitions.reduce((sum, each) => sum + (each.waiting ?? 0), 0);
  const changing = rabbitmq.isChanging ? " Their number is being changed." : "";
  setText(byId("partitions-hint"), rabbitmq.error ?? (partitions.length
    ? `${plural(waiting, "AMQP message")} in ${plural(partitions.length, "partition")}.${changing}`
    : "They are looked for."));
  const names = new Map(workers.filter(({ id }) => id).map(({ id, address }, index) => [id, { address, index }]));
  const most = Math.max(1, ...partitions.map((each) => each.waiting ?? 0));
  keyed(byId("partitions"), partitions, (each) => each.partition, makePartition, (item, each) => {
    const owner = each.owners?.length ? names.get(each.owners[0].split(".")[0]) : undefined;
    const orphaned = each.owners?.length === 0;
    item.className = orphaned ? "orphaned" : `owner-${owner ? owner.index % 6 : "unknown"}`;
    const [title, bar, texts] = item.children;
    setText(title.lastChild, String(each.partition));
    bar.value = (each.waiting ?? 0) / most;
    setText(texts.children[0], `${count(each.waiting)} waiting`);
    setText(texts.children[1], orphaned ? "no owner" : each.owners === null ? "…"
      : owner?.address ?? each.owners.map((id) => id.slice(0, 8)).join(", "));
  });
}

function makePartition() {
  return element("li", {},
    element("strong", {}, element("span", { class: "hidden" }, "Partition "), ""),
    element("progress", { max: "1", "aria-hidden": "true", tabindex: "-1" }),
    element("span", { class: "texts" }, element("span"), element("small")));
}
