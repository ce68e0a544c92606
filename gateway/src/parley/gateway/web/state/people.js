/** Events of presence and typing. */

function typingChanged(state, { conversationId, userId, name }) {
  const conversation = state.conversations[conversationId];
  if (!conversation) return state;
  const { [userId]: _before, ...others } = conversation.typing;
  const changed = { ...conversation, typing: name ? { ...others, [userId]: name } : others };
  return { ...state, conversations: { ...state.conversations, [conversationId]: changed } };
}

function presenceChanged(state, { userId, online }) {
  const { [userId]: _before, ...others } = state.online;
  return { ...state, online: online ? { ...others, [userId]: true } : others };
}

export const PEOPLE_EVENTS = {
  typingChanged,
  presenceChanged,
  onlineUsersLoaded: (state, { users }) => ({
    ...state,
    online: Object.fromEntries(users.map((id) => [id, true])),
  }),
};
