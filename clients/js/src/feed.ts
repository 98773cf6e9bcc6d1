import { Backoff } from "./backoff.js";
import { type Connection, type End, type Transport, type WebSocketConstructor, openEventStream, openWebSocket } from "./connection.js";
import { Emitter } from "./emitter.js";
import { OddswireError } from "./errors.js";
import type { ConnectionAck, ErrorData, Heartbeat, Lagging, Verdict } from "./generated.js";
import { Inbox } from "./inbox.js";
import { type CursorStorage, Keeper } from "./keeper.js";
import { type ConfirmedMessage, type EventMessage, type Message, type OddsMessage, type RunMessage, isEvent, isOver, isReadable } from "./messages.js";
import { Parts } from "./parts.js";
import { isHidden, isOffline, listen } from "./platform.js";
import { Route } from "./route.js";
import { type FeedState, IDLE } from "./state.js";
import type { Tokens } from "./token.js";

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
  /** Each image of a state under way, for who draws it before it is whole; null: it begins, and what came before is void. */
  part: EventMessage | null;
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
  /** An event that is not what the protocol says: it is left out, and the stream goes on. */
  unreadable: Message;
}

export interface FeedOptions {
  /** Topics; none: everything. */
  topics?: readonly string[];
  /** `now` (default), `snapshot`, or a cursor. */
  since?: string;
  /**
   * Some of the topics: their state comes before that of the others where the whole one is asked for (`since: "snapshot"`),
   * told by `part`. Over WebSocket alone; an event stream has one state, in no order.
   */
  first?: readonly string[];
  /** At most one message a key in this many milliseconds, 0 to 60,000; 0 (default): every one. */
  conflateMs?: number;
  /** The same while the page is hidden; null: no difference. Default 2,000. */
  hiddenConflateMs?: number | null;
  /**
   * Beats `since` when it holds a cursor. It is written at most once a second, and when the feed is closed. One that
   * cannot be read closes the feed with an error, since what was missed would be lost silently.
   */
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
  readonly signal: AbortSignal | undefined;
  /** Tells the gateway's time whenever one came. */
  clock(serverTime: string): void;
}

