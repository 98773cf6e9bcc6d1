/** A token, or what fetches one. It is called again when the old one ends or is refused. */
export type TokenSource = string | (() => string | Promise<string>);

/** Holds the token in force, and fetches the next one once for all who need it. */
export class Tokens {
  readonly #source: TokenSource | undefined;
  #held: string | undefined;
  #coming: Promise<string> | undefined;

  constructor(source: TokenSource | undefined) {
    this.#source = source;
    if (typeof source === "string") this.#held = source;
  }

  /** Whether another token can be had. */
  get canRenew(): boolean {
    return typeof this.#source === "function";
  }

  async get(): Promise<string | undefined> {
    return this.#source === undefined ? undefined : (this.#held ?? (await this.#fetch()));
  }

  /** A new one in place of `old`, unless that was replaced already. */
  async renew(old: string | undefined): Promise<string | undefined> {
    if (this.canRenew && this.#held === old) this.#held = undefined;
    return this.get();
  }

  #fetch(): Promise<string> {
    const fetch = this.#source as () => string | Promise<string>;
    // Asked in a later turn: a source that throws at once would be done before it is noted as coming.
    this.#coming ??= Promise.resolve()
      .then(fetch)
      .then((token) => (this.#held = token))
      .finally(() => (this.#coming = undefined));
    return this.#coming;
  }
}
