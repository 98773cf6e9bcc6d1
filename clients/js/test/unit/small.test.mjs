// The parts that hold no connection.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Backoff, STABLE_MS } from "../../dist/backoff.js";
import { comesBack } from "../../dist/connection.js";
import { Emitter } from "../../dist/emitter.js";
import { refusal, retryAfter } from "../../dist/errors.js";
import { oddsTopic, runTopic } from "../../dist/index.js";
import { Route } from "../../dist/route.js";
import { Tokens } from "../../dist/token.js";
import { deferred, settle } from "./script.mjs";

test("backoff waits between nothing and a ceiling that doubles up to its end", () => {
  const longest = new Backoff({ min: 500, max: 20_000 }, () => 1);
  assert.deepEqual(Array.from({ length: 8 }, () => longest.next(0)), [500, 1000, 2000, 4000, 8000, 16_000, 20_000, 20_000]);
  const shortest = new Backoff({ min: 500, max: 20_000 }, () => 0);
  assert.deepEqual([shortest.next(0), shortest.next(0)], [0, 0]);
  const plain = new Backoff();
  for (let n = 0; n < 2000; n += 1) assert.ok(plain.next(0) < 20_000);
});

test("backoff forgets failures only after a connection that lasted", () => {
  const backoff = new Backoff({ min: 500, max: 20_000 }, () => 1);
  for (let n = 0; n < 4; n += 1) backoff.next(0);
  assert.equal(backoff.next(STABLE_MS - 1), 8000);
  assert.equal(backoff.failures, 5);
  assert.equal(backoff.next(STABLE_MS), 500);
  assert.equal(backoff.failures, 1);
});

test("Retry-After is a number of seconds or a date, and bounded", () => {
  const now = Date.parse("2026-02-06T01:30:00Z");
  const cases = [
    [null, undefined], ["", undefined], ["soon", undefined],
    ["0", 0], ["7", 7000], [" 7 ", 7000], ["99999999", 300_000],
    ["Fri, 06 Feb 2026 01:30:09 GMT", 9000], ["Fri, 06 Feb 2026 01:29:00 GMT", 0],
  ];
  for (const [header, ms] of cases) assert.equal(retryAfter(header, now), ms, String(header));
});

test("a refusal carries the problem's code, and a proxy's own page its status", async () => {
  const problem = { type: "about:blank", title: "Busy", status: 409, code: "busy", detail: "Every source is busy.", busy: [{ source: "alpha", run_id: null }] };
  const told = await refusal(Response.json(problem, { status: 409 }));
  assert.deepEqual([told.code, told.status, told.message, told.problem.busy[0].source], ["busy", 409, "Every source is busy.", "alpha"]);
  const page = await refusal(new Response("<h1>Bad gateway</h1>", { status: 502, statusText: "Bad Gateway", headers: { "retry-after": "3" } }));
  assert.deepEqual([page.code, page.message, page.retryAfterMs], ["http_502", "the gateway answered 502 Bad Gateway", 3000]);
});

test("topics end with the last token that is given", () => {
  assert.equal(oddsTopic(), "odds_updates");
  assert.equal(oddsTopic({ sport: "soccer" }), "odds_updates.soccer");
  assert.equal(oddsTopic({ source: "alpha" }), "odds_updates.*.*.alpha");
  assert.equal(oddsTopic({ sport: "soccer", market: "h2h-ft" }), "odds_updates.soccer.*.*.h2h-ft");
  assert.equal(runTopic(), "scrape_progress");
  assert.equal(runTopic({ run: "r1" }), "scrape_progress.*.r1");
});

test("the close codes that come back are those of docs/close-codes.md", () => {
  for (const code of [1001, 1006, 1012, 1013, 4000, 4401, 4499]) assert.ok(comesBack(code), String(code));
  for (const code of [1000, 1002, 1003, 1005, 1007, 1008, 1009, 1011, 3000, 4500, 4501, 4999]) assert.ok(!comesBack(code), String(code));
});

test("a route goes on to the next gateway, and to the next transport after two attempts without an answer", (t) => {
  let now = 0;
  t.mock.method(performance, "now", () => now);
  const route = new Route([new URL("http://a/"), new URL("http://b/")], ["ws", "sse"]);
  const next = () => {
    const { url, transport } = route.next();
    return `${transport} ${url.host}`;
  };
  assert.equal(next(), "ws a");
  route.lost(true);
  assert.equal(next(), "ws b");
  route.lost(false);
  assert.equal(next(), "ws a");
  route.lost(false);
  assert.equal(next(), "sse b");
  route.acknowledged();
  route.lost(true);
  now += 599_000;
  assert.equal(next(), "sse a", "what worked is used again");
  now += 2000;
  assert.equal(next(), "ws a", "after ten minutes the preferred one has another chance");
});

test("a route whose transports all fail goes round", () => {
  const route = new Route([new URL("http://a/")], ["ws", "sse"]);
  const tried = Array.from({ length: 7 }, () => {
    const { transport } = route.next();
    route.lost(false);
    return transport;
  });
  assert.deepEqual(tried, ["ws", "ws", "sse", "ws", "ws", "sse", "ws"]);
});

test("a token is fetched once for all who ask, and again for the first who is refused", async () => {
  let fetched = 0;
  const coming = [deferred(), deferred()];
  const tokens = new Tokens(() => coming[fetched++].promise);
  const both = Promise.all([tokens.get(), tokens.get()]);
  coming[0].resolve("one");
  assert.deepEqual(await both, ["one", "one"]);
  assert.equal(await tokens.get(), "one");
  const renewed = Promise.all([tokens.renew("one"), tokens.renew("one"), tokens.get()]);
  coming[1].resolve("two");
  assert.deepEqual(await renewed, ["two", "two", "two"]);
  assert.equal(await tokens.renew("one"), "two", "it was replaced already");
  assert.equal(fetched, 2);
});

test("a token that could not be fetched is asked for again", async () => {
  let fetched = 0;
  const tokens = new Tokens(() => {
    fetched += 1;
    if (fetched === 1) throw new Error("no network");
    return "one";
  });
  await assert.rejects(tokens.get(), /no network/);
  assert.equal(await tokens.get(), "one");
});

test("a static token is what it is", async () => {
  const tokens = new Tokens("one");
  assert.equal(tokens.canRenew, false);
  assert.equal(await tokens.renew("one"), "one");
  assert.equal(await new Tokens(undefined).get(), undefined);
});

test("a listener that throws stops no other, and its error is not swallowed", async () => {
  class Bell extends Emitter {
    ring(event) {
      this.emit("ring", event);
    }
  }
  const bell = new Bell();
  const heard = [];
  bell.on("ring", () => {
    throw new Error("of the program");
  });
  const off = bell.on("ring", (event) => heard.push(event));
  bell.on("ring", () => {
    off();
    bell.on("ring", (event) => heard.push(`late ${event}`));
  });
  const thrown = [];
  const own = process.listeners("uncaughtException");
  process.removeAllListeners("uncaughtException");
  process.on("uncaughtException", (error) => thrown.push(error.message));
  bell.ring(1);
  bell.ring(2);
  await settle();
  process.removeAllListeners("uncaughtException");
  for (const listener of own) process.on("uncaughtException", listener);
  assert.deepEqual(heard, [1, "late 2"], "one that was taken off hears nothing more, one that was added begins with the next");
  assert.deepEqual(thrown, ["of the program", "of the program"]);
});
