/** Parses the AsyncAPI document on stdin; says as JSON what it has, and what is wrong with it. */

import { text } from "node:stream/consumers";

import { Parser } from "@asyncapi/parser";

const { document, diagnostics } = await new Parser().parse(await text(process.stdin));
const channels = document?.channels().all() ?? [];
const operations = document?.operations().all() ?? [];
console.log(
  JSON.stringify({
    channels: Object.fromEntries(channels.map((channel) => [channel.id(), channel.address()])),
    operations: Object.fromEntries(operations.map((operation) => [operation.id(), operation.action()])),
    diagnostics: diagnostics.map(({ code, message, path }) => ({ code, message, path })),
  }),
);
