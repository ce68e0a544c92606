// Runs hooks in React with a renderer that draws nothing.

import { DefaultEventPriority, React, Reconciler } from "./installed.mjs";

const CONCURRENT = 1;
const nothing = () => {};
const reportError = (error) => console.error(String(error));

let priority = 0;
const renderer = Reconciler({
  supportsMutation: true,
  isPrimaryRenderer: true,
  noTimeout: -1,
  scheduleTimeout: setTimeout,
  cancelTimeout: clearTimeout,
  getRootHostContext: () => null,
  prepareForCommit: () => null,
  resetAfterCommit: nothing,
  clearContainer: nothing,
  setCurrentUpdatePriority: (wanted) => (priority = wanted),
  getCurrentUpdatePriority: () => priority,
  resolveUpdatePriority: () => priority || DefaultEventPriority,
  resolveEventType: () => null,
  resolveEventTimeStamp: () => -1.1,
  trackSchedulerEvent: nothing,
});

/** Mount a hook; `onState` gets its result, without functions and the socket, after each change. */
export function mount(useHook, args, onState) {
  let returned;
  let reported;

  function Watched({ args }) {
    returned = useHook(...args);
    React.useEffect(() => {
      const state = JSON.stringify(plainState(returned));
      if (state !== reported) onState(JSON.parse((reported = state)));
    });
    return null;
  }

  const root = renderer.createContainer({}, CONCURRENT, null, false, null, "", reportError, reportError, reportError, null);
  const show = (args) => renderer.updateContainer(React.createElement(Watched, { args }), root, null, null);
  show(args);
  return {
    show,
    call: (name, ...args) => returned[name](...args),
    unmount: () => renderer.updateContainer(null, root, null, null),
  };
}

function plainState(returned) {
  const states = Object.entries(returned).filter(([name, value]) => name !== "socket" && typeof value !== "function");
  return Object.fromEntries(states);
}
