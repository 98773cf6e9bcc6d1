// The rows of the matrix: each a client, how it is used, and what runs it.

// Code of a page that keeps the numbers of the events in `seen`.
const KEEPS = "({ data }) => seen.push(JSON.parse(data).data.seq)";

/**
 * Rows: `{name, how, command}` of a program, or `{name, how, browser, code}` of a page. `slow` ones are not run by tests; a
 * machine may be without what is `optional`, and then it is named.
 */
export function rows({ address, query, consume }) {
  const stream = `${address}api/events?${query}`;
  const [, six] = /```js\n(function follow[^]*?\n}\n)/.exec(consume);
  const node = (library) => ["node", "client.mjs", library, address, query];
  const python = (library) => [process.env.INTEROP_PYTHON ?? "python3", "client.py", library, address, query];
  const pages = ["Chromium", "Firefox", "WebKit"].flatMap((browser) => [
    { browser, name: `EventSource in ${browser}`, how: "defaults", code: `async () => new EventSource("${stream}").addEventListener("scrape_progress", ${KEEPS})` },
    {
      browser,
      name: `EventSource in ${browser}`,
      how: "the six lines of [consume.md](consume.md#a-browser)",
      code: `async () => { ${six} follow("${address}api/events?topics=scrape_progress.interop", { scrape_progress: ${KEEPS} }, "now"); }`,
    },
    {
      browser,
      name: `@oddswire/client in ${browser}`,
      how: "`hiddenConflateMs: null`, since these pages are hidden",
      code: `async () => {
        const { createClient } = await import("/oddswire/index.js");
        createClient("${address}").subscribe({ topics: ["scrape_progress.interop"], hiddenConflateMs: null }).on("scrape_progress", ({ data }) => seen.push(data.seq));
      }`,
    },
  ]);
  for (const page of pages) page.optional = page.browser === "WebKit";
  return [
    ...pages,
    ...[["defaults", ""], ["an `onclose` that throws", 'onclose() { throw new Error("come back"); },']].map(([how, more]) => ({
      browser: "Chromium",
      name: "@microsoft/fetch-event-source 2.0.1",
      how,
      // Pages parse what comes.
      code: `async () => {
        const { fetchEventSource } = await import("/@microsoft/fetch-event-source/lib/esm/index.js");
        fetchEventSource("${stream}", { openWhenHidden: true, ${more} onmessage({ event, data }) { const message = JSON.parse(data); if (event === "scrape_progress") seen.push(message.data.seq); } });
      }`,
    })),
    { name: "eventsource 4.1.1 (Node)", how: "defaults", command: node("eventsource") },
    { name: "eventsource-client 1.2.0 (Node)", how: "defaults", command: node("eventsource-client") },
    { name: "reconnecting-websocket 4.4.0 (Node)", how: "defaults", command: node("reconnecting-websocket") },
    { name: "reconnecting-websocket 4.4.0 (Node)", how: "the address as a function, with the last cursor as `since`", command: node("reconnecting-websocket-cursor") },
    { name: "ws 8.23.0 (Node)", how: "defaults", command: node("ws") },
    { name: "@oddswire/client (Node), WebSocket", how: "defaults", command: node("oddswire-ws") },
    { name: "@oddswire/client (Node), event stream", how: "defaults", command: node("oddswire-sse") },
    { name: "httpx-sse 0.4.3 (Python)", how: "defaults", command: python("httpx_sse") },
    { name: "httpx-sse 0.4.3 (Python)", how: "a loop with `Last-Event-ID`", command: python("httpx_sse-loop") },
    { name: "sseclient-py 1.9.0 with requests (Python)", how: "defaults", command: python("sseclient") },
    { name: "sseclient-py 1.9.0 with requests (Python)", how: "a loop with `Last-Event-ID`", command: python("sseclient-loop") },
    { name: "aiohttp 3.14.5 (Python)", how: "defaults", command: python("aiohttp") },
    { name: "aiohttp 3.14.5 (Python)", how: "a loop with `Last-Event-ID`", command: python("aiohttp-loop") },
    { name: "websockets 17.4 (Python)", how: "defaults: `async for`", command: python("websockets") },
    { name: "websockets 17.4 (Python)", how: "a loop with the last cursor as `since`", command: python("websockets-loop") },
    { name: "curl", how: "defaults: `-N`", command: ["curl", "-sN", stream], needs: ["curl"] },
    { name: "curl", how: "a [loop](../tests/interop/curl-loop.sh) with `Last-Event-ID`", command: ["./curl-loop.sh", stream], needs: ["curl"] },
    { name: "wscat 6.1.0", how: "defaults", command: ["node", "node_modules/wscat/bin/wscat", "-c", `${address.replace(/^http/, "ws")}api/ws?${query}`] },
    { name: "r3labs/sse 2.10.0 (Go)", how: "defaults", command: [process.env.INTEROP_GO ?? "go-is-not-built", address, query], needs: [process.env.INTEROP_GO ?? "go-is-not-built"], slow: true, optional: true },
    { name: "java.net.http (JDK)", how: "defaults", command: ["java", "EventStream.java", "once", address, query], needs: ["java"], slow: true, optional: true },
    { name: "java.net.http (JDK)", how: "a loop with `Last-Event-ID`", command: ["java", "EventStream.java", "loop", address, query], needs: ["java"], slow: true, optional: true },
  ];
}
