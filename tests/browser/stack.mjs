// The real program for a test: `oddswire dev` on ports of its own, and its end.
//
// Everything waits for a condition within a bound; nothing sleeps. A process started here carries a mark in its
// environment, so that what is left of it can be found, and ended, by its id.

import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { createServer } from "node:net";
import { fileURLToPath } from "node:url";

export const ROOT = fileURLToPath(new URL("../..", import.meta.url));
export const PROGRAM = process.env.ODDSWIRE_BIN ?? `${ROOT}target/debug/oddswire`;

// The program's first start reads and provisions much; a slow machine gets this long.
const START_WITHIN_MS = 60_000;
const STOP_WITHIN_MS = 30_000;
const MARK = "BROWSER_TEST_MARK";

// Starts the program; `{url, urls, nats, demo, stop, kill, leftovers, said}` once it said where it is. `urls` are its
// gateways; `demo` is undefined where it was started without; `args` are further options.
export async function startProduct({ gateways = 1, withDemo = true, args = [] } = {}) {
  const port = await freePorts(10 * gateways);
  const mark = randomUUID();
  const child = spawn(PROGRAM, ["dev", "--port", String(port), "--gateways", String(gateways), ...(withDemo ? [] : ["--no-demo"]), ...args], {
    cwd: ROOT,
    env: { ...process.env, [MARK]: mark },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let said = "";
  const output = [child.stdout, child.stderr];
  for (const stream of output) stream.setEncoding("utf8").on("data", (text) => (said += text));
  const ended = new Promise((resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("exit", (code, signal) => resolve(code ?? signal));
  });
  const leftovers = () => marked(mark);
  const kill = () => leftovers().forEach(({ pid }) => end(pid));
  process.once("exit", kill);
  for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => process.exit(1));
  const url = `http://127.0.0.1:${port}/`;
  const demoAt = () => /^demo bookmakers\s+(\S+)/m.exec(said)?.[1];
  const natsAt = () => /^nats\s+(\S+)/m.exec(said)?.[1];
  const isReady = () => said.includes("Ctrl-C") && (!withDemo || demoAt() !== undefined);
  const urls = Array.from({ length: gateways }, (_, place) => `http://127.0.0.1:${port + 10 * place}/`);

  // Asks it to stop, as Ctrl-C does; gives its exit code.
  async function stop() {
    child.kill("SIGINT");
    return within(STOP_WITHIN_MS, ended, "the program did not end");
  }

  // One more gateway on the program's NATS, from its start to its end at the hands of the test; `extra` are its options.
  async function startGateway(port, extra = []) {
    const addresses = ["--listen", `127.0.0.1:${port ?? (await freePorts(1))}`, "--ops-listen", `127.0.0.1:${await freePorts(1)}`];
    const more = ["--heartbeat-ms", "1000", "--drain-delay-ms", "0"];
    const env = { ...process.env, [MARK]: mark, ODDSWIRE_NATS_URL: natsAt(), ODDSWIRE_LOG: "warn" };
    const gateway = spawn(PROGRAM, ["gateway", ...addresses, ...more, ...extra], { cwd: ROOT, env, stdio: ["ignore", "inherit", "inherit"] });
    const url = `http://${addresses[1]}/`;
    const up = async () => {
      while (gateway.exitCode === null) {
        const answer = await fetch(`http://${addresses[3]}/readyz`).catch(() => null);
        if (answer?.ok) return;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      throw new Error(`the gateway ended with ${gateway.exitCode}`);
    };
    await within(START_WITHIN_MS, up(), "the gateway did not come up");
    const kill = async () => {
      const gone = once(gateway, "exit");
      gateway.kill("SIGKILL");
      await gone;
    };
    return { url, port: Number(new URL(url).port), kill };
  }

  // The NATS server, frozen and woken.
  const nats = () => leftovers().find(({ command }) => /nats-server/.test(command.split(" ")[0])).pid;
  const freezeNats = () => process.kill(nats(), "SIGSTOP");
  const wakeNats = () => process.kill(nats(), "SIGCONT");

  try {
    const early = ended.then((how) => Promise.reject(new Error(`it ended with ${how}`)));
    const ready = saying(child.stdout, isReady);
    await within(START_WITHIN_MS, Promise.race([ready, early]), "the program did not come up");
  } catch (error) {
    kill();
    throw new Error(`${error.message}; it said:\n${said}`, { cause: error });
  }
  return { url, urls, nats: natsAt(), startGateway, freezeNats, wakeNats, demo: demoAt(), stop, kill, leftovers, said: () => said };
}

// The demo's control interface: `demo(product, "clock", {speed: 60})`.
export async function demo(product, path, order) {
  const method = order === undefined ? "DELETE" : "POST";
  const answer = await fetch(`${product.demo}__demo/${path}`, { method, body: order && JSON.stringify(order) });
  if (!answer.ok) throw new Error(`${method} __demo/${path}: ${answer.status} ${await answer.text()}`);
}

function saying(stream, isEnough) {
  return new Promise((resolve) => {
    const look = () => isEnough() && resolve();
    stream.on("data", look);
    look();
  });
}

async function within(ms, promise, complaint) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${complaint} within ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

// The first of `count` neighbouring ports that nobody has.
export async function freePorts(count) {
  for (let attempt = 0; attempt < 50; attempt += 1) {
    const first = await listenOnce(0);
    const others = Array.from({ length: count - 1 }, (_, place) => listenOnce(first + 1 + place));
    if ((await Promise.allSettled(others)).every(({ status }) => status === "fulfilled")) return first;
  }
  throw new Error(`no ${count} neighbouring ports are free`);
}

async function listenOnce(port) {
  const server = createServer().listen(port, "127.0.0.1");
  await once(server, "listening");
  const { port: found } = server.address();
  server.close();
  await once(server, "close");
  return found;
}

// The processes that carry the mark, but not this one.
function marked(mark) {
  const found = [];
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      if (!readFileSync(`/proc/${pid}/environ`, "utf8").includes(`${MARK}=${mark}`)) continue;
      found.push({ pid: Number(pid), command: readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ") });
    } catch {
      // It ended in between, or is another user's.
    }
  }
  return found;
}

function end(pid) {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It ended in between.
  }
}
