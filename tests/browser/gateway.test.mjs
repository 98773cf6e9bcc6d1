// What the page does on a gateway's bad days: gaps, lost connections, refusals, a bus that is down, stale prices.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { EVERYTHING, odds, openScripted, run, stopClock } from "./gateway.mjs";
import { startBrowser } from "./product.mjs";

let browser;
before(async () => (browser = await startBrowser()));
after(() => browser?.close());

const events = (page) => page.locator("#board .teams").allTextContents();
// Until the board shows these events and no others: it is drawn once a frame.
const shows = (page, teams) =>
  page.waitForFunction((teams) => [...document.querySelectorAll("#board .teams")].map((node) => node.textContent).join() === teams, teams.map((team) => `Home ${team} – Away`).join());
const badge = (page, text) => page.locator("#link", { hasText: text }).waitFor();
const cell = (page, source, outcome) => page.locator(`#board td[data-source=${source}] [data-outcome=${outcome}]`);

// Until the page has all that was said to it: the badge does not wait for a frame.
async function heard(page, gateway) {
  gateway.say("heartbeat", { cursor: "c2", server_time: new Date().toISOString(), upstream: "stale", lag_ms: 1 });
  await badge(page, "upstream stale");
}

// Opens the page and shows it a state of one event at two sources.
async function settled() {
  const scripted = await openScripted(browser);
  const gateway = await scripted.connected();
  gateway.ack("snapshot");
  gateway.say("odds_update", odds("alpha", "e1", [2.1, 3.3, 3.45]), "c1");
  gateway.say("odds_update", odds("bravo", "e1", [2.05, 3.4, 3.45]), "c2");
  gateway.say("caught_up", { cursor: "c2", replayed: 2 });
  await badge(scripted.page, "live");
  return { ...scripted, gateway };
}

// The page at an address of its own, before a gateway that gives each part of the state when the test says so.
async function inParts(at) {
  const { page, connected } = await openScripted(browser, at);
  const gateway = await connected();
  return { page, connected, gateway };
}

const SHOWN = ["scrape_progress", "odds_updates.*.*.*.h2h-ft"];

// Gives a part of the state: the images, which the page draws before the part is whole.
async function give(gateway, part, images) {
  const asked = await gateway.heard();
  assert.deepEqual([asked.type, asked.since, asked.ref], ["subscribe", "snapshot", part]);
  if (part === "first") gateway.say("subscription_ack", { topics: [...new Set([...EVERYTHING, ...asked.topics])], resume: { verdict: "snapshot" }, ref: part });
  for (const image of images) gateway.say("odds_update", image, "begin");
  return asked.topics;
}

test("what_the_board_shows_is_subscribed_to_first_and_drawn_as_it_comes_then_the_rest", { timeout: 30_000 }, async () => {
  const { page, gateway } = await inParts("");
  assert.equal(gateway.query.get("topics"), null, "everything is followed from the beginning");
  gateway.grant("live");
  assert.deepEqual(await give(gateway, "first", [odds("alpha", "e1", [2.1, 3.3, 3.45])]), SHOWN);
  await shows(page, ["e1"]);
  await badge(page, "loading");
  gateway.say("caught_up", { cursor: "begin", replayed: 1, ref: "first" });
  assert.deepEqual(await gateway.heard(), { type: "unsubscribe", topics: SHOWN.slice(1) });
  assert.deepEqual(await give(gateway, "rest", [odds("alpha", "e2", [2.1, 3.3, 3.45])]), EVERYTHING);
  await shows(page, ["e1", "e2"]);
  assert.equal(await page.textContent("#link"), "loading", "it is not whole");
  gateway.say("caught_up", { cursor: "c1", replayed: 1, ref: "rest" });
  await badge(page, "live");
  await page.close();
});

