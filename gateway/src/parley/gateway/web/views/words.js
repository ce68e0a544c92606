/** Words that several views use. */

export const OFFLINE = "Not possible while offline";

/** Return `1 message` or `2 messages`. */
export const counted = (count, word) => `${count.toLocaleString()} ${word}${count === 1 ? "" : "s"}`;
