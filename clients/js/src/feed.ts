import { Backoff } from "./backoff.js";
import {
  type Connection,
  type End,
  type Transport,
  type WebSocketConstructor,
  openEventStream,
  openWebSocket,
} from "./connection.js";
import { Emitter } from "./emitter.js";
import { OddswireError } from "./errors.js";
import type { ErrorData, Heartbeat, Lagging, Upstream, Verdict } from "./generated.js";
import { type ConfirmedMessage, type EventMessage, type Message, type OddsMessage, type RunMessage, isEvent, isOver } from "./messages.js";
import { Inbox } from "./inbox.js";
import type { Tokens } from "./token.js";

/** How a feed does. A page that shows this never lies. */
export interface FeedState {
  /**
   * - `idle`: nobody listens yet
   * - `connecting`: a connection is being made
   * - `replaying`: connected; what was missed, or the state, is coming
   * - `live`: everything so far was handed over
   * - `unavailable`: connected, but the bus behind the gateway is down; what was asked for comes when it is back
   * - `reconnecting`: not connected; the next attempt is at `retryAt`
   * - `offline`: the device says that it has no network; tries again when it has
   * - `paused`: the reader of the iterator is behind; connects again when it caught up
   * - `closed`: for good: `close()` was called, the run is over, or `error` says why
   */
  readonly status: "idle" | "connecting" | "replaying" | "live" | "unavailable" | "reconnecting" | "offline" | "paused" | "closed";
  readonly transport: Transport | null;
  /** How the connection continued what was there before. */
  readonly verdict: Verdict | null;
  /** Events taken since the last acknowledgement, until it was caught up. */
  readonly replayed: number;
  /** Whether the gateway has its bus: `down` and `stale` mean that what is shown may be old. */
  readonly upstream: Upstream | "unknown";
  /** Since how many milliseconds `upstream` is not known to be `ok`. */
  readonly lagMs: number;
  /** When the next attempt is, in milliseconds of `Date.now()`. */
  readonly retryAt: number | null;
  /** Attempts that failed in a row. */
  readonly failures: number;
  /** Why the last connection ended. */
  readonly why: string | null;
  /** Why the feed is closed, if not by `close()`. */
  readonly error: OddswireError | null;
}

/** A whole state: what was held for these topics is to be replaced by it. */
export interface Snapshot {
  readonly type: "snapshot";
  /** `gap`: events were lost before it. The state is right all the same. */
  readonly verdict: "snapshot" | "gap";
  /** The images, in the order in which they came. */
  readonly messages: readonly EventMessage[];
  /** The position behind it. */
  readonly id: string;
}

export interface FeedEvents {
  /** A whole state, in place of what was held. */
  snapshot: Snapshot;
  /** Each event that is no part of a snapshot. */
  event: EventMessage;
  scrape_progress: RunMessage;
  odds_update: OddsMessage;
  odds_confirmed: ConfirmedMessage;
  /** All that was asked for was handed over; live from here. */
  caught_up: { readonly replayed: number; readonly id: string };
  state: FeedState;
  heartbeat: Heartbeat;
  /** This client was too slow for a while. */
  lagging: Lagging;
  /** What the gateway complained about while the connection goes on. */
  fault: ErrorData;
  /** Messages of a type that this version does not know. */
  unknown: Message;
}

/** Where a feed keeps its position between two lives of the program. */
export interface CursorStorage {
  get(): string | null | undefined | Promise<string | null | undefined>;
  set(cursor: string): void | Promise<void>;
}

export interface FeedOptions {
  /** Topics; none: everything. */
  topics?: readonly string[];
  /** `now` (default), `snapshot`, or a cursor. */
  since?: string;
  /** At most one message a key in this many milliseconds, 0 to 60,000; 0 (default): every one. */
  conflateMs?: number;
  /** The same while the page is hidden; null: no difference. Default 2,000. */
  hiddenConflateMs?: number | null;
  /** Beats `since` when it holds a cursor. It is written at most once a second, and when the feed is closed. */
  storage?: CursorStorage;
  /** How many messages the iterator keeps for a slow reader before the feed pauses. Default 10,000. */
  buffer?: number;
}

/** What a feed needs of its client. */
export interface Surroundings {
  readonly urls: readonly URL[];
  readonly tokens: Tokens;
  readonly transports: readonly Transport[];
  readonly backoff: { min?: number; max?: number };
  readonly fetch: typeof globalThis.fetch;
  readonly WebSocket: WebSocketConstructor | undefined;
  /** Tells the gateway's time whenever one came. */
  clock(serverTime: string): void;
}

