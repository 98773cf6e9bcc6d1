// The page for people with a keyboard, with a screen reader, with either theme, and on a slow line.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { after, before, test } from "node:test";
import { demo, openPage, startBrowser, startProduct } from "./product.mjs";

const WITHIN = { timeout: 60_000 };
const SCRIPT_MAX_BYTES = 60_000;
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

let product;
let browser;

before(async () => {
  product = await startProduct();
  browser = await startBrowser();
});

after(async () => {
  await browser?.close();
  product?.kill();
});

async function opened(options) {
  const { page, complaints } = await openPage(browser, options);
  await page.goto(product.url);
  await page.waitForFunction(() => document.querySelector("#link").textContent === "live", null, WITHIN);
  await page.waitForSelector("#board td[data-source=delta] [data-price]", WITHIN);
  return { page, complaints };
}

test("axe_finds_nothing_on_any_page_in_either_theme_and_at_either_width", async () => {
  for (const colorScheme of ["light", "dark"]) {
    for (const width of [1440, 390]) {
      const { page, complaints } = await opened({ colorScheme, viewport: { width, height: 900 }, reducedMotion: "reduce" });
      const event = await page.locator("#board .teams").first().getAttribute("href");
      const run = await page.locator("#runs .name").first().getAttribute("href");
      const places = [["#/", "#board"], ["#/runs", ".batches .run"], [run, "#run .timeline"], [event, "#event .chart canvas"], ["#/nowhere", ".empty"]];
      for (const [hash, there] of places) {
        await page.evaluate((hash) => (location.hash = hash), hash);
        await page.waitForSelector(there, WITHIN);
        await page.evaluate(axe);
        const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
        const told = violations.map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map(({ html }) => html).join(" | ")}`);
        assert.deepEqual(told, [], `${hash}, ${colorScheme}, ${width}`);
      }
      assert.deepEqual(complaints.filter((one) => !one.includes("404")), []);
      await page.close();
    }
  }
});

test("control: axe finds a button without a name", async () => {
  const { page } = await opened();
  await page.evaluate(() => document.querySelector("#scrape").replaceChildren());
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  assert.ok(violations.some(({ id }) => id === "button-name"));
  await page.close();
});

// What has the focus: its text or label, and whether one sees that it has it.
const focused = (page) =>
  page.evaluate(() => {
    const { activeElement: at } = document;
    if (at === document.body) return { name: "", id: "", isSeen: true };
    const name = at.getAttribute("aria-label") ?? at.labels?.[0]?.textContent ?? at.textContent;
    return { name: name.trim(), id: at.id, isSeen: getComputedStyle(at).outlineStyle !== "none" };
  });

async function tabTo(page, isIt) {
  for (let stop = 0; stop < 80; stop += 1) {
    await page.keyboard.press("Tab");
    const at = await focused(page);
    assert.ok(at.isSeen, `the focus is seen on ${at.name}`);
    if (isIt(at)) return at;
  }
  throw new Error("the Tab key does not come there");
}

test("everything_can_be_done_with_the_keyboard_alone", async () => {
  const { page } = await opened();
  // The first stop leads past the header.
  await page.keyboard.press("Tab");
  assert.equal((await focused(page)).name, "Skip to the content");
  // Choose sources, and start a run of the one that is left.
  await tabTo(page, ({ name }) => name === "Choose the sources to scrape");
  await page.keyboard.press("Enter");
  for (const source of ["Alpha", "Bravo", "Charlie"]) {
    await tabTo(page, ({ name }) => name.startsWith(source));
    await page.keyboard.press("Space");
  }
  await page.keyboard.press("Escape");
  assert.equal((await focused(page)).name, "Choose the sources to scrape");
  await page.keyboard.press("Shift+Tab");
  assert.equal((await focused(page)).name, "Scrape 1 source");
  await page.keyboard.press("Enter");
  await page.locator("#notice", { hasText: /Started 1 run\.|Busy already|is busy/ }).waitFor(WITHIN);
  // Another market.
  await tabTo(page, ({ id }) => id === "market");
  await page.keyboard.press("ArrowDown");
  const token = await page.inputValue("#market");
  await page.waitForSelector(`#board tr[data-key^="${token} "]`, WITHIN);
  // From an event to its cells, whose times are told, and to its page.
  await tabTo(page, ({ name }) => / – /.test(name));
  for (let step = 0; step < 4; step += 1) await page.keyboard.press("ArrowRight");
  const cell = await focused(page);
  assert.match(cell.name, /^\w+ \(demo\): changed \d\d:\d\d:\d\d, checked .* ago/);
  assert.ok(cell.isSeen);
  const tip = await page.evaluate(() => getComputedStyle(document.activeElement, "::after").content);
  assert.match(tip, /checked|attr\(/, "it is shown, not only told");
  for (let step = 0; step < 4; step += 1) await page.keyboard.press("ArrowLeft");
  await page.keyboard.press("Enter");
  await page.waitForSelector("#event .chart canvas", WITHIN);
  // Another outcome of the chart.
  await tabTo(page, ({ name }) => ["Over", "Draw", "Away", "No", "Under"].includes(name));
  await page.keyboard.press("Enter");
  await page.locator("[aria-label=Outcome] [aria-pressed=true]", { hasText: (await focused(page)).name }).waitFor(WITHIN);
  await page.close();
});

test("a_run_can_be_started_and_cancelled_from_its_own_page", async () => {
  const { page } = await opened();
  await demo(product, "faults", { book: "alpha", fault: { kind: "latency", ms: 3000 } });
  const row = page.locator("#runs [data-source=alpha][data-status=running]");
  await row.waitFor(WITHIN);
  await row.locator(".name").click();
  await page.locator("#run [data-cancel]").click();
  await page.locator("#run[data-status=cancelled]").waitFor(WITHIN);
  await demo(product, "faults");
  await page.close();
});

test("filters_narrow_the_board_and_say_when_they_leave_nothing", async () => {
  const { page } = await opened();
  const rows = () => page.locator("#board tr.event").count();
  const all = await rows();
  const [name] = (await page.locator("#board .teams").first().textContent()).split(" – ");
  await page.fill("#search", name);
  await page.waitForFunction((all) => document.querySelectorAll("#board tr.event").length < all, all, WITHIN);
  await page.fill("#search", "no such team");
  await page.getByText("No event is left by these filters.").waitFor(WITHIN);
  await page.getByRole("button", { name: "Show all" }).click();
  await page.waitForFunction((all) => document.querySelectorAll("#board tr.event").length >= all - 2, all, WITHIN);
  await page.close();
});

test("the_theme_that_was_chosen_is_kept", async () => {
  const { page } = await opened({ colorScheme: "light" });
  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await ground();
  await page.selectOption(".theme select", "dark");
  const dark = await ground();
  assert.notEqual(light, dark);
  await page.reload();
  await page.waitForSelector("#board", WITHIN);
  assert.equal(await ground(), dark);
  await page.close();
});

test("the_first_load_takes_less_than_sixty_kilobytes_of_script_and_nothing_from_elsewhere", async () => {
  const { page } = await openPage(browser);
  const answers = [];
  page.on("response", (answer) => answers.push(answer));
  await page.goto(product.url);
  await page.waitForSelector("#board", WITHIN);
  const sizes = await Promise.all(answers.filter((one) => one.request().resourceType() === "script").map(async (one) => (await one.request().sizes()).responseBodySize));
  const sum = sizes.reduce((all, size) => all + size, 0);
  console.log(`script: ${sum} bytes over the wire`);
  assert.ok(sum > 1000 && sum < SCRIPT_MAX_BYTES, `${sum} bytes`);
  for (const answer of answers) assert.ok(answer.url().startsWith(product.url), answer.url());
  await page.close();
});
