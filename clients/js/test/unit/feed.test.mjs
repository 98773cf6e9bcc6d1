// A feed before a scripted gateway.

import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { test } from "node:test";
import { follow, odds, run, settle, stage } from "./script.mjs";

const last = (list) => list[list.length - 1];

// A feed that is live after "now".
async function live(t, options, feedOptions) {
  const scene = stage(t, options);
  const feed = scene.client.subscribe(feedOptions);
  const heard = follow(feed);
  await settle();
  scene.sockets[0].ack("live");
  scene.sockets[0].caughtUp("c0");
  heard.told.length = 0;
  return { ...scene, feed, ...heard };
}

test("nothing is asked for until somebody listens", async (t) => {
  const { client, sockets, pass } = stage(t);
  const feed = client.subscribe({ topics: ["odds_updates.soccer"], conflateMs: 250 });
  await pass(5000);
  assert.deepEqual([sockets.length, feed.state.status], [0, "idle"]);
  feed.on("event", () => {});
  await settle();
  assert.equal(sockets[0].url.href, "ws://gateway/api/ws?since=now&topics=odds_updates.soccer&conflate_ms=250");
  assert.equal(feed.state.status, "connecting");
});

test("events are handed over in order, and the position follows them", async (t) => {
  const { feed, sockets, told } = await live(t);
  assert.equal(feed.cursor, "c0");
  sockets[0].say("scrape_progress", run(1), "c1");
  sockets[0].say("odds_update", odds(1), "c2");
  assert.deepEqual(told, ["run 1", "odds e1"]);
  assert.equal(feed.cursor, "c2");
  sockets[0].say("heartbeat", { cursor: "c9", server_time: "2026-02-06T01:30:05.000Z", upstream: "ok", lag_ms: 0 });
  assert.equal(feed.cursor, "c9");
});

test("ages are computed with the gateway's clock", async (t) => {
  const { client, sockets } = await live(t);
  sockets[0].say("heartbeat", { cursor: "c1", server_time: "2026-02-06T01:31:00.000Z", upstream: "stale", lag_ms: 7 });
  assert.equal(client.clockOffsetMs, 60_000);
  assert.equal(client.now(), Date.now() + 60_000);
});

for (const verdict of ["snapshot", "gap"]) {
  test(`after ${verdict} the state is handed over at once, when it is whole`, async (t) => {
    const { client, sockets } = stage(t);
    const feed = client.subscribe({ since: "snapshot" });
    const { told, states } = follow(feed);
    await settle();
    sockets[0].ack(verdict);
    sockets[0].say("odds_update", odds(1), "c0");
    sockets[0].say("scrape_progress", run(3), "c0");
    assert.deepEqual([told, feed.cursor, feed.state.status], [[], null, "replaying"]);
    sockets[0].caughtUp("c2", 2);
    assert.deepEqual(told, [`${verdict} of 2 at c2`, "caught up at c2"]);
    assert.deepEqual(states, ["connecting", "replaying", "live"]);
    sockets[0].say("scrape_progress", run(3), "c3");
    sockets[0].say("scrape_progress", run(4), "c4");
    assert.deepEqual(told.slice(2), ["run 4"], "what was part of the state is no news");
  });
}

test("a state that was cut off is thrown away and asked for again", async (t) => {
  const { client, sockets, pass } = stage(t);
  const feed = client.subscribe({ since: "snapshot" });
  const { told } = follow(feed);
  await settle();
  sockets[0].ack("snapshot");
  sockets[0].say("odds_update", odds(1), "c0");
  sockets[0].cut();
  await pass(500);
  assert.equal(sockets[1].since, "snapshot");
  sockets[1].ack("snapshot");
  sockets[1].say("odds_update", odds(2), "c0");
  sockets[1].caughtUp("c5", 1);
  assert.deepEqual(told, ["snapshot of 1 at c5", "caught up at c5"]);
});

test("a gap in mid-connection begins anew, and a cut in it goes back to before it", async (t) => {
  const { sockets, told, pass } = await live(t);
  sockets[0].say("odds_update", odds(1), "c1");
  sockets[0].say("resume", { verdict: "gap" });
  sockets[0].say("odds_update", odds(2), "c8");
  sockets[0].cut();
  await pass(500);
  assert.equal(sockets[1].since, "c1");
  sockets[1].ack("gap");
  sockets[1].say("odds_update", odds(2), "c1");
  sockets[1].caughtUp("c9", 1);
  assert.deepEqual(told, ["odds e1", "gap of 1 at c9", "caught up at c9"]);
});

