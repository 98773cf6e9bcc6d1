// One connection over one of the two transports, until it ends. Whether and when to come back is the feed's matter.

import { OddswireError, refusal, retryAfter } from "./errors.js";
import { explain } from "./explain.js";
import type { Message } from "./messages.js";
import { StreamReader } from "./sse.js";

export type Transport = "ws" | "sse";

/** The part of the platform's WebSocket that is used: the `ws` package has it too. */
export interface WebSocketLike {
  onopen: ((event: never) => void) | null;
  onmessage: ((event: { data: unknown }) => void) | null;
  onclose: ((event: { code: number; reason: string }) => void) | null;
  onerror: ((event: never) => void) | null;
  readonly readyState: number;
  send(data: string): void;
  close(code?: number): void;
}

export type WebSocketConstructor = new (url: string, protocols?: string | string[]) => WebSocketLike;

/** What is asked for. */
export interface Request {
  /** The address without its query, `http:` or `https:`. */
  readonly url: URL;
  readonly query: Readonly<Record<string, string>>;
  readonly token: string | undefined;
  /** Asks the gateway why, when the connection is refused without a word: a browser tells its page nothing. */
  readonly fetch: typeof globalThis.fetch;
  /** Whether it is to be asked. */
  readonly explain: boolean;
}

/** Why a connection ended. */
export type End =
  /** Come back, with the cursor. */
  | {
      readonly kind: "lost";
      readonly why: string;
      readonly retryAfterMs?: number | undefined;
      readonly planned?: boolean;
      /** Whether the gateway said so when it was asked. */
      readonly explained?: boolean;
    }
  /** Come back with another token. */
  | { readonly kind: "unauthorized"; readonly error: OddswireError }
  /** Coming back would not help. */
  | { readonly kind: "refused"; readonly error: OddswireError }
  /** There is no more: the run is over. */
  | { readonly kind: "over" };

/** What a connection tells. After `end`, and after its own `close`, nothing more. */
export interface Hooks {
  /** Bytes came, be they a message or not. */
  heard(): void;
  message(message: Message): void;
  end(end: End): void;
}

export interface Connection {
  /** Sends a message to the gateway; false where the transport has no way to. */
  send(message: object): boolean;
  close(): void;
}

const OPEN = 1;
const PROTOCOL = "oddswire.v1";

/** The close codes after which a client comes back (docs/close-codes.md). */
export const comesBack = (code: number): boolean => [1001, 1006, 1012, 1013].includes(code) || (code >= 4000 && code <= 4499);

export function openWebSocket(Socket: WebSocketConstructor, request: Request, hooks: Hooks): Connection {
  const url = withQuery(request);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  const socket = request.token === undefined ? new Socket(url.href) : new Socket(url.href, [PROTOCOL, `bearer.${request.token}`]);
  let fault: { code: string; detail: string } | undefined;
  let opened = false;
  let dropped = false;
  const drop = () => {
    dropped = true;
    socket.onopen = null;
    socket.onmessage = null;
    socket.onclose = null;
    // Closing before the handshake is over makes the `ws` package tell an error to whoever listens, and throw else.
    socket.onerror = () => {};
  };
  socket.onopen = () => void (opened = true);
  socket.onmessage = ({ data }) => {
    opened = true;
    hooks.heard();
    const message = parsed(data);
    if (message === undefined) return;
    if (message.type === "error") fault = message.data;
    hooks.message(message);
  };
  socket.onclose = ({ code, reason }) => {
    drop();
    const end = closed(code, reason, fault);
    if (opened || end.kind !== "lost" || !request.explain) return hooks.end(end);
    dropped = false;
    void explain(request).then((why) => void (dropped || hooks.end(why ?? end)));
  };
  socket.onerror = () => {};
  return {
    send(message) {
      if (socket.readyState !== OPEN) return false;
      socket.send(JSON.stringify(message));
      return true;
    },
    close() {
      drop();
      socket.close(1000);
    },
  };
}

