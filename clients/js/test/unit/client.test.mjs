// Requests, and runs that are watched.

import assert from "node:assert/strict";
import { test } from "node:test";
import { createClient } from "../../dist/index.js";
import { ack, run, settle, stage } from "./script.mjs";

// A gateway that answers requests from a list.
function answering(answers, options = {}) {
  const asked = [];
  const fetch = async (url, { method, headers, body }) => {
    asked.push({ method, url, body, authorization: headers.authorization });
    const answer = answers.shift();
    if (answer instanceof Error) throw answer;
    return answer;
  };
  return { client: createClient(["http://a/", "http://b/"], { fetch, transports: ["sse"], ...options }), asked };
}

const problem = (status, code, more = {}) => Response.json({ type: "x", title: "x", status, code, detail: code, ...more }, { status });

test("what is no gateway's address is refused at once", () => {
  assert.throws(() => createClient(), /needs the address/);
  assert.throws(() => createClient("ws://host/"), /begins with http/);
  assert.throws(() => createClient("http://host/", { transports: ["ws"], WebSocket: null }), /no WebSocket here/);
});

test("runs are started, listed, repeated and cancelled", async () => {
  const { client, asked } = answering([1, 2, 3, 4].map(() => Response.json({})));
  await client.runs.start({ sources: ["alpha"] });
  await client.runs.retry("r1");
  await client.runs.list({ status: "running", source: undefined, limit: 5 });
  await client.runs.cancel("r/1");
  assert.deepEqual(asked.map(({ method, url, body }) => [method, url, body]), [
    ["POST", "http://a/api/scrapes", "{\"sources\":[\"alpha\"]}"],
    ["POST", "http://a/api/scrapes", "{\"retry_of\":\"r1\"}"],
    ["GET", "http://a/api/scrapes?status=running&limit=5", undefined],
    ["POST", "http://a/api/scrapes/r%2F1/cancel", "{}"],
  ]);
});

test("a question goes to the next gateway when one cannot be reached; what changes something is never asked twice", async () => {
  const cut = new TypeError("fetch failed");
  const { client, asked } = answering([cut, Response.json({ sources: [] }), cut]);
  assert.deepEqual(await client.sources(), []);
  await assert.rejects(client.runs.start(), { code: "network" });
  assert.deepEqual(asked.map(({ url }) => new URL(url).host), ["a", "b", "a"]);
});

test("a refusal has the code and what comes with it", async () => {
  const { client } = answering([problem(409, "busy", { busy: [{ source: "alpha", run_id: "r1" }] }), new Response("<html>", { status: 200 })]);
  await assert.rejects(client.runs.start(), (error) => error.code === "busy" && error.status === 409 && error.problem.busy[0].run_id === "r1");
  await assert.rejects(client.workers(), { code: "invalid_answer" });
});

test("a request that is not let in is asked once more with another token", async () => {
  let made = 0;
  const { client, asked } = answering([problem(401, "token_expired"), Response.json({ workers: [] }), problem(401, "token_invalid"), problem(401, "token_invalid")], { token: () => `t${(made += 1)}` });
  await client.workers();
  await assert.rejects(client.workers(), { code: "token_invalid" });
  assert.deepEqual(asked.map(({ authorization }) => authorization), ["Bearer t1", "Bearer t2", "Bearer t2", "Bearer t3"]);
});

test("the board is all of its pages, with the first cursor, and the later image of a market that changed meanwhile", async () => {
  const market = (event_id, version) => ({ event: { event_id }, source: "alpha", market: { key: "h2h", period: "ft" }, version });
  const page = (cursor, markets, next_page) => Response.json({ cursor, markets, confirmed: {}, next_page });
  const { client, asked } = answering([page("c1", [market("e1", 1), market("e2", 1)], "2"), page("c2", [market("e3", 1), market("e1", 2)], null)]);
  const board = await client.odds.board({ sport: "soccer" });
  assert.equal(board.cursor, "c1");
  assert.deepEqual(board.markets.map(({ event, version }) => `${event.event_id} ${version}`), ["e2 1", "e3 1", "e1 2"]);
  assert.equal(asked[1].url, "http://a/api/odds?sport=soccer&limit=5000&page=2");
});

test("an abort ends requests with its reason", async () => {
  const stop = new AbortController();
  const { client } = answering([new DOMException("stopped", "AbortError")], { signal: stop.signal });
  stop.abort();
  await assert.rejects(client.sources(), { name: "AbortError" });
});

test("a run is followed to its end, by the iterator and by `done` afterwards", async (t) => {
  const { client, streams } = stage(t);
  const watch = client.runs.watch("r1");
  const seen = [];
  const reading = (async () => {
    for await (const { seq } of watch) seen.push(seq);
  })();
  await settle();
  assert.equal(streams[0].url.href, "http://gateway/api/scrapes/r1/events?since=snapshot");
  streams[0].open();
  await settle();
  streams[0].say("connection_ack", ack("snapshot"), "c0");
  streams[0].say("scrape_progress", run(3), "c0");
  streams[0].say("caught_up", { cursor: "c1", replayed: 1 }, "c1");
  streams[0].say("scrape_progress", run(4), "c2");
  streams[0].say("scrape_progress", run(5, "completed"), "c3");
  await reading;
  assert.deepEqual(seen, [3, 4, 5]);
  assert.equal((await watch.done).seq, 5);
  assert.equal((await watch.done).seq, 5, "it may be asked for again");
  assert.equal(watch.state.status, "closed");
});

test("a run that was over already is done at once", async (t) => {
  const { client, streams } = stage(t);
  const { done } = client.runs.watch("r1");
  await settle();
  streams[0].open();
  await settle();
  streams[0].say("connection_ack", ack("snapshot"), "c0");
  streams[0].say("scrape_progress", run(9, "failed"), "c0");
  streams[0].say("caught_up", { cursor: "c1", replayed: 1 }, "c1");
  assert.equal((await done).status, "failed");
});

test("a run that is unknown, or no longer watched, has no end", async (t) => {
  const { client, streams } = stage(t);
  const unknown = client.runs.watch("nobody");
  const { done } = unknown;
  await settle();
  streams[0].answer(problem(404, "not_found"));
  await assert.rejects(done, { code: "not_found", status: 404 });
  const left = client.runs.watch("r1");
  const ended = assert.rejects(left.done, { code: "closed" });
  left.close();
  await ended;
});
