import type { Transport, WebSocketConstructor } from "./connection.js";
import { OddswireError, refusal } from "./errors.js";
import { Feed, type FeedOptions, type Surroundings } from "./feed.js";
import type {
  OddsConfirmed,
  OddsUpdate,
  ScrapeProgress,
  SourceRecord,
  Sources,
  Started,
  Status,
  TicketGiven,
  WorkerRecord,
  Workers,
} from "./generated.js";
import type { OddsMessage } from "./messages.js";
import { RunWatch } from "./runs.js";
import { Tokens, type TokenSource } from "./token.js";

export interface ClientOptions {
  /** A token, or what fetches one; it is asked again when the old one ends. None for a gateway that asks for none. */
  token?: TokenSource;
  /** In order of preference. Default: WebSocket where there is one, then Server-Sent Events. */
  transports?: readonly Transport[];
  /** Milliseconds: the first ceiling of the random wait (500) and the last (20,000). */
  backoff?: { min?: number; max?: number };
  /** In place of the platform's. */
  fetch?: typeof globalThis.fetch;
  /** In place of the platform's; Node 20 has none: give it that of the package `ws`, or stay with Server-Sent Events. */
  WebSocket?: unknown;
  /** Closes all feeds of this client, and ends its requests, when it aborts. */
  signal?: AbortSignal;
}

export interface RunFilter {
  status?: Status;
  source?: string;
  batch_id?: string;
  /** 1 to 500; 50 unless given. */
  limit?: number;
  /** The `next_page` of the answer before. */
  page?: string;
}

export interface RunList {
  runs: ScrapeProgress[];
  next_page: string | null;
}

export interface BoardFilter {
  sport?: string;
  event_id?: string;
  source?: string;
  /** `<key>-<period>`: `h2h-ft`. */
  market?: string;
}

/** The board now. A feed with `since: cursor` continues it. */
export interface Board {
  cursor: string;
  markets: OddsUpdate[];
  /** By source. */
  confirmed: Record<string, OddsConfirmed>;
}

export interface HistoryFilter {
  source?: string;
  market?: string;
  /** A time; default: 24 hours ago. */
  since?: string;
}

/** A gateway, or several equal ones. */
export class Client {
  readonly #around: Surroundings;
  #clockOffsetMs = 0;

