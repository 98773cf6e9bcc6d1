// NATS and one gateway that asks for tokens: `oddswire dev` asks for none.

import { execFile, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { promisify } from "node:util";
import { freePorts, PROGRAM } from "../../../../tests/browser/stack.mjs";

const run = promisify(execFile);
const UP_WITHIN_MS = 60_000;

// `{url, nats, token, stop}`. `token(ttl)` makes one that may do everything.
export async function startGuarded() {
  const folder = mkdtempSync(join(tmpdir(), "oddswire-guarded-"));
  const children = [];
  const kill = () => children.forEach((child) => child.kill("SIGKILL"));
  process.once("exit", kill);
  const start = (program, args) => {
    const child = spawn(program, args, { stdio: ["ignore", "ignore", "pipe"] });
    child.said = "";
    child.stderr.setEncoding("utf8").on("data", (text) => (child.said += text));
    child.on("error", (error) => ((child.said += error.message), (child.failed = true)));
    child.on("exit", () => (child.failed = true));
    children.push(child);
    return child;
  };
  async function stop() {
    for (const child of children.splice(0).reverse()) {
      if (child.failed) continue;
      const ended = once(child, "exit");
      child.kill("SIGKILL");
      await ended;
    }
    process.off("exit", kill);
    rmSync(folder, { recursive: true, force: true });
  }

  const first = await freePorts(3);
  const [bus, api, ops] = [first, first + 1, first + 2];
  const nats = `nats://127.0.0.1:${bus}`;
  const secret = join(folder, "secret");
  writeFileSync(secret, randomBytes(40).toString("base64"));
  try {
    start(process.env.ODDSWIRE_NATS_SERVER ?? "nats-server", ["--jetstream", "--addr", "127.0.0.1", "--port", String(bus), "--store_dir", folder]);
    await answering(() => reached(bus), children, "NATS did not come up");
    await run(PROGRAM, ["provision", "--nats-url", nats]);
    start(PROGRAM, [
      "gateway", "--nats-url", nats, "--listen", `127.0.0.1:${api}`, "--ops-listen", `127.0.0.1:${ops}`,
      "--auth-secret-file", secret, "--auth-leeway-s", "0", "--auth-notice-s", "1", "--drain-delay-ms", "0",
    ]);
    const isReady = async () => (await fetch(`http://127.0.0.1:${ops}/readyz`)).ok;
    await answering(isReady, children, "the gateway did not come up");
  } catch (error) {
    const said = children.map((child) => child.said).join("\n");
    await stop();
    throw new Error(`${error.message}; they said:\n${said}`, { cause: error });
  }
  const all = ["--topic", "scrape_progress", "--topic", "odds_updates", "--scope", "read"];
  const token = async (ttl) => (await run(PROGRAM, ["token", "make", "--key-file", secret, "--subject", "ann", "--ttl", ttl, ...all])).stdout.trim();
  return { url: `http://127.0.0.1:${api}/`, nats, token, stop };
}

// Asks until the answer is yes.
async function answering(ask, children, complaint) {
  const giveUpAt = performance.now() + UP_WITHIN_MS;
  while (!(await ask().catch(() => false))) {
    if (children.some(({ failed }) => failed) || performance.now() > giveUpAt) throw new Error(complaint);
    await pause(20);
  }
}

async function reached(port) {
  const socket = connect(port, "127.0.0.1");
  try {
    await once(socket, "connect");
    return true;
  } finally {
    socket.destroy();
  }
}
