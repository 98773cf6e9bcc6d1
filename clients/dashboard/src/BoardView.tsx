// The odds: a row an event, a column a source.

import { computed, signal } from "@preact/signals";
import { Chunk } from "./Chunk.js";
import { groupOf, type Row, staleAfter } from "./board.js";
import { healthOf } from "./Header.js";
import { closeByEscape } from "./menu.js";
import { BoardRow } from "./BoardRow.js";
import { market } from "./first.js";
import { board, isWhole, link, now, records, runs, title } from "./store.js";
import { byOutcome, capital, count, marketName, outcomeName, outcomeSpoken, plural, words, zone } from "./words.js";

const CHUNK = 20;
// A row's height where none was drawn yet.
const ROW_PX = 56;
const HOUR_MS = 3_600_000;
// What begins or ends "soon" is looked at so often.
const MINUTE_MS = 60_000;

const sport = signal("");
const league = signal("");
const when = signal("");
const search = signal("");
const hidden = signal<ReadonlySet<string>>(new Set());
const withWithdrawn = signal(false);

const sources = computed(() => {
  void board.value.shape.value;
  return [...board.value.sources].sort();
});
export const shownSources = computed(() => sources.value.filter((source) => !hidden.value.has(source)));
const minute = computed(() => Math.floor(now.value / MINUTE_MS));

interface Listed {
  readonly row: Row;
  readonly group: string;
  readonly sport: string;
  readonly order: string;
}

// Every row of the market, in order; filters come after.
const listed = computed<Listed[]>(() => {
  void board.value.shape.value;
  const rows = [...(board.value.markets.get(market.value)?.values() ?? [])];
  return rows
    .map((row) => {
      const { event } = row;
      const group = groupOf(event);
      return { row, group, sport: event.sport_key, order: `${group}\n${event.commence_time}\n${event.home_team}\n${event.event_id}` };
    })
    .sort((a, b) => (a.order < b.order ? -1 : 1));
});

const filtered = computed<Listed[]>(() => {
  const wanted = search.value.trim().toLowerCase();
  const time = timeFilter(when.value, minute.value * MINUTE_MS);
  return listed.value.filter(({ row, group, sport: key }) => {
    const { event } = row;
    if (!withWithdrawn.value && !row.isOffered) return false;
    if (sport.value !== "" && key !== sport.value) return false;
    if (league.value !== "" && group !== league.value) return false;
    if (!time(Date.parse(event.commence_time))) return false;
    return wanted === "" || `${event.home_team} ${event.away_team} ${group}`.toLowerCase().includes(wanted);
  });
});

function timeFilter(choice: string, at: number): (kickOff: number) => boolean {
  if (choice === "begun") return (kickOff) => kickOff <= at;
  if (choice === "ahead") return (kickOff) => kickOff > at;
  if (choice === "3h") return (kickOff) => kickOff > at && kickOff <= at + 3 * HOUR_MS;
  if (choice === "24h") return (kickOff) => kickOff > at && kickOff <= at + 24 * HOUR_MS;
  return () => true;
}

export function BoardView() {
  const rows = filtered.value;
  return (
    <section aria-labelledby="board-title">
      <div class="bar">
        <h2 id="board-title">Odds</h2>
        <Filters />
        <Legend />
      </div>
      {rows.length === 0 ? <Nothing /> : <Table rows={rows} />}
    </section>
  );
}

function Nothing() {
  return <p id="board-empty" class={isWhole.value ? "empty" : "empty skeleton"}>{whyNothing()}</p>;
}

// Four ways of there being nothing, told apart.
function whyNothing() {
  const { status, why } = link.value;
  if (status === "closed") return "The gateway refused this page, so there is nothing to show.";
  if (status === "unavailable") return "The bus is unavailable: odds are shown when it is back.";
  if (!isWhole.value) return status === "reconnecting" && why !== null ? `Not connected yet: ${why}. Trying again …` : "Loading the odds …";
  if (listed.value.length > 0) return <>No event is left by these filters. <button type="button" class="link" onClick={reset}>Show all</button></>;
  if (board.value.markets.size > 0) return "No source offers this market now.";
  const known = [...records.value.values()];
  if (known.length > 0 && known.every(({ health }) => health === "down")) return "All sources are down: their last runs read nothing. The runs above say why.";
  void runs.value.version.value;
  if (runs.value.byId.size > 0 || board.value.confirmed.size > 0) return "No odds yet: no run has published any.";
  return "Never scraped yet. “Scrape now” begins.";
}

function reset(): void {
  sport.value = league.value = when.value = search.value = "";
  hidden.value = new Set();
}

function Filters() {
  void board.value.shape.value;
  const tokens = [...board.value.markets.keys()].sort();
  const leagues = [...new Set(listed.value.filter((one) => sport.value === "" || one.sport === sport.value).map(({ group }) => group))];
  const sports = [...new Set(listed.value.map((one) => one.sport))].sort();
  if (tokens.length === 0) return null;
  return (
    <div class="filters">
      <Choice id="market" label="Market" value={market.value} set={(value) => (market.value = value)} options={(tokens.includes(market.value) ? tokens : [market.value, ...tokens]).map((token) => [token, marketName(token)])} />
      {sports.length > 1 && <Choice id="sport" label="Sport" value={sport.value} set={(value) => (sport.value = value)} options={[["", "All sports"], ...sports.map((key): [string, string] => [key, capital(words(key))])]} />}
      <Choice id="league" label="League" value={league.value} set={(value) => (league.value = value)} options={[["", "All leagues"], ...leagues.map((group): [string, string] => [group, group])]} />
      <Choice id="when" label="Kick-off" value={when.value} set={(value) => (when.value = value)} options={[["", "Any time"], ["ahead", "Not begun"], ["3h", "Next 3 hours"], ["24h", "Next 24 hours"], ["begun", "Begun"]]} />
      <label class="search"><span class="unseen">Search teams and leagues</span>
        <input id="search" type="search" placeholder="Search" value={search.value} onInput={(event) => (search.value = event.currentTarget.value)} />
      </label>
      <SourceChoice />
    </div>
  );
}

