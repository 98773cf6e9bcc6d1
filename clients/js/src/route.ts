import type { Transport } from "./connection.js";

// After so many attempts in a row that were never acknowledged the next transport is tried ...
const FAILURES_TO_SWITCH = 2;
// ... and the preferred one again by the first attempt after so long.
const PREFER_AGAIN_MS = 600_000;

/** Which gateway is asked next, and over which transport. */
export class Route {
  readonly #urls: readonly URL[];
  readonly #transports: readonly Transport[];
  #urlAt = 0;
  #transportAt = 0;
  #switchedAt = 0;
  #failures = 0;

  constructor(urls: readonly URL[], transports: readonly Transport[]) {
    this.#urls = urls;
    this.#transports = transports;
  }

  next(): { url: URL; transport: Transport } {
    if (this.#transportAt !== 0 && performance.now() - this.#switchedAt > PREFER_AGAIN_MS) this.#use(0);
    // The preferred transport gets two chances, each other one.
    const chances = this.#transportAt === 0 ? FAILURES_TO_SWITCH : 1;
    if (this.#transports.length > 1 && this.#failures >= chances) this.#use((this.#transportAt + 1) % this.#transports.length);
    const url = this.#urls[this.#urlAt % this.#urls.length] as URL;
    return { url, transport: this.#transports[this.#transportAt] as Transport };
  }

  acknowledged(): void {
    this.#failures = 0;
  }

  /** The connection is gone; without an acknowledgement the transport may be to blame. */
  lost(acknowledged: boolean): void {
    this.#urlAt += 1;
    if (!acknowledged) this.#failures += 1;
  }

  #use(transportAt: number): void {
    this.#transportAt = transportAt;
    this.#switchedAt = performance.now();
    this.#failures = 0;
  }
}