test("an answer to a change of conflation does not make a state whole", async (t) => {
  const { client, sockets } = stage(t);
  const { told } = follow(client.subscribe({ since: "snapshot" }));
  await settle();
  sockets[0].ack("snapshot");
  sockets[0].say("odds_update", odds(1), "c0");
  sockets[0].say("subscription_ack", { topics: ["odds_updates"], resume: { verdict: "live" }, ref: "conflate" });
  sockets[0].caughtUp("c0", 0, { ref: "conflate" });
  sockets[0].say("odds_update", odds(2), "c0");
  sockets[0].caughtUp("c2", 2);
  assert.deepEqual(told, ["snapshot of 2 at c2", "caught up at c2"]);
});

test("while the bus is down it says so, and goes on when it is back", async (t) => {
  const { client, sockets } = stage(t);
  const feed = client.subscribe({ since: "c1" });
  const { told, states } = follow(feed);
  await settle();
  sockets[0].ack("unavailable");
  assert.deepEqual([feed.state.status, feed.state.upstream], ["unavailable", "down"]);
  sockets[0].say("heartbeat", { cursor: "c1", server_time: new Date().toISOString(), upstream: "down", lag_ms: 20_000 });
  assert.deepEqual([feed.state.status, feed.state.lagMs, feed.cursor], ["unavailable", 20_000, null]);
  sockets[0].say("resume", { verdict: "replayed" });
  sockets[0].say("scrape_progress", run(2), "c2");
  sockets[0].caughtUp("c2", 1);
  sockets[0].caughtUp("c2", 1);
  assert.deepEqual([told[0], states.at(-1), feed.state.upstream, feed.state.lagMs], ["run 2", "live", "ok", 0]);
});

test("a cut is continued from the last position, later after each failure", async (t) => {
  const { feed, sockets, pass } = await live(t);
  sockets[0].say("odds_update", odds(1), "c1");
  sockets[0].cut(1006);
  assert.equal(feed.state.status, "reconnecting");
  assert.equal(feed.state.retryAt, Date.now() + 250);
  await pass(500);
  assert.equal(sockets[1].since, "c1");
  sockets[1].ack("replayed");
  sockets[1].cut(1001);
  assert.equal(feed.state.retryAt, Date.now() + 500, "it did not last");
  await pass(500);
  sockets[2].ack("replayed");
  sockets[2].caughtUp("c1");
  assert.equal(feed.state.failures, 0);
  await pass(10_000);
  sockets[2].cut(4000);
  assert.equal(feed.state.retryAt, Date.now() + 250, "it lasted");
});

test("several gateways take turns", async (t) => {
  const { client, sockets, pass } = stage(t, { url: ["http://a/", "https://b/odds"] });
  client.subscribe().on("event", () => {});
  await settle();
  sockets[0].ack();
  sockets[0].cut();
  await pass(500);
  assert.equal(sockets[1].url.href, "wss://b/odds/api/ws?since=c0");
});

test("a connection that says nothing for two and a half heartbeats is given up", async (t) => {
  const { feed, sockets, pass } = await live(t);
  for (let beat = 0; beat < 5; beat += 1) {
    await pass(20_000);
    sockets[0].say("heartbeat", { cursor: "c1", server_time: new Date().toISOString(), upstream: "ok", lag_ms: 0 });
  }
  await pass(49_500);
  assert.equal(feed.state.status, "live");
  await pass(1500);
  assert.equal(feed.state.status, "reconnecting");
  assert.equal(sockets[0].closedWith, 1000);
});

test("a connection that is never acknowledged is given up after 15 s", async (t) => {
  const { client, sockets, pass } = stage(t);
  const feed = client.subscribe();
  follow(feed);
  await pass(14_500);
  assert.deepEqual([feed.state.status, sockets.length], ["connecting", 1]);
  await pass(2500);
  assert.equal(sockets.length, 2);
});

test("a program that slept gives its connection time to speak, but only once", async (t) => {
  const { feed, sockets, pass } = await live(t);
  await pass(60_000, { asleep: true });
  assert.equal(feed.state.status, "live");
  sockets[0].say("heartbeat", { cursor: "c1", server_time: new Date().toISOString(), upstream: "ok", lag_ms: 0 });
  await pass(60_000, { asleep: true });
  assert.equal(feed.state.status, "live");
  await pass(60_000, { asleep: true });
  assert.equal(feed.state.status, "reconnecting", "a page that is always asleep still notices");
});

