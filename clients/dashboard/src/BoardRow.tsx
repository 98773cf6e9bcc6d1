// One event of the board: its main line, and its other lines when they are asked for. The clock, the checks and the
// sources' records change what every row looks like: the store has them drawn anew, some each frame, so nothing here
// follows these by itself.

import type { Quote } from "@oddswire/client";
import { signal } from "@preact/signals";
import { bestPrices, type Line, mainLine, margin, type Move, moveKey, quoteMargin, type Row, staleAfter } from "./board.js";
import { toEvent } from "./router.js";
import { board, now, records } from "./store.js";
import { clock, date, duration, lineName, minute, outcomeSpoken, percent, plural, price } from "./words.js";

// A cell whose last check is older than this share of what makes it stale looks less fresh.
const AGEING = 0.5;

const opened = signal<ReadonlySet<string>>(new Set());

interface Columns {
  readonly row: Row;
  readonly names: readonly string[];
  readonly sources: readonly string[];
}

export function BoardRow({ row, names, sources }: Columns) {
  void row.version.value;
  const lines = row.lines();
  const main = mainLine(lines, row.shown);
  row.shown = main?.line;
  const isOpen = opened.value.has(row.key);
  const others = lines.filter((line) => line !== main);
  const toggle = () => {
    const next = new Set(opened.value);
    if (!next.delete(row.key)) next.add(row.key);
    opened.value = next;
  };
  const shown = main ?? { line: null, quotes: allWithdrawn(row) };
  return (
    <>
      <LineRow row={row} line={shown} names={names} sources={sources}>
        <Name row={row} line={shown} others={others.length} isOpen={isOpen} toggle={toggle} />
      </LineRow>
      {isOpen && others.map((line) => (
        <LineRow key={`line ${line.line}`} row={row} line={line} names={names} sources={sources}>
          <th scope="row" class="small">{lineName(row.token, line.line ?? 0)}</th>
        </LineRow>
      ))}
    </>
  );
}

// What is left to show of an event that no source offers any more.
function allWithdrawn(row: Row): ReadonlyMap<string, Quote> {
  return new Map([...row.bySource].flatMap(([source, { market }]) => market.quotes.slice(0, 1).map((quote): [string, Quote] => [source, quote])));
}

function Name({ row, line, others, isOpen, toggle }: { row: Row; line: Line; others: number; isOpen: boolean; toggle(): void }) {
  const { home_team, away_team, commence_time } = row.event;
  const kickOff = Date.parse(commence_time);
  const begun = kickOff <= now.peek();
  return (
    <th scope="row">
      <a class="teams" href={toEvent(row.eventId)}><bdi>{home_team}</bdi> – <bdi>{away_team}</bdi></a>
      <span class="when small">
        {begun ? `began ${date(kickOff)}` : soon(kickOff)}
        {line.line !== null && <b> {lineName(row.token, line.line)}</b>}
      </span>
      {others > 0 && <button type="button" class="lines" aria-expanded={isOpen} onClick={toggle}>{plural(others, "more line")}</button>}
    </th>
  );
}

function soon(kickOff: number): string {
  const left = kickOff - now.peek();
  return left < 3_600_000 ? `in ${duration(left)}, ${minute(kickOff)}` : date(kickOff);
}

function LineRow({ row, line, names, sources, children }: Columns & { line: Line; children: preact.ComponentChildren }) {
  const best = bestPrices([...line.quotes].filter(([source]) => sources.includes(source)).map(([, quote]) => quote));
  const ages = sources.flatMap((source) => {
    const quote = line.quotes.get(source);
    return quote === undefined || quote.status === "withdrawn" ? [] : [ageOf(row, quote, source)];
  });
  const oldest = ages.length === 0 ? null : Math.max(...ages);
  const isStale = sources.some((source) => {
    const quote = line.quotes.get(source);
    return quote !== undefined && quote.status !== "withdrawn" && ageOf(row, quote, source) > staleAfter(records.peek().get(source));
  });
  const overround = margin(names.map((name) => best.get(name)?.top));
  return (
    <tr class={row.shown === line.line ? "event" : "event line"} data-key={row.key} data-line={line.line ?? ""}>
      {children}
      {sources.map((source) => <Cell key={source} row={row} line={line.line} quote={line.quotes.get(source)} source={source} names={names} best={best} />)}
      <td class="age margin" data-label="Margin">{overround === null ? "" : percent(overround)}</td>
      <td class={isStale ? "age old" : "age"} data-label="Checked">{oldest === null ? "" : `${duration(oldest)} ago`}</td>
    </tr>
  );
}

const ageOf = (row: Row, quote: Quote, source: string): number => Math.max(0, now.peek() - board.peek().checkedAt(quote, source, row.eventId));

interface CellProps {
  readonly row: Row;
  readonly line: number | null;
  readonly quote: Quote | undefined;
  readonly source: string;
  readonly names: readonly string[];
  readonly best: ReadonlyMap<string, { top: number; seen: number }>;
}

function Cell({ row, line, quote, source, names, best }: CellProps) {
  if (quote === undefined) return <td class="blank" data-source={source} />;
  const name = records.peek().get(source)?.title ?? source;
  const age = ageOf(row, quote, source);
  const limit = staleAfter(records.peek().get(source));
  if (quote.status === "withdrawn") {
    return <td data-source={source} data-label={name}><span class="withdrawn" title={`withdrawn at ${clock(Date.parse(quote.changed_at))}`}><span aria-hidden="true">–</span><span class="unseen">withdrawn</span></span></td>;
  }
  const kind = age > limit ? "stale" : age > limit * AGEING ? "ageing" : "fresh";
  const own = quoteMargin(quote);
  const told = [
    `${name}: changed ${clock(Date.parse(quote.changed_at))}`,
    `checked ${duration(age)} ago, at ${clock(now.peek() - age)}`,
    quote.status === "suspended" ? "suspended" : null,
    own === null ? null : `margin ${percent(own)}`,
  ].filter(Boolean).join(", ");
  return (
    <td data-source={source} data-label={name} class={kind === "stale" ? "stale" : ""}>
      <span class="prices">
        {names.map((outcome) => <Price key={outcome} quote={quote} name={outcome} top={best.get(outcome)} move={row.moves.get(moveKey(source, line, outcome))} />)}
      </span>
      <button type="button" class={`dot ${kind}`} tabIndex={-1} aria-label={told} />
    </td>
  );
}

function Price({ quote, name, top, move }: { quote: Quote; name: string; top: { top: number; seen: number } | undefined; move: Move | undefined }) {
  const outcome = quote.outcomes.find((one) => one.name === name);
  if (outcome === undefined || typeof outcome.price !== "number") return <span class="price" />;
  const suspended = quote.status === "suspended" || outcome.status === "suspended";
  const isBest = !suspended && outcome.status === "open" && top !== undefined && top.seen > 1 && outcome.price === top.top;
  const moved = move === undefined ? "" : ` ${move.up ? "up" : "down"}${move.flash ? ` flash turn${move.turn}` : ""}`;
  const said = `${outcomeSpoken(name)} ${price(outcome.price)}${isBest ? ", best" : ""}${suspended ? ", suspended" : ""}`;
  return (
    <span class={`price${isBest ? " best" : ""}${moved}`} data-outcome={name} data-price={outcome.price}>
      <span class="name" aria-hidden="true">{outcomeSpoken(name)}</span>
      <span aria-hidden="true">{outcome.status === "withdrawn" ? "–" : suspended ? <s>{price(outcome.price)}</s> : price(outcome.price)}</span>
      <span class="unseen">{said}</span>
    </span>
  );
}
