/** Sends that are not known to be stored: each keeps its name, whatever happens to the connection. */

function withEntry(state, name, change) {
  return {
    ...state,
    outbox: state.outbox.map((entry) =>
      entry.clientMessageId === name ? { ...entry, ...change(entry) } : entry,
    ),
  };
}

function without(state, name) {
  return { ...state, outbox: state.outbox.filter((entry) => entry.clientMessageId !== name) };
}

/** The message that a stored entry has become. */
function became(entry, me, { messageId, seq, rev }) {
  return {
    _id: messageId,
    seq,
    rev,
    conversationId: entry.conversationId,
    clientMessageId: entry.clientMessageId,
    sender: { _id: me.id, name: me.name },
    content: entry.content,
    createdAt: entry.createdAt,
    status: "sent",
  };
}

/** The message that `messageSent` speaks of, when it is still in the outbox; else null. */
export function confirmedMessage(state, confirmation) {
  const entry = state.outbox.find((one) => one.clientMessageId === confirmation.clientMessageId);
  return entry ? became(entry, state.me, confirmation) : null;
}

/**
 * The entries to send now, in their order: of each conversation the first that nobody accepted,
 * because one that overtakes another would be numbered before it.
 */
export function due(state, now) {
  const blocked = new Set();
  return state.outbox.filter((entry) => {
    if (entry.state === "failed" || entry.state === "accepted" || blocked.has(entry.conversationId))
      return false;
    blocked.add(entry.conversationId);
    return entry.state === "waiting" && entry.dueAt <= now;
  });
}

export const OUTBOX_EVENTS = {
  composed: (state, { clientMessageId, conversationId, content, createdAt }) => ({
    ...state,
    outbox: [
      ...state.outbox,
      { clientMessageId, conversationId, content, createdAt, state: "waiting", dueAt: 0, attempts: 0 },
    ],
  }),
  sendStarted: (state, { clientMessageId }) =>
    withEntry(state, clientMessageId, (entry) => ({ state: "sending", attempts: entry.attempts + 1 })),
  sendAccepted: (state, { clientMessageId, now }) =>
    withEntry(state, clientMessageId, () => ({ state: "accepted", acceptedAt: now })),
  sendPutOff: (state, { clientMessageId, dueAt }) =>
    withEntry(state, clientMessageId, () => ({ state: "waiting", dueAt })),
  sendFailed: (state, { clientMessageId, error }) =>
    withEntry(state, clientMessageId, () => ({ state: "failed", error })),
  sendAgain: (state, { clientMessageId }) =>
    withEntry(state, clientMessageId, () => ({ state: "waiting", dueAt: 0, attempts: 0, error: undefined })),
  sendDropped: (state, { clientMessageId }) => without(state, clientMessageId),
  // What was accepted, but never confirmed, may have been heard while we were away: ask again.
  sendsUncertain: (state, { acceptedBefore = Infinity }) => ({
    ...state,
    outbox: state.outbox.map((entry) => {
      const sure =
        entry.state === "failed" || (entry.state === "accepted" && entry.acceptedAt >= acceptedBefore);
      const going = acceptedBefore !== Infinity && entry.state !== "accepted";
      return sure || going ? entry : { ...entry, state: "waiting", dueAt: 0 };
    }),
  }),
};
