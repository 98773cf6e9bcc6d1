// 5,000 quote changes a second for 30 seconds into the board: no long task, a flat heap, and in the end the truth.
//
// 2,500 images a second of two quotes (lines) each, of 300 events at four sources. A machine that cannot publish so fast
// publishes the same number more slowly, and says so. What a task took is what its thread took of a processor: on a
// shared machine the clock would blame the page for its neighbours. A processor that is a guest itself is stopped at
// times, and its threads' time goes on: of two storms the better counts, since what the page does long it does in both.
// (The second is harder: by then every event shows all its lines.)

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, test } from "node:test";
import { startPublisher } from "../../clients/js/test/wire/publisher.mjs";
import { openPage, startBrowser, startProduct } from "./product.mjs";

const WITHIN = { timeout: 120_000 };
const SECONDS = Number(process.env.SPEED_SECONDS ?? 30);
const IMAGES_PER_S = 2500;
const EVENTS = 300;
const SOURCES = ["north", "south", "east", "west"];
const LINES = [2.5, 3.5];
const TASK_MAX_MS = 50;

let product;
let browser;
let publisher;

before(async () => {
  product = await startProduct({ withDemo: false });
  browser = await startBrowser();
  publisher = await startPublisher(product.nats);
});

after(async () => {
  await publisher?.close();
  await browser?.close();
  product?.kill();
});

// The world: what was published last, by event, source, line and outcome.
const truth = new Map();
const runId = randomUUID();
const kickOff = "2099-01-01T12:00:00.000Z";
const eventId = (number) => `e${String(number).padStart(3, "0")}`;

function image(number, source, turn) {
  const now = new Date().toISOString();
  const event = { event_id: eventId(number), sport_key: "soccer", league: `League ${Math.floor(number / 20)}`, country: null, commence_time: kickOff, home_team: `Home ${number}`, away_team: `Away ${number}` };
  const quotes = LINES.map((line, place) => {
    const base = 1500 + ((number * 7 + turn * 13 + place * 5 + source.length * 3) % 400);
    const outcome = (name, thousandths) => {
      truth.set(`${eventId(number)} ${source} ${line} ${name}`, thousandths / 1000);
      return { name, label: name, price: thousandths / 1000, previous_price: null, status: "open" };
    };
    return { line, status: "open", outcomes: [outcome("over", base), outcome("under", 3500 - base)], changed_at: now, confirmed_at: now, source_updated_at: null };
  });
  return { event_ids: [event.event_id], source, snapshot_count: 2, run_id: runId, event, market: { key: "totals", period: "ft", quotes } };
}

function publish(number, source, turn) {
  const subject = `oddswire.feed.odds.quote.soccer.${eventId(number)}.${source}.totals-ft`;
  return publisher.publish(subject, "odds_update", image(number, source, turn));
}

// Everything once, a few hundred at a time.
async function publishAll(turn) {
  for (let number = 0; number < EVENTS; number += 50) {
    const some = Array.from({ length: 50 }, (_, place) => number + place);
    await Promise.all(some.flatMap((one) => SOURCES.map((source) => publish(one, source, turn))));
  }
}

// The storm: paced by the clock, with a bounded number of images under way; gives the seconds it took.
async function storm() {
  const began = performance.now();
  const keys = EVENTS * SOURCES.length;
  let under = 0;
  let wake = () => {};
  const settled = async (isEnough) => {
    while (!isEnough()) await new Promise((resolve) => (wake = resolve));
  };
  for (let sent = 0; sent < SECONDS * IMAGES_PER_S; sent += 1) {
    const due = (sent * 1000) / IMAGES_PER_S - (performance.now() - began);
    if (due > 5) await new Promise((resolve) => setTimeout(resolve, due));
    // Fewer than there are keys: a key has one image under way.
    await settled(() => under < 500);
    const place = sent % keys;
    under += 1;
    publish(Math.floor(place / SOURCES.length), SOURCES[place % SOURCES.length], 1 + Math.floor(sent / keys)).finally(() => {
      under -= 1;
      wake();
    });
  }
  await settled(() => under === 0);
  return (performance.now() - began) / 1000;
}

// What the whole board shows, each event's other lines included. Runs in the page, chunk by chunk.
async function everything(page) {
  const seen = new Map();
  const chunks = await page.locator("#board tbody").count();
  for (let chunk = 0; chunk < chunks; chunk += 1) {
    const body = page.locator("#board tbody").nth(chunk);
    await body.scrollIntoViewIfNeeded();
    await body.locator(".teams").first().waitFor(WITHIN);
    await body.evaluate((body) => body.querySelectorAll("button.lines[aria-expanded=false]").forEach((button) => button.click()));
    await page.waitForFunction((body) => body.querySelectorAll("button.lines").length > 0 && body.querySelectorAll("tr.line").length === body.querySelectorAll("button.lines").length, await body.elementHandle(), WITHIN);
    const cells = await body.evaluate((body) =>
      [...body.querySelectorAll("[data-price]")].map((cell) => {
        const row = cell.closest("tr");
        return [`${row.dataset.key.split(" ")[1]} ${cell.closest("td").dataset.source} ${row.dataset.line} ${cell.dataset.outcome}`, Number(cell.dataset.price)];
      }));
    for (const [key, price] of cells) seen.set(key, price);
  }
  return seen;
}

