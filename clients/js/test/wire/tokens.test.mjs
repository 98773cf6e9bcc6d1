// Tokens that end while a feed lives.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, test } from "node:test";
import WebSocket from "ws";
import { createClient } from "../../dist/index.js";
import { startGuarded } from "./guarded.mjs";
import { startPublisher } from "./publisher.mjs";

let product;
let publisher;
const open = [];

before(async () => {
  product = await startGuarded();
  publisher = await startPublisher(product.nats);
});

after(async () => {
  for (const feed of open) feed.close();
  await publisher?.close();
  await product?.stop();
});

function subscribe(transport, token) {
  const made = [];
  const source = typeof token === "string" ? token : async () => (made.push(await token()), made.at(-1));
  const client = createClient(product.url, { WebSocket, transports: [transport], token: source, backoff: { min: 1, max: 10 } });
  const feed = client.subscribe({ topics: ["scrape_progress.test"] });
  open.push(feed);
  return { client, feed, made };
}

// Publishes a run, an event at a time, until every feed has had its fourth token; each must get every event once.
test("tokens of four seconds are renewed, on both transports, and no event is missed", { timeout: 60_000 }, async () => {
  const runId = randomUUID();
  const renewing = ["ws", "sse"].map((transport) => subscribe(transport, () => product.token("4s")));
  const listeners = renewing.map(({ feed, made }) => {
    const one = { given: [], attempts: 0, made, feed, wake: () => {} };
    feed.on("scrape_progress", ({ data }) => {
      one.given.push(data.seq);
      one.wake();
    });
    feed.on("state", ({ status }) => {
      if (status === "connecting") one.attempts += 1;
      one.wake();
    });
    one.until = async (isSo) => {
      while (!isSo()) {
        assert.notEqual(feed.state.status, "closed", feed.state.error?.message);
        await new Promise((resolve) => (one.wake = resolve));
      }
    };
    return one;
  });
  await Promise.all(listeners.map((one) => one.until(() => one.feed.state.status === "live")));
  let seq = 0;
  while (listeners.some(({ made }) => made.length < 4)) {
    seq += 1;
    await publisher.run(runId, "test", seq);
    for (const one of listeners) await one.until(() => one.given.length >= seq);
  }
  for (const { given } of listeners) assert.deepEqual(given, Array.from({ length: seq }, (_, at) => at + 1));
  const [ws, sse] = listeners;
  assert.equal(ws.attempts, 1, "a WebSocket is told the new token and lives on");
  assert.ok(sse.attempts >= 4, "an event stream comes back with it");
});

for (const transport of ["ws", "sse"]) {
  test(`a wrong token ends with the error (${transport})`, { timeout: 30_000 }, async () => {
    const { client, feed } = subscribe(transport, `${await product.token("1h")}x`);
    await assert.rejects(feed[Symbol.asyncIterator]().next(), { name: "OddswireError", code: "token_invalid" });
    assert.equal(feed.state.status, "closed");
    await assert.rejects(client.sources(), { code: "token_invalid", status: 401 });
  });

  test(`a token that ends and has no successor ends with the error (${transport})`, { timeout: 30_000 }, async () => {
    const { feed } = subscribe(transport, await product.token("2s"));
    await assert.rejects(feed[Symbol.asyncIterator]().next(), { code: "token_expired" });
  });
}

// Over WebSocket a gateway waits 10 s for a first message that brings one.
test("no token ends with the error", { timeout: 30_000 }, async () => {
  const client = createClient(product.url, { transports: ["sse"] });
  await assert.rejects(client.subscribe()[Symbol.asyncIterator]().next(), { code: "token_missing" });
});

test("requests bring the token, and another one when it ended", { timeout: 30_000 }, async () => {
  const tokens = ["x", await product.token("1h")];
  const client = createClient(product.url, { WebSocket, token: () => tokens.shift() });
  assert.deepEqual(await client.workers(), []);
  await assert.rejects(client.runs.start(), { code: "scope_missing", status: 403 });
  assert.match((await client.ticket()).ticket, /./);
});