function Choice({ id, label, value, set, options }: { id: string; label: string; value: string; set(value: string): void; options: [string, string][] }) {
  return (
    <label>
      <span class="unseen">{label}</span>
      <select id={id} value={value} onChange={(event) => set(event.currentTarget.value)}>
        {options.map(([key, text]) => <option key={key} value={key}>{text}</option>)}
      </select>
    </label>
  );
}

function SourceChoice() {
  if (sources.value.length < 2) return null;
  const toggle = (source: string) => {
    const next = new Set(hidden.value);
    if (!next.delete(source)) next.add(source);
    hidden.value = next;
  };
  const some = hidden.value.size > 0;
  return (
    <details class="menu" onKeyDown={closeByEscape}>
      <summary>{some ? `${shownSources.value.length} of ${plural(sources.value.length, "source")}` : "All sources"}</summary>
      <fieldset>
        <legend class="unseen">Sources to show</legend>
        {sources.value.map((source) => (
          <label key={source}><input type="checkbox" checked={!hidden.value.has(source)} onChange={() => toggle(source)} /> {title(source)}</label>
        ))}
        <label class="rule"><input type="checkbox" checked={withWithdrawn.value} onChange={() => (withWithdrawn.value = !withWithdrawn.value)} /> Events that no source offers any more</label>
      </fieldset>
    </details>
  );
}

function Legend() {
  return (
    <ul class="legend" aria-label="How to read the prices">
      <li><span class="price best">2.10</span> best</li>
      <li><span class="arrow up" aria-hidden="true">▲</span><span class="arrow down" aria-hidden="true">▼</span> just moved</li>
      <li><s class="price">2.10</s> suspended</li>
      <li><span class="price">–</span> withdrawn</li>
      <li>blank: never offered</li>
    </ul>
  );
}

function Table({ rows }: { rows: readonly Listed[] }) {
  const names = [...(board.value.outcomes.get(market.value) ?? [])].sort(byOutcome);
  const shown = shownSources.value;
  const chunks = Array.from({ length: Math.ceil(rows.length / CHUNK) }, (_, place) => rows.slice(place * CHUNK, (place + 1) * CHUNK));
  return (
    <div id="board-box" class={shown.length > 5 || names.length * shown.length > 15 ? "wide" : ""}>
      <table id="board" aria-rowcount={rows.length + 1} onKeyDown={walk}>
        <caption class="unseen">{marketName(market.value)}: {plural(rows.length, "event")}. Times are of {zone()}. From an event's link the arrow keys go to its cells, where each one's times are told.</caption>
        <thead>
          <tr>
            <th scope="col">Event <span class="small">{count(rows.length)}</span></th>
            {shown.map((source) => <Head key={source} source={source} names={names} />)}
            <th scope="col" class="age" title="What a book that took the best price of each would keep; below zero the prices disagree">Margin</th>
            <th scope="col" class="age" title={`Times are of ${zone()}`}>Checked</th>
          </tr>
        </thead>
        {chunks.map((part, place) => (
          <Chunk key={`${market.value} ${place}`} rows={part.length} rowPx={ROW_PX} columns={shown.length + 3}>
            {() => part.flatMap(({ row, group }, at) => {
              const above = at > 0 ? part[at - 1]?.group : chunks[place - 1]?.at(-1)?.group;
              const line = <BoardRow key={row.eventId} row={row} names={names} sources={shown} />;
              return group === above ? [line] : [<tr key={`group ${group}`} class="group"><th scope="rowgroup" colSpan={shown.length + 3}>{group || "Other"}</th></tr>, line];
            })}
          </Chunk>
        ))}
      </table>
    </div>
  );
}

function Head({ source, names }: { source: string; names: readonly string[] }) {
  const { kind, word } = healthOf(source);
  return (
    <th scope="col">
      {title(source)} {kind === "wait" || kind === "bad" ? <span class={`health-word ${kind}`} title={word}>{word.split(",")[0]}</span> : null}
      <span class="prices" aria-hidden="true">{names.map((name) => <span key={name} class="name">{outcomeName(name)}</span>)}</span>
      <span class="unseen">{names.map(outcomeSpoken).join(", ")}; stale after {Math.round(staleAfter(records.value.get(source)) / 1000)} s</span>
    </th>
  );
}

// Arrow keys walk from an event's link over its cells' dots, and from row to row: the Tab key stops at the links alone.
function walk(event: KeyboardEvent): void {
  const stops = ".teams, .dot";
  const from = (event.target as HTMLElement).closest<HTMLElement>(stops);
  const step = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] }[event.key];
  if (from === null || step === undefined) return;
  event.preventDefault();
  const [down = 0, right = 0] = step;
  const of = (row: Element) => [...row.querySelectorAll<HTMLElement>(stops)];
  const rows = [...(event.currentTarget as HTMLElement).querySelectorAll("tr")].filter((row) => of(row).length > 0);
  const row = from.closest("tr") as HTMLTableRowElement;
  const target = rows[rows.indexOf(row) + down];
  if (target === undefined) return;
  const at = of(row).indexOf(from) + right;
  of(target)[Math.max(0, Math.min(at, of(target).length - 1))]?.focus();
}