// The longest task of the page's main thread while this goes on, in milliseconds of its processor's time.
async function longestTask(page, during) {
  await browser.startTracing(page, { categories: ["toplevel"] });
  await during();
  const told = JSON.parse((await browser.stopTracing()).toString());
  const trace = told.traceEvents ?? told;
  const mains = trace.filter(({ name, args }) => name === "thread_name" && args.name === "CrRendererMain").map(({ pid, tid }) => `${pid} ${tid}`);
  const tasks = trace.filter(({ name, pid, tid, tdur }) => name.endsWith("RunTask") && tdur !== undefined && mains.includes(`${pid} ${tid}`));
  assert.ok(tasks.length > 0, "the trace has the page's tasks");
  return Math.max(...tasks.map(({ tdur }) => tdur / 1000));
}

test("control: a task that is too long is seen", async () => {
  const { page } = await openPage(browser);
  await page.goto(product.url);
  const block = (ms) => {
    const until = performance.now() + ms;
    while (performance.now() < until);
  };
  const longest = await longestTask(page, async () => {
    await page.evaluate(() => new Promise((resolve) => setTimeout(resolve, 500)));
    // What the clock says is no less than what the thread takes: a machine that is shared takes some of it away.
    await page.evaluate(block, TASK_MAX_MS * 10);
  });
  assert.ok(longest > TASK_MAX_MS, `${longest} ms`);
  await page.close();
});

test("a_storm_of_prices_blocks_nothing_grows_nothing_and_ends_in_the_truth", { timeout: 600_000 }, async () => {
  await publishAll(0);
  const { page, complaints } = await openPage(browser);
  await page.goto(product.url);
  await page.waitForFunction(() => document.querySelector("#link")?.textContent === "live", null, WITHIN);
  await page.selectOption("#market", "totals-ft");
  // Should a demo site run on this machine, its events are none of ours.
  await page.fill("#search", "away");
  await page.waitForSelector("#board [data-price]", WITHIN);
  // Parts that are not drawn keep their place: else they would all come near the screen at once, and be drawn in one task.
  const [lowest, highest] = await page.evaluate(() => {
    const heights = [...document.querySelectorAll("#board tbody")].map((part) => part.getBoundingClientRect().height);
    return [Math.min(...heights), Math.max(...heights)];
  });
  assert.ok(lowest > highest / 3, `a part of the board is ${lowest} high, another ${highest}`);
  const inspector = await page.context().newCDPSession(page);
  const heap = async () => {
    // The same state each time: at the top, and no price with an arrow any more.
    await page.evaluate(() => scrollTo(0, 0));
    await page.waitForFunction(() => document.querySelector("#board :is(.up, .down)") === null, null, WITHIN);
    await inspector.send("HeapProfiler.collectGarbage");
    return (await inspector.send("Runtime.getHeapUsage")).usedSize;
  };

  let tookS;
  const longest = [await longestTask(page, async () => (tookS = await storm()))];

  const wrong = async () => {
    const seen = await everything(page);
    return [...truth].filter(([key, price]) => seen.get(key) !== price).map(([key, price]) => `${key}: ${seen.get(key)} is ${price}`);
  };
  let left = await wrong();
  for (let look = 0; left.length > 0 && look < 20; look += 1) left = await wrong();
  assert.deepEqual(left, [], "the board is the truth");
  assert.equal(truth.size, EVENTS * SOURCES.length * LINES.length * 2);

  // A second storm finds the heap as the first one left it.
  const heaps = [await heap()];
  longest.push(await longestTask(page, storm));
  heaps.push(await heap());
  const rate = Math.round((SECONDS * IMAGES_PER_S * LINES.length) / tookS);
  console.log(`${rate} quote changes a second; longest task ${longest.map((ms) => ms.toFixed(1)).join(" then ")} ms of processor; heap ${heaps.map((bytes) => (bytes / 1e6).toFixed(1)).join(" then ")} MB`);
  assert.ok(Math.min(...longest) < TASK_MAX_MS, `tasks of ${longest} ms`);
  assert.ok(heaps[1] < heaps[0] * 1.2 + 2e6, `the heap grew: ${heaps}`);
  assert.deepEqual(complaints, []);
});
