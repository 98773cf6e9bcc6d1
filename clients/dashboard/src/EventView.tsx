// One event at every source, and how its prices moved: `#/events/<id>`.

import { type OddsMessage, OddswireError } from "@oddswire/client";
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { bestPrices, groupOf, type Line, mainLine, quoteMargin, type Row, staleAfter } from "./board.js";
import { Chart } from "./Chart.js";
import { type Point, pointsOf, seriesOf } from "./moves.js";
import { board, client, feed, isWhole, now, records, title } from "./store.js";
import { byOutcome, clock, date, day, duration, lineName, marketName, outcomeName, outcomeSpoken, percent, plural, price, zone } from "./words.js";

const ROWS_OF_CHANGES = 50;

export function EventView({ id }: { id: string }) {
  void board.value.shape.value;
  const rows = [...board.value.markets.values()].flatMap((markets) => markets.get(id) ?? []).sort((a, b) => (a.token < b.token ? -1 : 1));
  const [first] = rows;
  const chosen = useSignal("h2h-ft");
  if (first === undefined) {
    return <p class="empty">{isWhole.value ? "No source has this event now." : "Loading the event …"} <a href="#/">To the board</a></p>;
  }
  const { event } = first;
  const row = rows.find(({ token }) => token === chosen.value) ?? first;
  const kickOff = Date.parse(event.commence_time);
  return (
    <article id="event" aria-labelledby="event-title">
      <p class="trail"><a href="#/">Board</a> / <bdi>{groupOf(event)}</bdi></p>
      <h2 id="event-title"><bdi>{event.home_team}</bdi> – <bdi>{event.away_team}</bdi></h2>
      <p class="note">{kickOff <= now.value ? "Began" : "Begins"} {date(kickOff)} ({zone()})</p>
      <div class="tabs" role="group" aria-label="Market">
        {rows.map(({ token }) => <button key={token} type="button" aria-pressed={token === row.token} onClick={() => (chosen.value = token)}>{marketName(token)}</button>)}
      </div>
      <Market key={row.key} row={row} />
    </article>
  );
}

function Market({ row }: { row: Row }) {
  void row.version.value;
  const lines = row.lines();
  const picked = useSignal<number | null | undefined>(undefined);
  const line = lines.find((one) => one.line === picked.value) ?? mainLine(lines, row.shown);
  const names = [...(board.value.outcomes.get(row.token) ?? [])].sort(byOutcome);
  const outcome = useSignal(names[0] ?? "");
  if (line === undefined) return <p class="empty">No source offers this market of the event any more.</p>;
  return (
    <>
      {lines.length > 1 && (
        <label class="lines-choice">Line{" "}
          <select value={String(line.line)} onChange={(event) => (picked.value = Number(event.currentTarget.value))}>
            {lines.map((one) => <option key={String(one.line)} value={String(one.line)}>{lineName(row.token, one.line ?? 0)}</option>)}
          </select>
        </label>
      )}
      <Quotes row={row} line={line} names={names} />
      <div class="bar">
        <h3 id="moves-title">How the price moved</h3>
        <div class="tabs" role="group" aria-label="Outcome">
          {names.map((name) => <button key={name} type="button" aria-pressed={name === outcome.value} onClick={() => (outcome.value = name)}>{outcomeSpoken(name)}</button>)}
        </div>
      </div>
      <Moves key={`${row.key} ${line.line} ${outcome.value}`} row={row} line={line.line} outcome={outcome.value} />
    </>
  );
}

function Quotes({ row, line, names }: { row: Row; line: Line; names: readonly string[] }) {
  void board.value.checks.value;
  const best = bestPrices(line.quotes.values());
  const quotes = [...line.quotes].sort(([a], [b]) => (a < b ? -1 : 1));
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label="Prices by source">
      <table class="plain" id="quotes">
        <thead>
          <tr><th scope="col">Source</th>{names.map((name) => <th key={name} scope="col" class="number">{outcomeSpoken(name)}</th>)}<th scope="col" class="number">Margin</th><th scope="col">Status</th><th scope="col">Changed</th><th scope="col">Checked</th></tr>
        </thead>
        <tbody>
          {quotes.map(([source, quote]) => {
            const age = Math.max(0, now.value - board.value.checkedAt(quote, source, row.eventId));
            const stale = quote.status !== "withdrawn" && age > staleAfter(records.value.get(source));
            const own = quoteMargin(quote);
            return (
              <tr key={source} data-source={source} class={stale ? "stale" : ""}>
                <th scope="row">{title(source)}</th>
                {names.map((name) => {
                  const value = quote.outcomes.find((one) => one.name === name)?.price;
                  const top = best.get(name);
                  const isBest = quote.status === "open" && top !== undefined && top.seen > 1 && top.top === value;
                  return <td key={name} class="number"><span class={isBest ? "price best" : "price"}>{typeof value !== "number" ? "" : quote.status === "open" ? price(value) : <s>{price(value)}</s>}</span></td>;
                })}
                <td class="number">{own === null ? "" : percent(own)}</td>
                <td>{quote.status}{stale && ", stale"}</td>
                <td>{clock(Date.parse(quote.changed_at))}</td>
                <td>{duration(age)} ago</td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}

function Moves({ row, line, outcome }: { row: Row; line: number | null; outcome: string }) {
  const points = useSignal<readonly Point[] | null>(null);
  const note = useSignal("");
  useEffect(() => {
    let live: OddsMessage[] = [];
    let past: OddsMessage[] = [];
    const show = () => (points.value = pointsOf([...past, ...live], row.token, line, outcome));
    const off = feed.on("odds_update", (message) => {
      const { event, market } = message.data;
      if (event.event_id !== row.eventId || `${market.key}-${market.period}` !== row.token) return;
      live = [...live, message];
      show();
    });
    client.odds.history(row.eventId, { market: row.token }).then(
      (images) => {
        past = images;
        note.value = "The last 24 hours.";
        show();
      },
      (error: unknown) => {
        // Without a past the chart begins with what is held now.
        past = [...row.bySource.values()].map((data) => ({ type: "odds_update", timestamp: new Date(now.value).toISOString(), data }));
        note.value = `The past could not be had (${error instanceof OddswireError ? error.message : String(error)}): from now on.`;
        show();
      },
    );
    return off;
  }, []);
  if (points.value === null) return <p class="empty skeleton">Loading the past …</p>;
  const series = seriesOf(points.value);
  const newest = points.value.slice(-ROWS_OF_CHANGES).reverse();
  return (
    <>
      <figure class="card">
        <Chart series={series} label={`${outcomeName(outcome)} at ${plural(series.length, "source")}`} />
        <figcaption class="small">{note.value} Dashed while suspended; a break where it was withdrawn. Times are of {zone()}.</figcaption>
      </figure>
      <details>
        <summary>{plural(newest.length, "last change")} as a table</summary>
        <table class="plain" id="changes">
          <thead><tr><th scope="col">Time</th><th scope="col">Source</th><th scope="col" class="number">Price</th><th scope="col">Status</th></tr></thead>
          <tbody>{newest.map((point) => <tr key={`${point.at} ${point.source}`}><td>{day(point.at)}, {clock(point.at)}</td><td>{title(point.source)}</td><td class="number">{point.price === null ? "" : price(point.price)}</td><td>{point.status}</td></tr>)}</tbody>
        </table>
      </details>
    </>
  );
}
