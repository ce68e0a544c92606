/** Compares the inputs of what is made again only if one of them has changed. */

/** Return whether two arrays hold the same values. */
export const isSame = (one, other) =>
  one.length === other.length && one.every((value, index) => value === other[index]);