// The last `error` before a close says more than the code.
function closed(code: number, reason: string, fault: { code: string; detail: string } | undefined): End {
  // A token that is refused for another reason than its age may have a better successor too: keys are exchanged.
  if (code === 4401 || (code === 4501 && fault?.code === "token_invalid")) {
    const error = new OddswireError(fault?.code ?? "token_expired", fault?.detail ?? "the token is not good any more");
    return { kind: "unauthorized", error };
  }
  if (comesBack(code)) return { kind: "lost", why: `the connection ended (${code}${reason ? ` ${reason}` : ""})`, planned: code === 1012 };
  const detail = fault?.detail ?? `the gateway closed the connection (${code}${reason ? ` ${reason}` : ""})`;
  return { kind: "refused", error: new OddswireError(fault?.code ?? `closed_${code}`, detail) };
}

export function openEventStream(request: Request, hooks: Hooks): Connection {
  const stop = new AbortController();
  let ended = false;
  let answered = false;
  const end = (how: End) => {
    if (ended) return;
    ended = true;
    stop.abort();
    hooks.end(how);
  };
  const headers: Record<string, string> = { accept: "text/event-stream" };
  if (request.token !== undefined) headers["authorization"] = `Bearer ${request.token}`;
  const read = async () => {
    const { fetch } = request;
    const answer = await fetch(withQuery(request).href, { headers, cache: "no-store", signal: stop.signal });
    answered = true;
    if (answer.status === 204) return end({ kind: "over" });
    if (!answer.ok || answer.body === null) return end(await refused(answer));
    const media = answer.headers.get("content-type") ?? "";
    // A page to log in to the network, for one.
    if (!media.startsWith("text/event-stream")) return end({ kind: "lost", why: `the answer is no event stream (${media || "it does not say what"})` });
    const reader = new StreamReader();
    let told = false;
    const decoder = new TextDecoder();
    const body = answer.body.getReader();
    for (;;) {
      const { done, value } = await body.read();
      if (ended) return;
      if (done) break;
      hooks.heard();
      for (const event of reader.push(decoder.decode(value, { stream: true }))) {
        const message = parsed(event.data);
        told ||= message?.type === "reconnect";
        if (message !== undefined) hooks.message(event.id === "" ? message : ({ ...message, id: event.id } as Message));
        if (ended) return;
      }
    }
    // The `retry:` that a stream begins with is for a plain EventSource, which has no backoff of its own.
    end({ kind: "lost", why: "the stream ended", retryAfterMs: told ? reader.retry : undefined });
  };
  read().catch(async (error: unknown) => {
    const lost: End = { kind: "lost", why: error instanceof Error ? error.message : String(error) };
    const asks = !answered && !ended && request.explain;
    end((asks ? await explain(request) : undefined) ?? lost);
  });
  return {
    send: () => false,
    close() {
      ended = true;
      stop.abort();
    },
  };
}

/** What an answer that is no success means. */
export async function refused(answer: Response): Promise<End> {
  const { status } = answer;
  const hint = retryAfter(answer.headers.get("retry-after"), Date.now());
  const error = await refusal(answer);
  if (status === 401) return { kind: "unauthorized", error };
  if (error.mayPass) return { kind: "lost", why: error.message, retryAfterMs: hint };
  return { kind: "refused", error };
}

function parsed(data: unknown): Message | undefined {
  if (typeof data !== "string") return undefined;
  try {
    const message = JSON.parse(data) as Message | null;
    return typeof message?.type === "string" && typeof message.data === "object" && message.data !== null ? message : undefined;
  } catch {
    return undefined;
  }
}

function withQuery({ url, query }: Request): URL {
  const whole = new URL(url);
  for (const [name, value] of Object.entries(query)) whole.searchParams.set(name, value);
  return whole;
}
