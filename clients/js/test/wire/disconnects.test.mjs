// A client that is cut off again and again, anywhere, and answered by another gateway each time.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, test } from "node:test";
import WebSocket from "ws";
import { startProduct } from "../../../../tests/browser/stack.mjs";
import { createClient } from "../../dist/index.js";
import { dice, startCutter } from "./cutter.mjs";
import { startPublisher } from "./publisher.mjs";

const CUTS_EACH = 500;
// The program's own scraper has runs too.
const SOURCE = "test";
// So far may a client be behind the publisher.
const LEAD = 200;

let product;
let publisher;
const open = [];

before(async () => {
  product = await startProduct({ gateways: 2, withDemo: false });
  publisher = await startPublisher(product.nats);
});

after(async () => {
  for (const { feed, cutter } of open) {
    feed.close();
    cutter.close();
  }
  await publisher?.close();
  await product?.stop();
});

// One listener behind a cutter of its own, and all it was given.
async function listen(transport, seed, rewrite) {
  const cutter = await startCutter(product.urls, { cuts: CUTS_EACH, random: dice(seed), rewrite });
  const client = createClient(cutter.url, { WebSocket, transports: [transport], backoff: { min: 1, max: 4 } });
  const feed = client.subscribe({ topics: [`scrape_progress.${SOURCE}`, `odds_updates.*.*.${SOURCE}`] });
  const given = [];
  const gaps = [];
  let wake = () => {};
  feed.on("event", (message) => {
    given.push(message.type === "scrape_progress" ? `run ${message.data.seq}` : `odds ${message.data.event_ids[0]}`);
    wake();
  });
  feed.on("snapshot", ({ verdict }) => gaps.push(verdict));
  feed.on("state", () => wake());
  const ready = new Promise((resolve) => feed.on("caught_up", resolve));
  const until = async (isSo) => {
    while (!isSo()) {
      assert.notEqual(feed.state.status, "closed", feed.state.error?.message);
      await new Promise((resolve) => (wake = resolve));
    }
  };
  const listener = { cutter, feed, given, gaps, ready, until };
  open.push(listener);
  return listener;
}

// Publishes run events and odds in turn until every cutter has done its part; gives what was published, in order.
async function publishUntilCut(listeners, keepsUp) {
  const runId = randomUUID();
  const published = [];
  for (let seq = 1; listeners.some(({ cutter }) => cutter.cuts() < CUTS_EACH); seq += 1) {
    assert.ok(seq < 20_000, "the cutters do not come to their number");
    await publisher.run(runId, SOURCE, seq);
    await publisher.odds(`e${seq}-${runId.slice(0, 8)}`, SOURCE, runId, 1.5);
    published.push(`run ${seq}`, `odds e${seq}-${runId.slice(0, 8)}`);
    if (keepsUp) for (const one of listeners) await one.until(() => published.length - one.given.length < LEAD);
  }
  return published;
}

const of = (kind, list) => list.filter((one) => one.startsWith(kind));

test("a thousand cuts at random bytes, on both transports, between two gateways: every event once and in order", { timeout: 240_000 }, async () => {
  const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31));
  console.log(`SEED=${seed}`);
  const listeners = [await listen("ws", seed), await listen("sse", seed + 1)];
  await Promise.all(listeners.map(({ ready }) => ready));
  const published = await publishUntilCut(listeners, true);
  for (const { cutter, given, gaps, until } of listeners) {
    await until(() => given.length >= published.length);
    // Runs and odds are two streams: each is in order, and between them no order is promised.
    assert.deepEqual(of("run", given), of("run", published));
    assert.deepEqual(of("odds", given), of("odds", published));
    assert.deepEqual(gaps, [], "nothing was lost, and nothing began anew");
    assert.equal(cutter.cuts(), CUTS_EACH);
    assert.ok(cutter.answeredBy.every((bytes) => bytes > 10_000), "both gateways had their share");
  }
});

test("control: the same with the cursor taken away loses events", { timeout: 240_000 }, async () => {
  const forget = (head) => head.replace(/since=[^& ]+/, "since=now");
  const listener = await listen("ws", 7, forget);
  await listener.ready;
  const published = await publishUntilCut([listener], false);
  assert.ok(listener.given.length < published.length, `${listener.given.length} of ${published.length}`);
});
