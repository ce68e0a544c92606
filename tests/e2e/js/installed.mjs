// Installed packages: the page's own socket.io-client, which is the tested one, and React for the hooks.

import { createRequire } from "node:module";

const ofPage = createRequire(new URL("../../../gateway/src/parley/gateway/web/package.json", import.meta.url));
const ofTests = createRequire(import.meta.url);

export const { io } = ofPage("socket.io-client");
export const React = ofTests("react");
export const Reconciler = ofTests("react-reconciler");
export const { DefaultEventPriority } = ofTests("react-reconciler/constants");