test("a gateway that stops is left at the slot that it gave", async (t) => {
  const { sockets, pass } = await live(t);
  sockets[0].say("reconnect", { after_ms: 2000, reason: "this gateway stops" });
  await pass(1500);
  sockets[0].say("odds_update", odds(1), "c1");
  assert.equal(sockets.length, 1);
  await pass(1000);
  assert.deepEqual([sockets.length, sockets[1].since], [2, "c1"]);
});

for (const code of [1000, 1002, 1007, 1008, 1009, 1011, 4500]) {
  test(`close code ${code} ends the feed with an error`, async (t) => {
    const { feed, sockets, states, pass } = await live(t);
    if (code === 4500) sockets[0].say("error", { code: "invalid_topic", detail: "unknown topic" });
    sockets[0].cut(code, "why");
    await pass(60_000);
    assert.deepEqual([sockets.length, states.at(-1)], [1, "closed"]);
    assert.equal(feed.state.error.code, code === 4500 ? "invalid_topic" : `closed_${code}`);
  });
}

test("a token that ends in mid-connection is renewed over WebSocket", async (t) => {
  let made = 0;
  const { sockets, feed } = await live(t, { token: () => `t${(made += 1)}` });
  assert.deepEqual(sockets[0].protocols, ["oddswire.v1", "bearer.t1"]);
  sockets[0].say("error", { code: "token_expiring", detail: "soon" });
  await settle();
  assert.deepEqual(sockets[0].sent, [{ type: "auth", token: "t2" }]);
  assert.deepEqual([sockets.length, feed.state.status], [1, "live"]);
});

test("4401 asks for another token and goes on from the position", async (t) => {
  let made = 0;
  const { sockets, feed, pass } = await live(t, { token: () => `t${(made += 1)}` });
  sockets[0].say("odds_update", odds(1), "c1");
  for (let round = 1; round <= 4; round += 1) {
    sockets[round - 1].say("error", { code: "token_expired", detail: "it is over" });
    sockets[round - 1].cut(4401);
    await pass(8000);
    assert.deepEqual([sockets[round].protocols[1], sockets[round].since], [`bearer.t${round + 1}`, "c1"]);
    sockets[round].ack("replayed");
  }
  assert.equal(feed.state.status, "replaying");
});

test("a gateway that lets in and throws out at once is not asked again at once", async (t) => {
  let made = 0;
  const { sockets, pass } = await live(t, { token: () => `t${(made += 1)}` });
  for (let waited = 0; waited < 60_000; waited += 500) {
    const socket = last(sockets);
    if (socket.closedWith === null && socket.readyState === 1) {
      socket.ack("live");
      socket.cut(4401);
    }
    await pass(500);
  }
  assert.ok(sockets.length < 12, `${sockets.length} connections in a minute`);
});

test("a new token that is refused too is final", async (t) => {
  let made = 0;
  const { client, sockets, pass } = stage(t, { token: () => `t${(made += 1)}` });
  const feed = client.subscribe();
  follow(feed);
  await settle();
  sockets[0].say("error", { code: "token_invalid", detail: "not ours" });
  sockets[0].cut(4501);
  await settle();
  assert.equal(sockets[1].protocols[1], "bearer.t2");
  sockets[1].say("error", { code: "token_invalid", detail: "not ours" });
  sockets[1].cut(4501);
  await pass(60_000);
  assert.deepEqual([sockets.length, feed.state.status, feed.state.error.code], [2, "closed", "token_invalid"]);
});

test("a token that cannot be renewed ends with the error", async (t) => {
  const { sockets, feed, pass } = await live(t, { token: "static" });
  sockets[0].say("error", { code: "token_expired", detail: "it is over" });
  sockets[0].cut(4401);
  await pass(60_000);
  assert.deepEqual([sockets.length, feed.state.status, feed.state.error.code], [1, "closed", "token_expired"]);
});

test("a token that cannot be had is asked for again, and does not tell against the transport", async (t) => {
  let asked = 0;
  const token = () => {
    asked += 1;
    return asked <= 5 ? Promise.reject(new Error("down")) : "good";
  };
  const { client, sockets, streams, pass } = stage(t, { token });
  const feed = client.subscribe();
  follow(feed);
  await settle();
  assert.deepEqual([feed.state.status, feed.state.why], ["reconnecting", "no token: down"]);
  await pass(30_000);
  assert.deepEqual([asked, streams.length, sockets[0].protocols[1]], [6, 0, "bearer.good"]);
});