test("a_cut_between_what_is_shown_and_the_rest_loses_nothing_and_later_ones_resume_both", { timeout: 30_000 }, async () => {
  const { page, connected, gateway } = await inParts("");
  gateway.grant("live");
  await give(gateway, "first", [odds("alpha", "e1", [2.1, 3.3, 3.45])]);
  gateway.say("caught_up", { cursor: "begin", replayed: 1, ref: "first" });
  assert.equal((await gateway.heard()).type, "unsubscribe");
  await give(gateway, "rest", []);
  // Live, of what was not given yet: its position says nothing of the rest.
  gateway.say("odds_update", odds("alpha", "e5", [2.1, 3.3, 3.45]), "c5");
  await shows(page, ["e1", "e5"]);
  gateway.close(1012);
  await badge(page, "reconnecting");
  await page.clock.runFor(1000);
  const again = await connected();
  assert.equal(again.since, "now", "not where the rest would be missed");
  again.grant("live");
  await give(again, "first", [odds("alpha", "e1", [2.2, 3.3, 3.45])]);
  again.say("caught_up", { cursor: "c6", replayed: 1, ref: "first" });
  assert.equal((await again.heard()).type, "unsubscribe");
  await give(again, "rest", ["e1", "e2", "e5"].map((event) => odds("alpha", event, [2.2, 3.3, 3.45])));
  again.say("caught_up", { cursor: "c7", replayed: 3, ref: "rest" });
  await badge(page, "live");
  await shows(page, ["e1", "e2", "e5"]);
  again.close(1012);
  await badge(page, "reconnecting");
  await page.clock.runFor(2000);
  const third = await connected();
  assert.deepEqual([third.since, third.query.get("topics")], ["c7", null]);
  third.ack("replayed");
  third.say("odds_update", odds("alpha", "e3", [2.1, 3.3, 3.45]), "c8");
  third.say("caught_up", { cursor: "c8", replayed: 1 });
  await badge(page, "live");
  await shows(page, ["e1", "e2", "e3", "e5"]);
  await page.close();
});

test("each_view_subscribes_to_its_own_first_control_one_that_shows_nothing_has_the_state_at_once", { timeout: 30_000 }, async () => {
  for (const [at, topics] of [["#/events/e7", ["odds_updates.*.e7"]], ["#/runs", ["scrape_progress"]], ["#/runs/r1", ["scrape_progress"]]]) {
    const { page, gateway } = await inParts(at);
    gateway.grant("live");
    assert.deepEqual(await give(gateway, "first", []), topics, at);
    await page.close();
  }
  const { page, gateway } = await inParts("#/nowhere/at/all");
  assert.equal(gateway.since, "snapshot");
  gateway.grant("snapshot");
  gateway.say("caught_up", { cursor: "c1", replayed: 0 });
  await badge(page, "live");
  await page.close();
});

test("a_lost_connection_greys_the_page_and_is_continued_at_the_last_id", async () => {
  const { page, connected, gateway } = await settled();
  gateway.say("odds_update", odds("alpha", "e2", [1.5, 4, 6]), "c3");
  await page.getByText("Home e2").waitFor();
  gateway.close(1012);
  await badge(page, "reconnecting");
  assert.equal(await page.locator("body.lost").count(), 1);
  await shows(page, ["e1", "e2"]);
  await page.clock.runFor(1000);
  const again = await connected();
  assert.equal(again.since, "c3");
  again.ack("replayed");
  again.say("odds_update", odds("alpha", "e3", [1.5, 4, 6]), "c4");
  again.say("caught_up", { cursor: "c4", replayed: 1 });
  await badge(page, "live");
  await shows(page, ["e1", "e2", "e3"]);
  assert.equal(await page.locator("body.lost").count(), 0);
  await page.close();
});

test("after_a_gap_the_page_begins_anew_drops_what_it_held_and_says_so", async () => {
  const { page, gateway } = await settled();
  gateway.say("resume", { verdict: "gap" });
  gateway.say("odds_update", odds("alpha", "e9", [1.5, 4, 6]));
  await badge(page, "resyncing");
  assert.deepEqual(await events(page), ["Home e1 – Away"], "the old state stays until the new one is whole");
  assert.equal(await page.locator("body.lost").count(), 1);
  gateway.say("caught_up", { cursor: "c9", replayed: 1 });
  await shows(page, ["e9"]);
  await badge(page, "live, resynced after a gap");
  await page.clock.runFor(20_000);
  assert.equal(await page.textContent("#link"), "live");
  await page.close();
});

test("silence_is_a_lost_connection", async () => {
  const { page, connected } = await settled();
  await stopClock(page);
  await page.clock.runFor(40_000);
  assert.equal(await page.textContent("#link"), "live");
  await page.clock.runFor(12_000);
  const again = await connected();
  assert.equal(again.since, "c2");
  await page.close();
});

test("a_connection_that_dies_young_is_waited_for_longer_each_time", async () => {
  const { page, connected, gateway } = await settled();
  await page.evaluate(() => (Math.random = () => 0.999));
  await stopClock(page);
  // Loses a connection, and gives the next one, which comes after about `ms` and not before.
  const lose = async (connection, ms) => {
    let came = false;
    const next = Promise.resolve(connected()).then((value) => ((came = true), value));
    connection.close(1013);
    await badge(page, "reconnecting");
    await page.clock.runFor(ms - 100);
    // A way to the page and back: a connection that was opened would be known by now.
    await page.evaluate(() => 0);
    assert.equal(came, false, `it came back within ${ms - 100} ms`);
    await page.clock.runFor(200);
    const again = await next;
    again.ack("replayed");
    again.say("caught_up", { cursor: "c2", replayed: 0 });
    await badge(page, "live");
    return again;
  };
  let connection = gateway;
  for (const ms of [500, 1000, 2000, 4000]) connection = await lose(connection, ms);
  // Ten seconds of life are a connection worth the name: from the beginning.
  await page.clock.runFor(10_000);
  await lose(connection, 500);
  await page.close();
});

