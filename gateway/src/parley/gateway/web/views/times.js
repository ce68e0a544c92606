/** Times as people say them. */

const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit" });
const WEEKDAY = new Intl.DateTimeFormat(undefined, { weekday: "short" });
const DATE = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const LONG_DATE = new Intl.DateTimeFormat(undefined, {
  weekday: "long",
  day: "numeric",
  month: "long",
  year: "numeric",
});
const DAY = 24 * 60 * 60_000;

const daysAgo = (at) =>
  Math.round((new Date().setHours(0, 0, 0, 0) - new Date(at).setHours(0, 0, 0, 0)) / DAY);

export const clock = (iso) => CLOCK.format(new Date(iso));

/** For a list: the time of today, the day of this week, else the date. */
export function brief(iso) {
  if (!iso) return "";
  const ago = daysAgo(iso);
  if (ago <= 0) return clock(iso);
  return (ago < 7 ? WEEKDAY : DATE).format(new Date(iso));
}

/** For the line between two days. */
export function dayName(iso) {
  return ["Today", "Yesterday"][daysAgo(iso)] ?? LONG_DATE.format(new Date(iso));
}
