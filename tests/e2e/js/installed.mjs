// What npm installs: for the page, whose own client is the one that is tested, and for its tests.

import { createRequire } from "node:module";

const ofPage = createRequire(new URL("../../../gateway/src/parley/gateway/web/package.json", import.meta.url));
const ofTests = createRequire(import.meta.url);

export const { io } = ofPage("socket.io-client");
export const React = ofTests("react");
export const Reconciler = ofTests("react-reconciler");
export const { DefaultEventPriority } = ofTests("react-reconciler/constants");
