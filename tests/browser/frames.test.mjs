// How much of what comes is drawn in a frame. The page's clock stands still, and a test lets it draw frame by frame: what
// a frame does is the same on every machine.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { odds, openScripted, stopClock } from "./gateway.mjs";
import { startBrowser } from "./product.mjs";

const EVENTS = 40;
const IMAGES_EACH = 10;
// ROWS_A_FRAME of the page's store.
const ROWS_A_FRAME = 12;
const FRAME_MS = 16;
const OUTCOMES = 3;

let browser;
before(async () => (browser = await startBrowser()));
after(() => browser?.close());

const eventId = (number) => `e${String(number).padStart(2, "0")}`;
const isSaid = (page, text) => page.locator("#link", { hasText: text }).waitFor();

// A board of many events whose clock stands still, with a counter of the rows whose prices changed.
async function stopped() {
  const { page, connected } = await openScripted(browser);
  await page.setViewportSize({ width: 1440, height: 2400 });
  const gateway = await connected();
  gateway.ack("snapshot");
  for (let number = 0; number < EVENTS; number += 1) gateway.say("odds_update", odds("alpha", eventId(number), [2, 3, 4]), "c1");
  gateway.say("caught_up", { cursor: "c1", replayed: EVENTS });
  await isSaid(page, "live");
  await page.waitForFunction((count) => document.querySelectorAll("#board [data-outcome=home]").length === count, EVENTS);
  await stopClock(page);
  await page.evaluate(() => {
    const changes = [];
    const key = (node) => node.closest("tr").dataset.key;
    const watch = new MutationObserver((seen) => changes.push(...seen.map(({ target }) => key(target))));
    watch.observe(document.querySelector("#board"), { subtree: true, attributeFilter: ["data-price"] });
    globalThis.changedRows = () => changes.splice(0);
  });
  return { page, gateway };
}

// Publishes prices of every event; all have come, and none is drawn, when it ends.
async function burst(page, gateway) {
  for (let turn = 1; turn <= IMAGES_EACH; turn += 1) {
    for (let number = 0; number < EVENTS; number += 1) gateway.say("odds_update", odds("alpha", eventId(number), [2 + turn, 3 + turn, 4 + turn]), "c2");
  }
  // The badge does not wait for a frame.
  gateway.say("heartbeat", { cursor: "c2", server_time: new Date().toISOString(), upstream: "stale", lag_ms: 1 });
  await isSaid(page, "upstream stale");
}

// Draws a frame; gives how often each row's home price changed in it.
async function frame(page) {
  await page.clock.runFor(FRAME_MS);
  const drawn = new Map();
  for (const key of await page.evaluate(() => globalThis.changedRows())) drawn.set(key, (drawn.get(key) ?? 0) + 1 / OUTCOMES);
  return new Map([...drawn].map(([key, times]) => [key, Math.round(times * 100) / 100]));
}

test("a_frame_draws_twelve_rows_and_what_came_for_a_row_is_joined_into_one_drawing", async () => {
  const { page, gateway } = await stopped();
  await burst(page, gateway);
  const frames = [];
  const drawings = new Map();
  while (drawings.size < EVENTS) {
    const drawn = await frame(page);
    frames.push(drawn.size);
    for (const [key, times] of drawn) drawings.set(key, (drawings.get(key) ?? 0) + times);
    assert.ok(frames.length < EVENTS, `${frames}`);
  }
  const full = Math.floor(EVENTS / ROWS_A_FRAME);
  assert.deepEqual(frames.filter((rows) => rows > 0), [...Array(full).fill(ROWS_A_FRAME), EVENTS - full * ROWS_A_FRAME]);
  assert.deepEqual([...new Set(drawings.values())], [1], "each row is drawn once, with the newest of its prices");
  const prices = await page.locator("#board [data-outcome=home]").evaluateAll((cells) => cells.map((cell) => Number(cell.dataset.price)));
  assert.deepEqual(prices, Array(EVENTS).fill(2 + IMAGES_EACH));
  await page.close();
});

test("control: rows that change outside of the page's store are counted, however many", async () => {
  const { page } = await stopped();
  await page.evaluate(() => document.querySelectorAll("#board [data-price]").forEach((cell) => (cell.dataset.price = "9")));
  const drawn = await frame(page);
  assert.deepEqual([drawn.size, ...new Set(drawn.values())], [EVENTS, 1]);
  await page.close();
});
