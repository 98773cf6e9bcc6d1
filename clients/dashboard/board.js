// The odds board: a row an event, a column a source, one market at a time.
//
// Only rows of events that changed are built anew; the others stay as they are on the page.

import { h, morphChildren, setText, unseen } from "./dom.js";
import { bestPrices, groupOf, mainLine, staleAfterMs } from "./state.js";
import * as words from "./words.js";

// How long the arrow of a changed price stays.
const ARROW_MS = 8000;
// More rows than these are drawn only on request: each change costs a browser the layout of all of them.
const EVENTS_SHOWN = 200;
// With more columns than this the table scrolls on its own, and its head does not stick.
const COLUMNS_FIT = 6;

const select = document.querySelector("#market");
const table = document.querySelector("#board");
const box = document.querySelector("#board-box");
const empty = document.querySelector("#board-empty");
const note = document.querySelector("#board-note");
const more = document.querySelector("#board-more");

export class Board {
  // Events whose rows are to be built anew; null: all of them.
  #dirty = null;
  // The heads of the columns as they are on the page.
  #heads = "";
  #market = /^#([a-z0-9_-]+-[a-z0-9_]+)$/.exec(location.hash)?.[1] ?? "h2h-ft";
  // Events that show all their lines.
  #expanded = new Set();
  // How many events are shown.
  #limit = EVENTS_SHOWN;
  // event_id → the line shown.
  #mainLines = new Map();
  // market, event, source, line and outcome → {up, until}.
  #arrows = new Map();

