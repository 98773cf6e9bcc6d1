// Writes docs/images/page.png and page-dark.png: the real program, as it looks while runs are under way.
// By hand: `ODDSWIRE_BIN=… ODDSWIRE_NATS_SERVER=… node screenshot.mjs` in this folder.

import { mkdirSync } from "node:fs";
import { demo, openPage, ROOT, startBrowser, startProduct } from "./product.mjs";

const WITHIN = { timeout: 60_000 };
const product = await startProduct();
const browser = await startBrowser();
try {
  const folder = `${ROOT}docs/images`;
  mkdirSync(folder, { recursive: true });
  await demo(product, "clock", { speed: 5 });
  await demo(product, "faults", { book: "*", fault: { kind: "latency", ms: 1500 } });
  for (const [colorScheme, name] of [["light", "page.png"], ["dark", "page-dark.png"]]) {
    const { page } = await openPage(browser, { colorScheme });
    await page.goto(product.url);
    await page.waitForFunction(isWorthAPicture, null, WITHIN);
    await page.screenshot({ path: `${folder}/${name}` });
    await page.close();
  }
} finally {
  await browser.close();
  await product.stop();
}

// Runs in the page: two runs fetch pages, and a price moved.
function isWorthAPicture() {
  const bars = document.querySelectorAll("#runs [data-phase=scraping] progress[value]");
  return [...bars].filter((bar) => bar.value > 0).length >= 2 && document.querySelector("#board .up, #board .down") !== null;
}
