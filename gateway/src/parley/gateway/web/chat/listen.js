/** What the server says, as events of the store. */

import { confirmedMessage } from "../state/outbox.js";
import { nameOf, others } from "../state/selectors.js";

/** `missing(id)` is asked for conversations that are told of but not known here. */
export function listen(socket, store, missing) {
  const say = (type, fields) => store.dispatch({ type, ...fields });
  const heard = ({ message, conversationId }) => say("heard", { conversationId, messages: [message] });

  const words = {
    newMessage: heard,
    messageUpdated: heard,
    messageDeleted: (payload) => say("deleted", payload),
    messageSent(payload) {
      const message = confirmedMessage(store.state, payload);
      if (message) heard({ message, conversationId: payload.conversationId });
    },
    messageRejected: failed,
    messageFailed: failed,
    messageRead: read,
    conversationRead: read,
    messageDelivered: ({ conversationId, deliveredTo, seq }) =>
      say("receipt", { conversationId, userId: deliveredTo, seq, kind: "delivered" }),
    userTyping: ({ conversationId, userId, username }) =>
      say("typing", { conversationId, userId, name: typist(conversationId, userId) ?? username }),
    userStoppedTyping: ({ conversationId, userId }) => say("typing", { conversationId, userId }),
    onlineUsers: (users) => say("onlineUsers", { users }),
    userStatusChanged: ({ userId, status }) => say("status", { userId, online: status === "online" }),
    conversationCreated(conversation) {
      say("conversation", { conversation });
      missing(conversation._id);
    },
    participantsAdded(payload) {
      say("participantsAdded", payload);
      socket.volatile.emit("getOnlineUsers");
    },
    participantRemoved: (payload) => say("participantRemoved", payload),
    unreadCount(payload) {
      if (!store.state.conversations[payload.conversationId]) missing(payload.conversationId);
      say("unread", payload);
    },
  };

  function failed({ clientMessageId, error }) {
    say("sendFailed", { clientMessageId, error: error.message });
  }

  function read({ conversationId, readBy, seq }) {
    say("receipt", { conversationId, userId: readBy, seq, kind: "read" });
  }

  function typist(conversationId, userId) {
    const conversation = store.state.conversations[conversationId];
    const person = conversation && others(conversation, store.state.me).find((one) => one._id === userId);
    return person && nameOf(person);
  }

  for (const [event, hear] of Object.entries(words)) socket.on(event, hear);
}
