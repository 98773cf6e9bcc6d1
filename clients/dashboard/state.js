// What the gateway has told so far: runs, quotes and confirmations, and what follows from them. No page in here.

const RUNS_KEPT = 20;
const STALE_AFTER_MS = 180_000;
const ENDED = ["completed", "failed", "cancelled"];

export const isOver = (run) => ENDED.includes(run.image.status);

export class State {
  // run_id → {image, at}: its last image and when that was true, in milliseconds.
  runs = new Map();
  // market token → event_id → source → odds_update data.
  markets = new Map();
  // market token → the names of its outcomes.
  outcomes = new Map();
  // source → {at, except}: when it was checked, and the events for which that does not hold (null: all).
  confirmed = new Map();
  // Every source that was heard of.
  sources = new Set();

  // Takes the image of a run; `null` when it is known already, else `{run, before}`.
  takeRun(image, at) {
    const before = this.runs.get(image.run_id);
    if (before && before.image.seq >= image.seq) return null;
    const run = { image, at };
    this.runs.set(image.run_id, run);
    const surplus = this.runsInOrder().filter(isOver).slice(RUNS_KEPT);
    for (const old of surplus) this.runs.delete(old.image.run_id);
    return { run, before };
  }

  // Takes the image of a market; gives the image before it.
  takeOdds(data) {
    const token = `${data.market.key}-${data.market.period}`;
    const bySource = child(child(this.markets, token), data.event.event_id);
    const before = bySource.get(data.source);
    bySource.set(data.source, data);
    this.sources.add(data.source);
    const names = child(this.outcomes, token, Set);
    for (const quote of data.market.quotes) for (const outcome of quote.outcomes) names.add(outcome.name);
    return before;
  }

  takeConfirmed(data) {
    const except = data.all_unconfirmed ? null : new Set(data.unconfirmed_event_ids);
    this.confirmed.set(data.source, { at: Date.parse(data.confirmed_at), except });
  }

  // Running ones first, then by age: ids of runs are ordered by time.
  runsInOrder() {
    const order = (a, b) => isOver(a) - isOver(b) || (a.image.run_id < b.image.run_id ? 1 : -1);
    return [...this.runs.values()].sort(order);
  }

  // When a quote was last known to hold.
  checkedAt(quote, source, eventId) {
    const own = Date.parse(quote.confirmed_at);
    const check = this.confirmed.get(source);
    const holds = check && check.except !== null && !check.except.has(eventId);
    return holds ? Math.max(own, check.at) : own;
  }

  // The events of a market that some source still offers, and how many no source does.
  eventsOf(token) {
    const events = [];
    let withdrawn = 0;
    for (const [eventId, bySource] of this.markets.get(token) ?? []) {
      const lines = linesOf(bySource);
      if (lines.length === 0) withdrawn += 1;
      else events.push(withOrder({ eventId, event: eventOf(bySource), lines }));
    }
    events.sort((a, b) => (a.order < b.order ? -1 : 1));
    return { events, withdrawn };
  }
}

// The quote of each source, line by line, in the order of the lines; lines that every source withdrew are left out.
function linesOf(bySource) {
  const lines = new Map();
  for (const [source, { market }] of bySource) {
    for (const quote of market.quotes) child(lines, quote.line).set(source, quote);
  }
  return [...lines]
    .map(([line, quotes]) => ({ line, quotes }))
    .filter(({ quotes }) => [...quotes.values()].some((quote) => quote.status !== "withdrawn"))
    .sort((a, b) => a.line - b.line);
}

// Sources may write an event differently: the first one that still offers it is shown.
function eventOf(bySource) {
  const offered = (data) => data.market.quotes.some((quote) => quote.status !== "withdrawn");
  const names = [...bySource.keys()].sort();
  return bySource.get(names.find((name) => offered(bySource.get(name)))).event;
}

export const groupOf = (event) => [event.country, event.league].filter(Boolean).join(" · ");

function withOrder(row) {
  const { commence_time, home_team, event_id } = row.event;
  return { ...row, order: [groupOf(row.event), commence_time, home_team, event_id].join("\n") };
}

// The line to show of several: offered by the most sources; then the one that was shown; then the most even prices.
export function mainLine(lines, shown) {
  const open = ({ quotes }) => [...quotes.values()].filter((quote) => quote.status === "open");
  const preference = (line) => (line.line === shown ? 0.95 : 0.9 - Math.min(...open(line).map(unevenness), 9) / 10);
  const score = (line) => open(line).length + preference(line);
  return lines.reduce((best, line) => (score(line) > score(best) ? line : best));
}

function unevenness(quote) {
  const prices = quote.outcomes.map((outcome) => outcome.price).filter((price) => price !== null);
  return prices.length === 0 ? 9 : Math.max(...prices) - Math.min(...prices);
}

// The highest open price of each outcome over the quotes, where at least two can be compared.
export function bestPrices(quotes) {
  const best = new Map();
  for (const { name, price, status } of quotes.flatMap((quote) => (quote.status === "open" ? quote.outcomes : []))) {
    if (status !== "open" || price === null) continue;
    const { top, seen } = best.get(name) ?? { top: 0, seen: 0 };
    best.set(name, { top: Math.max(top, price), seen: seen + 1 });
  }
  return new Map([...best].filter(([, { seen }]) => seen > 1).map(([name, { top }]) => [name, top]));
}

// What changed in price between two images of a market: `{line, name, up}` each.
export function priceMoves(before, after) {
  const moves = [];
  for (const { line, outcomes } of after.market.quotes) {
    const old = before.market.quotes.find((quote) => quote.line === line);
    for (const { name, price } of old ? outcomes : []) {
      const held = old.outcomes.find((outcome) => outcome.name === name)?.price ?? null;
      if (held !== null && price !== null && held !== price) moves.push({ line, name, up: price > held });
    }
  }
  return moves;
}

export const staleAfterMs = (record) => record?.stale_after_ms ?? STALE_AFTER_MS;

function child(map, key, Kind = Map) {
  if (!map.has(key)) map.set(key, new Kind());
  return map.get(key);
}