  // Calls `changed` when the person asks for something else to be shown.
  constructor(changed) {
    select.addEventListener("change", () => {
      this.#market = select.value;
      this.#mainLines.clear();
      history.replaceState(null, "", `#${select.value}`);
      this.touchAll();
      changed();
    });
    more.addEventListener("click", () => {
      this.#limit = Infinity;
      changed();
    });
    table.addEventListener("click", ({ target }) => {
      const eventId = target.closest("[data-lines]")?.dataset.lines;
      if (eventId === undefined) return;
      if (!this.#expanded.delete(eventId)) this.#expanded.add(eventId);
      this.touch(eventId);
      changed();
    });
  }

  touch(eventId) {
    this.#dirty?.add(eventId);
  }

  touchAll() {
    this.#dirty = null;
  }

  forgetMoves() {
    this.#arrows.clear();
  }

  // Prices of the image `data` that moved just now.
  moved(data, moves) {
    const token = `${data.market.key}-${data.market.period}`;
    const eventId = data.event.event_id;
    const until = performance.now() + ARROW_MS;
    for (const { line, name, up } of moves) {
      this.#arrows.set(arrowKey(token, eventId, data.source, line, name), { up, until, eventId });
    }
  }

  // Shows the board of `view` `{state, now, settled, bus, records, titleOf}`.
  show(view) {
    this.#dropArrows();
    this.#showMarkets(view.state);
    const { events, withdrawn } = view.state.eventsOf(this.#market);
    const columns = columnsOf(view);
    const outcomes = [...(view.state.outcomes.get(this.#market) ?? [])].sort(words.byOutcome);
    const context = { ...view, columns, outcomes, token: this.#market };
    box.hidden = events.length === 0;
    empty.hidden = events.length > 0;
    setText(empty, emptiness(view));
    note.hidden = withdrawn === 0;
    setText(note, `Not shown: ${words.plural(withdrawn, "event")} that every source has withdrawn.`);
    box.classList.toggle("wide", columns.length > COLUMNS_FIT);
    more.hidden = events.length <= this.#limit;
    setText(more, `Show all ${words.plural(events.length, "event")}`);
    const heads = columns.map(view.titleOf).join("\n");
    if (heads !== this.#heads) this.touchAll();
    this.#heads = heads;
    this.#showHead(context);
    this.#showRows(events.slice(0, this.#limit), context);
    this.#dirty = new Set();
  }

  #dropArrows() {
    for (const [key, { until, eventId }] of this.#arrows) {
      if (until > performance.now()) continue;
      this.#arrows.delete(key);
      this.touch(eventId);
    }
  }

  #showMarkets(state) {
    const tokens = [...state.markets.keys()].sort();
    if (!tokens.includes(this.#market)) tokens.unshift(this.#market);
    morphChildren(select, tokens.map((token) => h("option", { value: token, "data-key": token }, words.market(token))));
    if (select.value !== this.#market) select.value = this.#market;
  }

  #showHead({ columns, outcomes, records, titleOf }) {
    const look = { scope: "col", role: "columnheader" };
    const head = (source) => {
      const names = outcomes.map((name) => h("span", { class: "name" }, words.outcome(name)));
      const health = records.get(source)?.health;
      const ill = ["degraded", "down"].includes(health) && h("span", { class: `health ${health}` }, health);
      return h("th", look, titleOf(source), " ", ill, h("div", { class: "prices", "aria-hidden": "true" }, ...names));
    };
    const age = { ...look, class: "age", title: "The oldest check of the prices in the row" };
    const heads = [h("th", look, "Event"), ...columns.map(head), h("th", age, "Checked")];
    morphChildren(table.tHead, [h("tr", { role: "row" }, ...heads)]);
  }

  #showRows(events, context) {
    const body = table.tBodies[0];
    const onPage = new Map([...body.children].map((tr) => [tr.dataset.key, tr]));
    const wanted = [];
    let group = null;
    for (const { eventId, event, lines } of events) {
      if (groupOf(event) !== group) {
        group = groupOf(event);
        wanted.push(groupRow(group, context.columns.length + 2));
      }
      for (const row of this.#rowsOf(eventId, event, lines)) {
        const age = ageOf(row, context);
        const old = onPage.get(row.key);
        const keep = old && this.#dirty !== null && !this.#dirty.has(eventId) && old.dataset.look === age.look;
        const tr = keep ? old : this.#row(row, age, context);
        if (keep) setText(tr.lastChild, age.text);
        wanted.push(tr);
      }
    }
    morphChildren(body, wanted);
  }

  #rowsOf(eventId, event, lines) {
    const main = mainLine(lines, this.#mainLines.get(eventId));
    this.#mainLines.set(eventId, main.line);
    const open = this.#expanded.has(eventId);
    const others = open ? lines.filter((line) => line !== main) : [];
    return [main, ...others].map(({ line, quotes }) => {
      const first = line === main.line;
      const key = `${this.#market} ${eventId} ${first ? "main" : line}`;
      return { key, eventId, event, line, quotes, first, open, others: lines.length - 1 };
    });
  }

  #row(row, age, context) {
    const fresh = [...row.quotes].filter(([source]) => !age.stale.has(source)).map(([, quote]) => quote);
    const best = bestPrices(fresh);
    return h(
      "tr",
      { role: "row", class: row.first ? "event" : "line", "data-key": row.key, "data-look": age.look },
      rowHead(row, context),
      ...context.columns.map((source) => this.#cell(row, source, best, age, context)),
      h("td", { role: "cell", class: age.stale.size > 0 ? "age old" : "age" }, age.text),
    );
  }

  #cell(row, source, best, age, context) {
    const quote = row.quotes.get(source);
    const look = { role: "cell", "data-source": source };
    if (!quote) return h("td", { ...look, class: "blank" });
    look.title = `changed ${words.clock(Date.parse(quote.changed_at))}`;
    look.class = age.stale.has(source) ? "stale" : null;
    const title = h("span", { class: "source", "aria-hidden": "true" }, context.titleOf(source));
    if (quote.status === "withdrawn") return h("td", look, title, h("div", { class: "prices" }, dash()));
    const priceOf = (name) => {
      const outcome = quote.outcomes.find((candidate) => candidate.name === name);
      const arrow = this.#arrows.get(arrowKey(context.token, row.eventId, source, row.line, name));
      return outcome ? price(outcome, quote.status, best.get(name), arrow) : h("span", { "data-key": name });
    };
    return h("td", look, title, h("div", { class: "prices" }, ...context.outcomes.map(priceOf)));
  }
}

const arrowKey = (...parts) => parts.join("|");

function price({ name, price: value, previous_price, status }, quoteStatus, best, arrow) {
  const key = `${name} ${value}`;
  const label = h("span", { class: "name" }, `${words.outcome(name)} `);
  if (status === "withdrawn") return h("span", { class: "price", "data-key": key }, label, dash());
  const suspended = status === "suspended" || quoteStatus === "suspended";
  const isBest = !suspended && value !== null && value === best;
  const shape = ["price", isBest && "best", arrow && (arrow.up ? "up" : "down")].filter(Boolean).join(" ");
  const text = value === null ? "n/a" : words.price(value);
  const was = previous_price === null ? null : `before: ${words.price(previous_price)}`;
  const shown = suspended ? [h("s", {}, text), unseen(" suspended")] : [text, isBest && unseen(" best")];
  const look = { class: shape, "data-key": key, "data-outcome": name, "data-price": value, title: was };
  return h("span", look, label, ...shown);
}

function dash() {
  return h("span", { class: "withdrawn" }, "–", unseen(" withdrawn"));
}

function groupRow(title, span) {
  const head = h("th", { scope: "colgroup", role: "columnheader", colspan: span }, title);
  return h("tr", { role: "row", class: "group", "data-key": `group ${title}` }, head);
}

function rowHead({ event, eventId, line, first, open, others }, { token, now }) {
  const kickOff = Date.parse(event.commence_time);
  const when = h("time", { datetime: event.commence_time }, words.kickOff(kickOff));
  const toggle = { type: "button", class: "lines", "data-lines": eventId, "aria-expanded": String(open) };
  return h(
    "th",
    { scope: "row", role: "rowheader" },
    first && h("span", { class: "teams" }, `${event.home_team} – ${event.away_team}`),
    first && h("span", { class: "when small" }, kickOff <= now && "began ", when),
    line !== null && h("span", { class: "when small" }, "line ", h("b", {}, words.line(token, line))),
    first && others > 0 && h("button", toggle, words.plural(others, "other line")),
  );
}

// How old the oldest check of what a row shows is, and which sources are stale. `look` changes whenever a row must
// be drawn anew because of the time alone.
function ageOf({ quotes, eventId, event }, { state, now, records }) {
  const ages = [...quotes].map(([source, quote]) => [source, now - state.checkedAt(quote, source, eventId)]);
  const isStale = ([source, age]) => age > staleAfterMs(records.get(source));
  const stale = new Set(ages.filter(isStale).map(([source]) => source));
  const oldest = Math.max(...ages.map(([, age]) => age));
  const began = Date.parse(event.commence_time) <= now;
  return { stale, text: `${words.duration(oldest)} ago`, look: [began, ...stale].join(" ") };
}

function columnsOf({ state, records }) {
  const enabled = [...records.values()].filter((record) => record.enabled).map((record) => record.source);
  return [...new Set([...enabled, ...state.sources])].sort();
}

function emptiness({ state, settled, bus }) {
  if (!settled) return bus ? "Loading the odds …" : "The bus is unavailable: no odds can be loaded yet.";
  if (state.markets.size > 0) return "No odds in this market.";
  return state.runs.size > 0 ? "No odds yet: no run has published any." : "Never scraped yet.";
}