const OPEN_WITHIN_MS = 15_000;
const MISSED_HEARTBEATS = 2.5;
const TICK_MS = 1000;
// After so many connections in a row that were never acknowledged the next transport is tried ...
const FAILURES_TO_SWITCH = 2;
// ... and after so long the preferred one again.
const PREFER_AGAIN_MS = 600_000;
const SAVE_EVERY_MS = 1000;
const RUNS_REMEMBERED = 10_000;

/**
 * One stream of events, over as many connections as it takes: every event once, in order, whichever gateway answers.
 *
 * It begins when the first listener is added (or the iterator is asked), after the present turn, so that listeners
 * added together miss nothing. Without conflation every event of a run comes; of odds, every image while connected,
 * and after a cut the newest of each key. Each replaces what is held under its key whole.
 */
export class Feed extends Emitter<FeedEvents> implements AsyncIterable<EventMessage | Snapshot> {
  readonly #around: Surroundings;
  readonly #options: FeedOptions;
  readonly #path: string;
  readonly #transports: readonly Transport[];
  readonly #backoff: Backoff;
  readonly #timers: { tick?: ReturnType<typeof setInterval>; retry?: ReturnType<typeof setTimeout>; slot?: ReturnType<typeof setTimeout> } = {};
  readonly #seen = new Map<string, number>();
  readonly #offs: (() => void)[] = [];
  #state: FeedState = IDLE;
  #connection: Connection | null = null;
  // Attempts are numbered, so that what was begun for one that is over ends there.
  #attempt = 0;
  #token: string | undefined;
  #refusals = 0;
  #urlAt = 0;
  #transportAt = 0;
  #switchedAt = 0;
  #unacknowledged = 0;
  #acknowledgedAt: number | null = null;
  #heardAt = 0;
  #tickedAt = 0;
  #silenceMs = OPEN_WITHIN_MS;
  // What came is handed over up to here ...
  #received: string;
  // ... and dealt with up to here.
  #cursor: string | null = null;
  #snapshot: { verdict: "snapshot" | "gap"; messages: EventMessage[] } | null = null;
  #topics: readonly string[] = [];
  #inbox: Inbox | null = null;
  #savedAt = 0;
  #saved: string | null = null;

  /** @internal */
  constructor(around: Surroundings, options: FeedOptions, only?: { path: string; transport: Transport }) {
    super();
    this.#around = around;
    this.#options = options;
    this.#path = only?.path ?? "";
    this.#transports = only === undefined ? around.transports : [only.transport];
    this.#backoff = new Backoff(around.backoff);
    this.#received = options.since ?? "now";
  }

  get state(): FeedState {
    return this.#state;
  }

  /** The position behind what was dealt with: opaque, and good at any gateway. Null before the first acknowledgement. */
  get cursor(): string | null {
    return this.#cursor;
  }

  override on<Name extends keyof FeedEvents>(name: Name, listener: (event: FeedEvents[Name]) => void): () => void {
    this.#begin();
    return super.on(name, listener);
  }

  /** Ends the feed for good. Iterators end after what they hold. */
  close(): void {
    this.#finish(null);
  }

