/** Who is online and who is typing. */

function typing(state, { conversationId, userId, name }) {
  const conversation = state.conversations[conversationId];
  if (!conversation) return state;
  const { [userId]: _before, ...others } = conversation.typing;
  const changed = { ...conversation, typing: name ? { ...others, [userId]: name } : others };
  return { ...state, conversations: { ...state.conversations, [conversationId]: changed } };
}

function status(state, { userId, online }) {
  const { [userId]: _before, ...others } = state.online;
  return { ...state, online: online ? { ...others, [userId]: true } : others };
}

export const PEOPLE_EVENTS = {
  typing,
  status,
  onlineUsers: (state, { users }) => ({
    ...state,
    online: Object.fromEntries(users.map((id) => [id, true])),
  }),
};
