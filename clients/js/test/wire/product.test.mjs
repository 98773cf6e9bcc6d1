// The client before `oddswire dev`: runs, the board, and a reader that is slow.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import WebSocket from "ws";
import { startProduct } from "../../../../tests/browser/stack.mjs";
import { createClient, isOver, OddswireError } from "../../dist/index.js";
import { dice, startCutter } from "./cutter.mjs";
import { startPublisher } from "./publisher.mjs";

let product;
let client;
let publisher;
const stop = new AbortController();

before(async () => {
  product = await startProduct();
  client = createClient(product.url, { WebSocket, signal: stop.signal, backoff: { min: 1, max: 10 } });
  publisher = await startPublisher(product.nats);
});

after(async () => {
  stop.abort();
  await publisher?.close();
  await product?.stop();
});

// Starts a run of the source; one that its schedule began meanwhile is waited for.
async function start(source) {
  for (;;) {
    try {
      const { runs } = await client.runs.start({ sources: [source] });
      return runs[0].run_id;
    } catch (error) {
      if (!(error instanceof OddswireError && error.code === "busy")) throw error;
      const { run_id } = error.problem.busy[0];
      if (run_id !== null) await client.runs.watch(run_id).done;
    }
  }
}

test("a run is started, watched to its end, and looked up", { timeout: 90_000 }, async () => {
  const runId = await start("alpha");
  const watch = client.runs.watch(runId);
  const images = [];
  for await (const image of watch) images.push(image);
  const end = images.at(-1);
  assert.deepEqual([end.status, end.run_id, await watch.done], ["completed", runId, end]);
  for (let at = 1; at < images.length; at += 1) assert.ok(images[at].seq > images[at - 1].seq);
  assert.ok(images.slice(0, -1).every(({ status }) => !isOver(status)));
  assert.deepEqual(await client.runs.get(runId), end);
  const { runs } = await client.runs.list({ source: "alpha", status: "completed", limit: 500 });
  assert.ok(runs.some(({ run_id }) => run_id === runId));
  assert.deepEqual(await client.runs.watch(runId).done, end, "one that is over is done at once");
});

test("a source that is busy says with which run, which can be cancelled", { timeout: 90_000 }, async () => {
  const runId = await start("bravo");
  const busy = await client.runs.start({ sources: ["bravo"] }).then(() => assert.fail("it is not busy"), (error) => error);
  assert.deepEqual([busy.code, busy.status, busy.problem.busy], ["busy", 409, [{ source: "bravo", run_id: runId }]]);
  assert.equal((await client.runs.cancel(runId)).run_id, runId);
  assert.equal((await client.runs.watch(runId).done).status, "cancelled");
  await assert.rejects(client.runs.start({ sources: ["nobody"] }), (error) => error.code === "unknown_source" && error.problem.known.includes("alpha"));
  await assert.rejects(client.runs.watch(randomUUID()).done, { status: 404 });
});

test("the board is what a feed begins with, and a feed goes on from it", { timeout: 90_000 }, async () => {
  const runId = randomUUID();
  for (let n = 1; n <= 30; n += 1) await publisher.odds(`board${n}`, "test", runId, 1 + n / 100);
  const sources = (await client.sources()).map(({ source }) => source);
  assert.ok(["alpha", "bravo", "charlie", "delta"].every((source) => sources.includes(source)));
  assert.equal((await client.workers()).length, 1);
  // The demo's prices move; those of this source do not.
  const filter = { source: "test" };
  const feed = client.subscribe({ topics: ["odds_updates.*.*.test"], since: "snapshot" });
  const { value } = await feed[Symbol.asyncIterator]().next();
  const images = value.messages.filter(({ type }) => type === "odds_update").map(({ data }) => data);
  const board = await client.odds.board(filter);
  const sorted = (list) => [...list].sort((a, b) => a.event.event_id.localeCompare(b.event.event_id));
  assert.equal(images.length, 30);
  assert.deepEqual(sorted(board.markets), sorted(images));
  feed.close();

  await publisher.odds("board1", "test", runId, 3.5);
  const next = client.subscribe({ topics: ["odds_updates.*.*.test"], since: board.cursor });
  for await (const item of next) {
    assert.equal(item.type, "odds_update", "nothing begins anew");
    assert.deepEqual([item.data.event_ids, item.data.market.quotes[0].outcomes[0].price], [["board1"], 3.5]);
    break;
  }
  assert.equal(next.state.status, "closed", "leaving the loop closes the feed");
});

