// Writes docs/images: the real program, as it looks while runs are under way. By hand:
// `ODDSWIRE_BIN=… ODDSWIRE_NATS_SERVER=… node screenshot.mjs` in this folder.

import { mkdirSync } from "node:fs";
import { demo, openPage, ROOT, startBrowser, startProduct } from "./product.mjs";

const WITHIN = { timeout: 60_000 };
const product = await startProduct();
const browser = await startBrowser();
try {
  const folder = `${ROOT}docs/images`;
  mkdirSync(folder, { recursive: true });
  await demo(product, "clock", { speed: 20 });
  await demo(product, "faults", { book: "*", fault: { kind: "latency", ms: 1000 } });
  const shots = [["light", "page.png", 1440], ["dark", "page-dark.png", 1440], ["light", "page-phone.png", 390]];
  for (const [colorScheme, name, width] of shots) {
    const { page } = await openPage(browser, { colorScheme, viewport: { width, height: 900 } });
    await page.goto(product.url);
    await page.waitForFunction(isWorthAPicture, null, WITHIN);
    await page.screenshot({ path: `${folder}/${name}` });
    await page.close();
  }
  const { page } = await openPage(browser);
  await page.goto(product.url);
  await page.locator("#board .teams").first().click();
  // A few steps of the chart: the demo's clock runs, and a run comes every ten seconds.
  await page.waitForFunction(() => document.querySelectorAll("#changes tbody tr").length >= 12, null, { timeout: 180_000 });
  await page.waitForSelector("#event canvas", WITHIN);
  await page.screenshot({ path: `${folder}/event.png` });
} finally {
  await browser.close();
  await product.stop();
}

// Runs in the page: a run fetches pages, and a price moved.
function isWorthAPicture() {
  const bars = document.querySelectorAll("#runs [data-phase=scraping] progress[value]");
  return [...bars].some((bar) => bar.value > 0) && document.querySelector("#board .up, #board .down") !== null;
}
