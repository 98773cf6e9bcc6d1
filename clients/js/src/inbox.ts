import type { Snapshot } from "./feed.js";
import type { EventMessage } from "./messages.js";

type Item = EventMessage | Snapshot;
type Result = IteratorResult<Item, undefined>;

/** What came and was not asked for yet, between a feed and the reader of its iterator. */
export class Inbox {
  readonly #limit: number;
  readonly #dealtWith: (cursor: string) => void;
  readonly #hungry: () => void;
  #items: Item[] = [];
  #taken = 0;
  // What the reader has in hand.
  #given: Item | undefined;
  #reader: { resolve(result: Result): void; reject(error: Error): void } | null = null;
  #ended: { error: Error | null } | null = null;

  /** `dealtWith` is told the position of what was given out, when the next is asked for; `hungry`, that half is free. */
  constructor(limit: number, dealtWith: (cursor: string) => void, hungry: () => void) {
    this.#limit = limit;
    this.#dealtWith = dealtWith;
    this.#hungry = hungry;
  }

  /** Whether everything that came was given out and dealt with. */
  get isEmpty(): boolean {
    return this.#taken === this.#items.length && this.#given === undefined;
  }

  /** Takes an item; false when the reader is now too far behind for more. */
  put(item: Item): boolean {
    if (this.#ended !== null) return true;
    if (this.#reader !== null) {
      const reader = this.#reader;
      this.#reader = null;
      reader.resolve(this.#give(item));
      return true;
    }
    this.#items.push(item);
    return this.#items.length - this.#taken < this.#limit;
  }

  /** Nothing more comes. What is here is still given out. */
  end(error: Error | null): void {
    this.#ended ??= { error };
    if (this.#reader === null) return;
    const reader = this.#reader;
    this.#reader = null;
    if (error === null) reader.resolve({ done: true, value: undefined });
    else reader.reject(error);
  }

  /** The reader went away: what is here is given to nobody. */
  stop(): void {
    this.#items = [];
    this.#taken = 0;
    this.end(null);
  }

  next(): Promise<Result> {
    if (this.#reader !== null) return Promise.reject(new Error("ask for one event at a time"));
    const dealtWith = this.#given?.id;
    this.#given = undefined;
    if (dealtWith !== undefined) this.#dealtWith(dealtWith);
    const item = this.#items[this.#taken];
    if (item !== undefined) {
      this.#taken += 1;
      this.#shrink();
      return Promise.resolve(this.#give(item));
    }
    if (this.#ended?.error) return Promise.reject(this.#ended.error);
    if (this.#ended !== null) return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve, reject) => (this.#reader = { resolve, reject }));
  }

  #give(item: Item): Result {
    this.#given = item;
    return { done: false, value: item };
  }

  #shrink(): void {
    if (this.#taken * 2 < this.#items.length) return;
    this.#items = this.#items.slice(this.#taken);
    this.#taken = 0;
    if (this.#items.length * 2 <= this.#limit) this.#hungry();
  }
}
