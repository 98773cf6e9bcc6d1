// 5,000 quote changes a second into the board: 2,500 images of two quotes (lines) each, of 300 events at four sources.
//
// A machine that cannot publish so fast publishes the same number more slowly.

import { randomUUID } from "node:crypto";

export const WITHIN = { timeout: 120_000 };
export const IMAGES_PER_S = 2500;
export const LINES = [2.5, 3.5];
export const EVENTS = 300;
export const SOURCES = ["north", "south", "east", "west"];

// The world: what was published last, by event, source, line and outcome.
export const truth = new Map();
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

function publish(publisher, number, source, turn) {
  const subject = `oddswire.feed.odds.quote.soccer.${eventId(number)}.${source}.totals-ft`;
  return publisher.publish(subject, "odds_update", image(number, source, turn));
}

// Publishes everything once, a few hundred at a time.
export async function publishAll(publisher, turn) {
  for (let number = 0; number < EVENTS; number += 50) {
    const some = Array.from({ length: 50 }, (_, place) => number + place);
    await Promise.all(some.flatMap((one) => SOURCES.map((source) => publish(publisher, one, source, turn))));
  }
}

// The storm: paced by the clock, with a bounded number of images under way; gives the seconds it took.
export async function storm(publisher, seconds) {
  const began = performance.now();
  const keys = EVENTS * SOURCES.length;
  let under = 0;
  let wake = () => {};
  const settled = async (isEnough) => {
    while (!isEnough()) await new Promise((resolve) => (wake = resolve));
  };
  for (let sent = 0; sent < seconds * IMAGES_PER_S; sent += 1) {
    const due = (sent * 1000) / IMAGES_PER_S - (performance.now() - began);
    if (due > 5) await new Promise((resolve) => setTimeout(resolve, due));
    // Fewer than there are keys: a key has one image under way.
    await settled(() => under < 500);
    const place = sent % keys;
    under += 1;
    publish(publisher, Math.floor(place / SOURCES.length), SOURCES[place % SOURCES.length], 1 + Math.floor(sent / keys)).finally(() => {
      under -= 1;
      wake();
    });
  }
  await settled(() => under === 0);
  return (performance.now() - began) / 1000;
}

// What the whole board shows, each event's other lines included. Runs in the page, chunk by chunk.
export async function everything(page) {
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

// Shows the market of the storm in a page that has none open yet.
export async function openBoard(page, url) {
  await page.goto(url);
  await page.waitForFunction(() => document.querySelector("#link")?.textContent === "live", null, WITHIN);
  await page.selectOption("#market", "totals-ft");
  // Should a demo site run on this machine, its events are none of ours.
  await page.fill("#search", "away");
  await page.waitForSelector("#board [data-price]", WITHIN);
}