test("two WebSockets that are never acknowledged are followed by an event stream, from the same position", async (t) => {
  const { client, sockets, streams, pass } = stage(t);
  const feed = client.subscribe({ since: "c7" });
  const { told } = follow(feed);
  await settle();
  sockets[0].cut();
  await settle();
  await pass(500);
  sockets[1].cut();
  await settle();
  await pass(1000);
  assert.deepEqual([sockets.length, streams.length, streams[0].since, streams[0].url.pathname], [2, 1, "c7", "/api/events"]);
  streams[0].open();
  await settle();
  streams[0].say("connection_ack", { ...{ topics: ["odds_updates"], heartbeat_ms: 20_000, cursor: "c7", resume: { verdict: "replayed" } } }, "c7");
  streams[0].say("odds_update", odds(1), "c8");
  streams[0].say("caught_up", { cursor: "c8", replayed: 1 }, "c8");
  await settle();
  assert.deepEqual([told, feed.cursor, feed.state.transport, feed.state.status], [["odds e1", "caught up at c8"], "c8", "sse", "live"]);
  streams[0].controller.close();
  await pass(1500);
  assert.deepEqual([streams.length, streams[1].since], [2, "c8"], "what worked is used again");
  streams[1].fail(new Error("refused"));
  await pass(2500);
  assert.equal(sockets.length, 3, "an event stream that fails gives the turn back");
});

test("event streams wait as long as they are asked to", async (t) => {
  const { client, streams, pass } = stage(t, { transports: ["sse"] });
  const feed = client.subscribe();
  follow(feed);
  await settle();
  streams[0].answer(new Response("full", { status: 503, headers: { "retry-after": "30" } }));
  await pass(29_500);
  assert.equal(streams.length, 1);
  await pass(1500);
  assert.equal(streams.length, 2);
  streams[1].answer(new Response("<h1>Log in</h1>", { headers: { "content-type": "text/html" } }));
  await settle();
  assert.deepEqual([feed.state.status, feed.state.why], ["reconnecting", "the answer is no event stream (text/html)"]);
});

test("an event stream brings its token in the header, and another one after 401", async (t) => {
  let made = 0;
  const { client, streams } = stage(t, { transports: ["sse"], token: () => `t${(made += 1)}` });
  const feed = client.subscribe();
  follow(feed);
  await settle();
  assert.equal(streams[0].headers.authorization, "Bearer t1");
  const problem = { type: "x", title: "x", status: 401, code: "token_expired", detail: "it is over" };
  streams[0].answer(Response.json(problem, { status: 401 }));
  await settle();
  assert.equal(streams[1].headers.authorization, "Bearer t2");
  streams[1].answer(Response.json(problem, { status: 401 }));
  await settle();
  assert.deepEqual([feed.state.status, feed.state.error.code], ["closed", "token_expired"]);
});

test("an image of a run that came already is not handed over again", async (t) => {
  const { sockets, told, feed } = await live(t);
  sockets[0].say("scrape_progress", run(2), "c1");
  sockets[0].say("scrape_progress", run(1), "c2");
  sockets[0].say("scrape_progress", run(2), "c3");
  assert.equal(feed.cursor, "c3", "the position goes on all the same");
  sockets[0].say("scrape_progress", run(1, "running", "r2"), "c4");
  sockets[0].say("scrape_progress", run(3), "c5");
  assert.deepEqual(told, ["run 2", "run 1", "run 3"]);
  assert.equal(feed.cursor, "c5");
});

test("a stored position is gone on from, and the last one is stored at the end", async (t) => {
  const written = [];
  const storage = { get: () => Promise.resolve("c5"), set: (cursor) => void written.push(cursor) };
  const { client, sockets } = stage(t);
  const feed = client.subscribe({ since: "snapshot", storage });
  follow(feed);
  await settle();
  assert.equal(sockets[0].since, "c5");
  sockets[0].ack("replayed");
  sockets[0].say("odds_update", odds(1), "c6");
  sockets[0].say("odds_update", odds(2), "c7");
  assert.deepEqual(written, ["c6"]);
  await settle();
  feed.close();
  assert.deepEqual(written, ["c6", "c7"]);
});

