// The odds that the page holds, and what follows from them. No page in here.

import type { OddsConfirmed, OddsUpdate, Quote } from "@oddswire/client";
import { type Signal, signal } from "@preact/signals";

const STALE_AFTER_MS = 180_000;
/** A moved price carries its arrow for so long. */
export const MOVE_SHOWN_MS = 6000;
// More flashes than this at once are no news any more: the others get their arrow alone.
const FLASHES = 100;

export interface Move {
  readonly up: boolean;
  readonly until: number;
  /** Alternates, so that a second move begins its flash anew. */
  readonly turn: 0 | 1;
  readonly flash: boolean;
}

export type Quotes = ReadonlyMap<string, Quote>;

export interface Line {
  readonly line: number | null;
  /** By source. */
  readonly quotes: Quotes;
}

/** One event in one market. */
export class Row {
  readonly bySource = new Map<string, OddsUpdate>();
  /** `<source> <line> <outcome>`. */
  readonly moves = new Map<string, Move>();
  /** Counts the changes: what is read under it is drawn again. */
  readonly version: Signal<number>;
  /** The line that was shown last, of several: it stays while it is as good as another. */
  shown: number | null | undefined;

  constructor(
    readonly token: string,
    readonly eventId: string,
    drawn: Set<Row>,
  ) {
    this.version = signal(0, { watched: () => drawn.add(this), unwatched: () => drawn.delete(this) });
  }

  get key(): string {
    return `${this.token} ${this.eventId}`;
  }

  /** Sources may write an event differently: the first that still offers it is shown. */
  get event(): OddsUpdate["event"] {
    const names = [...this.bySource.keys()].sort();
    const shown = names.find((name) => offered(this.bySource.get(name) as OddsUpdate)) ?? (names[0] as string);
    return (this.bySource.get(shown) as OddsUpdate).event;
  }

  get isOffered(): boolean {
    return this.bySource.values().some(offered);
  }

  /** In the order of the lines; those that every source withdrew are left out. */
  lines(): Line[] {
    const lines = new Map<number | null, Map<string, Quote>>();
    for (const [source, { market }] of this.bySource) {
      for (const quote of market.quotes) child(lines, quote.line ?? null, () => new Map()).set(source, quote);
    }
    return [...lines]
      .map(([line, quotes]) => ({ line, quotes }))
      .filter(({ quotes }) => quotes.values().some(({ status }) => status !== "withdrawn"))
      .sort((a, b) => (a.line ?? -Infinity) - (b.line ?? -Infinity));
  }
}

export class Board {
  /** Market token → event id → row. */
  readonly markets = new Map<string, Map<string, Row>>();
  /** Market token → the names of its outcomes. */
  readonly outcomes = new Map<string, Set<string>>();
  /** Source → when it was checked, and the events for which that does not hold (null: all). */
  readonly confirmed = new Map<string, { at: number; except: ReadonlySet<string> | null }>();
  readonly sources = new Set<string>();
  /** The rows that are on the page now. */
  readonly drawn = new Set<Row>();
  /** Counts the changes of what rows there are. */
  readonly shape = signal(0);
  readonly checks = signal(0);
  readonly #moving = new Set<Row>();
  #flashes = 0;

  /** Takes the image of a market in place of the one held; gives the row to be drawn again. */
  take(data: OddsUpdate, now: number, isNews: boolean): Row {
    const token = `${data.market.key}-${data.market.period}`;
    const eventId = data.event.event_id;
    const rows = child(this.markets, token, () => new Map<string, Row>());
    const row = child(rows, eventId, () => new Row(token, eventId, this.drawn));
    const before = row.bySource.get(data.source);
    row.bySource.set(data.source, data);
    const names = child(this.outcomes, token, () => new Set<string>());
    const known = names.size + this.sources.size;
    this.sources.add(data.source);
    for (const quote of data.market.quotes) for (const { name } of quote.outcomes) names.add(name);
    const reshaped = before === undefined || known !== names.size + this.sources.size || shapeOf(before) !== shapeOf(data);
    if (reshaped) this.shape.value += 1;
    if (isNews && before !== undefined) this.#note(row, before, data, now);
    return row;
  }

  confirm(data: OddsConfirmed): void {
    const except = data.all_unconfirmed ? null : new Set(data.unconfirmed_event_ids);
    this.confirmed.set(data.source, { at: Date.parse(data.confirmed_at), except });
    this.checks.value += 1;
  }

  /** When a quote was last known to hold. */
  checkedAt(quote: Quote, source: string, eventId: string): number {
    const own = Date.parse(quote.confirmed_at);
    const check = this.confirmed.get(source);
    const holds = check !== undefined && check.except !== null && !check.except.has(eventId);
    return holds ? Math.max(own, check.at) : own;
  }

