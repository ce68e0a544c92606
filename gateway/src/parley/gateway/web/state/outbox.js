/** Sends that are not confirmed yet. A retry keeps its `clientMessageId`, so that it is stored once. */

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

/** Fail all entries of a conversation. */
export function failAll(state, conversationId, error) {
  const isHit = (entry) => entry.conversationId === conversationId;
  if (!state.outbox.some(isHit)) return state;
  const outbox = state.outbox.map((entry) => (isHit(entry) ? { ...entry, state: "failed", error } : entry));
  return { ...state, outbox };
}

/** Return the entries of conversations that the user is no longer in. */
export const lostEntries = ({ outbox, gone }) => outbox.filter((entry) => gone[entry.conversationId]);

/** Return the stored message of an entry. */
function storedMessage(entry, me, { messageId, seq, rev }) {
  return {
    _id: messageId,
    seq,
    rev,
    conversationId: entry.conversationId,
    clientMessageId: entry.clientMessageId,
    sender: { _id: me.id, name: me.name },
    content: entry.content,
    attachments: entry.attachments,
    createdAt: entry.createdAt,
    status: "sent",
  };
}

/** Return the message that `messageSent` confirms, or null if it is not in the outbox. */
export function confirmedMessage(state, confirmation) {
  const entry = state.outbox.find((one) => one.clientMessageId === confirmation.clientMessageId);
  return entry ? storedMessage(entry, state.me, confirmation) : null;
}

/**
 * Return the entries to send now: for each conversation the first one that is not accepted.
 * Two sends in flight could overtake each other, and would be numbered in the wrong order.
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
  composed: (state, { clientMessageId, conversationId, title, content, attachments, createdAt }) => {
    const entry = { clientMessageId, conversationId, title, content, attachments, createdAt };
    return { ...state, outbox: [...state.outbox, { ...entry, state: "waiting", dueAt: 0, attempts: 0 }] };
  },
  sendStarted: (state, { clientMessageId }) =>
    withEntry(state, clientMessageId, (entry) => ({ state: "sending", attempts: entry.attempts + 1 })),
  sendAccepted: (state, { clientMessageId, now }) =>
    withEntry(state, clientMessageId, () => ({ state: "accepted", acceptedAt: now })),
  sendDeferred: (state, { clientMessageId, dueAt }) =>
    withEntry(state, clientMessageId, () => ({ state: "waiting", dueAt })),
  sendFailed: (state, { clientMessageId, error }) =>
    withEntry(state, clientMessageId, () => ({ state: "failed", error })),
  sendRetried: (state, { clientMessageId }) =>
    withEntry(state, clientMessageId, () => ({ state: "waiting", dueAt: 0, attempts: 0, error: undefined })),
  sendDiscarded: (state, { clientMessageId }) => without(state, clientMessageId),
  // The confirmation of an accepted send can be lost, by a disconnect for example. Sending again asks for it.
  sendsUnconfirmed: (state, { acceptedBefore = Infinity }) => ({
    ...state,
    outbox: state.outbox.map((entry) => {
      const isSettled =
        entry.state === "failed" || (entry.state === "accepted" && entry.acceptedAt >= acceptedBefore);
      const isInFlight = acceptedBefore !== Infinity && entry.state !== "accepted";
      return isSettled || isInFlight ? entry : { ...entry, state: "waiting", dueAt: 0 };
    }),
  }),
};
