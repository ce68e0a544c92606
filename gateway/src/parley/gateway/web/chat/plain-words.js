/** The server's errors in words for users, without the names of fields. */

const SENTENCES = {
  INTERNAL: "Something went wrong on the server.",
  UNAVAILABLE: "The server cannot do this right now. Try again in a moment.",
  OVERLOADED: "The server is busy. Try again in a moment.",
  UNKNOWN_EVENT: "This server does not offer that.",
  TOO_LARGE: "This is too large.",
};
const NOT_FOUND = {
  conversation: "This conversation does not exist, or you are no longer in it.",
  message: "This message no longer exists.",
  attachment: "This file no longer exists.",
};
const FIELD = /^[A-Za-z_][\w.]*: /;

/** Return the sentence for an error `{code, message, retryAfter?}`. */
export function inPlainWords({ code = "INTERNAL", message = "", retryAfter } = {}) {
  if (code === "RATE_LIMITED") return `You are doing this too often. Try again in ${seconds(retryAfter)}.`;
  if (code === "NOT_FOUND" && /conversation/.test(message)) return NOT_FOUND.conversation;
  if (code === "NOT_FOUND" && /message/.test(message)) return NOT_FOUND.message;
  if (code === "NOT_FOUND" && /attachment/.test(message)) return NOT_FOUND.attachment;
  if (code === "INVALID" && /longer than/.test(message)) return "This is too long.";
  return SENTENCES[code] ?? (message.replace(FIELD, "") || SENTENCES.INTERNAL);
}

function seconds(retryAfter = 1) {
  const count = Math.max(1, Math.ceil(retryAfter));
  return count === 1 ? "a second" : `${count} seconds`;
}