test("a_page_without_odds_says_why", async () => {
  const { page, connected } = await openScripted(browser);
  const gateway = await connected();
  gateway.ack("snapshot");
  gateway.say("caught_up", { cursor: "c1", replayed: 0 });
  await badge(page, "live");
  await page.getByText("Never scraped yet. “Scrape now” begins.").waitFor();
  gateway.say("scrape_progress", run("alpha", 1), "c2");
  await page.getByText("No odds yet: no run has published any.").waitFor();
  await page.close();
});

test("a_final_close_code_stops_the_page_with_a_word", async () => {
  const { page, gateway } = await settled();
  gateway.close(4500);
  await badge(page, "stopped");
  await page.clock.runFor(60_000);
  assert.equal(await page.textContent("#link"), "stopped");
  assert.match(await page.textContent("#notice"), /refused this page.*4500/);
  await page.close();
});

test("a_reconnect_message_is_honoured", async () => {
  const { page, connected, gateway } = await settled();
  await stopClock(page);
  gateway.say("reconnect", { after_ms: 4000, reason: "drain" });
  await heard(page, gateway);
  await page.clock.runFor(3500);
  assert.equal(await page.textContent("#link"), "upstream stale");
  await page.clock.runFor(1500);
  assert.equal((await connected()).since, "c2");
  await page.close();
});

test("a_bus_that_is_down_is_told_and_what_follows_is_whole", async () => {
  const { page, connected } = await openScripted(browser);
  const gateway = await connected();
  gateway.ack("unavailable");
  await badge(page, "upstream down");
  assert.match(await page.textContent("#board-empty"), /^The bus is unavailable/);
  gateway.say("resume", { verdict: "snapshot" });
  gateway.say("odds_update", odds("alpha", "e0", [2.1, 3.3, 3.45]), "c1");
  // Each verdict is about everything: what came before it is not part of the state.
  gateway.say("resume", { verdict: "snapshot" });
  gateway.say("scrape_progress", run("alpha", 1), "c1");
  gateway.say("odds_update", odds("alpha", "e1", [2.1, 3.3, 3.45]), "c2");
  gateway.say("caught_up", { cursor: "c2", replayed: 2 });
  await badge(page, "live");
  await page.locator("#runs .progress .done", { hasText: "412 of 1,311 pages" }).waitFor();
  await shows(page, ["e1"]);
  const lost = { cursor: "c2", server_time: new Date().toISOString(), upstream: "down", lag_ms: 9000 };
  gateway.say("heartbeat", lost);
  await badge(page, "upstream down");
  await page.close();
});

test("the_best_price_suspended_withdrawn_and_never_offered_look_different", async () => {
  const { page, gateway } = await settled();
  gateway.say("odds_update", odds("charlie", "e1", [9, 9, 9], { status: "suspended" }), "c3");
  gateway.say("odds_update", odds("delta", "e1", [2, 3, 4], { status: "withdrawn" }), "c4");
  gateway.say("odds_update", odds("charlie", "e2", [2, 3, 4]), "c5");
  await page.getByText("Home e2").waitFor();
  assert.match(await cell(page, "alpha", "home").getAttribute("class"), /best/);
  assert.doesNotMatch(await cell(page, "bravo", "home").getAttribute("class"), /best/);
  assert.equal(await page.locator("td[data-source=charlie] s").count(), 3);
  assert.equal(await page.locator("td[data-source=delta] .withdrawn").count(), 1);
  assert.equal(await page.locator("tr", { hasText: "Home e2" }).locator("td.blank").count(), 3);
  await page.close();
});

test("a_moved_price_carries_an_arrow_for_a_while", async () => {
  const { page, gateway } = await settled();
  gateway.say("odds_update", odds("alpha", "e1", [2.2, 3.3, 3.4]), "c3");
  await page.locator("#board td[data-source=alpha] .up[data-outcome=home]").waitFor();
  assert.equal(await page.locator("#board .down[data-outcome=away]").count(), 1);
  assert.equal(await page.locator("#board .price:is(.up, .down)").count(), 2);
  await page.clock.runFor(10_000);
  assert.equal(await page.locator("#board .price:is(.up, .down)").count(), 0);
  await page.close();
});

