/** Translates the server's events to events of the store. */

import { confirmedMessage } from "../state/outbox.js";
import { nameOf, others } from "../state/selectors.js";

/** `onUnknown(id)` is called for events of conversations that the store does not have. */
export function listen(socket, store, onUnknown) {
  const dispatch = (type, fields) => store.dispatch({ type, ...fields });
  const receive = ({ message, conversationId }) =>
    dispatch("messagesReceived", { conversationId, messages: [message] });

  const handlers = {
    newMessage: receive,
    messageUpdated: receive,
    messageDeleted: (payload) => dispatch("messageDeleted", payload),
    messageSent(payload) {
      const message = confirmedMessage(store.state, payload);
      if (message) receive({ message, conversationId: payload.conversationId });
    },
    messageRejected: fail,
    messageFailed: fail,
    messageRead: markRead,
    conversationRead: markRead,
    messageDelivered: ({ conversationId, deliveredTo, seq }) =>
      dispatch("receiptReceived", { conversationId, userId: deliveredTo, seq, kind: "delivered" }),
    userTyping({ conversationId, userId, username }) {
      const name = knownName(conversationId, userId) ?? username;
      dispatch("typingChanged", { conversationId, userId, name });
    },
    userStoppedTyping: ({ conversationId, userId }) => dispatch("typingChanged", { conversationId, userId }),
    onlineUsers: (users) => dispatch("onlineUsersLoaded", { users }),
    userStatusChanged: ({ userId, status }) =>
      dispatch("presenceChanged", { userId, online: status === "online" }),
    conversationCreated(conversation) {
      dispatch("conversationLoaded", { conversation });
      onUnknown(conversation._id);
    },
    participantsAdded(payload) {
      dispatch("participantsAdded", payload);
      socket.volatile.emit("getOnlineUsers");
    },
    participantRemoved: (payload) => dispatch("participantRemoved", payload),
    unreadCount(payload) {
      if (!store.state.conversations[payload.conversationId]) onUnknown(payload.conversationId);
      dispatch("unreadChanged", payload);
    },
  };

  function fail({ clientMessageId, error }) {
    dispatch("sendFailed", { clientMessageId, error: error.message });
  }

  function markRead({ conversationId, readBy, seq }) {
    dispatch("receiptReceived", { conversationId, userId: readBy, seq, kind: "read" });
  }

  function knownName(conversationId, userId) {
    const conversation = store.state.conversations[conversationId];
    const person = conversation && others(conversation, store.state.me).find((one) => one._id === userId);
    return person && nameOf(person);
  }

  for (const [event, handler] of Object.entries(handlers)) socket.on(event, handler);
}
