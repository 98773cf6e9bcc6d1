// The client before `oddswire dev`: runs, the board, and a reader that is slow.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, test } from "node:test";
import WebSocket from "ws";
import { startProduct } from "../../../../tests/browser/stack.mjs";
import { createClient, isOver, OddswireError } from "../../dist/index.js";
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
