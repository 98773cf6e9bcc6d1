import type { Problem } from "./generated.js";

// Request Timeout, Too Early, Too Many Requests.
const PASSING: ReadonlySet<number> = new Set([408, 425, 429]);

/**
 * What a gateway refused, or a connection that will not be tried again.
 *
 * `code` is stable and for programs: a `code` of docs/errors.md, `closed_<close code>` where a WebSocket was closed for
 * good, or `network` where no gateway could be reached. `message` is one sentence for a person.
 */
export class OddswireError extends Error {
  readonly code: string;
  /** The HTTP status, where there was one. */
  readonly status: number | undefined;
  /** The whole problem document, where there was one; some have keys of their own (`known`, `busy`). */
  readonly problem: (Problem & Record<string, unknown>) | undefined;
  /** Milliseconds after which to ask again, where the gateway said so. */
  readonly retryAfterMs: number | undefined;

  constructor(code: string, message: string, more: { status?: number; problem?: Problem; retryAfterMs?: number | undefined; cause?: unknown } = {}) {
    super(message, more.cause === undefined ? undefined : { cause: more.cause });
    this.name = "OddswireError";
    this.code = code;
    this.status = more.status;
    this.problem = more.problem as OddswireError["problem"];
    this.retryAfterMs = more.retryAfterMs;
  }

  /** Whether the same may be answered otherwise later: nobody could be reached, or the one who answered cannot do it now. */
  get mayPass(): boolean {
    return this.code === "network" || (this.status !== undefined && (this.status >= 500 || PASSING.has(this.status)));
  }
}

/** The error that an HTTP answer tells. */
export async function refusal(answer: Response): Promise<OddswireError> {
  const retryAfterMs = retryAfter(answer.headers.get("retry-after"), Date.now());
  const status = answer.status;
  let problem: Problem | undefined;
  try {
    problem = (await answer.json()) as Problem;
  } catch {
    // A proxy's own page: the status says enough.
  }
  if (typeof problem?.code !== "string") {
    return new OddswireError(`http_${status}`, `the gateway answered ${status} ${answer.statusText}`.trimEnd(), { status, retryAfterMs });
  }
  return new OddswireError(problem.code, problem.detail, { status, problem, retryAfterMs });
}

/** `Retry-After` in milliseconds: it is a number of seconds or a date. */
export function retryAfter(header: string | null, now: number): number | undefined {
  if (header === null || header.trim() === "") return undefined;
  const ms = /^\d+$/.test(header.trim()) ? Number(header) * 1000 : Date.parse(header) - now;
  return Number.isFinite(ms) ? Math.min(Math.max(ms, 0), 300_000) : undefined;
}
