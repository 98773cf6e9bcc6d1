// The page of the real program in a real Chromium: a run moves, prices change, commands work, nothing is left.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { demo, openPage, startBrowser, startProduct } from "./product.mjs";

const SOURCES = ["alpha", "bravo", "charlie", "delta"];
const WITHIN = { timeout: 60_000 };

let product;
let browser;
let page;
let complaints;

before(async () => {
  product = await startProduct();
  browser = await startBrowser();
  ({ page, complaints } = await openPage(browser));
  await page.goto(product.url);
});

after(async () => {
  await browser?.close();
  product?.kill();
});

test("the_board_fills_with_prices_of_all_sources", async () => {
  await page.waitForFunction(() => document.querySelector("#link")?.textContent === "live", null, WITHIN);
  for (const source of SOURCES) await page.waitForSelector(`#board td[data-source=${source}] [data-price]`, WITHIN);
  const heads = await page.locator("#board thead th").allTextContents();
  assert.deepEqual(heads.map((text) => text.split(" ")[0].toLowerCase()), ["event", ...SOURCES, "margin", "checked"]);
});

test("a_run_is_seen_moving_from_its_first_phase_to_its_end", async () => {
  await demo(product, "faults", { book: "alpha", fault: { kind: "latency", ms: 400 } });
  await page.evaluate(noteRuns);
  await page.waitForFunction(() => globalThis.noted.values().some(isWhole), null, WITHIN);
  await demo(product, "faults");
  const seen = await page.evaluate(() => globalThis.noted.values().find(isWhole));
  assert.ok(new Set(seen.phases).size >= 3, `phases: ${seen.phases}`);
  assert.deepEqual(seen.values, seen.values.toSorted((a, b) => a - b), "the bar of a phase never goes back");
  assert.ok(new Set(seen.values).size >= 2, `the bar moved: ${seen.values}`);
  assert.equal(seen.status, "completed");
});

// Notes what the page shows of each run of alpha from now on. Runs in the page.
function noteRuns() {
  globalThis.noted = new Map();
  globalThis.isWhole = ({ status, whole }) => whole && status === "completed";
  // Not those that are there already: nobody knows what they showed before.
  let isLater = false;
  const note = () => {
    for (const row of document.querySelectorAll("#runs [data-source=alpha]")) {
      const { key, phase, status } = row.dataset;
      const seen = noted.get(key) ?? { phases: [], values: [], whole: isLater };
      noted.set(key, seen);
      seen.status = status;
      if (seen.phases.at(-1) !== phase) seen.phases.push(phase);
      const bar = row.querySelector("progress[value]");
      if (phase === "scraping" && bar) seen.values.push(bar.value);
    }
  };
  const everything = { subtree: true, childList: true, attributes: true };
  new MutationObserver(note).observe(document.querySelector("#runs"), everything);
  note();
  isLater = true;
}

test("a_price_changes_on_the_screen", async () => {
  const before = await page.evaluate(prices);
  await demo(product, "clock", { speed: 60 });
  const moved = await page.waitForFunction(changedPrice, before, WITHIN);
  const { key, price, up } = await moved.jsonValue();
  await demo(product, "clock", { speed: 1 });
  assert.equal(up, price > before[key], `${key}: ${before[key]} became ${price}`);
});

// What the board shows, by event, source and outcome. Runs in the page.
function prices() {
  const shown = [...document.querySelectorAll("#board [data-price]")];
  const keyOf = (element) =>
    [element.closest("tr").dataset.key, element.closest("td").dataset.source, element.dataset.outcome].join(" ");
  return Object.fromEntries(shown.map((element) => [keyOf(element), Number(element.dataset.price)]));
}

// A price with an arrow, other than it was. Runs in the page.
function changedPrice(before) {
  for (const element of document.querySelectorAll("#board .price:is(.up, .down)")) {
    const { outcome, price } = element.dataset;
    const key = [element.closest("tr").dataset.key, element.closest("td").dataset.source, outcome].join(" ");
    if (key in before && before[key] !== Number(price)) {
      return { key, price: Number(price), up: element.classList.contains("up") };
    }
  }
  return null;
}

test("scrape_now_starts_runs_that_the_page_shows", async () => {
  await page.waitForFunction(() => document.querySelector("#runs [data-cancel]") === null, null, WITHIN);
  const answered = page.waitForResponse((answer) => answer.request().method() === "POST");
  await page.click("#scrape");
  const answer = await answered;
  assert.equal(answer.status(), 202);
  const { runs } = await answer.json();
  await page.locator("#notice", { hasText: /Started \d runs?\./ }).waitFor(WITHIN);
  for (const { run_id } of runs) {
    await page.waitForSelector(`[data-key="${run_id}"][data-status=completed]`, { ...WITHIN, state: "attached" });
  }
});

test("a_run_can_be_cancelled", async () => {
  await demo(product, "faults", { book: "bravo", fault: { kind: "latency", ms: 3000 } });
  const button = page.locator("#runs [data-source=bravo] [data-cancel]");
  await button.waitFor(WITHIN);
  const runId = await button.getAttribute("data-cancel");
  await button.click();
  await page.waitForSelector(`[data-key="${runId}"][data-status=cancelled]`, { ...WITHIN, state: "attached" });
  await demo(product, "faults");
});

test("every_market_of_the_data_can_be_chosen", async () => {
  for (const market of ["totals-ft", "spreads-ft", "btts-ft", "totals-h1", "h2h-ft"]) {
    await page.selectOption("#market", market);
    await page.waitForSelector(`#board tr[data-key^="${market} "] [data-price]`, WITHIN);
  }
});

test("nothing_was_complained_about_and_nothing_is_left_after_the_end", async () => {
  assert.deepEqual(complaints, []);
  await page.close();
  assert.equal(await product.stop(), 0, product.said());
  assert.deepEqual(product.leftovers(), []);
});