  /**
   * The events, one by one, snapshots among them. One iterator a feed. While it is used the cursor moves when the next
   * event is asked for: what was given out before is dealt with then. It ends when the feed is closed, and throws when
   * that was for an error.
   */
  [Symbol.asyncIterator](): AsyncIterator<EventMessage | Snapshot, undefined> {
    if (this.#inbox !== null) throw new Error("this feed has an iterator already");
    const inbox = new Inbox(this.#options.buffer ?? 10_000, (cursor) => this.#dealtWith(cursor), () => this.#unpause());
    this.#inbox = inbox;
    if (this.#state.status === "closed") inbox.end(this.#state.error);
    else this.#begin();
    return {
      next: () => inbox.next(),
      return: () => {
        this.close();
        return Promise.resolve({ done: true as const, value: undefined });
      },
    };
  }

  // ---- the life of the feed

  #begin(): void {
    if (this.#state.status !== "idle") return;
    this.#set({ status: "connecting" });
    this.#tickedAt = performance.now();
    this.#timers.tick = setInterval(() => this.#tick(), TICK_MS);
    this.#watchPlatform();
    void this.#start();
  }

  async #start(): Promise<void> {
    try {
      const stored = await this.#options.storage?.get();
      if (stored) this.#received = stored;
    } catch (error) {
      this.#set({ why: `the storage failed: ${sentence(error)}` });
    }
    if (this.#state.status !== "closed") await this.#connect();
  }

  #finish(error: OddswireError | null): void {
    if (this.#state.status === "closed") return;
    this.#drop();
    clearInterval(this.#timers.tick);
    clearTimeout(this.#timers.retry);
    for (const off of this.#offs) off();
    this.#save(true);
    this.#set({ status: "closed", retryAt: null, error, why: error?.message ?? this.#state.why });
    this.#inbox?.end(error);
  }

  async #connect(): Promise<void> {
    this.#drop();
    clearTimeout(this.#timers.retry);
    const attempt = this.#attempt;
    const transport = this.#pick();
    this.#set({ status: "connecting", transport, retryAt: null });
    this.#heardAt = performance.now();
    this.#silenceMs = OPEN_WITHIN_MS;
    try {
      this.#token = await this.#around.tokens.get();
    } catch (error) {
      if (attempt === this.#attempt) this.#ended({ kind: "lost", why: `no token: ${sentence(error)}` });
      return;
    }
    if (attempt !== this.#attempt) return;
    const request = { url: this.#address(transport), query: this.#query(), token: this.#token };
    const current = () => attempt === this.#attempt;
    const hooks = {
      heard: () => void (this.#heardAt = performance.now()),
      message: (message: Message) => void (current() && this.#take(message)),
      end: (end: End) => void (current() && this.#ended(end)),
    };
    try {
      this.#connection =
        transport === "ws" && this.#around.WebSocket !== undefined
          ? openWebSocket(this.#around.WebSocket, request, hooks)
          : openEventStream(this.#around.fetch, request, hooks);
    } catch (error) {
      this.#ended({ kind: "lost", why: sentence(error) });
    }
  }

  // Forgets the present connection; nothing of it is heard any more.
  #drop(): void {
    this.#attempt += 1;
    this.#connection?.close();
    this.#connection = null;
    this.#snapshot = null;
    this.#acknowledgedAt = null;
    clearTimeout(this.#timers.slot);
  }

  #ended(end: End): void {
    const livedMs = this.#acknowledgedAt === null ? 0 : performance.now() - this.#acknowledgedAt;
    this.#unacknowledged = this.#acknowledgedAt === null ? this.#unacknowledged + 1 : 0;
    this.#drop();
    if (end.kind === "over") return this.#finish(null);
    if (end.kind === "refused") return this.#finish(end.error);
    if (end.kind === "unauthorized") return this.#unauthorized(end.error);
    this.#urlAt += 1;
    if (end.planned) this.#backoff.reset();
    const delay = end.retryAfterMs === undefined ? this.#backoff.next(livedMs) : this.#backoff.after(end.retryAfterMs);
    this.#retryIn(delay, end.why);
  }

  // The first refusal asks for another token; one that was fetched for this and is refused too is final.
  #unauthorized(error: OddswireError): void {
    this.#refusals += 1;
    if (!this.#around.tokens.canRenew || this.#refusals > 1) return this.#finish(error);
    const attempt = this.#attempt;
    this.#set({ status: "connecting", why: error.message });
    this.#around.tokens.renew(this.#token).then(
      () => attempt === this.#attempt && void this.#connect(),
      (failed: unknown) => attempt === this.#attempt && this.#retryIn(this.#backoff.next(0), `no token: ${sentence(failed)}`),
    );
  }

  #retryIn(delay: number, why: string): void {
    const failures = this.#backoff.failures;
    if (isOffline()) return this.#set({ status: "offline", retryAt: null, failures, why });
    this.#set({ status: "reconnecting", retryAt: Date.now() + delay, failures, why });
    this.#timers.retry = setTimeout(() => void this.#connect(), delay);
  }

  // ---- what the gateway says

  #take(message: Message): void {
    if (isEvent(message)) return this.#event(message);
    switch (message.type) {
      case "connection_ack":
        this.#acknowledgedAt = performance.now();
        this.#unacknowledged = 0;
        this.#refusals = 0;
        this.#silenceMs = MISSED_HEARTBEATS * message.data.heartbeat_ms;
        this.#topics = message.data.topics;
        this.#around.clock(message.timestamp);
        // From here on a cut is no reason to begin at another "now". A snapshot is asked for until it is whole.
        if (this.#received === "now") this.#moved(message.data.cursor);
        return this.#verdict(message.data.resume.verdict);
      case "resume":
        return this.#verdict(message.data.verdict);
      case "caught_up":
        return this.#caughtUp(message.data.cursor, message.data.replayed);
      case "heartbeat":
        this.#around.clock(message.data.server_time);
        if (this.#state.status === "live") this.#moved(message.data.cursor);
        this.#set({ upstream: message.data.upstream, lagMs: message.data.lag_ms });
        return this.emit("heartbeat", message.data);
      case "subscription_ack":
        this.#topics = message.data.topics;
        return;
      case "reconnect":
        clearTimeout(this.#timers.slot);
        this.#timers.slot = setTimeout(() => this.#ended({ kind: "lost", why: message.data.reason, planned: true }), message.data.after_ms);
        return;
      case "lagging":
        return this.emit("lagging", message.data);
      case "error":
        if (message.data.code === "token_expiring") void this.#renew();
        return this.emit("fault", message.data);
      case "pong":
        return;
      default:
        return this.emit("unknown", message);
    }
  }

  #verdict(verdict: Verdict): void {
    if (verdict === "snapshot" || verdict === "gap") {
      // The worse one stays: a resume may follow an acknowledgement before anything is whole.
      const lost = verdict === "gap" || this.#snapshot?.verdict === "gap";
      this.#snapshot = { verdict: lost ? "gap" : "snapshot", messages: [] };
    }
    const down = verdict === "unavailable";
    this.#set({
      status: down ? "unavailable" : "replaying",
      verdict,
      replayed: 0,
      ...(down ? { upstream: "down" as const } : { upstream: "ok" as const, lagMs: 0 }),
    });
  }

  #event(message: EventMessage): void {
    if (this.#snapshot !== null) {
      this.#snapshot.messages.push(message);
      this.#count();
      return;
    }
    if (message.type === "scrape_progress" && !this.#isNews(message)) return;
    if (this.#state.status === "replaying") this.#count();
    this.#hand(message);
  }

  // Conflation may repeat an image after a cut.
  #isNews({ data: { run_id, seq } }: RunMessage): boolean {
    if ((this.#seen.get(run_id) ?? -1) >= seq) return false;
    this.#seen.delete(run_id);
    this.#seen.set(run_id, seq);
    if (this.#seen.size > RUNS_REMEMBERED) this.#seen.delete(this.#seen.keys().next().value as string);
    return true;
  }

  #hand(item: EventMessage | Snapshot): void {
    if (item.id !== undefined) this.#received = item.id;
    if (item.type === "snapshot") {
      this.emit("snapshot", item);
    } else {
      this.emit("event", item);
      // Each type is a name of FeedEvents; the compiler does not see that they go together.
      this.emit(item.type, item as never);
    }
    if (this.#inbox === null) {
      if (item.id !== undefined) this.#dealtWith(item.id);
    } else if (!this.#inbox.put(item)) {
      this.#drop();
      this.#set({ status: "paused", why: "the reader is behind" });
    }
    const ends = this.#path !== "" && item.type === "scrape_progress" && isOver(item.data.status);
    if (ends) this.#finish(null);
  }

  #caughtUp(id: string, replayed: number): void {
    const whole = this.#snapshot;
    this.#snapshot = null;
    if (whole !== null) {
      this.#seen.clear();
      for (const message of whole.messages) if (message.type === "scrape_progress") this.#isNews(message);
      this.#hand({ type: "snapshot", verdict: whole.verdict, messages: whole.messages, id });
      const [last] = whole.messages.slice(-1);
      if (this.#path !== "" && last?.type === "scrape_progress" && isOver(last.data.status)) this.#finish(null);
    }
    // A listener may have closed the feed, or the reader may be too far behind.
    if (this.#connection === null) return;
    this.#moved(id);
    this.#set({ status: "live", replayed });
    this.emit("caught_up", { replayed, id });
  }

  // A position with nothing in between.
  #moved(cursor: string): void {
    this.#received = cursor;
    if (this.#inbox === null || this.#inbox.isEmpty) this.#dealtWith(cursor);
  }

  #dealtWith(cursor: string): void {
    this.#cursor = cursor;
    this.#save(false);
  }

  // ---- the platform

  #tick(): void {
    const now = performance.now();
    // A program that slept could not have heard anything.
    if (now - this.#tickedAt > 5 * TICK_MS) this.#heardAt = Math.max(this.#heardAt, now - this.#silenceMs / 2);
    this.#tickedAt = now;
    const waits = this.#state.status === "connecting" || this.#connection !== null;
    if (waits && now - this.#heardAt > this.#silenceMs) this.#ended({ kind: "lost", why: `nothing was heard for ${Math.round(this.#silenceMs / 1000)} s` });
    this.#save(false);
  }

  #watchPlatform(): void {
    const listen = (target: EventTarget | undefined, name: string, act: () => void) => {
      if (typeof target?.addEventListener !== "function") return;
      target.addEventListener(name, act);
      this.#offs.push(() => target.removeEventListener(name, act));
    };
    const page = typeof document === "undefined" ? undefined : document;
    const network = typeof window === "undefined" ? undefined : window;
    listen(network, "online", () => ["offline", "reconnecting"].includes(this.#state.status) && void this.#connect());
    listen(network, "offline", () => {
      if (this.#state.status !== "reconnecting") return;
      clearTimeout(this.#timers.retry);
      this.#set({ status: "offline", retryAt: null });
    });
    listen(page, "visibilitychange", () => this.#visibility());
    listen(network, "pagehide", () => this.#save(true));
  }

  // A hidden page wants less; a topic that is there already carries the wish.
  #visibility(): void {
    const [topic] = this.#topics;
    if (this.#options.hiddenConflateMs === null || this.#connection === null || topic === undefined) return;
    const wish = { type: "subscribe", topics: [topic], since: "now", conflate_ms: this.#conflateMs() };
    if (!this.#connection.send(wish) && this.#state.transport === "sse" && this.#state.status === "live") void this.#connect();
  }

  async #renew(): Promise<void> {
    const attempt = this.#attempt;
    try {
      const token = await this.#around.tokens.renew(this.#token);
      if (attempt !== this.#attempt || token === undefined || token === this.#token) return;
      this.#token = token;
      if (this.#connection?.send({ type: "auth", token }) !== true) await this.#connect();
    } catch (error) {
      // The old one holds for a while; at its end the gateway closes, and another is asked for then.
      if (attempt === this.#attempt) this.#set({ why: `no token: ${sentence(error)}` });
    }
  }

  #unpause(): void {
    if (this.#state.status === "paused") void this.#connect();
  }

  #save(now: boolean): void {
    const { storage } = this.#options;
    const at = performance.now();
    if (storage === undefined || this.#cursor === null || this.#cursor === this.#saved) return;
    if (!now && this.#saved !== null && at - this.#savedAt < SAVE_EVERY_MS) return;
    this.#savedAt = at;
    this.#saved = this.#cursor;
    Promise.resolve()
      .then(() => storage.set(this.#saved as string))
      .catch((error: unknown) => this.#set({ why: `the storage failed: ${sentence(error)}` }));
  }

  // ---- what is asked for

  #pick(): Transport {
    const many = this.#transports.length;
    if (this.#transportAt !== 0 && performance.now() - this.#switchedAt > PREFER_AGAIN_MS) this.#transportAt = 0;
    // The preferred transport gets two chances, each other one.
    const chances = this.#transportAt === 0 ? FAILURES_TO_SWITCH : 1;
    if (many > 1 && this.#unacknowledged >= chances) {
      this.#transportAt = (this.#transportAt + 1) % many;
      this.#switchedAt = performance.now();
      this.#unacknowledged = 0;
    }
    return this.#transports[this.#transportAt] as Transport;
  }

  #address(transport: Transport): URL {
    const base = this.#around.urls[this.#urlAt % this.#around.urls.length] as URL;
    return new URL(this.#path || (transport === "ws" ? "api/ws" : "api/events"), base);
  }

  #query(): Record<string, string> {
    const query: Record<string, string> = { since: this.#received };
    const { topics } = this.#options;
    if (topics !== undefined && topics.length > 0) query["topics"] = topics.join(",");
    const conflateMs = this.#conflateMs();
    if (conflateMs > 0) query["conflate_ms"] = String(conflateMs);
    return query;
  }

  #conflateMs(): number {
    const own = this.#options.conflateMs ?? 0;
    const { hiddenConflateMs = 2000 } = this.#options;
    const hidden = typeof document !== "undefined" && document.visibilityState === "hidden";
    return hidden && hiddenConflateMs !== null ? Math.max(own, hiddenConflateMs) : own;
  }

  #count(): void {
    // Told in steps: a listener of states is no counter of events.
    const replayed = this.#state.replayed + 1;
    if (replayed % 100 === 0) this.#set({ replayed });
    else this.#state = { ...this.#state, replayed };
  }

  #set(change: Partial<FeedState>): void {
    const known = this.#state;
    if (known.status === "closed") return;
    if (Object.entries(change).every(([key, value]) => known[key as keyof FeedState] === value)) return;
    this.#state = { ...known, ...change };
    this.emit("state", this.#state);
  }
}

const IDLE: FeedState = {
  status: "idle",
  transport: null,
  verdict: null,
  replayed: 0,
  upstream: "unknown",
  lagMs: 0,
  retryAt: null,
  failures: 0,
  why: null,
  error: null,
};

const isOffline = (): boolean => typeof navigator !== "undefined" && navigator.onLine === false;
const sentence = (error: unknown): string => (error instanceof Error ? error.message : String(error));