test("a_price_that_nobody_confirms_becomes_stale", async () => {
  const { page, gateway } = await settled();
  const beat = () => gateway.say("heartbeat", { cursor: "c2", server_time: soon(), upstream: "ok", lag_ms: 0 });
  let laterMs = 0;
  const soon = () => new Date(Date.now() + laterMs).toISOString();
  laterMs = 170_000;
  gateway.say("odds_confirmed", { source: "alpha", confirmed_at: soon(), unconfirmed_event_ids: [] }, "c3");
  gateway.say("odds_confirmed", { source: "bravo", confirmed_at: soon(), unconfirmed_event_ids: ["e1"] }, "c4");
  laterMs = 200_000;
  beat();
  await page.locator("#board td[data-source=bravo].stale").waitFor();
  assert.equal(await page.locator("#board td.stale").count(), 1);
  assert.match(await page.textContent("#board tbody td.age:not(.margin)"), /^3 min ago$/);
  assert.match(await page.textContent("#skew"), /^your clock is 3 min slow/);
  await page.close();
});

test("what_the_gateway_refuses_is_told_in_its_own_words", async () => {
  const { page, answers } = await settled();
  const detail = "the bus did not answer in time";
  answers["POST api/scrapes"] = [503, { title: "Bus unavailable", detail, status: 503, code: "bus_unavailable" }];
  await page.click("#scrape");
  await page.getByText("Not started. Bus unavailable: the bus did not answer in time").waitFor();
  answers["POST api/scrapes"] = [202, { runs: [{ source: "alpha" }], busy: [{ source: "bravo" }], workers: 0 }];
  await page.click("#scrape");
  await page.getByText("Started 1 run. Busy already: bravo. No worker is alive: the runs wait for one.").waitFor();
  await page.close();
});

test("the_end_of_runs_is_said_in_at_most_one_sentence_in_five_seconds", async () => {
  const { page, gateway } = await settled();
  const errors = [{ error_type: "timeout", message: "late", recoverable: true, count: 2 }];
  for (const source of ["alpha", "bravo", "charlie"]) gateway.say("scrape_progress", run(source, 1), "c3");
  const end = { status: "completed", phase: "completed", outcome: "partial", errors };
  gateway.say("scrape_progress", run("alpha", 2, end), "c4");
  await page.locator("#runs [data-source=alpha][data-status=completed]").waitFor();
  await page.clock.runFor(100);
  assert.equal(await page.textContent("#voice"), "alpha completed, 2 errors.");
  await stopClock(page);
  gateway.say("scrape_progress", run("bravo", 2, end), "c5");
  gateway.say("scrape_progress", run("charlie", 2, { ...end, status: "failed", phase: "failed" }), "c6");
  await heard(page, gateway);
  await page.clock.runFor(100);
  assert.equal(await page.locator("#runs [data-status=failed]").count(), 1);
  assert.equal(await page.textContent("#voice"), "alpha completed, 2 errors.");
  await page.clock.runFor(5000);
  assert.equal(await page.textContent("#voice"), "2 runs ended, 1 not completed, 4 errors.");
  await page.close();
});

test("the_page_fits_every_width", async () => {
  const { page } = await settled();
  for (const width of [1440, 1024, 390]) {
    await page.setViewportSize({ width, height: 900 });
    const wide = await page.evaluate(() => document.documentElement.scrollWidth);
    assert.ok(wide <= width, `${wide} at ${width}`);
  }
  await page.close();
});

test("a_name_that_turns_text_around_turns_nothing_but_itself", async () => {
  const { page, gateway } = await settled();
  const data = odds("alpha", "e2", [1.5, 4, 6]);
  data.event.home_team = "\u202eTurned";
  data.event.away_team = "Straight";
  gateway.say("odds_update", data, "c3");
  await page.getByText("Straight").waitFor();
  // Where letters stand: the name behind it, and the first and the last of its letters.
  const [home, first, last] = await page.evaluate(() => {
    const teams = [...document.querySelectorAll("#board .teams")].find((one) => one.textContent.includes("Straight"));
    const names = document.createTreeWalker(teams, NodeFilter.SHOW_TEXT);
    const texts = [];
    while (names.nextNode()) texts.push(names.currentNode);
    const left = (text, at) => {
      const range = document.createRange();
      range.setStart(text, at);
      range.setEnd(text, at + 1);
      return range.getBoundingClientRect().left;
    };
    const away = texts.find((text) => text.data.includes("Straight"));
    const begins = away.data.indexOf("Straight");
    return [left(texts[0], 1), left(away, begins), left(away, begins + 7)];
  });
  assert.ok(home < first && first < last, `${home} ${first} ${last}`);
  await page.close();
});
