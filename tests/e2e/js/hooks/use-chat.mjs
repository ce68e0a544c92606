// The groups guide's hook, with the socket that its context opens.

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
      newMessage(told) {
        if (told.conversationId === conversationId) setMessages((known) => [...known, told.message]);
      },
      userTyping(told) {
        if (told.conversationId !== conversationId) return;
        const { userId, username } = told;
        setTypingUsers((typing) => [...typing, ...(has(typing, userId) ? [] : [{ userId, username }])]);
      },
      userStoppedTyping(told) {
        if (told.conversationId !== conversationId) return;
        setTypingUsers((typing) => typing.filter(({ userId }) => userId !== told.userId));
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
    // As the guide does it: whoever else listens to these events is silenced too.
    return () => Object.keys(listeners).forEach((event) => void socket.off(event));
  }, [socket, conversationId]);

  const say = useCallback(
    (event, payload) => void socket?.emit(event, { conversationId, ...payload }),
    [socket, conversationId],
  );
  return {
    messages,
    typingUsers,
    onlineUsers,
    isConnected,
    sendMessage: (content) => {
      if (content.trim()) say("sendMessage", { content: content.trim(), type: "text", tempId: `${Date.now()}` });
    },
    startTyping: () => say("typing"),
    stopTyping: () => say("stopTyping"),
    markAsRead: (messageId) => say("markAsRead", { messageId }),
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