const OPEN_WITHIN_MS = 15_000;
const MISSED_HEARTBEATS = 2.5;
const TICK_MS = 1000;
// A connection that may have died unnoticed answers a ping within this time.
const PONG_WITHIN_MS = 5000;
// Without a network, as the device says, attempts are this far apart: the gateway may be on the device itself.
const OFFLINE_RETRY_MS = 20_000;
const TIMER_MAX_MS = 2 ** 31 - 1;
const RUNS_REMEMBERED = 10_000;
// Marks what is asked for in mid-connection, so that its end is not taken for that of the whole.
const REF = "conflate";

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
  // The address of one run's stream; empty: that of all.
  readonly #path: string;
  readonly #route: Route;
  readonly #backoff: Backoff;
  readonly #keeper: Keeper;
  readonly #timers: { tick?: ReturnType<typeof setInterval>; retry?: ReturnType<typeof setTimeout>; slot?: ReturnType<typeof setTimeout> } = {};
  readonly #seen = new Map<string, number>();
  readonly #offs: (() => void)[] = [];
  #state: FeedState = IDLE;
  #telling = false;
  #connection: Connection | null = null;
  // Attempts are numbered, so that what was begun for one that is over ends there.
  #attempt = 0;
  #token: string | undefined;
  // Why connections are refused, as the gateway said when it was asked; null while it has not.
  #explained: string | null = null;
  // Attempts in a row that were not acknowledged.
  #unacknowledged = 0;
  #refusals = 0;
  #acknowledgedAt: number | null = null;
  // When something was heard last; null while nothing is to be heard.
  #heardAt: number | null = null;
  #forgivenAt: number | null = null;
  #tickedAt = 0;
  #silenceMs = OPEN_WITHIN_MS;
  // What came is handed over up to here ...
  #received: string;
  // ... and dealt with up to here.
  #cursor: string | null = null;
  #snapshot: { verdict: "snapshot" | "gap"; messages: EventMessage[] } | null = null;
  // Null where the state comes in one part, or is whole.
  #parts: Parts | null = null;
  #topics: readonly string[] = [];
  #askedConflateMs = 0;
  #inbox: Inbox | null = null;

  /** @internal */
  constructor(around: Surroundings, options: FeedOptions, only?: { path: string; transport: Transport }) {
    super();
    this.#around = around;
    this.#options = options;
    this.#path = only?.path ?? "";
    this.#route = new Route(around.urls, only === undefined ? around.transports : [only.transport]);
    this.#backoff = new Backoff(around.backoff);
    this.#keeper = new Keeper(options.storage, (error) => this.#set({ why: `the storage failed: ${sentence(error)}` }));
    this.#received = options.since ?? "now";
  }

  get state(): FeedState {
    return this.#state;
  }

  /** The position behind what was dealt with: opaque, and good at any gateway. Null until there is something to go on from. */
  get cursor(): string | null {
    return this.#cursor;
  }

  override on<Name extends keyof FeedEvents>(name: Name, listener: (event: FeedEvents[Name]) => void): () => void {
    this.#begin();
    return super.on(name, listener);
  }

  /** Ends the feed for good: nothing that comes later is handed over. An iterator ends after what it holds. */
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
      return: async () => {
        inbox.stop();
        this.close();
        await this.#keeper.settled();
        return { done: true as const, value: undefined };
      },
    };
  }

  // ---- the life of the feed

  #begin(): void {
    if (this.#state.status !== "idle") return;
    if (this.#around.signal?.aborted) return this.close();
    this.#set({ status: "connecting" });
    this.#tickedAt = performance.now();
    this.#timers.tick = setInterval(() => this.#tick(), TICK_MS);
    this.#watchPlatform();
    void this.#start();
  }

  async #start(): Promise<void> {
    try {
      this.#received = (await this.#keeper.load()) ?? this.#received;
    } catch (cause) {
      return this.#finish(new OddswireError("storage", `the stored position cannot be read: ${sentence(cause)}`, { cause }));
    }
    await this.#connect();
  }

  #finish(error: OddswireError | null): void {
    if (this.#state.status === "closed") return;
    this.#drop();
    clearInterval(this.#timers.tick);
    clearTimeout(this.#timers.retry);
    for (const off of this.#offs) off();
    this.#keeper.write(true);
    this.#set({ status: "closed", retryAt: null, error, why: error?.message ?? this.#state.why });
    this.#inbox?.end(error);
  }

  async #connect(): Promise<void> {
    if (this.#state.status === "closed") return;
    this.#drop();
    clearTimeout(this.#timers.retry);
    const attempt = this.#attempt;
    const current = () => attempt === this.#attempt;
    const { url, transport } = this.#route.next();
    const { first = [] } = this.#options;
    const inParts = transport === "ws" && this.#received === "snapshot" && first.length > 0;
    this.#parts = inParts ? new Parts(first, (command) => void this.#connection?.send(command)) : null;
    this.#expect(OPEN_WITHIN_MS);
    this.#set({ status: "connecting", transport, retryAt: null });
    try {
      const token = await this.#around.tokens.get();
      if (!current()) return;
      this.#token = token;
    } catch (error) {
      if (current()) this.#retryIn(this.#backoff.next(0), `no token: ${sentence(error)}`);
      return;
    }
    const address = new URL(this.#path || (transport === "ws" ? "api/ws" : "api/events"), url);
    const { fetch } = this.#around;
    // One failure is a gateway that restarts. While it goes on, each question costs a gateway that is in trouble already.
    const explain = isPowerOfTwo(this.#unacknowledged + 1) && this.#unacknowledged > 0 && !isOffline();
    const request = { url: address, query: this.#query(), token: this.#token, fetch, explain };
    const hooks = {
      heard: () => void (this.#heardAt = performance.now()),
      message: (message: Message) => void (current() && this.#take(message)),
      end: (end: End) => void (current() && this.#ended(end, explain)),
    };
    this.#expect(OPEN_WITHIN_MS);
    try {
      this.#connection =
        transport === "ws" && this.#around.WebSocket !== undefined
          ? openWebSocket(this.#around.WebSocket, request, hooks)
          : openEventStream(request, hooks);
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
    this.#heardAt = null;
    clearTimeout(this.#timers.slot);
  }

  #ended(end: End, wasAsked = false): void {
    const acknowledged = this.#acknowledgedAt !== null;
    const livedMs = this.#acknowledgedAt === null ? 0 : performance.now() - this.#acknowledgedAt;
    this.#drop();
    switch (end.kind) {
      case "over":
        return this.#finish(null);
      case "refused":
        return this.#finish(end.error);
      case "unauthorized":
        return this.#unauthorized(end.error, acknowledged ? livedMs : null);
      case "lost":
        this.#route.lost(acknowledged);
        if (end.planned) this.#backoff.reset();
        if (!acknowledged) this.#unacknowledged += 1;
        // What the gateway said when it was asked says more than what the next attempts end with, until it is asked again.
        if (wasAsked) this.#explained = end.explained ? end.why : null;
        return this.#retryIn((end.retryAfterMs ?? 0) + this.#backoff.next(livedMs), this.#explained ?? end.why);
    }
  }

  // A token that was let in and ended has a successor. One that is not let in asks for another once; when the one that
  // was fetched for this is not let in either, that is final.
  #unauthorized(error: OddswireError, livedMs: number | null): void {
    if (livedMs === null) this.#refusals += 1;
    if (!this.#around.tokens.canRenew || this.#refusals > 1) return this.#finish(error);
    const attempt = this.#attempt;
    this.#expect(OPEN_WITHIN_MS);
    this.#set({ status: "connecting", why: error.message });
    this.#around.tokens.renew(this.#token).then(
      () => {
        if (attempt !== this.#attempt) return;
        if (livedMs === null) void this.#connect();
        else this.#retryIn(this.#backoff.next(livedMs), error.message);
      },
      (failed: unknown) => attempt === this.#attempt && this.#retryIn(this.#backoff.next(0), `no token: ${sentence(failed)}`),
    );
  }

  #retryIn(delay: number, why: string): void {
    const offline = isOffline();
    const wait = Math.min(offline ? Math.max(delay, OFFLINE_RETRY_MS) : delay, TIMER_MAX_MS);
    this.#drop();
    clearTimeout(this.#timers.retry);
    this.#timers.retry = setTimeout(() => void this.#connect(), wait);
    this.#set({ status: offline ? "offline" : "reconnecting", retryAt: Date.now() + wait, failures: this.#backoff.failures, why });
  }

  // From now on something is to be heard within this time, again and again.
  #expect(withinMs: number): void {
    this.#heardAt = performance.now();
    this.#silenceMs = withinMs;
  }

  // ---- what the gateway says

  #take(message: Message): void {
    if (isEvent(message)) return this.#event(message);
    switch (message.type) {
      case "connection_ack":
        this.#acknowledgedAt = performance.now();
        this.#route.acknowledged();
        this.#refusals = 0;
        this.#unacknowledged = 0;
        this.#explained = null;
        this.#expect(Math.max(MISSED_HEARTBEATS * message.data.heartbeat_ms, 2 * TICK_MS));
        this.#topics = message.data.topics;
        this.#around.clock(message.timestamp);
        // From here on a cut is no reason to begin at another "now". A snapshot is asked for until it is whole.
        if (this.#received === "now") this.#moved(message.data.cursor);
        return this.#acknowledged(message.data);
      case "resume":
        return this.#verdict(message.data.verdict);
      case "caught_up":
        // What is owed to a change of conflation, or to a part of the state, says nothing of the rest.
        if (this.#parts !== null ? !this.#parts.isOver(message.data.ref) : message.data.ref !== undefined) return;
        this.#parts = null;
        return this.#caughtUp(message.data.cursor, message.data.replayed);
      case "heartbeat":
        this.#around.clock(message.data.server_time);
        if (this.#state.status === "live") this.#moved(message.data.cursor);
        this.#set({ upstream: message.data.upstream, lagMs: message.data.lag_ms });
        return this.#tell("heartbeat", message.data);
      case "subscription_ack":
        if (this.#parts?.granted(message.data) !== true) return void (this.#topics = message.data.topics);
        if (message.data.resume.verdict === "unavailable") this.#verdict("unavailable");
        return;
      case "reconnect":
        clearTimeout(this.#timers.slot);
        this.#timers.slot = setTimeout(() => this.#ended({ kind: "lost", why: message.data.reason, planned: true }), Math.min(message.data.after_ms, TIMER_MAX_MS));
        return;
      case "lagging":
        return this.#tell("lagging", message.data);
      case "error":
        if (message.data.code === "token_expiring") void this.#renew();
        return this.#tell("fault", message.data);
      case "pong":
        return;
      default:
        return this.#tell("unknown", message);
    }
  }

  #acknowledged({ topics, limits, resume: { verdict } }: ConnectionAck): void {
    if (this.#parts === null) return this.#verdict(verdict, 0);
    this.#verdict(verdict === "live" ? "snapshot" : verdict, 0);
    this.#parts.begin(topics, limits.topics);
  }

  #verdict(verdict: Verdict, failures = this.#state.failures): void {
    if (verdict === "snapshot" || verdict === "gap" || (this.#parts !== null && this.#snapshot === null)) {
      // The worse one stays: a resume may follow an acknowledgement before anything is whole.
      const lost = verdict === "gap" || this.#snapshot?.verdict === "gap";
      this.#snapshot = { verdict: lost ? "gap" : "snapshot", messages: [] };
      this.#tell("part", null);
    }
    const down = verdict === "unavailable";
    this.#set({
      status: down ? "unavailable" : "replaying",
      verdict,
      replayed: 0,
      failures,
      ...(down ? { upstream: "down" as const } : { upstream: "ok" as const, lagMs: 0 }),
    });
  }

  #event(message: EventMessage): void {
    if (!isReadable(message)) {
      if (message.id !== undefined && this.#snapshot === null) this.#moved(message.id);
      return this.#tell("unreadable", message);
    }
    if (this.#snapshot !== null) {
      this.#snapshot.messages.push(message);
      this.#count();
      this.#tell("part", message);
      return;
    }
    if (message.type === "scrape_progress" && !this.#isNews(message)) {
      if (message.id !== undefined) this.#moved(message.id);
      return;
    }
    if (this.#state.status === "replaying") this.#count();
    this.#hand(message);
  }

  // After a cut an image may come again.
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
      this.#tell("snapshot", item);
    } else {
      this.#tell("event", item);
      // Each type is a name of FeedEvents; the compiler does not see that they go together.
      this.#tell(item.type, item as never);
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
    this.#tell("caught_up", { replayed, id });
    this.#conflation();
  }

  // A position with nothing in between.
  #moved(cursor: string): void {
    this.#received = cursor;
    if (this.#inbox === null || this.#inbox.isEmpty) this.#dealtWith(cursor);
  }

  #dealtWith(cursor: string): void {
    this.#cursor = cursor;
    this.#keeper.keep(cursor);
    this.#keeper.write(this.#state.status === "closed");
  }

  // ---- the platform

  #tick(): void {
    const now = performance.now();
    const slept = now - this.#tickedAt > 5 * TICK_MS;
    this.#tickedAt = now;
    this.#keeper.write(false);
    if (this.#heardAt === null) return;
    // A program that slept could not have heard anything. Each silence is forgiven once: a hidden page always sleeps.
    if (slept && this.#heardAt !== this.#forgivenAt) {
      this.#heardAt = Math.max(this.#heardAt, now - this.#silenceMs / 2);
      this.#forgivenAt = this.#heardAt;
    }
    if (now - this.#heardAt <= this.#silenceMs) return;
    const why = `nothing was heard for ${Math.round(this.#silenceMs / 1000)} s`;
    if (this.#connection !== null) this.#ended({ kind: "lost", why });
    else this.#retryIn(this.#backoff.next(0), `no token came within ${Math.round(this.#silenceMs / 1000)} s`);
  }

  #watchPlatform(): void {
    const on = (target: Partial<EventTarget> | undefined, name: string, act: () => void) => this.#offs.push(listen(target, name, act));
    const page = typeof document === "undefined" ? undefined : document;
    on(globalThis, "online", () => {
      if (["offline", "reconnecting"].includes(this.#state.status)) void this.#connect();
      else this.#probe();
    });
    on(globalThis, "offline", () => this.#state.status === "reconnecting" && this.#retryIn(0, this.#state.why ?? "no network"));
    on(globalThis, "pagehide", () => this.#keeper.write(true));
    on(page, "visibilitychange", () => {
      this.#conflation();
      if (page?.visibilityState === "visible") this.#probe();
    });
    on(this.#around.signal, "abort", () => this.close());
  }

  // The network may have gone and come, or the device have slept: is the other side still there?
  #probe(): void {
    if (this.#acknowledgedAt === null || this.#heardAt === null || this.#connection?.send({ type: "ping" }) !== true) return;
    this.#heardAt = Math.min(this.#heardAt, performance.now() - this.#silenceMs + PONG_WITHIN_MS);
  }

  // A hidden page wants less; a topic that is there already carries the wish.
  #conflation(): void {
    const [topic] = this.#topics;
    const wanted = this.#conflateMs();
    if (this.#acknowledgedAt === null || this.#path !== "" || topic === undefined || wanted === this.#askedConflateMs) return;
    const wish = { type: "subscribe", topics: [topic], since: "now", conflate_ms: wanted, ref: REF };
    if (this.#connection?.send(wish) === true) this.#askedConflateMs = wanted;
    else if (this.#state.transport === "sse" && this.#state.status === "live") void this.#connect();
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

  // ---- what is asked for

  #query(): Record<string, string> {
    const query: Record<string, string> = { since: this.#parts === null ? this.#received : "now" };
    const { topics } = this.#options;
    if (topics !== undefined && topics.length > 0) query["topics"] = topics.join(",");
    this.#askedConflateMs = this.#conflateMs();
    if (this.#askedConflateMs > 0) query["conflate_ms"] = String(this.#askedConflateMs);
    return query;
  }

  #conflateMs(): number {
    const own = this.#options.conflateMs ?? 0;
    const { hiddenConflateMs = 2000 } = this.#options;
    return isHidden() && hiddenConflateMs !== null ? Math.max(own, hiddenConflateMs) : own;
  }

  #count(): void {
    // Told in steps: a listener of states is no counter of events.
    const replayed = this.#state.replayed + 1;
    if (replayed % 100 === 0) this.#set({ replayed });
    else this.#state = { ...this.#state, replayed };
  }

  // After the end nothing is told but that it is the end.
  #tell<Name extends keyof FeedEvents>(name: Name, event: FeedEvents[Name]): void {
    if (this.#state.status !== "closed") this.emit(name, event);
  }

  #set(change: Partial<FeedState>): void {
    const known = this.#state;
    if (known.status === "closed") return;
    if (Object.entries(change).every(([key, value]) => known[key as keyof FeedState] === value)) return;
    this.#state = { ...known, ...change };
    // A listener may cause the next state: all are told the one before first, and the newest last.
    if (this.#telling) return;
    this.#telling = true;
    for (let told: FeedState | null = null; told !== this.#state; ) {
      told = this.#state;
      this.emit("state", told);
    }
    this.#telling = false;
  }
}

const sentence = (error: unknown): string => (error instanceof Error ? error.message : String(error));
const isPowerOfTwo = (number: number): boolean => (number & (number - 1)) === 0;
