// Numbers, times and names of the wire in words for people.

const COUNT = new Intl.NumberFormat("en");
const DATE = new Intl.DateTimeFormat("en-GB", { weekday: "short", day: "numeric", month: "short" });
const MINUTE = new Intl.DateTimeFormat("en-GB", { timeStyle: "short" });
const SECOND = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });

const MARKETS: Record<string, string> = { h2h: "Match result", totals: "Total goals", spreads: "Handicap", btts: "Both teams to score", double_chance: "Double chance" };
const PERIODS: Record<string, string> = { ft: "", h1: ", 1st half", h2: ", 2nd half" };
const OUTCOMES: Record<string, string> = { home: "1", draw: "X", away: "2", home_draw: "1X", home_away: "12", draw_away: "X2", over: "Over", under: "Under", yes: "Yes", no: "No" };
const SPOKEN: Record<string, string> = { home: "Home", draw: "Draw", away: "Away" };
const ORDER = Object.keys(OUTCOMES);

export const count = (value: number): string => COUNT.format(value);
export const plural = (value: number, noun: string): string => `${count(value)} ${noun}${value === 1 ? "" : "s"}`;
export const date = (ms: number): string => `${DATE.format(ms)}, ${MINUTE.format(ms)}`;
export const day = (ms: number): string => DATE.format(ms);
export const minute = (ms: number): string => MINUTE.format(ms);
export const clock = (ms: number): string => SECOND.format(ms);
export const words = (name: string): string => name.replaceAll("_", " ");
export const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);
export const outcomeName = (name: string): string => OUTCOMES[name] ?? words(name);
export const outcomeSpoken = (name: string): string => SPOKEN[name] ?? outcomeName(name);

/** The zone that all times of the page are shown in. */
export const zone = (): string => Intl.DateTimeFormat().resolvedOptions().timeZone;

/** At least two decimals, a third only where there is one. */
export const price = (value: number): string => value.toFixed(3).replace(/0$/, "");

export const percent = (share: number): string => `${(share * 100).toFixed(1).replace("-", "−")} %`;

/** A market's token is `<key>-<period>`. */
export function marketName(token: string): string {
  const at = token.lastIndexOf("-");
  const [key, period] = [token.slice(0, at), token.slice(at + 1)];
  return (MARKETS[key] ?? capital(words(key))) + (PERIODS[period] ?? `, ${period}`);
}

export function lineName(token: string, value: number): string {
  const signed = token.startsWith("spreads-") && value > 0;
  return `${signed ? "+" : ""}${value}`.replace("-", "−");
}

export function byOutcome(a: string, b: string): number {
  const rank = (name: string) => (ORDER.includes(name) ? ORDER.indexOf(name) : ORDER.length);
  return rank(a) - rank(b) || (a < b ? -1 : 1);
}

export function duration(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86_400)} days`;
}

/** Like `duration`, exact enough for the time that a run takes. */
export function elapsed(ms: number): string {
  if (ms < 1000) return `${ms} ms`;
  if (ms < 10_000) return `${(ms / 1000).toFixed(1)} s`;
  if (ms < 60_000 || ms >= 3_600_000) return duration(ms);
  return `${duration(ms)} ${Math.floor((ms % 60_000) / 1000)} s`;
}