test("a feed that is closed before its position was read connects no more", async (t) => {
  const stop = new AbortController();
  const { client, sockets } = stage(t, { signal: stop.signal });
  const feed = client.subscribe({ storage: { get: () => settle().then(() => "c5"), set() {} } });
  follow(feed);
  feed.close();
  await settle();
  await settle();
  assert.equal(sockets.length, 0);
  assert.equal(getEventListeners(stop.signal, "abort").length, 0, "nothing of it is held by the signal");
});

test("a storage that cannot be read ends the feed: what was missed would be lost", async (t) => {
  const storage = { get: () => Promise.reject(new Error("no such table")), set() {} };
  const { client, sockets } = stage(t);
  const feed = client.subscribe({ storage });
  follow(feed);
  await settle();
  assert.deepEqual([sockets.length, feed.state.status, feed.state.error.code], [0, "closed", "storage"]);
});

test("a listener that closes the feed hears nothing more, and nothing is left behind", async (t) => {
  for (const name of ["event", "snapshot", "caught_up", "heartbeat", "state"]) {
    await t.test(name, async (t) => {
      const written = [];
      const { client, sockets, pass } = stage(t);
      const feed = client.subscribe({ since: "snapshot", storage: { get: () => null, set: (cursor) => void written.push(cursor) } });
      const heard = [];
      const close = (what) => {
        if (name === "state" && what.status !== "reconnecting") return;
        heard.push(name);
        feed.close();
      };
      feed.on(name, close);
      const states = [];
      feed.on("state", ({ status }) => states.push(status));
      await settle();
      sockets[0].ack("snapshot");
      sockets[0].say("odds_update", odds(1), "c0");
      sockets[0].caughtUp("c1", 1);
      sockets[0].say("odds_update", odds(2), "c2");
      sockets[0].say("heartbeat", { cursor: "c3", server_time: new Date().toISOString(), upstream: "ok", lag_ms: 0 });
      sockets[0].cut();
      await pass(120_000);
      assert.deepEqual(heard, [name]);
      assert.deepEqual([sockets.length, states.indexOf("closed")], [1, states.length - 1], "the end comes last to every listener, once");
      const at = { event: "c2", snapshot: "c1", caught_up: "c1", heartbeat: "c3", state: "c3" }[name];
      assert.deepEqual([feed.cursor, written.at(-1)], [at, at]);
    });
  }
});

test("an abort ends every feed, begun or not", async (t) => {
  const stop = new AbortController();
  const { client, sockets, pass } = stage(t, { signal: stop.signal });
  const begun = client.subscribe();
  const { states } = follow(begun);
  const idle = client.subscribe();
  await settle();
  stop.abort();
  assert.deepEqual([states.at(-1), sockets[0].closedWith], ["closed", 1000]);
  idle.on("event", () => {});
  await pass(60_000);
  assert.deepEqual([idle.state.status, sockets.length], ["closed", 1]);
  assert.equal(getEventListeners(stop.signal, "abort").length, 0);
});

test("an event that cannot be read is told, costs itself, and its position is passed", async (t) => {
  const { feed, sockets, told } = await live(t);
  const unreadable = [];
  feed.on("unreadable", ({ type, data }) => unreadable.push([type, data]));
  const bad = [
    ["odds_update", {}],
    ["odds_update", { ...odds(1), market: { key: "h2h", period: "ft", quotes: [null] } }],
    ["scrape_progress", { ...run(1), seq: "1" }],
    ["odds_confirmed", { source: "alpha" }],
  ];
  bad.forEach(([type, data], at) => sockets[0].say(type, data, `bad${at}`));
  assert.deepEqual([unreadable, told, feed.cursor], [bad, [], "bad3"]);
  sockets[0].say("odds_update", odds(1), "c1");
  assert.deepEqual([told, feed.cursor, feed.state.status], [["odds e1"], "c1", "live"]);
});

test("an event that cannot be read is no part of a state", async (t) => {
  const { client, sockets } = stage(t);
  const feed = client.subscribe({ since: "snapshot" });
  const { told } = follow(feed);
  await settle();
  sockets[0].ack("snapshot");
  sockets[0].say("odds_update", {}, "c0");
  sockets[0].say("odds_update", odds(1), "c0");
  sockets[0].caughtUp("c2", 2);
  assert.deepEqual(told, ["snapshot of 1 at c2", "caught up at c2"]);
});

test("a message that is none, or of a later release, disturbs nothing", async (t) => {
  const { sockets, feed, told } = await live(t);
  const unknown = [];
  feed.on("unknown", ({ type }) => unknown.push(type));
  for (const data of ["", "{", "null", "7", "{\"type\":\"heartbeat\"}", "{\"type\":1}"]) sockets[0].onmessage({ data });
  sockets[0].say("weather", { sunny: true });
  sockets[0].say("odds_update", odds(1), "c1");
  assert.deepEqual([unknown, told], [["weather"], ["odds e1"]]);
});

