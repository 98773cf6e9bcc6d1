// A storm of prices into the board: in the end the truth, and a flat heap. What it costs is measured by
// `cargo xtask bench-page`; how much of it a frame draws is tested in frames.test.mjs.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { startPublisher } from "../../clients/js/test/wire/publisher.mjs";
import { openPage, startBrowser, startProduct } from "./product.mjs";
import { EVENTS, everything, LINES, openBoard, publishAll, SOURCES, storm, truth, WITHIN } from "./storm.mjs";

const SECONDS = Number(process.env.STORM_SECONDS ?? 15);

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

test("a_storm_of_prices_grows_nothing_and_ends_in_the_truth", { timeout: 600_000 }, async () => {
  await publishAll(publisher, 0);
  const { page, complaints } = await openPage(browser);
  await openBoard(page, product.url);
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

  await storm(publisher, SECONDS);

  const wrong = async () => {
    const seen = await everything(page);
    return [...truth].filter(([key, price]) => seen.get(key) !== price).map(([key, price]) => `${key}: ${seen.get(key)} is ${price}`);
  };
  let left = await wrong();
  for (let look = 0; left.length > 0 && look < 20; look += 1) left = await wrong();
  assert.deepEqual(left, [], "the board is the truth");
  assert.equal(truth.size, EVENTS * SOURCES.length * LINES.length * 2);

  // A second storm finds the heap as the first one left it.
  const before = await heap();
  await storm(publisher, SECONDS);
  const after = await heap();
  assert.ok(after < before * 1.2 + 2e6, `the heap grew from ${before} to ${after}`);
  assert.deepEqual(complaints, []);
});
