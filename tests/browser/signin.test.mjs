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
import { freePorts, PROGRAM } from "./stack.mjs";

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

// A context of the browser whose tabs share what is kept, and a tab of it that asks for a token.
async function tabs(url = guarded.url) {
  const context = await browser.newContext();
  const open = async () => {
    const page = await context.newPage();
    await page.goto(url);
    return page;
  };
  return { context, open };
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

test("an_address_that_does_not_answer_now_is_asked_again_and_one_that_refuses_is_kept_in_the_form", async () => {
  const { page } = await asked();
  const busy = { status: 503, json: { type: "x", title: "Unavailable", status: 503, code: "auth_unavailable", detail: "no token: the keys are being exchanged" } };
  const refused = { status: 403, json: { type: "x", title: "Forbidden", status: 403, code: "not_yours", detail: "ask somebody" } };
  let answer = busy;
  let given = 0;
  await page.route(`${guarded.url}my/token`, async (route) => {
    given += 1;
    await route.fulfill(answer ?? { json: { access_token: await makeToken() } });
  });
  await page.click("#sign-in summary");
  await page.fill("#token-address", "my/token");
  await page.check("#keep");
  await page.press("#token-address", "Enter");
  while (given < 2) await page.waitForResponse(`${guarded.url}my/token`, WITHIN);
  assert.equal(await page.locator("#sign-in").count(), 0, "it may answer later");
  assert.match(await kept(page), /my\/token/);
  answer = refused;
  await page.locator("#sign-in-why", { hasText: "/my/token answered 403 (not_yours: ask somebody)" }).waitFor(WITHIN);
  assert.deepEqual([await page.inputValue("#token-address"), await page.isChecked("#keep"), await page.isVisible("#token-address")], ["my/token", true, true]);
  assert.match(await kept(page), /my\/token/);
  answer = null;
  await page.press("#token-address", "Enter");
  await isLive(page);
  await page.close();
});

test("a_token_that_a_gateway_with_other_keys_refuses_is_kept_and_good_again_when_it_has_them", async () => {
  const port = await freePorts(1);
  const options = (file) => ["--auth-secret-file", file, "--auth-leeway-s", "0"];
  const other = join(folder, "other");
  writeFileSync(other, randomBytes(40).toString("base64"));
  let gateway = await product.startGateway(port, options(secret));
  const { context, open } = await tabs(gateway.url);
  const page = await open();
  await page.check("#keep");
  const token = await makeToken();
  await signIn(page, token);
  await gateway.kill();
  gateway = await product.startGateway(port, options(other));
  await page.locator("#sign-in-why", { hasText: /token was refused/ }).waitFor(WITHIN);
  assert.equal(await page.locator("[data-price], .run").count(), 0, "nothing that the token showed is left");
  assert.equal(await page.inputValue("#token"), token);
  assert.ok((await kept(page)).includes(token));
  await gateway.kill();
  gateway = await product.startGateway(port, options(secret));
  await page.click("#sign-in button.primary");
  await isLive(page);
  await page.reload();
  await isLive(page);
  await context.close();
  await gateway.kill();
});

test("a_refusal_of_one_request_is_told_and_takes_nothing_from_a_page_whose_stream_is_good", async () => {
  const { page } = await asked();
  await signIn(page, await makeToken());
  const problem = { type: "x", title: "Token invalid", status: 401, code: "token_invalid", detail: "another key" };
  await page.route(`${guarded.url}api/**`, (route) => (route.request().resourceType() === "websocket" ? route.fallback() : route.fulfill({ status: 401, json: problem })));
  await page.click("#scrape");
  await page.getByText("Not started. Token invalid: another key").waitFor(WITHIN);
  assert.equal(await page.textContent("#link"), "live");
  assert.ok((await page.locator("#board [data-price]").count()) > 0);
  await page.close();
});

test("what_cannot_be_a_token_is_said_and_not_sent", async () => {
  const { page } = await asked();
  const says = page.locator("#sign-in-why");
  for (const [bad, why] of [["two words", "it has spaces"], ["tökén", "other characters"], ["a".repeat(8193), "it has 8193 characters, and a token has at most 8192"]]) {
    await page.fill("#token", bad);
    await page.press("#token", "Enter");
    await says.filter({ hasText: `What you pasted is no token: ` }).filter({ hasText: why }).waitFor(WITHIN);
  }
  await page.fill("#token", "");
  const login = "<!doctype html><title>Log in</title>";
  const answers = [[login, "it has spaces"], ["", "is empty"], ["{}", "has neither access_token nor token"], ['{"access_token":7}', "has neither"], ["null", "has neither"], ["a".repeat(8193), "at most 8192"], ['{"token":"a\\nb"}', "other characters"]];
  let at = 0;
  await page.route(`${guarded.url}my/token`, (route) => route.fulfill({ body: answers[at][0], contentType: "text/plain" }));
  const sockets = [];
  page.on("websocket", (socket) => sockets.push(socket.url()));
  await page.click("#sign-in summary");
  await page.fill("#token-address", "my/token");
  for (; at < answers.length; at += 1) {
    await page.press("#token-address", "Enter");
    await says.filter({ hasText: "There is no token at that address: what /my/token answered" }).filter({ hasText: answers[at][1] }).waitFor(WITHIN);
  }
  assert.deepEqual(sockets, [], "nothing of it was sent");
  // A token in quotes, as JSON has a text, is one.
  answers.push([JSON.stringify(await makeToken()), ""]);
  await page.press("#token-address", "Enter");
  await isLive(page);
  await page.close();
});

for (const isKept of [true, false]) {
  test(`signing_out_in_one_tab_signs_out_all_${isKept ? "kept" : "in_memory"}`, async () => {
    const { context, open } = await tabs();
    const [one, other] = [await open(), await open()];
    const token = await makeToken({ ttl: "20s" });
    for (const page of [one, other]) {
      if (isKept) await page.check("#keep");
      await signIn(page, token);
    }
    await other.waitForSelector("#renew", WITHIN);
    await one.click("#sign-out");
    await other.locator("#sign-in-why", { hasText: "You signed out in another tab." }).waitFor(WITHIN);
    assert.equal(await other.locator("[data-price], .run, #renew").count(), 0);
    assert.equal(await other.inputValue("#token"), "");
    assert.ok(!(await kept(other)).includes(token), "nothing writes it again");
    await context.close();
  });
}

test("signing_out_empties_the_form_of_a_tab_whose_token_was_refused", async () => {
  const { context, open } = await tabs();
  const [one, other] = [await open(), await open()];
  await other.fill("#token", "nonsense");
  await other.press("#token", "Enter");
  await other.locator("#sign-in-why", { hasText: /token was refused/ }).waitFor(WITHIN);
  assert.equal(await other.inputValue("#token"), "nonsense");
  await signIn(one, await makeToken());
  await one.click("#sign-out");
  await other.waitForFunction(() => document.querySelector("#token").value === "", null, WITHIN);
  await context.close();
});

test("a_token_that_ends_in_one_tab_takes_nothing_from_the_next_one_that_another_tab_keeps", async () => {
  const { context, open } = await tabs();
  const one = await open();
  await one.check("#keep");
  await signIn(one, await makeToken({ ttl: "12s" }));
  const other = await open();
  await isLive(other);
  const next = await makeToken();
  await other.waitForSelector("#renew", WITHIN);
  await other.fill("#renew input", next);
  await other.press("#renew input", "Enter");
  await isLive(other);
  await one.locator("#sign-in-why", { hasText: "Your token has ended." }).waitFor(WITHIN);
  assert.ok((await kept(one)).includes(next));
  await one.reload();
  await isLive(one);
  await context.close();
});

test("a_token_that_allows_a_part_opens_the_page_with_that_part", async () => {
  const { page } = await asked();
  await signIn(page, await makeToken({ topics: ["odds_updates.*.*.alpha"] }));
  assert.equal(await page.locator("#board td:is([data-source=bravo], [data-source=charlie])").count(), 0);
  assert.equal(await page.locator("#notice").count(), 0);
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