  /** Takes the arrows off that were shown long enough; gives their rows. */
  settle(now: number): Row[] {
    const changed: Row[] = [];
    for (const row of this.#moving) {
      const before = row.moves.size;
      for (const [key, { until, flash }] of row.moves) {
        if (until > now) continue;
        row.moves.delete(key);
        if (flash) this.#flashes -= 1;
      }
      if (row.moves.size !== before) changed.push(row);
      if (row.moves.size === 0) this.#moving.delete(row);
    }
    return changed;
  }

  #note(row: Row, before: OddsUpdate, after: OddsUpdate, now: number): void {
    for (const { line, name, up } of priceMoves(before, after)) {
      const key = moveKey(after.source, line, name);
      const old = row.moves.get(key);
      if (old?.flash) this.#flashes -= 1;
      const flash = this.#flashes < FLASHES;
      if (flash) this.#flashes += 1;
      row.moves.set(key, { up, until: now + MOVE_SHOWN_MS, turn: old?.turn === 0 ? 1 : 0, flash });
      this.#moving.add(row);
    }
  }
}

export const moveKey = (source: string, line: number | null | undefined, outcome: string): string => `${source} ${line ?? ""} ${outcome}`;
export const staleAfter = (record: { stale_after_ms?: number | null } | undefined): number => record?.stale_after_ms ?? STALE_AFTER_MS;
export const groupOf = (event: OddsUpdate["event"]): string => [event.country, event.league].filter(Boolean).join(" · ");

const offered = (data: OddsUpdate): boolean => data.market.quotes.some(({ status }) => status !== "withdrawn");

// What the list of rows depends on: prices are no part of it.
function shapeOf({ event, market }: OddsUpdate): string {
  return `${event.commence_time} ${event.home_team} ${market.quotes.map(({ line, status }) => `${line}${status === "withdrawn" ? "w" : ""}`)}`;
}

/** The line to show of several: offered by the most sources; then the one that was shown; then the most even prices. */
export function mainLine(lines: readonly Line[], shown: number | null | undefined): Line | undefined {
  const open = ({ quotes }: Line) => [...quotes.values()].filter(({ status }) => status === "open");
  const preference = (line: Line) => (line.line === shown ? 0.95 : 0.9 - Math.min(...open(line).map(unevenness), 9) / 10);
  const score = (line: Line) => open(line).length + preference(line);
  return lines.reduce<Line | undefined>((best, line) => (best === undefined || score(line) > score(best) ? line : best), undefined);
}

function unevenness(quote: Quote): number {
  const prices = quote.outcomes.map(({ price }) => price).filter((price) => typeof price === "number");
  return prices.length === 0 ? 9 : Math.max(...prices) - Math.min(...prices);
}

/** The highest open price of each outcome, and how many sources offer one. */
export function bestPrices(quotes: Iterable<Quote>): Map<string, { top: number; seen: number }> {
  const best = new Map<string, { top: number; seen: number }>();
  for (const quote of quotes) {
    if (quote.status !== "open") continue;
    for (const { name, price, status } of quote.outcomes) {
      if (status !== "open" || typeof price !== "number") continue;
      const { top, seen } = best.get(name) ?? { top: 0, seen: 0 };
      best.set(name, { top: Math.max(top, price), seen: seen + 1 });
    }
  }
  return best;
}

/** What a book keeps of the stakes when all outcomes are taken at these prices: Σ 1/price − 1. Null with less than all. */
export function margin(prices: readonly (number | null | undefined)[]): number | null {
  if (prices.length < 2 || prices.some((price) => typeof price !== "number")) return null;
  return prices.reduce<number>((sum, price) => sum + 1 / (price as number), 0) - 1;
}

export const quoteMargin = (quote: Quote): number | null =>
  quote.status === "open" ? margin(quote.outcomes.map(({ price, status }) => (status === "open" ? price : null))) : null;

/** What changed in price between two images of a market. */
export function priceMoves(before: OddsUpdate, after: OddsUpdate): { line: number | null; name: string; up: boolean }[] {
  const moves = [];
  for (const { line, outcomes } of after.market.quotes) {
    const old = before.market.quotes.find((quote) => quote.line === line);
    for (const { name, price } of old === undefined ? [] : outcomes) {
      const held = old?.outcomes.find((outcome) => outcome.name === name)?.price;
      if (typeof held === "number" && typeof price === "number" && held !== price) moves.push({ line: line ?? null, name, up: price > held });
    }
  }
  return moves;
}

function child<Key, Value>(map: Map<Key, Value>, key: Key, make: () => Value): Value {
  const known = map.get(key);
  if (known !== undefined) return known;
  const made = make();
  map.set(key, made);
  return made;
}