test("an iterator gets everything, and its position is that of what was dealt with", async (t) => {
  const { client, sockets } = stage(t);
  const feed = client.subscribe({ since: "snapshot" });
  const items = feed[Symbol.asyncIterator]();
  const first = items.next();
  await settle();
  sockets[0].ack("snapshot");
  sockets[0].say("odds_update", odds(1), "c0");
  sockets[0].caughtUp("c1", 1);
  sockets[0].say("odds_update", odds(2), "c2");
  assert.equal((await first).value.type, "snapshot");
  assert.equal(feed.cursor, null, "it may not be dealt with yet");
  assert.equal((await items.next()).value.data.event_ids[0], "e2");
  assert.equal(feed.cursor, "c1");
  sockets[0].say("heartbeat", { cursor: "c9", server_time: new Date().toISOString(), upstream: "ok", lag_ms: 0 });
  assert.equal(feed.cursor, "c1", "a heartbeat does not overtake the reader");
  await items.return();
  assert.equal(feed.state.status, "closed");
  assert.equal((await items.next()).done, true);
});

test("a feed whose reader is behind pauses, and goes on where the reader is", async (t) => {
  const { client, sockets } = stage(t);
  const feed = client.subscribe({ buffer: 4 });
  const items = feed[Symbol.asyncIterator]();
  await settle();
  sockets[0].ack("live");
  sockets[0].caughtUp("c0");
  for (let n = 1; n <= 9; n += 1) sockets[0].say("odds_update", odds(n), `c${n}`);
  assert.deepEqual([feed.state.status, sockets[0].closedWith], ["paused", 1000]);
  const got = [(await items.next()).value.id];
  await settle();
  assert.equal(sockets.length, 1, "not for one that was taken");
  got.push((await items.next()).value.id);
  await settle();
  assert.equal(sockets[1].since, "c4");
  sockets[1].ack("replayed");
  for (let n = 5; n <= 6; n += 1) sockets[1].say("odds_update", odds(n), `c${n}`);
  for (let n = 0; n < 3; n += 1) got.push((await items.next()).value.id);
  assert.deepEqual(got, ["c1", "c2", "c3", "c4", "c5"]);
  feed.close();
  assert.equal((await items.next()).value.id, "c6", "what is here is given out after the end");
  assert.equal((await items.next()).done, true);
});

test("an iterator throws what ended the feed", async (t) => {
  const { client, sockets } = stage(t);
  const feed = client.subscribe();
  const next = feed[Symbol.asyncIterator]().next();
  await settle();
  sockets[0].cut(1008);
  await assert.rejects(next, { name: "OddswireError", code: "closed_1008" });
  assert.throws(() => feed[Symbol.asyncIterator](), /an iterator already/);
});

const problem = (status, code, detail) =>
  new Response(JSON.stringify({ type: code, title: code, status, code, detail }), { status, headers: { "content-type": "application/problem+json" } });

// Fails the next attempts, none of which was acknowledged.
const failed = new WeakSet();
async function refuse({ sockets, streams, pass }, attempts) {
  for (let count = 0, waited = 0; count < attempts; ) {
    const attempt = [...sockets, ...streams].find((one) => !failed.has(one) && one.readyState !== 3);
    if (attempt === undefined) {
      assert.ok((waited += 500) < 120_000, "no attempt is made");
      await pass(500);
      continue;
    }
    failed.add(attempt);
    count += 1;
    if (attempt.cut === undefined) attempt.fail(new TypeError("Failed to fetch"));
    else attempt.cut(1006);
    await settle();
  }
}

test("a WebSocket that is refused without a word twice: the gateway is asked why, once, and its word ends the feed", async (t) => {
  const { client, sockets, asked, pass } = stage(t, { explains: async () => problem(403, "origin_not_allowed", "pages of this origin may not") });
  const feed = client.subscribe();
  const { states } = follow(feed);
  await settle();
  sockets[0].cut(1006);
  await settle();
  assert.deepEqual([feed.state.status, asked], ["reconnecting", []], "one failure is a gateway that restarts");
  await pass(1000);
  sockets[1].cut(1006);
  await settle();
  assert.deepEqual(states.at(-1), "closed");
  assert.deepEqual([feed.state.error.code, feed.state.error.status, asked], ["origin_not_allowed", 403, ["cors"]]);
});

