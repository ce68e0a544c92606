/** Compares what is made again only if it has changed. */

/** Return whether two arrays hold the same values. */
export const isSame = (one, other) =>
  one.length === other.length && one.every((value, index) => value === other[index]);

/** Return whether two objects hold the same values under the same keys, but for one key. */
export function isSameExcept(except, one, other) {
  const keys = Object.keys(one);
  if (keys.length !== Object.keys(other).length) return false;
  return keys.every((key) => one[key] === other[key] || (key === except && key in other));
}
