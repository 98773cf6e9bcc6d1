// A feed in a page that is hidden and shown, and on a device that loses its network.

import assert from "node:assert/strict";
import { test } from "node:test";
import { follow, settle, stage } from "./script.mjs";

// What a browser has and Node has not.
function page(t) {
  const document = new EventTarget();
  Object.assign(document, { visibilityState: "visible", baseURI: "http://gateway/" });
  const target = new EventTarget();
  const navigator = { onLine: true };
  const globals = {
    document, navigator,
    addEventListener: target.addEventListener.bind(target),
    removeEventListener: target.removeEventListener.bind(target),
  };
  for (const [name, value] of Object.entries(globals)) {
    const known = Object.getOwnPropertyDescriptor(globalThis, name);
    Object.defineProperty(globalThis, name, { value, configurable: true });
    t.after(() => (known === undefined ? delete globalThis[name] : Object.defineProperty(globalThis, name, known)));
  }
  const turn = (visibilityState) => {
    document.visibilityState = visibilityState;
    document.dispatchEvent(new Event("visibilitychange"));
  };
  const network = (onLine) => {
    navigator.onLine = onLine;
    target.dispatchEvent(new Event(onLine ? "online" : "offline"));
  };
  return { turn, network, leave: () => target.dispatchEvent(new Event("pagehide")) };
}

async function live(t, options, feedOptions) {
  const browser = page(t);
  const scene = stage(t, options);
  const feed = scene.client.subscribe(feedOptions);
  const heard = follow(feed);
  await settle();
  scene.sockets[0]?.ack("live");
  scene.sockets[0]?.caughtUp("c0");
  return { ...browser, ...scene, feed, ...heard };
}

const wishes = (socket) => socket.sent.filter(({ type }) => type === "subscribe").map(({ conflate_ms }) => conflate_ms);

test("a hidden page asks for less, and for all again when it is shown", async (t) => {
  const { turn, sockets } = await live(t);
  turn("hidden");
  turn("hidden");
  turn("visible");
  assert.deepEqual(wishes(sockets[0]), [2000, 0]);
});

test("a page that conflates more anyway, or wants no difference, asks for nothing", async (t) => {
  for (const options of [{ conflateMs: 5000 }, { hiddenConflateMs: null }]) {
    await t.test(JSON.stringify(options), async (t) => {
      const { turn, sockets } = await live(t, {}, options);
      turn("hidden");
      assert.deepEqual(wishes(sockets[0]), []);
    });
  }
});

test("a page that was hidden while it connected asks for less once it is live", async (t) => {
  const browser = page(t);
  const { client, sockets } = stage(t);
  follow(client.subscribe({ since: "snapshot" }));
  await settle();
  browser.turn("hidden");
  sockets[0].ack("snapshot");
  sockets[0].caughtUp("c1");
  assert.deepEqual(wishes(sockets[0]), [2000]);
});

test("a page that is shown again looks whether the gateway is still there", async (t) => {
  const { turn, sockets, pass, feed } = await live(t);
  turn("hidden");
  await pass(30_000);
  turn("visible");
  assert.deepEqual(sockets[0].sent.at(-1), { type: "ping" });
  await pass(4000);
  sockets[0].say("pong", {});
  await pass(10_000);
  assert.equal(feed.state.status, "live");
  turn("visible");
  await pass(7000);
  assert.equal(sockets.length, 2, "no pong within 5 s");
});

test("a device without a network tries seldom, and at once when it has one", async (t) => {
  const { network, sockets, pass, feed } = await live(t);
  network(false);
  assert.equal(feed.state.status, "live", "what is connected may still work");
  sockets[0].cut();
  assert.deepEqual([feed.state.status, feed.state.retryAt], ["offline", Date.now() + 20_000]);
  await pass(19_500);
  assert.equal(sockets.length, 1);
  await pass(500);
  assert.equal(sockets.length, 2, "the gateway may be on this device");
  sockets[1].cut();
  network(true);
  await settle();
  assert.equal(sockets.length, 3);
});

test("a device that loses its network while it waits says so", async (t) => {
  const { network, sockets, feed, states } = await live(t);
  sockets[0].cut();
  network(false);
  assert.equal(feed.state.status, "offline");
  network(true);
  await settle();
  assert.deepEqual(states.slice(-3), ["reconnecting", "offline", "connecting"]);
});

test("a page that is left stores its position at once", async (t) => {
  const written = [];
  const { leave, sockets, feed } = await live(t, {}, { storage: { get: () => null, set: (cursor) => void written.push(cursor) } });
  await settle();
  sockets[0].say("odds_update", { event_ids: ["e1"] }, "c1");
  assert.deepEqual(written, ["c0"]);
  leave();
  assert.deepEqual(written, ["c0", "c1"]);
  feed.close();
  await settle();
  leave();
  assert.equal(written.length, 2);
});
