/** When to come back: `random(0, min(max, base · 2^failures))`, so that clients cut off together spread ("full jitter"). */
export class Backoff {
  readonly #base: number;
  readonly #max: number;
  readonly #random: () => number;
  #failures = 0;

  constructor(options: { min?: number; max?: number } = {}, random: () => number = () => Math.random()) {
    this.#base = options.min ?? 500;
    this.#max = options.max ?? 20_000;
    this.#random = random;
  }

  /** How often in a row it did not last. */
  get failures(): number {
    return this.#failures;
  }

  /** A connection ended that lived for `livedMs` after its acknowledgement; gives the milliseconds to wait. */
  next(livedMs: number): number {
    // Only what lasted counts as success: else a gateway that accepts and drops would be called twice a second.
    if (livedMs >= STABLE_MS) this.#failures = 0;
    const ceiling = Math.min(this.#max, this.#base * 2 ** this.#failures);
    this.#failures = Math.min(this.#failures + 1, 30);
    return this.#random() * ceiling;
  }

  reset(): void {
    this.#failures = 0;
  }
}

/** A connection that lived this long was a good one. */
export const STABLE_MS = 10_000;
