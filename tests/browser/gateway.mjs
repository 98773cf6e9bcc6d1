// A gateway that says what a test tells it to: the page's own files, a WebSocket and the REST answers, all inside
// the browser. For what the real program does only on a bad day.

import { readFileSync } from "node:fs";
import { extname } from "node:path";
import { openPage, ROOT } from "./product.mjs";

const HOME = "http://oddswire.test/";
const TYPES = { ".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml" };

export const EVERYTHING = ["scrape_progress", "odds_updates"];

// Opens the page on a scripted gateway: `{page, connected, answers}`. `connected()` gives the next connection:
// `{since, query, ack(verdict), grant(verdict), heard(), say(type, data, id?), close(code)}`. `answers["POST api/scrapes"] = [status, body]` sets an
// answer; every path not set answers 404.
export async function openScripted(browser, at = "") {
  const { page } = await openPage(browser);
  const answers = { "GET api/sources": [200, { sources: [] }], "GET api/scrapes": [200, { runs: [] }] };
  const arrived = [];
  const awaited = [];
  await page.clock.install();
  await page.route(`${HOME}**`, (route) => answer(route, answers));
  await page.routeWebSocket(/\/api\/ws/, (socket) => {
    const connection = speaker(socket);
    const waiting = awaited.shift();
    if (waiting) waiting(connection);
    else arrived.push(connection);
  });
  await page.goto(`${HOME}${at}`);
  const connected = () => arrived.shift() ?? new Promise((resolve) => awaited.push(resolve));
  return { page, connected, answers };
}

// From now on the page's time goes on by `page.clock.runFor` alone, so that a machine that is busy changes nothing.
export async function stopClock(page) {
  await page.clock.pauseAt((await page.evaluate(() => Date.now())) + 1000);
}

function answer(route, answers) {
  const request = route.request();
  const path = new URL(request.url()).pathname.slice(1) || "index.html";
  const set = answers[`${request.method()} ${path}`];
  if (set) return route.fulfill({ status: set[0], json: set[1] });
  if (path.startsWith("api/")) return route.fulfill({ status: 404, json: { title: "Not found" } });
  const body = readFileSync(`${ROOT}clients/dashboard/dist/${path}`);
  return route.fulfill({ body, contentType: TYPES[extname(path)] });
}

// The page asks for its first state in two parts. After `ack` the first part is empty, and what the test says up to
// `caught_up` is the rest; after `grant` a test gives both itself, and `heard()` is what the page asks for.
function speaker(socket) {
  const query = new URL(socket.url()).searchParams;
  const since = query.get("since");
  const asked = [];
  const waiting = [];
  let owesRest = false;
  let isRestAsked = false;
  // What is said from `caught_up` on, until the page has asked for the rest.
  const later = [];
  const send = (type, data, id) => socket.send(JSON.stringify({ type, timestamp: new Date().toISOString(), data, id }));
  const say = (type, data, id) => {
    const isEnd = owesRest && type === "caught_up";
    if ((isEnd && !isRestAsked) || later.length > 0) return later.push([type, data, id]);
    if (isEnd) owesRest = false;
    send(type, isEnd ? { ...data, ref: "rest" } : data, id);
  };
  const answer = ({ ref, topics }) => {
    send("subscription_ack", { topics: [...new Set([...EVERYTHING, ...topics])], resume: { verdict: "snapshot" }, ref });
    if (ref === "first") return send("caught_up", { cursor: "begin", replayed: 0, ref });
    isRestAsked = true;
    for (const one of later.splice(0)) say(...one);
  };
  socket.onMessage((text) => {
    const message = JSON.parse(text);
    if (owesRest && message.since === "snapshot") return answer(message);
    asked.push(message);
    waiting.shift()?.();
  });
  const grant = (verdict) => {
    send("connection_ack", { heartbeat_ms: 20_000, cursor: "begin", topics: EVERYTHING, limits: { topics: 100 }, resume: { verdict } });
  };
  const ack = (verdict) => {
    owesRest = since === "now";
    grant(owesRest && verdict === "snapshot" ? "live" : verdict);
  };
  const heard = async () => {
    while (asked.length === 0) await new Promise((resolve) => waiting.push(resolve));
    return asked.shift();
  };
  return { since, query, say, ack, grant, heard, close: (code) => socket.close({ code, reason: "as the test says" }) };
}

// `data` of an `odds_update`: home, draw and away of one event at one source. `change` overrides its quote.
export function odds(source, eventId, [home, draw, away], change = {}) {
  const now = new Date().toISOString();
  const status = change.status ?? "open";
  const outcome = (name, price) => ({ name, label: name, price, previous_price: null, status });
  const outcomes = [outcome("away", away), outcome("draw", draw), outcome("home", home)];
  const quote = { line: null, status: "open", outcomes, changed_at: now, confirmed_at: now, source_updated_at: null };
  const names = { league: "Liga Dorada", country: "Sundalia", home_team: `Home ${eventId}`, away_team: "Away" };
  return {
    event_ids: [eventId],
    source,
    snapshot_count: 1,
    run_id: "run",
    event: { event_id: eventId, sport_key: "soccer", commence_time: "2099-01-01T12:00:00.000Z", ...names },
    market: { key: "h2h", period: "ft", quotes: [{ ...quote, ...change }] },
  };
}

// `data` of a `scrape_progress`, running in its third phase. `change` overrides it.
export function run(source, seq, change = {}) {
  const counts = { current: 412, total: 1311, unit: "pages", events_count: 7, changed_count: 0 };
  const times = { started_at: new Date().toISOString(), finished_at: null, elapsed_ms: 1000 };
  const pace = { rate_per_s: 12, eta_ms: 75_000 };
  const phases = ["initializing", "discovering", "scraping"].map((phase) => ({ phase, elapsed_ms: 300 }));
  const said = { message: "Reads pages.", outcome: null, phases, errors: [], error: null };
  const names = { run_id: `run-${source}`, batch_id: "batch", source, seq, attempt: 1, worker_id: "w" };
  return { ...names, status: "running", phase: "scraping", ...counts, ...times, ...pace, ...said, ...change };
}
