// Other people's clients, with their defaults and with the setting that docs/interop.md names, before a gateway that
// restarts. `cargo xtask interop` installs what this needs, and runs it.
//
// Each follows the events of one run, which are numbered: what is missing between the first and the last is lost.
// `--write` puts the table into docs/interop.md; without it, what is seen must be what stands there, and no client may be left
// out but slow ones with `--quick` and those that a machine may be without (verdict.mjs).

import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { extname } from "node:path";
import { randomUUID } from "node:crypto";
import { createInterface } from "node:readline";
import { startPublisher } from "../../clients/js/test/wire/publisher.mjs";
import { freePorts, PROGRAM, ROOT, startProduct } from "../browser/stack.mjs";
import { BROWSERS, onPath } from "./browsers.mjs";
import { rows } from "./clients.mjs";
import { faults, line } from "./verdict.mjs";

const HERE = new URL(".", import.meta.url).pathname;
const DOCUMENT = `${ROOT}docs/interop.md`;
const options = new Set(process.argv.slice(2));

const EVENT_EVERY_MS = 200;
// The gateway is away for longer than any browser waits before its first try.
const AWAY_MS = 5_000;
const WITHIN_MS = 60_000;
// Longer than the longest wait of a client between two tries (20 s), a try that hangs (15 s), and the wait after it.
const BACK_WITHIN_MS = 60_000;

// What ends with this program, however it ends.
const atExit = new Set();
process.once("exit", () => atExit.forEach((act) => act()));
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => process.exit(1));

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const until = async (what, ask, ms = WITHIN_MS) => {
  for (const end = Date.now() + ms; Date.now() < end; await sleep(50)) if (await ask()) return true;
  if (what === null) return false;
  throw new Error(`${what}: not within ${ms} ms`);
};

