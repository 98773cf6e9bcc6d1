/** Where a feed keeps its position between two lives of the program. */
export interface CursorStorage {
  get(): string | null | undefined | Promise<string | null | undefined>;
  set(cursor: string): void | Promise<void>;
}

const WRITE_EVERY_MS = 1000;

/** Writes positions into a storage: at most once a second, and one at a time, so that an older one is never written last. */
export class Keeper {
  readonly #storage: CursorStorage | undefined;
  readonly #failed: (error: unknown) => void;
  #wanted: string | null = null;
  #written: string | null = null;
  #beganAt = -Infinity;
  #writing: Promise<void> | null = null;
  #again = false;

  constructor(storage: CursorStorage | undefined, failed: (error: unknown) => void) {
    this.#storage = storage;
    this.#failed = failed;
  }

  /** What was kept in an earlier life. */
  async load(): Promise<string | null> {
    return (await this.#storage?.get()) || null;
  }

  /** From now on this is the position to write. */
  keep(cursor: string): void {
    this.#wanted = cursor;
  }

  /** Writes the position if there is a new one, and the last time is long enough ago or `now` is given. */
  write(now: boolean): void {
    const storage = this.#storage;
    const cursor = this.#wanted;
    if (storage === undefined || cursor === null || cursor === this.#written) return;
    if (this.#writing !== null) {
      this.#again ||= now;
      return;
    }
    if (!now && performance.now() - this.#beganAt < WRITE_EVERY_MS) return;
    this.#beganAt = performance.now();
    this.#again = false;
    // A storage that is done at once is called at once: a page that is left has no later.
    this.#writing = new Promise<void>((resolve) => resolve(storage.set(cursor))).then(
      () => this.#ended(cursor),
      (error: unknown) => {
        this.#ended(this.#written);
        this.#failed(error);
      },
    );
  }

  /** Resolves when nothing is being written any more. */
  async settled(): Promise<void> {
    while (this.#writing !== null) await this.#writing;
  }

  #ended(written: string | null): void {
    this.#written = written;
    this.#writing = null;
    if (this.#again) this.write(true);
  }
}
