// A library of Node with its defaults: `node client.mjs LIBRARY ADDRESS QUERY`. Prints `seq N` for each event of a run.

import WebSocket from "ws";
import { createClient } from "../../clients/js/dist/index.js";

const [library, address, query] = process.argv.slice(2);
const say = (text) => console.log(`seq ${JSON.parse(text).data.seq}`);
const isEvent = (text) => JSON.parse(text).type === "scrape_progress";
const ws = `${address.replace(/^http/, "ws")}api/ws?${query}`;
const sse = `${address}api/events?${query}`;

const LIBRARIES = {
  async eventsource() {
    const { EventSource } = await import("eventsource");
    new EventSource(sse).addEventListener("scrape_progress", ({ data }) => say(data));
  },
  async "eventsource-client"() {
    const { createEventSource } = await import("eventsource-client");
    createEventSource({ url: sse, onMessage: ({ event, data }) => event === "scrape_progress" && say(data) });
  },
  async "reconnecting-websocket"() {
    const { default: ReconnectingWebSocket } = await import("reconnecting-websocket");
    const socket = new ReconnectingWebSocket(ws, [], { WebSocket });
    socket.addEventListener("message", ({ data }) => isEvent(data) && say(data));
  },
  // The same with the address as a function, which knows the last cursor.
  async "reconnecting-websocket-cursor"() {
    const { default: ReconnectingWebSocket } = await import("reconnecting-websocket");
    let cursor = "now";
    const socket = new ReconnectingWebSocket(() => ws.replace("since=now", `since=${cursor}`), [], { WebSocket });
    socket.addEventListener("message", ({ data }) => {
      if (isEvent(data)) say(data);
      const { id, data: said } = JSON.parse(data);
      cursor = id ?? said.cursor ?? cursor;
    });
  },
  async ws() {
    new WebSocket(ws).on("message", (data) => isEvent(data) && say(data)).on("error", () => {});
  },
  "oddswire-ws": () => own("ws"),
  "oddswire-sse": () => own("sse"),
};

async function own(transport) {
  const topics = new URLSearchParams(query).get("topics").split(",");
  const feed = createClient(address, { WebSocket, transports: [transport] }).subscribe({ topics });
  feed.on("scrape_progress", ({ data }) => console.log(`seq ${data.seq}`));
}

await LIBRARIES[library]();
