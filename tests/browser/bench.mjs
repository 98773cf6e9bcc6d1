// `cargo xtask bench-page`: what a storm of prices costs the page, against the least that any page could do: one that
// has the same messages from the same gateway, parses each, and writes the newest price once a frame.
//
// Processor time of the page's main thread, by Chromium's own trace; of several rounds the medians of the ratios, since
// seconds drift with the machine and ratios do not.

import { startPublisher } from "../../clients/js/test/wire/publisher.mjs";
import { openPage, startBrowser, startProduct } from "./product.mjs";
import { openBoard, publishAll, storm, WITHIN } from "./storm.mjs";

const SECONDS = Number(process.env.STORM_SECONDS ?? 20);
const ROUNDS = Number(process.env.STORM_ROUNDS ?? 3);
const FLOOR = `<!doctype html><p id="price"></p><script>
  let newest = null;
  const draw = () => { price.textContent = newest; newest = null; };
  const socket = new WebSocket("/api/ws?topics=odds_updates,scrape_progress&since=snapshot");
  socket.onmessage = ({ data }) => {
    const message = JSON.parse(data);
    if (message.type === "caught_up") document.title = "live";
    if (message.type !== "odds_update") return;
    if (newest === null) requestAnimationFrame(draw);
    newest = message.data.market.quotes[0].outcomes[0].price;
  };
</script>`;

const median = (numbers) => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)];

// The tasks of the page's main thread in this time, in milliseconds of its processor's time.
async function tasks(browser, page, during) {
  await browser.startTracing(page, { categories: ["toplevel"] });
  await during();
  const told = JSON.parse((await browser.stopTracing()).toString());
  const trace = told.traceEvents ?? told;
  const mains = trace.filter(({ name, args }) => name === "thread_name" && args.name === "CrRendererMain").map(({ pid, tid }) => `${pid} ${tid}`);
  const ours = trace.filter(({ name, pid, tid, tdur }) => name.endsWith("RunTask") && tdur !== undefined && mains.includes(`${pid} ${tid}`));
  if (ours.length === 0) throw new Error("the trace has no task of the page");
  return ours.map(({ tdur }) => tdur / 1000);
}

// A storm before one page, which is the only one.
async function cost(browser, publisher, open) {
  const { page } = await openPage(browser);
  await open(page);
  const took = await tasks(browser, page, () => storm(publisher, SECONDS));
  await page.close();
  return { total: took.reduce((sum, ms) => sum + ms, 0), longest: Math.max(...took) };
}

async function openFloor(page, url) {
  await page.route(`${url}floor`, (route) => route.fulfill({ body: FLOOR, contentType: "text/html" }));
  await page.goto(`${url}floor`);
  await page.waitForFunction(() => document.title === "live", null, WITHIN);
}

const product = await startProduct({ withDemo: false });
const browser = await startBrowser();
const publisher = await startPublisher(product.nats);
try {
  await publishAll(publisher, 0);
  const rounds = [];
  for (let round = 1; round <= ROUNDS; round += 1) {
    const floor = await cost(browser, publisher, (page) => openFloor(page, product.url));
    const ours = await cost(browser, publisher, (page) => openBoard(page, product.url));
    rounds.push({ total: ours.total / floor.total, longest: ours.longest });
    console.error(`round ${round}: page ${ours.total.toFixed(0)} ms, longest task ${ours.longest.toFixed(1)} ms; floor ${floor.total.toFixed(0)} ms, longest ${floor.longest.toFixed(1)} ms`);
  }
  const of = (name) => median(rounds.map((round) => round[name])).toFixed(1);
  console.log(`the page's thread over the floor's: ${of("total")}; longest task: ${of("longest")} ms`);
} finally {
  await publisher.close();
  await browser.close();
  product.kill();
}
