// The page before a gateway that asks for tokens: signing in, the next token, signing out, and what a token does not allow.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { openPage, startBrowser, startProduct } from "./product.mjs";
import { PROGRAM } from "./stack.mjs";

const WITHIN = { timeout: 60_000 };
const run = promisify(execFile);
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const EVERYTHING = "read runs:start runs:cancel";

let product;
let browser;
let guarded;
let secret;
const folder = mkdtempSync(join(tmpdir(), "oddswire-signin-"));

before(async () => {
  product = await startProduct();
  browser = await startBrowser();
  secret = join(folder, "secret");
  writeFileSync(secret, randomBytes(40).toString("base64"));
  guarded = await product.startGateway(undefined, ["--auth-secret-file", secret, "--auth-leeway-s", "0", "--auth-notice-s", "60"]);
});

after(async () => {
  await browser?.close();
  product?.kill();
  rmSync(folder, { recursive: true, force: true });
});

async function makeToken({ ttl = "1h", scope = EVERYTHING, topics = ["odds_updates", "scrape_progress"] } = {}) {
  const scopes = scope.split(" ").flatMap((one) => ["--scope", one]);
  const allowed = topics.flatMap((topic) => ["--topic", topic]);
  const made = await run(PROGRAM, ["token", "make", "--key-file", secret, "--subject", "ann", "--ttl", ttl, ...allowed, ...scopes]);
  return made.stdout.trim();
}

// Opens the page, which asks for a token.
async function asked(options) {
  const opened = await openPage(browser, options);
  await opened.page.goto(guarded.url);
  await opened.page.waitForSelector("#sign-in", WITHIN);
  return opened;
}

async function signIn(page, token) {
  await page.fill("#token", token);
  await page.press("#token", "Enter");
  await isLive(page);
}

async function isLive(page) {
  await page.waitForFunction(() => document.querySelector("#link")?.textContent === "live", null, WITHIN);
  await page.waitForSelector("#board [data-price]", WITHIN);
}

// Where a browser keeps what a page gives it.
const kept = (page) => page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie]));

test("a_token_that_is_pasted_opens_the_page_and_is_kept_nowhere", async () => {
  const { page } = await asked();
  const urls = [];
  page.on("request", (request) => urls.push(request.url()));
  page.on("websocket", (socket) => urls.push(socket.url()));
  assert.equal(await page.evaluate(() => document.activeElement.id), "token", "the field has the focus");
  assert.equal(await page.getAttribute("#token", "type"), "password");
  assert.equal(await page.locator("#scrape, #board, #link").count(), 0);
  const token = await makeToken();
  await signIn(page, token);
  assert.match(await page.textContent(".account .who"), /ann$/);
  await page.waitForSelector("#scrape");
  assert.ok(urls.length > 2 && urls.every((url) => !url.includes(token)), "no address has it");
  assert.ok(!(await kept(page)).includes(token));
  assert.ok(!page.url().includes(token));
  await page.reload();
  await page.waitForSelector("#sign-in", WITHIN);
  await page.close();
});

test("a_token_that_the_person_keeps_is_there_after_a_reload_until_they_sign_out", async () => {
  const { page } = await asked();
  await page.check("#keep");
  const token = await makeToken();
  await signIn(page, token);
  assert.ok((await kept(page)).includes(token));
  await page.reload();
  await isLive(page);
  await page.click("#sign-out");
  await page.waitForSelector("#sign-in");
  assert.equal(await page.locator("[data-price], .run").count(), 0, "nothing that the token showed is left");
  assert.ok(!(await kept(page)).includes(token));
  await page.reload();
  await page.waitForSelector("#sign-in", WITHIN);
  await page.close();
});

test("a_token_that_is_refused_is_told_why_and_another_may_come", async () => {
  const { page } = await asked();
  await page.press("#token", "Enter");
  await page.getByText("Paste a token").waitFor();
  for (const bad of ["nonsense", (await makeToken()).slice(0, -4) + "AAAA"]) {
    await page.fill("#token", bad);
    await page.press("#token", "Enter");
    await page.locator("#sign-in-why[role=alert]", { hasText: /token/i }).waitFor(WITHIN);
    assert.doesNotMatch(await page.textContent("#sign-in-why"), /Paste/);
  }
  await signIn(page, await makeToken());
  await page.close();
});

