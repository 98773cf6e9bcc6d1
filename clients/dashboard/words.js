// Numbers, times and names of the wire in words for people.

const COUNT = new Intl.NumberFormat("en");
const DATE = new Intl.DateTimeFormat("en-GB", { weekday: "short", day: "numeric", month: "short" });
const MINUTE = new Intl.DateTimeFormat("en-GB", { timeStyle: "short" });
const SECOND = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });

const MARKETS = { h2h: "Match result", totals: "Total goals", spreads: "Handicap", btts: "Both teams to score" };
const PERIODS = { ft: "", h1: ", 1st half", h2: ", 2nd half" };
const RESULTS = { home: "1", draw: "X", away: "2", home_draw: "1X", home_away: "12", draw_away: "X2" };
const OUTCOMES = { ...RESULTS, over: "Over", under: "Under", yes: "Yes", no: "No" };
const ORDER = Object.keys(OUTCOMES);

export const count = (value) => COUNT.format(value);
export const plural = (value, noun) => `${count(value)} ${noun}${value === 1 ? "" : "s"}`;
export const kickOff = (ms) => `${DATE.format(ms)}, ${MINUTE.format(ms)}`;
export const clock = (ms) => SECOND.format(ms);
export const words = (name) => name.replaceAll("_", " ");
export const capital = (text) => text[0].toUpperCase() + text.slice(1);
export const outcome = (name) => OUTCOMES[name] ?? words(name);

// At least two decimals, a third only where there is one.
export const price = (value) => value.toFixed(3).replace(/0$/, "");

// A market's token is `<key>-<period>`.
export function market(token) {
  const [, key, period] = /^(.*)-(.*)$/.exec(token);
  return (MARKETS[key] ?? capital(words(key))) + (PERIODS[period] ?? `, ${period}`);
}

export function line(token, value) {
  const signed = token.startsWith("spreads-") && value > 0;
  return `${signed ? "+" : ""}${value}`.replace("-", "−");
}

export function byOutcome(a, b) {
  const rank = (name) => (ORDER.includes(name) ? ORDER.indexOf(name) : ORDER.length);
  return rank(a) - rank(b) || (a < b ? -1 : 1);
}

export function duration(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}

// Like `duration`, exact enough for the time that a run takes.
export function elapsed(ms) {
  if (ms < 1000) return `${ms} ms`;
  if (ms < 10_000) return `${(ms / 1000).toFixed(1)} s`;
  if (ms < 60_000 || ms >= 3_600_000) return duration(ms);
  return `${duration(ms)} ${Math.floor((ms % 60_000) / 1000)} s`;
}