test("what a gateway said of a refusal is told until a connection is good, and asked for seldom", async (t) => {
  const scene = stage(t, { explains: async () => problem(400, "not_a_websocket", "no upgrade") });
  const { client, sockets, streams, asked, pass } = scene;
  const feed = client.subscribe();
  follow(feed);
  await settle();
  await refuse(scene, 2);
  assert.match(feed.state.why, /would let this client in/);
  await refuse(scene, 1);
  assert.match(feed.state.why, /would let this client in/, "a failed fetch says less");
  assert.deepEqual([asked, streams.length], [["cors"], 1]);
  for (let attempts = 0; sockets.at(-1).readyState !== 1; attempts += 1) {
    assert.ok(attempts < 100);
    await pass(500);
  }
  last(sockets).ack();
  last(sockets).cut(1006);
  await settle();
  assert.match(feed.state.why, /the connection ended \(1006\)/, "it is forgotten");
  feed.close();
});

test("a page that may not read why it is refused says that it is its origin", async (t) => {
  globalThis.location = { origin: "http://page.example" };
  t.after(() => delete globalThis.location);
  const explains = (mode) => (mode === "no-cors" ? Promise.resolve(new Response()) : Promise.reject(new TypeError("Failed to fetch")));
  const scene = stage(t, { explains });
  const { client, asked } = scene;
  const feed = client.subscribe();
  follow(feed);
  await settle();
  await refuse(scene, 2);
  assert.deepEqual([feed.state.status, asked], ["reconnecting", ["cors", "no-cors"]]);
  assert.match(feed.state.why, /pages of http:\/\/page\.example may not use it.*--allow-origin/);
  feed.close();
});

test("a gateway that is away for long is asked why at the second failure and at each doubling, not at each attempt", async (t) => {
  const scene = stage(t);
  const { client, asked, pass } = scene;
  const feed = client.subscribe();
  follow(feed);
  await settle();
  const counts = [];
  for (let attempt = 1; attempt <= 9; attempt += 1) {
    await refuse(scene, 1);
    counts.push(asked.length);
  }
  assert.deepEqual(counts, [0, 1, 1, 2, 2, 2, 2, 3, 3]);
  await pass(1000);
  feed.close();
});

test("a connection that was good and is cut is not explained, nor is the first attempt after it", async (t) => {
  const { sockets, asked, pass, feed } = await live(t);
  sockets[0].cut(1006);
  await pass(1000);
  sockets[1].cut(1006);
  await settle();
  assert.deepEqual(asked, []);
  feed.close();
});

const FIRST = ["scrape_progress", "odds_updates.*.*.*.h2h-ft"];
const GRANTED = ["scrape_progress", "odds_updates.soccer"];

// A feed that has asked for the first part of its state.
async function inParts(t, feedOptions) {
  const scene = stage(t);
  const feed = scene.client.subscribe({ since: "snapshot", first: FIRST, ...feedOptions });
  const heard = follow(feed);
  const parts = [];
  feed.on("part", (message) => parts.push(message === null ? "begin" : (message.data.seq ?? message.data.event_ids[0])));
  await settle();
  const begin = (socket) => {
    socket.ack("live", { topics: GRANTED });
    socket.caughtUp("c0");
  };
  return { ...scene, ...heard, feed, parts, begin };
}

test("what is to come first is asked for first, and told as it comes, then all that is granted; both are one state", async (t) => {
  const { sockets: [socket], feed, parts, told, begin } = await inParts(t);
  assert.deepEqual([socket.since, socket.url.searchParams.get("topics")], ["now", null], "everything is followed from the beginning");
  begin(socket);
  assert.deepEqual(socket.sent, [{ type: "subscribe", topics: FIRST, since: "snapshot", ref: "first" }]);
  socket.say("subscription_ack", { topics: [...GRANTED, FIRST[1]], resume: { verdict: "snapshot" }, ref: "first" });
  socket.say("odds_update", odds(1), "c0");
  assert.deepEqual([parts, told, feed.state.status], [["begin", "e1"], [], "replaying"]);
  socket.caughtUp("c0", 1, { ref: "first" });
  const rest = { type: "subscribe", topics: GRANTED, since: "snapshot", ref: "rest" };
  assert.deepEqual(socket.sent.slice(1), [{ type: "unsubscribe", topics: FIRST.slice(1) }, rest], "what was granted alone is followed");
  socket.say("subscription_ack", { topics: GRANTED, resume: { verdict: "live" } });
  assert.deepEqual([told, feed.cursor, feed.state.status], [[], null, "replaying"], "it is not whole");
  socket.say("subscription_ack", { topics: GRANTED, resume: { verdict: "snapshot" }, ref: "rest" });
  socket.say("odds_update", odds(2), "c0");
  socket.caughtUp("c5", 1, { ref: "rest" });
  assert.deepEqual([parts, told], [["begin", "e1", "e2"], ["snapshot of 2 at c5", "caught up at c5"]]);
  socket.say("scrape_progress", run(1), "c6");
  assert.deepEqual([told.at(-1), feed.cursor, feed.state.status], ["run 1", "c6", "live"]);
});

