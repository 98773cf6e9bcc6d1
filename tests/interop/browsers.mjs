// Browsers of this machine: a blank page of another origin in each, where a test runs code.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { existsSync } from "node:fs";
import puppeteer from "puppeteer-core";
import { freePorts } from "../browser/stack.mjs";

export const onPath = (...names) => {
  const folders = process.env.PATH.split(delimiter);
  return names.flatMap((name) => folders.map((folder) => join(folder, name))).find(existsSync);
};

const MINIBROWSER = process.env.MINIBROWSER ?? "/usr/lib/x86_64-linux-gnu/webkit2gtk-4.1/MiniBrowser";

export const BROWSERS = {
  Chromium: { program: process.env.CHROMIUM ?? onPath("chromium", "chromium-browser", "google-chrome"), open: (program) => byPuppeteer("chrome", program) },
  Firefox: { program: process.env.FIREFOX ?? onPath("firefox-esr", "firefox"), open: (program) => byPuppeteer("firefox", program) },
  WebKit: { program: onPath("Xvfb") && existsSync(MINIBROWSER) && onPath("WebKitWebDriver"), open: byWebKitDriver },
};

// `{page(url), close()}`; a page has `run(code)`, which gives what the expression is.
async function byPuppeteer(browser, executablePath) {
  const profile = mkdtempSync(join(tmpdir(), "interop-"));
  const launched = await puppeteer.launch({ browser, executablePath, headless: true, userDataDir: profile, args: browser === "chrome" ? ["--no-sandbox"] : [] });
  return {
    version: await launched.version(),
    async page(url) {
      const page = await launched.newPage();
      await page.goto(url);
      return { run: (code) => page.evaluate(code) };
    },
    async close() {
      await launched.close();
      rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

// WebKitGTK's own driver (W3C WebDriver), on a display that nobody looks at.
async function byWebKitDriver(program) {
  const port = await freePorts(1);
  // It takes the first display that is free, and says which.
  const display = spawn(onPath("Xvfb"), ["-displayfd", "1", "-nolisten", "tcp"], { stdio: ["ignore", "pipe", "ignore"] });
  const [number] = await once(display.stdout, "data");
  const driver = spawn(program, [`--port=${port}`, "--host=127.0.0.1"], {
    env: { ...process.env, DISPLAY: `:${String(number).trim()}`, WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS: "1" },
    stdio: "ignore",
  });
  const ask = async (method, path, body) => {
    const answer = await fetch(`http://127.0.0.1:${port}${path}`, { method, body: body && JSON.stringify(body) });
    const { value } = await answer.json();
    if (!answer.ok) throw new Error(`${path}: ${value.message}`);
    return value;
  };
  const close = () => {
    driver.kill();
    display.kill();
  };
  const wanted = { capabilities: { alwaysMatch: { browserName: "MiniBrowser", "webkitgtk:browserOptions": { binary: MINIBROWSER, args: ["--automation"] } } } };
  try {
    let session;
    for (let tries = 0; session === undefined; tries += 1) {
      session = await ask("POST", "/session", wanted).catch((error) => {
        if (tries > 50 || error.cause === undefined) throw error;
        return new Promise((resolve) => setTimeout(resolve, 100));
      });
    }
    const at = `/session/${session.sessionId}`;
    let windows = 0;
    // One command at a time, over all pages: which window a command is for is the session's state.
    let turn = Promise.resolve();
    return {
      version: `${session.capabilities.browserName} ${session.capabilities.browserVersion}`,
      async page(url) {
        const handle = windows === 0 ? await ask("GET", `${at}/window`) : (await ask("POST", `${at}/window/new`, { type: "tab" })).handle;
        windows += 1;
        const inWindow = (...command) => {
          const answer = turn.then(() => ask("POST", `${at}/window`, { handle })).then(() => ask(...command));
          turn = answer.catch(() => {});
          return answer;
        };
        await inWindow("POST", `${at}/url`, { url });
        return { run: (code) => inWindow("POST", `${at}/execute/sync`, { script: `return ${code}`, args: [] }) };
      },
      async close() {
        await ask("DELETE", at).catch(() => {});
        close();
      },
    };
  } catch (error) {
    close();
    throw error;
  }
}
