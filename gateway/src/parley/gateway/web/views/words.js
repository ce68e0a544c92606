/** Words that several views use. */

export const OFFLINE = "Not possible while offline";

const UNITS = ["bytes", "KB", "MB"];

/** Return the size of a file, such as `12 KB`. */
export function sizeOf({ size }) {
  const unit = Math.min(Math.floor(Math.log10(Math.max(size, 1)) / 3), UNITS.length - 1);
  return `${Math.ceil(size / 1000 ** unit).toLocaleString()} ${UNITS[unit]}`;
}

/** Return `1 message` or `2 messages`. */
export const counted = (count, word) => `${count.toLocaleString()} ${word}${count === 1 ? "" : "s"}`;