for (const [when, asked] of [["in the first part", 1], ["between the parts", 2], ["in the rest", 2]]) {
  test(`a cut ${when} begins with the first part again, and one after it resumes everything at its cursor`, async (t) => {
    const { sockets, feed, told, begin, pass } = await inParts(t);
    begin(sockets[0]);
    sockets[0].say("odds_update", odds(1), "c0");
    if (asked > 1) sockets[0].caughtUp("c0", 1, { ref: "first" });
    // Live, of a topic whose state has not come.
    sockets[0].say("scrape_progress", run(4), "c1");
    if (when === "in the rest") sockets[0].say("odds_update", odds(2), "c1");
    assert.equal(sockets[0].sent.length, asked);
    sockets[0].cut();
    await pass(500);
    assert.deepEqual([feed.cursor, sockets[1].since, told], [null, "now", []]);
    begin(sockets[1]);
    assert.equal(sockets[1].sent[0].ref, "first");
    sockets[1].caughtUp("c2", 0, { ref: "first" });
    sockets[1].say("scrape_progress", run(4), "c2");
    sockets[1].say("odds_update", odds(1), "c2");
    sockets[1].caughtUp("c3", 2, { ref: "rest" });
    assert.deepEqual(told, ["snapshot of 2 at c3", "caught up at c3"]);
    sockets[1].cut();
    await pass(1000);
    assert.deepEqual([sockets[2].since, sockets[2].url.searchParams.get("topics")], ["c3", null]);
    sockets[2].ack("replayed");
    sockets[2].caughtUp("c3");
    assert.deepEqual([sockets[2].sent, feed.state.status], [[], "live"]);
  });
}

test("a bus that is down while a state comes in parts: it is whole when the last part is", async (t) => {
  const { sockets: [socket], feed, told, parts } = await inParts(t);
  socket.ack("unavailable", { topics: GRANTED });
  assert.equal(feed.state.status, "unavailable");
  socket.say("subscription_ack", { topics: GRANTED, resume: { verdict: "unavailable" }, ref: "first" });
  socket.say("resume", { verdict: "snapshot" });
  socket.say("odds_update", odds(1), "c1");
  socket.caughtUp("c1", 1);
  socket.caughtUp("c1", 1, { ref: "first" });
  assert.deepEqual([told, socket.sent.at(-1).ref], [[], "rest"]);
  socket.say("odds_update", odds(1), "c1");
  socket.caughtUp("c1", 1, { ref: "rest" });
  assert.deepEqual([parts, told[0]], [["begin", "begin", "e1", "e1"], "snapshot of 2 at c1"]);
});

test("the first part is left out where a connection has no room for its topics", async (t) => {
  const { sockets: [socket], told } = await inParts(t);
  socket.ack("live", { topics: GRANTED, limits: { topics: 2, message_bytes: 65_536, messages_per_s: 20 } });
  assert.deepEqual(socket.sent, [{ type: "subscribe", topics: GRANTED, since: "snapshot", ref: "rest" }]);
  socket.caughtUp("c1", 0, { ref: "rest" });
  assert.equal(told[0], "snapshot of 0 at c1");
});

test("control: without topics that come first the state is asked for at once", async (t) => {
  const { sockets: [socket] } = await inParts(t, { first: undefined });
  assert.equal(socket.since, "snapshot");
  socket.ack("snapshot");
  assert.deepEqual(socket.sent, []);
});

test("control: over an event stream the state is asked for at once", async (t) => {
  const { client, streams } = stage(t, { transports: ["sse"] });
  follow(client.subscribe({ since: "snapshot", first: FIRST }));
  await settle();
  assert.equal(streams[0].since, "snapshot");
});