// A site of another origin: a blank page, and the packages that pages load.
async function startSite() {
  const server = createServer((request, answer) => {
    const path = new URL(request.url, "http://x").pathname;
    if (path === "/") return answer.writeHead(200, { "content-type": "text/html" }).end("<!doctype html><title>interop</title>");
    try {
      const file = path.startsWith("/oddswire") ? `${ROOT}clients/js/dist${path.slice("/oddswire".length)}` : `${HERE}node_modules${path}`;
      // Modules made for bundlers leave endings out.
      const script = readFileSync(extname(file) === "" ? `${file}.js` : file);
      answer.writeHead(200, { "content-type": "text/javascript" }).end(script);
    } catch {
      answer.writeHead(404).end();
    }
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  return { origin: `http://127.0.0.1:${server.address().port}`, close: () => server.close() };
}

async function startGateway(nats, port, ops, origin) {
  const args = ["gateway", "--listen", `127.0.0.1:${port}`, "--ops-listen", `127.0.0.1:${ops}`, "--allow-origin", origin, "--drain-delay-ms", "200", "--grace-ms", "1500"];
  const gateway = spawn(PROGRAM, args, { env: { ...process.env, ODDSWIRE_NATS_URL: nats, ODDSWIRE_LOG: "warn" }, stdio: ["ignore", "inherit", "inherit"] });
  atExit.add(() => gateway.kill("SIGKILL"));
  await until("the gateway is ready", async () => (await fetch(`http://127.0.0.1:${ops}/readyz`).catch(() => null))?.ok);
  return {
    async stop() {
      const gone = once(gateway, "exit");
      gateway.kill("SIGTERM");
      await gone;
    },
  };
}

// A program that prints `seq N`, or messages; `{seen(), stop()}`.
function startProgram([program, ...args]) {
  const child = spawn(program, args, { cwd: HERE, stdio: ["pipe", "pipe", "pipe"], detached: true });
  const seen = [];
  let said = "";
  child.stderr.on("data", (text) => (said = `${said}${text}`.slice(-500)));
  child.on("error", (error) => (said = error.message));
  createInterface({ input: child.stdout }).on("line", (line) => {
    const seq = /^seq (\d+)$/.exec(line)?.[1] ?? /"type":"scrape_progress".*?"seq":(\d+)/.exec(line)?.[1];
    if (seq !== undefined) seen.push(Number(seq));
  });
  const stop = () => {
    try {
      // Its group: `go run` and scripts have children.
      process.kill(-child.pid, "SIGKILL");
    } catch {
      // It has ended.
    }
  };
  atExit.add(stop);
  return { seen: async () => seen, said: () => said, stop };
}

async function startPage(browser, url, code) {
  const page = await browser.page(url);
  await page.run(`(window.seen = [], (${code})().catch?.((error) => (window.failed = String(error))), 0)`);
  return { seen: () => page.run("window.seen"), said: () => page.run("window.failed ?? ''"), stop() {} };
}

// What became of it: whether it began, came back, and what it lost.
function judge(seen, back) {
  if (seen.length === 0) return "hears nothing";
  const last = Math.max(...seen);
  if (last < back) return "does not come back";
  const got = new Set(seen);
  const missing = Array.from({ length: last - seen[0] + 1 }, (_, at) => seen[0] + at).filter((seq) => !got.has(seq));
  const order = seen.every((seq, at) => at === 0 || seq > seen[at - 1]);
  const what = missing.length === 0 ? "loses nothing" : "loses what happened meanwhile";
  return `comes back, ${what}${order ? "" : ", some twice"}`;
}

async function main() {
  const site = await startSite();
  const product = await startProduct({ withDemo: false });
  const publisher = await startPublisher(product.nats);
  const [port, ops] = [await freePorts(1), await freePorts(1)];
  let gateway = await startGateway(product.nats, port, ops, site.origin);
  const around = { address: `http://127.0.0.1:${port}/`, query: "topics=scrape_progress.interop&since=now", here: HERE, consume: readFileSync(`${ROOT}docs/consume.md`, "utf8") };
  const browsers = {};
  const running = [];
  const skipped = [];
  const runId = randomUUID();
  let seq = 0;
  let publishing = true;
  const publish = (async () => {
    while (publishing) {
      await publisher.run(runId, "interop", (seq += 1));
      await sleep(EVENT_EVERY_MS);
    }
  })();
  try {
    for (const row of rows(around)) {
      const missing = row.browser ? !BROWSERS[row.browser].program && row.browser : row.needs?.find((program) => !onPath(program) && !program.includes("/"));
      if (options.has("--quick") && row.slow) {
        skipped.push({ row, why: "slow", isAllowed: true });
        continue;
      }
      if (missing) {
        skipped.push({ row, why: `${missing} is not here`, isAllowed: row.optional === true });
        continue;
      }
      try {
        const { browser: name } = row;
        if (name) browsers[name] ??= await BROWSERS[name].open(BROWSERS[name].program);
        running.push([row, name ? await startPage(browsers[name], site.origin, row.code) : startProgram(row.command)]);
      } catch (error) {
        skipped.push({ row, why: `cannot be driven: ${error.message.split("\n")[0]}`, isAllowed: false });
      }
    }
    const all = async (least, whom = running) => (await Promise.all(whom.map(([, client]) => client.seen()))).every((seen) => seen.length > 0 && Math.max(...seen) >= least);
    if (!(await until(null, () => all(1)))) {
      for (const [row, client] of running) if ((await client.seen()).length === 0) console.error(`${row.name}: hears nothing; it says: ${await client.said()}`);
    }
    await gateway.stop();
    await sleep(AWAY_MS);
    gateway = await startGateway(product.nats, port, ops, site.origin);
    await sleep(1_000);
    const back = seq;
    // Whoever does not come back by then does not. Those of whom the document says that they do not are not waited for.
    const known = documented().table;
    const awaited = running.filter(([row]) => !known.includes(`${line(row, "does not come back")}\n`));
    await until(null, () => all(back, awaited), BACK_WITHIN_MS);
    const outcomes = [];
    for (const [row, client] of running) outcomes.push([row, judge(await client.seen(), back)]);
    publishing = false;
    await publish;
    return report(outcomes, skipped, browsers);
  } finally {
    publishing = false;
    for (const [, client] of running) client.stop();
    await Promise.allSettled(Object.values(browsers).map((browser) => browser.close()));
    await publisher.close();
    await gateway.stop().catch(() => {});
    await product.stop();
    site.close();
  }
}

const BEGIN = "<!-- table: written by `cargo xtask interop` -->";
const END = "<!-- end of table -->";

function documented() {
  const [before, rest] = readFileSync(DOCUMENT, "utf8").split(BEGIN);
  const [table, after] = rest.split(END);
  return { before, table, after };
}

function report(outcomes, skipped, browsers) {
  for (const [row, outcome] of outcomes) console.log(line(row, outcome));
  for (const { row, why } of skipped) console.log(line(row, `left out: ${why}`));
  for (const [name, { version }] of Object.entries(browsers)) console.log(`${name}: ${version}`);
  const { before, table, after } = documented();
  if (options.has("--write")) {
    const head = "| client | how | over a restart of its gateway |\n|---|---|---|";
    const lines = [...outcomes.map(([row, outcome]) => line(row, outcome)), ...skipped.map(({ row, why }) => line(row, `not tried: ${why}`))];
    writeFileSync(DOCUMENT, `${before}${BEGIN}\n\n${head}\n${lines.join("\n")}\n\n${END}${after}`);
    return 0;
  }
  const wrong = faults(table, outcomes, skipped);
  for (const fault of wrong) console.error(fault);
  return wrong.length === 0 ? 0 : 1;
}

process.exit(await main());
