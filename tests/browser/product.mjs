// The browser of a test, and the program that it looks at.

import { chromium } from "playwright-core";

export { demo, ROOT, startProduct } from "./stack.mjs";

export function startBrowser() {
  const quiet = ["background-networking", "component-update", "sync", "gpu", "quic"].map((what) => `--disable-${what}`);
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--no-first-run", ...quiet],
  });
}

// Opens a page that notes everything it complains about: console errors (violations of its policy are such) and
// uncaught exceptions.
export async function openPage(browser, options = {}) {
  const page = await browser.newPage({ viewport: { width: 1440, height: 900 }, ...options });
  const complaints = [];
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && complaints.push(message.text()));
  return { page, complaints };
}
