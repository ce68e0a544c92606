/** Times and dates for display. */

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

/** Return a short time for lists: the time today, the weekday within a week, else the date. */
export function brief(iso) {
  if (!iso) return "";
  const ago = daysAgo(iso);
  if (ago <= 0) return clock(iso);
  return (ago < 7 ? WEEKDAY : DATE).format(new Date(iso));
}

/** Return the text of a day's divider. */
export function dayName(iso) {
  return ["Today", "Yesterday"][daysAgo(iso)] ?? LONG_DATE.format(new Date(iso));
}