  /** @internal */
  constructor(urls: readonly URL[], options: ClientOptions) {
    const Socket = (options.WebSocket ?? globalThis.WebSocket) as WebSocketConstructor | undefined;
    const wanted = options.transports ?? ["ws", "sse"];
    const transports = wanted.filter((transport) => transport === "sse" || Socket !== undefined);
    if (transports.length === 0) throw new Error("there is no WebSocket here: give one as `WebSocket`, or admit the transport \"sse\"");
    this.#around = {
      urls,
      tokens: new Tokens(options.token),
      transports,
      backoff: options.backoff ?? {},
      // Called as a method of something else the platform's fetch throws.
      fetch: options.fetch ?? ((input, init) => globalThis.fetch(input, init)),
      WebSocket: Socket,
      signal: options.signal,
      clock: (serverTime) => this.#clock(serverTime),
    };
  }

  /** Milliseconds by which the gateway's clock is ahead of this machine's, as its last word told. */
  get clockOffsetMs(): number {
    return this.#clockOffsetMs;
  }

  /** The gateway's time now, in milliseconds since 1970: what ages are to be computed with. */
  now(): number {
    return Date.now() + this.#clockOffsetMs;
  }

  /** A stream of events. It connects when the first listener is added. */
  subscribe(options: FeedOptions = {}): Feed {
    return new Feed(this.#around, options);
  }

  readonly runs = {
    /** Starts a run of each source named, or of each enabled one; or (`retryOf`) what failed in a run. */
    start: (what: { sources?: readonly string[]; retryOf?: string } = {}): Promise<Started> =>
      this.#post("api/scrapes", what.retryOf === undefined ? { sources: what.sources ?? [] } : { retry_of: what.retryOf }),
    list: (filter: RunFilter = {}): Promise<RunList> => this.#get("api/scrapes", filter),
    get: (runId: string): Promise<ScrapeProgress> => this.#get(`api/scrapes/${encodeURIComponent(runId)}`),
    /** Asks the run to stop; its last event tells when it has. */
    cancel: (runId: string): Promise<{ run_id: string; status: Status }> => this.#post(`api/scrapes/${encodeURIComponent(runId)}/cancel`, {}),
    /** Starts a new run that repeats what failed in this one. */
    retry: (runId: string): Promise<Started> => this.runs.start({ retryOf: runId }),
    /** Follows one run to its end. */
    watch: (runId: string): RunWatch => {
      const only = { path: `api/scrapes/${encodeURIComponent(runId)}/events`, transport: "sse" as const };
      return new RunWatch(new Feed(this.#around, { since: "snapshot" }, only));
    },
  };

  readonly odds = {
    /** The board now, all of its pages. */
    board: async (filter: BoardFilter = {}): Promise<Board> => {
      type Page = Board & { next_page: string | null };
      const first = await this.#get<Page>("api/odds", { ...filter, limit: 5000 });
      const { cursor, confirmed } = first;
      const markets = new Map<string, OddsUpdate>();
      const put = (image: OddsUpdate) => {
        const key = [image.event.event_id, image.source, image.market.key, image.market.period].join(".");
        // A market that changed while pages were read comes again: the later image holds.
        markets.delete(key);
        markets.set(key, image);
      };
      first.markets.forEach(put);
      for (let page = first.next_page; page !== null; ) {
        const next: Page = await this.#get<Page>("api/odds", { ...filter, limit: 5000, page });
        next.markets.forEach(put);
        Object.assign(confirmed, next.confirmed);
        page = next.next_page;
      }
      return { cursor, markets: [...markets.values()], confirmed };
    },
    /** The images of the event's markets in the last 24 hours, oldest first. */
    history: async (eventId: string, filter: HistoryFilter = {}): Promise<OddsMessage[]> => {
      type Page = { images: OddsMessage[]; next_page: string | null };
      const path = `api/odds/${encodeURIComponent(eventId)}/history`;
      const images: OddsMessage[] = [];
      let page: string | null = null;
      do {
        const next: Page = await this.#get<Page>(path, page === null ? filter : { ...filter, page });
        images.push(...next.images);
        page = next.next_page;
      } while (page !== null);
      return images;
    },
  };

  async sources(): Promise<SourceRecord[]> {
    return (await this.#get<Sources>("api/sources")).sources;
  }

  async workers(): Promise<WorkerRecord[]> {
    return (await this.#get<Workers>("api/workers")).workers;
  }

  /** Lets one stream in where no header can be sent: a plain EventSource, another program. */
  ticket(): Promise<TicketGiven> {
    return this.#post("api/tickets", {});
  }

  #get<Answer>(path: string, query: object = {}): Promise<Answer> {
    const filled = Object.entries(query).filter(([, value]) => value !== undefined);
    const words = new URLSearchParams(filled.map(([key, value]) => [key, String(value)]));
    return this.#request("GET", words.size === 0 ? path : `${path}?${words}`);
  }

  #post<Answer>(path: string, body: object): Promise<Answer> {
    return this.#request("POST", path, JSON.stringify(body));
  }

  async #request<Answer>(method: string, path: string, body?: string): Promise<Answer> {
    const { tokens } = this.#around;
    const token = await tokens.get();
    let answer = await this.#ask(method, path, token, body);
    if (answer.status === 401 && tokens.canRenew) {
      await answer.body?.cancel();
      answer = await this.#ask(method, path, await tokens.renew(token), body);
    }
    if (!answer.ok) throw await refusal(answer);
    const text = await answer.text();
    try {
      return JSON.parse(text) as Answer;
    } catch (cause) {
      throw new OddswireError("invalid_answer", `the answer to ${method} ${path} is no JSON: is that a gateway?`, { status: answer.status, cause });
    }
  }

  // The first gateway that can be reached answers. What was refused is not asked of another: all are equal.
  async #ask(method: string, path: string, token: string | undefined, body?: string): Promise<Response> {
    const { fetch, signal, urls } = this.#around;
    const headers: Record<string, string> = { accept: "application/json" };
    if (token !== undefined) headers["authorization"] = `Bearer ${token}`;
    if (body !== undefined) headers["content-type"] = "application/json";
    const init: RequestInit = { method, headers, ...(body === undefined ? {} : { body }), ...(signal === undefined ? {} : { signal }) };
    let cause: unknown;
    for (const url of urls) {
      try {
        return await fetch(new URL(path, url).href, init);
      } catch (error) {
        if (signal?.aborted) throw error;
        cause = error;
        // Whether a request that changes something was carried out is not known now: asking twice could do it twice.
        if (method !== "GET") break;
      }
    }
    throw new OddswireError("network", `no gateway could be reached: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }

  #clock(serverTime: string): void {
    const offset = Date.parse(serverTime) - Date.now();
    if (Number.isFinite(offset)) this.#clockOffsetMs = offset;
  }
}

/**
 * A client of the gateway at `url`; of several equal gateways where a list is given, the next one is taken when one is
 * lost. Addresses may have a path (`https://host/odds/`). In a page it defaults to the page's own address.
 */
export function createClient(url?: string | URL | readonly (string | URL)[], options: ClientOptions = {}): Client {
  const base = typeof document === "undefined" ? undefined : document.baseURI;
  const given = url === undefined ? (base === undefined ? [] : [base]) : [url].flat();
  if (given.length === 0) throw new Error("createClient needs the address of a gateway");
  const urls = given.map((one) => {
    const whole = new URL(one, base);
    if (!/^https?:$/.test(whole.protocol)) throw new Error(`the address of a gateway begins with http:// or https://, not ${whole.protocol}`);
    whole.hash = "";
    whole.search = "";
    // A path without a slash at its end would lose its last part when others are resolved against it.
    if (url !== undefined && !whole.pathname.endsWith("/")) whole.pathname += "/";
    return whole;
  });
  return new Client(urls, options);
}
