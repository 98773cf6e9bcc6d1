// A TCP proxy that cuts: each connection goes to one of the targets in turn, and dies after a random number of bytes
// towards the client, until enough were cut. A cut may fall into the handshake, a frame or a line.

import { createServer, connect } from "node:net";
import { once } from "node:events";

// A small generator with a seed, so that a failure can be had again.
export function dice(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

// `{url, cuts, answeredBy, close}`. `rewrite` may change the request's head: what is switched off is switched off here.
export async function startCutter(targets, { cuts: wanted, random, furthest = 6000, rewrite = (head) => head }) {
  const live = new Set();
  const answeredBy = targets.map(() => 0);
  let cuts = 0;
  let taken = 0;
  const server = createServer((client) => {
    const which = taken++ % targets.length;
    const gateway = connect(Number(new URL(targets[which]).port), "127.0.0.1");
    const both = [client, gateway];
    const end = () => both.forEach((socket) => (socket.destroy(), live.delete(socket)));
    for (const socket of both) {
      live.add(socket);
      socket.on("error", end).on("close", end);
    }
    client.once("data", (head) => {
      gateway.write(rewrite(head.toString("latin1")), "latin1");
      client.on("data", (bytes) => gateway.write(bytes));
    });
    let left = 1 + Math.floor(random() * furthest);
    gateway.on("data", (bytes) => {
      answeredBy[which] += bytes.length;
      if (cuts >= wanted || bytes.length < left) {
        left -= bytes.length;
        client.write(bytes);
        return;
      }
      cuts += 1;
      client.write(bytes.subarray(0, left), () => end());
      gateway.pause();
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const close = () => {
    for (const socket of live) socket.destroy();
    server.close();
  };
  return { url: `http://127.0.0.1:${server.address().port}/`, cuts: () => cuts, answeredBy, close };
}
