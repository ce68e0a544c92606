// Sockets of the real socket.io-client, told what to do by lines of JSON on stdin.
//
// in:  {id, name, do: "open" | "emit" | "ask" | "look" | "close", ...}
// out: {id, result} | {name, event, args}

import { createRequire } from "node:module";
import { createInterface } from "node:readline";

// The page's own installation is the one that is tested.
const installed = createRequire(new URL("../../../gateway/src/gateway/web/package.json", import.meta.url));
const { io } = installed("socket.io-client");

const sockets = new Map();
const write = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

function open({ name, url, options }) {
  const socket = io(url, { forceNew: true, ...options });
  sockets.set(name, socket);
  const tell = (event, ...args) => write({ name, event, args });
  socket.onAny(tell);
  socket.io.on("open", () => {
    tell("open", look(socket));
    socket.io.engine.once("upgrade", () => tell("upgrade", look(socket)));
  });
  socket.on("connect", () => tell("connect", look(socket)));
  socket.on("disconnect", (reason) => tell("disconnect", reason));
  socket.on("connect_error", ({ message, data }) =>
    tell("connect_error", { message, data, active: socket.active }),
  );
}

function look(socket) {
  const { engine } = socket.io;
  return {
    connected: socket.connected,
    id: socket.id,
    node: engine.id?.split(".")[0],
    transport: engine.transport?.name,
  };
}

const DEEDS = {
  open,
  emit: ({ event, args }, socket) => void socket.emit(event, ...args),
  ask: ({ event, args }, socket) => socket.timeout(10_000).emitWithAck(event, ...args),
  look: (_command, socket) => look(socket),
  close: (_command, socket) => void socket.disconnect(),
};

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  const deed = async () => DEEDS[command.do](command, sockets.get(command.name));
  deed().then(
    (result) => write({ id: command.id, result: result ?? null }),
    (error) => write({ id: command.id, error: String(error) }),
  );
}
process.exit(0);
