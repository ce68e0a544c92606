// Sockets of the real socket.io-client, driven by lines of JSON on stdin.
//
// in:  {id, name, do, ...}, where `do` is a key of ACTIONS
// out: {id, result} | {name, event, args} | {hook, state} | {complaint}

import { createInterface } from "node:readline";

import { useChat } from "./hooks/use-chat.mjs";
import { useMessaging } from "./hooks/use-messaging.mjs";
import { io } from "./installed.mjs";
import { mount } from "./renderer.mjs";

const HOOKS = { useChat, useMessaging };

const sockets = new Map();
const hooks = new Map();
const write = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
console.error = (...parts) => write({ complaint: parts.join(" ") });

function open({ name, url, options }) {
  const socket = io(url, { forceNew: true, ...options });
  sockets.set(name, socket);
  const report = (event, ...args) => write({ name, event, args });
  socket.onAny(report);
  socket.io.on("open", () => {
    report("open", stateOf(socket));
    socket.io.engine.once("upgrade", () => report("upgrade", stateOf(socket)));
  });
  socket.on("connect", () => report("connect", stateOf(socket)));
  socket.on("disconnect", (reason) => report("disconnect", reason));
  socket.on("connect_error", ({ message, data }) =>
    report("connect_error", { message, data, active: socket.active }),
  );
  return socket;
}

function mounted({ name, hook, args }) {
  const connect = (url, options) => open({ name, url, options });
  const { show, ...rest } = mount(HOOKS[hook], [connect, ...args], (state) => write({ hook: name, state }));
  hooks.set(name, { show: (args) => show([connect, ...args]), ...rest });
}

function stateOf(socket) {
  const { engine } = socket.io;
  return {
    connected: socket.connected,
    id: socket.id,
    recovered: socket.recovered,
    node: engine.id?.split(".")[0],
    transport: engine.transport?.name,
  };
}

const ACTIONS = {
  open: (command) => void open(command),
  emit: ({ event, args }, socket) => void socket.emit(event, ...args),
  ask: ({ event, args }, socket) => socket.timeout(10_000).emitWithAck(event, ...args),
  look: (_command, socket) => stateOf(socket),
  drop: (_command, socket) => void socket.io.engine.close(),
  close: (_command, socket) => void socket.disconnect(),
  mount: mounted,
  show: ({ name, args }) => void hooks.get(name).show(args),
  call: ({ name, method, args }) => void hooks.get(name).call(method, ...args),
  unmount: ({ name }) => void hooks.get(name).unmount(),
};

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  const action = async () => ACTIONS[command.do](command, sockets.get(command.name));
  action().then(
    (result) => write({ id: command.id, result: result ?? null }),
    (error) => write({ id: command.id, error: String(error) }),
  );
}
process.exit(0);