for (const transport of ["ws", "sse"]) {
  test(`a reader that is slow pauses its feed, and loses nothing (${transport})`, { timeout: 90_000 }, async () => {
    const slow = createClient(product.url, { WebSocket, transports: [transport], signal: stop.signal, backoff: { min: 1, max: 10 } });
    const source = `slow-${transport}`;
    const feed = slow.subscribe({ topics: [`scrape_progress.${source}`], buffer: 8 });
    const items = feed[Symbol.asyncIterator]();
    let pauses = 0;
    const paused = () => new Promise((resolve) => {
      const look = ({ status }) => status === "paused" && (off(), resolve());
      const off = feed.on("state", look);
      look(feed.state);
    });
    feed.on("state", ({ status }) => (pauses += status === "paused" ? 1 : 0));
    await new Promise((resolve) => feed.on("caught_up", resolve));
    const runId = randomUUID();
    const given = [];
    for (let seq = 1; seq <= 100; seq += 1) await publisher.run(runId, source, seq);
    await paused();
    while (given.length < 100) given.push((await items.next()).value.data.seq);
    assert.deepEqual(given, Array.from({ length: 100 }, (_, at) => at + 1));
    assert.ok(pauses >= 5, `${pauses} pauses`);
    feed.close();
  });
}

test("the ten lines of the README work as they stand", { timeout: 90_000 }, async () => {
  const readme = readFileSync(new URL("../../README.md", import.meta.url), "utf8");
  const [, lines] = /## In ten lines[^]*?```js\n([^]*?)```/.exec(readme);
  const code = lines.replace("http://127.0.0.1:8080", product.url);
  assert.notEqual(code, lines);
  const folder = new URL("../..", import.meta.url);
  // A Node without a WebSocket of its own uses event streams; the program ends by itself.
  const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "--eval", code], { cwd: folder });
  assert.match(stdout, /^\d+ markets\n(alpha|bravo|charlie|delta) .+ [\d.]+\n$/);
});

const PARTS = Array.from({ length: 40 }, (_, at) => `parts${at}`);
const LAST = PARTS.at(-1);
const inParts = { topics: ["odds_updates.*.*.parts"], first: [`odds_updates.*.${LAST}.parts`], since: "snapshot" };

// What a feed told as it came, and the state that it holds, by event.
function hold(feed) {
  const told = [];
  const held = new Map();
  const take = ({ type, data }) => type === "odds_update" && held.set(data.event.event_id, data.market.quotes[0].outcomes[0].price);
  feed.on("part", (message) => message?.type === "odds_update" && told.push(message.data.event.event_id));
  feed.on("snapshot", ({ messages }) => {
    held.clear();
    messages.forEach(take);
  });
  feed.on("event", take);
  return { told, held };
}

const isLive = (feed) => new Promise((resolve, reject) => {
  const look = ({ status, error }) => (status === "live" ? resolve() : status === "closed" && reject(error));
  feed.on("state", look);
  look(feed.state);
});

test("the state of what is to come first comes first, and all of it is whole; control: without, it comes in the order of the log", { timeout: 90_000 }, async () => {
  for (const event of PARTS) await publisher.odds(event, "parts", randomUUID(), 1.5);
  for (const [options, first] of [[inParts, LAST], [{ ...inParts, first: [] }, PARTS[0]]]) {
    const feed = client.subscribe(options);
    const { told, held } = hold(feed);
    const faults = [];
    feed.on("fault", (fault) => faults.push(fault));
    await isLive(feed);
    assert.equal(told[0], first);
    assert.deepEqual(faults, []);
    assert.deepEqual([...held.keys()].sort(), PARTS.toSorted());
    feed.close();
  }
});

test("cuts anywhere in a state of two parts and after it lose nothing", { timeout: 120_000 }, async () => {
  const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31));
  console.log(`SEED=${seed}`);
  const cutter = await startCutter([product.url], { cuts: 60, random: dice(seed), furthest: 20_000 });
  const feed = createClient(cutter.url, { WebSocket, transports: ["ws"], signal: stop.signal, backoff: { min: 1, max: 4 } }).subscribe(inParts);
  const { held } = hold(feed);
  let wholes = 0;
  feed.on("snapshot", () => (wholes += 1));
  const truth = new Map();
  for (let turn = 0; cutter.cuts() < 60; turn += 1) {
    const event = PARTS[turn % PARTS.length];
    truth.set(event, 1.5 + (turn % 500) / 100);
    await publisher.odds(event, "parts", randomUUID(), truth.get(event));
  }
  for (const event of PARTS.filter((event) => !truth.has(event))) truth.set(event, held.get(event));
  const isSame = () => truth.size === held.size && [...truth].every(([event, price]) => held.get(event) === price);
  while (!isSame()) {
    assert.notEqual(feed.state.status, "closed", feed.state.error?.message);
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.equal(wholes, 1, "once it is whole it is continued at its cursor");
  feed.close();
  cutter.close();
});
