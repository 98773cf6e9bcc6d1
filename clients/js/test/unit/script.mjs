// A scripted gateway: fakes of WebSocket and fetch that do what a test says, and a clock that a test moves.

import { createClient } from "../../dist/index.js";

export function deferred() {
  let settlers;
  const promise = new Promise((resolve, reject) => (settlers = { resolve, reject }));
  return { promise, ...settlers };
}

// Lets everything run that waits for nothing but its turn.
export async function settle() {
  for (let round = 0; round < 5; round += 1) await new Promise((resolve) => setImmediate(resolve));
}

export const ack = (verdict, more = {}) => ({
  topics: ["scrape_progress", "odds_updates"], connection_id: "x", heartbeat_ms: 20_000, conflate_ms: 0,
  limits: { topics: 100, message_bytes: 65_536, messages_per_s: 20 }, cursor: "c0", resume: { verdict }, ...more,
});
export const run = (seq, status = "running", run_id = "r1") => ({ run_id, source: "alpha", seq, status, phase: "scraping", errors: [] });
export const odds = (n) => ({
  event_ids: [`e${n}`],
  source: "alpha",
  event: { event_id: `e${n}`, sport_key: "soccer" },
  market: { key: "h2h", period: "ft", quotes: [] },
  n,
});

class FakeSocket {
  static all = [];
  onopen = null;
  onmessage = null;
  onclose = null;
  onerror = null;
  readyState = 1;
  sent = [];
  closedWith = null;

  constructor(url, protocols) {
    this.url = new URL(url);
    this.protocols = protocols;
    this.constructor.all.push(this);
  }

  get since() {
    return this.url.searchParams.get("since");
  }

  send(text) {
    this.sent.push(JSON.parse(text));
  }

  close(code) {
    this.readyState = 3;
    this.closedWith = code;
  }

  // The gateway's side.
  say(type, data, id) {
    this.onmessage?.({ data: JSON.stringify({ type, timestamp: new Date().toISOString(), data, ...(id === undefined ? {} : { id }) }) });
  }

  ack(verdict = "live", more) {
    this.say("connection_ack", ack(verdict, more));
  }

  caughtUp(cursor, replayed = 0, more = {}) {
    this.say("caught_up", { cursor, replayed, ...more });
  }

  cut(code = 1006, reason = "") {
    this.readyState = 3;
    this.onclose?.({ code, reason });
  }
}

class FakeStream {
  constructor(url, init) {
    this.url = new URL(url);
    this.headers = init.headers ?? {};
    this.signal = init.signal;
    const { promise, resolve, reject } = deferred();
    Object.assign(this, { answered: promise, answer: resolve, fail: reject });
    init.signal?.addEventListener("abort", () => reject(new Error("aborted")));
  }

  get since() {
    return this.url.searchParams.get("since");
  }

  open() {
    const body = new ReadableStream({ start: (controller) => (this.controller = controller) });
    this.answer(new Response(body, { headers: { "content-type": "text/event-stream" } }));
  }

  write(text) {
    this.controller.enqueue(new TextEncoder().encode(text));
  }

  say(type, data, id) {
    const envelope = JSON.stringify({ type, timestamp: new Date().toISOString(), data });
    this.write(`${id === undefined ? "" : `id: ${id}\n`}event: ${type}\ndata: ${envelope}\n\n`);
  }
}

/** A client before a scripted gateway. `pass(ms)` moves the clock; `sockets` and `streams` are what it asked for so far. */
export function stage(t, options = {}) {
  t.mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"], now: Date.parse("2026-02-06T01:30:00Z") });
  let now = 1000;
  t.mock.method(performance, "now", () => now);
  t.mock.method(Math, "random", () => 0.5);
  class WebSocket extends FakeSocket {
    static all = [];
  }
  const streams = [];
  const { url = "http://gateway/", explains = () => Promise.reject(new TypeError("nobody is there")), ...rest } = options;
  const asked = [];
  const fetch = (url, init) => {
    // A client that was refused without a word asks why.
    if (new URL(url).pathname.endsWith("/api/ws")) {
      asked.push(init.mode);
      return explains(init.mode);
    }
    const stream = new FakeStream(url, init);
    streams.push(stream);
    return stream.answered;
  };
  const client = createClient(url, { WebSocket, fetch, ...rest });

  // Time goes by as it does for a program that is awake, or (`asleep`) in one leap.
  async function pass(ms, { asleep = false } = {}) {
    for (let left = ms; left > 0; ) {
      const step = asleep ? left : Math.min(left, 500);
      left -= step;
      now += step;
      t.mock.timers.tick(step);
      await settle();
    }
  }

  return { client, sockets: WebSocket.all, streams, asked, pass };
}

/** A feed with a list of what it tells, in short. */
export function follow(feed) {
  const told = [];
  const states = [];
  feed.on("snapshot", ({ verdict, messages, id }) => told.push(`${verdict} of ${messages.length} at ${id}`));
  feed.on("scrape_progress", ({ data }) => told.push(`run ${data.seq}`));
  feed.on("odds_update", ({ data }) => told.push(`odds ${data.event_ids[0]}`));
  feed.on("caught_up", ({ id }) => told.push(`caught up at ${id}`));
  feed.on("fault", ({ code }) => told.push(`fault ${code}`));
  feed.on("state", ({ status }) => states.at(-1) !== status && states.push(status));
  return { told, states };
}
