// Runs hooks by React itself, for components that show nothing: a renderer without a screen.

import { DefaultEventPriority, React, Reconciler } from "./installed.mjs";

const CONCURRENT = 1;
const nothing = () => {};
const complain = (error) => console.error(String(error));

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

/** Mount a hook; `onState` is told what it returns, without functions, whenever that has changed. */
export function mount(useHook, given, onState) {
  let returned;
  let shown;

  function Watched({ args }) {
    returned = useHook(...args);
    React.useEffect(() => {
      const state = JSON.stringify(plain(returned));
      if (state !== shown) onState(JSON.parse((shown = state)));
    });
    return null;
  }

  const root = renderer.createContainer({}, CONCURRENT, null, false, null, "", complain, complain, complain, null);
  const show = (args) => renderer.updateContainer(React.createElement(Watched, { args }), root, null, null);
  show(given);
  return {
    show,
    call: (name, ...args) => returned[name](...args),
    unmount: () => renderer.updateContainer(null, root, null, null),
  };
}

function plain(returned) {
  const states = Object.entries(returned).filter(([name, value]) => name !== "socket" && typeof value !== "function");
  return Object.fromEntries(states);
}
