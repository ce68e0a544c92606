/** Numbers, times and sizes for people; an unknown value is a dash. */

const UNKNOWN = "–";
const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });

const known = (format) => (value) => (value === null || value === undefined ? UNKNOWN : format(value));

/** A count. */
export const count = known((value) => whole.format(value));

/** A rate by second. */
export const rate = known((value) => (value >= 100 ? whole : short).format(value));

/** A share of one core. */
export const percent = known((value) => `${whole.format(value * 100)} %`);

/** A short duration, of seconds. */
export const duration = known((value) => {
  if (value < 0.0995) return `${short.format(value * 1000)} ms`;
  if (value < 0.9995) return `${whole.format(value * 1000)} ms`;
  return value < 100 ? `${short.format(value)} s` : `${whole.format(value)} s`;
});

/** How long a process runs. */
export const uptime = known((value) => {
  if (value < 120) return `${Math.max(0, Math.floor(value))} s`;
  if (value < 7200) return `${Math.floor(value / 60)} min`;
  return value < 172800 ? `${Math.floor(value / 3600)} h` : `${Math.floor(value / 86400)} d`;
});

/** A number of bytes. */
export const bytes = known((value) => {
  const power = Math.min(UNITS.length - 1, Math.floor(Math.log2(Math.max(1, value)) / 10));
  const scaled = value / 1024 ** power;
  return `${(scaled < 10 && power ? short : whole).format(scaled)} ${UNITS[power]}`;
});

/** A time of day, of Unix time in seconds. */
export const clock = (seconds) => new Date(seconds * 1000).toLocaleTimeString("en-GB");

/** A date with its time, of an ISO 8601 text. */
export const dateTime = known((text) => new Date(text).toLocaleString("en-GB"));

/** A number with its noun. */
export const plural = (number, noun) => `${count(number)} ${noun}${number === 1 ? "" : "s"}`;
