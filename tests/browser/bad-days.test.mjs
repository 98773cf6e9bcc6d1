// The page of the real program while parts of the system are gone: a killed gateway, a frozen NATS, a source that fails.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { demo, openPage, startBrowser, startProduct } from "./product.mjs";

const WITHIN = { timeout: 60_000 };

let product;
let browser;
let gateway;
let page;

before(async () => {
  product = await startProduct();
  browser = await startBrowser();
  gateway = await product.startGateway();
  // So high that every row of the board is drawn.
  ({ page } = await openPage(browser, { viewport: { width: 1440, height: 4000 } }));
  await page.addInitScript(() => (globalThis.oddswireBadges = []));
  await page.goto(gateway.url);
  await page.waitForFunction(() => document.querySelector("#link")?.textContent === "live", null, WITHIN);
  // Every word of the badge, so that what was there for a moment is seen too.
  await page.evaluate(() => {
    const note = () => oddswireBadges.push(document.querySelector("#link").textContent);
    new MutationObserver(note).observe(document.querySelector("#link"), { subtree: true, childList: true, characterData: true });
  });
  await page.waitForSelector("#board td[data-source=delta] [data-price]", WITHIN);
});

after(async () => {
  await browser?.close();
  product?.kill();
});

const badge = (text) => page.waitForFunction((text) => document.querySelector("#link")?.textContent.startsWith(text), text, WITHIN);
const said = () => page.evaluate(() => oddswireBadges.splice(0));

// The open prices of the board as the page shows them, and as a gateway answers for them.
const shown = () =>
  page.evaluate(() => {
    const cells = [...document.querySelectorAll("#board td:not(.blank) [data-price]")].filter((cell) => cell.querySelector("s") === null);
    const keyOf = (cell) => `${cell.closest("tr").dataset.key} ${cell.closest("td").dataset.source} ${cell.dataset.outcome}`;
    return Object.fromEntries(cells.map((cell) => [keyOf(cell), Number(cell.dataset.price)]));
  });

async function truth(url) {
  const { markets } = await (await fetch(`${url}api/odds?market=h2h-ft&limit=5000`)).json();
  const cells = markets.flatMap(({ event, source, market }) =>
    market.quotes.filter(({ status }) => status === "open").flatMap(({ outcomes }) =>
      outcomes.filter(({ price }) => price !== null).map(({ name, price }) => [`h2h-ft ${event.event_id} ${source} ${name}`, price])));
  return Object.fromEntries(cells);
}

// Prices go on moving: at some moment the page and the gateway say the same.
async function boardIsTrue(url) {
  let last;
  for (let look = 0; look < 200; look += 1) {
    last = [await shown(), await truth(url), await shown()];
    if (Object.keys(last[1]).length > 100 && [last[0], last[2]].some((one) => same(one, last[1]))) return;
    await page.evaluate(() => new Promise(requestAnimationFrame));
  }
  assert.deepEqual(last[0], last[1]);
}

const same = (a, b) => Object.keys(a).length === Object.keys(b).length && Object.entries(a).every(([key, value]) => b[key] === value);

test("a_gateway_killed_in_the_middle_is_told_and_nothing_is_lost", async () => {
  await demo(product, "clock", { speed: 60 });
  await boardIsTrue(gateway.url);
  await said();
  await gateway.kill();
  await badge("reconnecting");
  await page.locator("body.lost").waitFor(WITHIN);
  // What happens while the page is away: a run from its beginning to its end.
  const started = await (await fetch(`${product.url}api/scrapes`, { method: "POST", body: JSON.stringify({ sources: ["bravo"] }) })).json();
  const runId = (started.runs?.[0] ?? started.busy[0]).run_id;
  await fetch(`${product.url}api/scrapes/${runId}/events`).then((answer) => answer.text());
  gateway = await product.startGateway(gateway.port);
  await badge("live");
  assert.equal(await page.locator("body.lost").count(), 0);
  await page.waitForSelector(`[data-key="${runId}"][data-status=completed]`, { ...WITHIN, state: "attached" });
  await boardIsTrue(gateway.url);
  const words = await said();
  assert.ok(words.some((word) => word.startsWith("reconnecting")), `${words}`);
  assert.ok(!words.some((word) => /resync|gap/.test(word)), `nothing was lost: ${words}`);
});

test("a_nats_that_does_not_answer_is_told_the_page_greys_and_heals", async () => {
  await said();
  product.freezeNats();
  try {
    await badge("upstream");
    await page.locator("body.lost").waitFor(WITHIN);
    assert.ok(Object.keys(await shown()).length > 100, "what was known stays");
  } finally {
    product.wakeNats();
  }
  await badge("live");
  assert.equal(await page.locator("body.lost").count(), 0);
  await boardIsTrue(gateway.url);
});

test("a_source_that_fails_becomes_stale_and_is_told_as_such", async () => {
  await demo(product, "faults", { book: "charlie", fault: { kind: "block_page" } });
  await page.locator("#board td[data-source=charlie].stale").first().waitFor({ timeout: 120_000 });
  const lamp = page.locator("header .lamp", { hasText: /^Charlie \(demo\): (down|stale|degraded)/ });
  await lamp.waitFor({ ...WITHIN, state: "attached" });
  await page.locator("#runs [data-source=charlie] .errors").waitFor(WITHIN);
  // A single event that a source has just stopped to show is stale for a moment: a source that is well is not.
  await page.waitForFunction(() => {
    const stale = (source) => document.querySelector(`#board td[data-source=${source}].stale`) !== null;
    return stale("charlie") && !stale("alpha");
  }, null, WITHIN);
  await demo(product, "faults");
  await page.waitForFunction(() => document.querySelector("#board td[data-source=charlie].stale") === null, null, { timeout: 120_000 });
});
