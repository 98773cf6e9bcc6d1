// What `oddswire dev` passes on to its parts, and who may use its gateways.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { demo, startProduct } from "./product.mjs";

const AWAY = "https://odds.example.org";

let product;

before(async () => {
  product = await startProduct({ args: ["--events", "6", "--speed", "0", "--allow-origin", AWAY] });
});

after(() => product?.kill());

test("the_demo_has_as_many_events_and_goes_as_fast_as_dev_is_told", async () => {
  const ask = async (path) => (await fetch(`${product.demo}__demo/${path}`)).json();
  assert.equal((await ask("clock")).speed, 0);
  const { books } = await ask("truth");
  const most = Math.max(...Object.values(books).map(({ events }) => events.length));
  assert.ok(most >= 1 && most <= 6, `${most} events`);
});

test("pages_of_this_machine_and_of_allowed_origins_may_use_the_gateway_and_a_refusal_says_why", async () => {
  const start = (origin) => fetch(`${product.url}api/scrapes`, { method: "POST", headers: { origin, "content-type": "application/json" }, body: '{"sources":[]}' });
  for (const origin of ["http://localhost:5173", "http://127.0.0.1:3000", "http://[::1]:3000", AWAY]) {
    const answer = await start(origin);
    // The runs that begin with the program may be under way: that is no refusal of the page.
    assert.ok([202, 409].includes(answer.status), `${origin}: ${await answer.text()}`);
    assert.equal(answer.headers.get("access-control-allow-origin"), origin);
  }
  const refused = await start("https://evil.example");
  assert.equal(refused.status, 403);
  assert.match((await refused.json()).detail, /--allow-origin/);
});

test("a_demo_bookmaker_that_fails_is_left_alone_by_itself", { timeout: 240_000 }, async () => {
  const operations = `http://127.0.0.1:${Number(new URL(product.url).port) + 2}/metrics`;
  const breaker = async (source) => {
    const said = await (await fetch(operations)).text();
    return Number(new RegExp(`^oddswire_scraper_fetch_breaker\\{source="${source}"\\} (\\d)`, "m").exec(said)?.[1] ?? 0);
  };
  const until = async (isSo) => {
    while (!(await isSo())) await new Promise((resolve) => setTimeout(resolve, 100));
  };
  await demo(product, "faults", { book: "alpha", fault: { kind: "server_error", status: 503 } });
  await until(async () => (await breaker("alpha")) > 0);
  const failedAt = new Date().toISOString();
  const later = async () => {
    const { runs } = await (await fetch(`${product.url}api/scrapes?source=bravo&status=completed`)).json();
    return runs.find(({ started_at }) => started_at > failedAt);
  };
  await until(later);
  assert.equal((await later()).outcome, "complete");
  assert.equal(await breaker("bravo"), 0);
});
