import type { Transport } from "./connection.js";
import type { OddswireError } from "./errors.js";
import type { Upstream, Verdict } from "./generated.js";

/** How a feed does. A page that shows this never lies. */
export interface FeedState {
  /**
   * - `idle`: nobody listens yet
   * - `connecting`: a connection is being made
   * - `replaying`: connected; what was missed, or the state, is coming
   * - `live`: everything so far was handed over
   * - `unavailable`: connected, but the bus behind the gateway is down; what was asked for comes when it is back
   * - `reconnecting`: not connected; the next attempt is at `retryAt`
   * - `offline`: the same, but the device says that it has no network: tries at once when it has, and seldom until then
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

/** The state of a feed that nobody listens to yet. */
export const IDLE: FeedState = {
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
