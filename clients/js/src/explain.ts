// Why a connection is refused. A browser does not tell its page: a WebSocket closes with 1006, and a fetch across origins
// "failed", whatever the gateway said.

import { type End, type Request, refused } from "./connection.js";

// A gateway that answers at all answers sooner.
const ANSWER_WITHIN_MS = 5_000;
// What a gateway says to a request for its WebSocket that is none, of somebody whom it lets in.
const WOULD_LET_IN = "not_a_websocket";

/** Asks the gateway that refused a connection, without a token; undefined where it does not answer either. */
export async function explain({ url, fetch }: Request): Promise<End | undefined> {
  const address = new URL(url);
  // Its answer to this has an end, where that of an event stream has none.
  address.pathname = `${address.pathname.slice(0, address.pathname.lastIndexOf("api/"))}api/ws`;
  const ask = (mode: RequestMode) =>
    fetch(address.href, { mode, credentials: "omit", cache: "no-store", signal: AbortSignal.timeout(ANSWER_WITHIN_MS) });
  const lost = (why: string): End => ({ kind: "lost", why, explained: true });
  try {
    const end = await refused(await ask("cors"));
    if (end.kind === "lost") return { ...end, explained: true };
    // Cut off on its way, or of a proxy: only what a gateway said whole may end a client for good.
    if (!("error" in end) || end.error.problem === undefined) return undefined;
    if (end.kind !== "refused" || end.error.code !== WOULD_LET_IN) return end;
    return lost("the gateway answers and would let this client in, but the connection does not get through: a proxy on the way may not pass it on");
  } catch {
    // An answer that the page may not read is one all the same.
    const origin = typeof location === "undefined" ? undefined : location.origin;
    if (origin === undefined || origin === address.origin) return undefined;
    const isThere = await ask("no-cors").then(() => true, () => false);
    if (!isThere) return undefined;
    return lost(`the gateway at ${address.origin} answers, but pages of ${origin} may not use it: its operator admits them with --allow-origin ${origin}`);
  }
}
