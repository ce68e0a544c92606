// The groups guide's hook, with the socket of its context.

import { React } from "../installed.mjs";

const { useCallback, useEffect, useState } = React;

export function useChat(connect, url, token, conversationId) {
  const { socket, isConnected } = useSocket(connect, url, token);
  const [messages, setMessages] = useState([]);
  const [typingUsers, setTypingUsers] = useState([]);
  const [onlineUsers, setOnlineUsers] = useState([]);

  useEffect(() => {
    if (!socket || !conversationId) return undefined;
    socket.emit("joinRoom", { conversationId });

    const listeners = {
      newMessage(payload) {
        if (payload.conversationId === conversationId) setMessages((known) => [...known, payload.message]);
      },
      userTyping(payload) {
        if (payload.conversationId !== conversationId) return;
        const { userId, username } = payload;
        setTypingUsers((typing) => [...typing, ...(has(typing, userId) ? [] : [{ userId, username }])]);
      },
      userStoppedTyping(payload) {
        if (payload.conversationId !== conversationId) return;
        setTypingUsers((typing) => typing.filter(({ userId }) => userId !== payload.userId));
      },
      messageRead({ messageId }) {
        const read = (message) => (message._id === messageId ? { ...message, status: "read" } : message);
        setMessages((known) => known.map(read));
      },
      onlineUsers: setOnlineUsers,
      userStatusChanged({ userId, status }) {
        setOnlineUsers((online) => {
          const others = online.filter((id) => id !== userId);
          if (status !== "online") return others;
          return online.includes(userId) ? online : [...online, userId];
        });
      },
    };
    for (const [event, listener] of Object.entries(listeners)) socket.on(event, listener);
    // As in the guide: `off` without a listener also removes the listeners of other components.
    return () => Object.keys(listeners).forEach((event) => void socket.off(event));
  }, [socket, conversationId]);

  const emit = useCallback(
    (event, payload) => void socket?.emit(event, { conversationId, ...payload }),
    [socket, conversationId],
  );
  return {
    messages,
    typingUsers,
    onlineUsers,
    isConnected,
    sendMessage: (content) => {
      if (content.trim()) emit("sendMessage", { content: content.trim(), type: "text", tempId: `${Date.now()}` });
    },
    startTyping: () => emit("typing"),
    stopTyping: () => emit("stopTyping"),
    markAsRead: (messageId) => emit("markAsRead", { messageId }),
  };
}

function useSocket(connect, url, token) {
  const [socket, setSocket] = useState(null);
  const [isConnected, setIsConnected] = useState(false);

  useEffect(() => {
    const opened = connect(url, { auth: { token }, transports: ["websocket", "polling"] });
    opened.on("connect", () => setIsConnected(true));
    opened.on("disconnect", () => setIsConnected(false));
    setSocket(opened);
    return () => void opened.close();
  }, []);

  return { socket, isConnected };
}

const has = (typing, id) => typing.some(({ userId }) => userId === id);
