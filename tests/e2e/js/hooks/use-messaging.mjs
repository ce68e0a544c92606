// The contracts guide's hook: one socket for a token, in the room of one conversation at a time.

import { React } from "../installed.mjs";

const { useEffect, useState } = React;

export function useMessaging(connect, url, token, conversationId) {
  const [socket, setSocket] = useState(null);
  const [isConnected, setIsConnected] = useState(false);
  const [messages, setMessages] = useState([]);
  const [isTyping, setIsTyping] = useState(false);

  useEffect(() => {
    const opened = connect(url, { auth: { token } });
    opened.on("connect", () => setIsConnected(true));
    opened.on("disconnect", () => setIsConnected(false));
    opened.on("new_message", (message) => setMessages((known) => [...known, message]));
    // As in the guide: the listener keeps the conversation of the time when the socket was opened.
    opened.on("user_typing", (typing) => {
      if (typing.conversationId === conversationId) setIsTyping(typing.isTyping);
    });
    setSocket(opened);
    return () => void opened.close();
  }, [token]);

  useEffect(() => {
    if (!socket || !conversationId) return undefined;
    socket.emit("join_conversation", { conversationId }, () => {});
    return () => void socket.emit("leave_conversation", { conversationId });
  }, [socket, conversationId]);

  const emit = (event, payload, ...acknowledged) => {
    if (socket && conversationId) socket.emit(event, { conversationId, ...payload }, ...acknowledged);
  };
  return {
    socket,
    messages,
    isConnected,
    isTyping,
    sendMessage: (content, attachments = []) =>
      emit("send_message", { content, messageType: "text", attachments }, (response) => {
        if (!response.success) console.error("Error sending message:", response.error);
      }),
    indicateTyping: (typing) => emit("typing", { isTyping: typing }),
    markAsRead: () => emit("mark_as_read"),
  };
}