test("a_token_without_scopes_gives_a_view_without_commands_which_says_so", async () => {
  const { page } = await asked();
  await signIn(page, await makeToken({ scope: "read" }));
  assert.match(await page.textContent("#read-only"), /^read only: this token may not start runs or cancel runs$/);
  assert.equal(await page.locator("#scrape, #choose, [data-cancel], [data-retry]").count(), 0);
  await page.close();
});

test("the_next_token_takes_the_place_of_the_one_that_ends_and_nothing_begins_anew", async () => {
  const { page } = await asked();
  // The gateway says so in the middle of its life at the latest.
  await signIn(page, await makeToken({ ttl: "20s" }));
  await page.waitForSelector("#renew", WITHIN);
  const sinces = [];
  page.on("websocket", (socket) => sinces.push(new URL(socket.url()).searchParams.get("since")));
  await page.fill("#renew input", await makeToken());
  await page.press("#renew input", "Enter");
  await isLive(page);
  assert.equal(await page.locator("#renew").count(), 0);
  assert.equal(sinces.length, 1);
  assert.notEqual(sinces[0], "snapshot", "it goes on at its cursor");
  await page.close();
});

test("at_the_end_of_its_token_the_page_asks_for_another", async () => {
  const { page } = await asked();
  await signIn(page, await makeToken({ ttl: "8s" }));
  await page.waitForSelector("#sign-in", WITHIN);
  assert.equal(await page.locator("[data-price]").count(), 0);
  await signIn(page, await makeToken());
  await page.close();
});

test("an_address_of_this_host_gives_tokens_and_the_next_ones", async () => {
  const { page } = await asked();
  let given = 0;
  await page.route(`${guarded.url}my/token`, async (route) => {
    given += 1;
    await route.fulfill({ json: { access_token: await makeToken({ ttl: given === 1 ? "10s" : "1h" }) } });
  });
  await page.click("#sign-in summary");
  for (const [address, says] of [["https://elsewhere.example/token", /another host/], ["no/such", /answered 404/]]) {
    await page.fill("#token-address", address);
    await page.press("#token-address", "Enter");
    await page.locator("#sign-in-why", { hasText: says }).waitFor(WITHIN);
    if (!(await page.isVisible("#token-address"))) await page.click("#sign-in summary");
  }
  await page.fill("#token-address", "my/token");
  await page.press("#token-address", "Enter");
  await isLive(page);
  await page.waitForFunction(() => document.querySelector(".account .who")?.textContent.endsWith("ann"), null, WITHIN);
  for (const asked = given; given === asked; ) await page.waitForResponse(`${guarded.url}my/token`, WITHIN);
  await isLive(page);
  assert.equal(await page.locator("#renew, #sign-in").count(), 0);
  await page.close();
});

test("axe_finds_nothing_on_the_way_in_and_every_width_fits", async () => {
  for (const colorScheme of ["light", "dark"]) {
    for (const width of [1440, 820, 390]) {
      const { page } = await asked({ colorScheme, viewport: { width, height: 900 }, reducedMotion: "reduce" });
      const look = async (where) => {
        await page.evaluate(axe);
        const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
        assert.deepEqual(violations.map(({ id, nodes }) => `${id}: ${nodes[0].html}`), [], `${where}, ${colorScheme}, ${width}`);
        const wide = await page.evaluate(() => document.documentElement.scrollWidth);
        assert.ok(wide <= width, `${where}: ${wide} at ${width}`);
        if (process.env.SHOTS) await page.screenshot({ path: `${process.env.SHOTS}/${where}-${colorScheme}-${width}.png` });
      };
      await page.click("#sign-in summary");
      await page.fill("#token", "nonsense");
      await page.press("#token", "Enter");
      await page.waitForSelector("#sign-in-why", WITHIN);
      await look("sign-in");
      await signIn(page, await makeToken({ scope: "read", ttl: "40s" }));
      await look("read-only");
      await page.waitForSelector("#renew", WITHIN);
      await look("renew");
      await page.close();
    }
  }
});
