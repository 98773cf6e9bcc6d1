// A state that comes in two parts.

// Which part is under way; the `ref` of the subscribe that asked for it.
type Part = "first" | "rest";

/**
 * Asks for the state in two parts, over one connection that follows everything from its beginning, so that nothing is missed
 * between them: each part with a subscribe. What "everything" is the gateway says: a token may allow less. A cut before the
 * last part is whole begins with the first one again.
 */
export class Parts {
  readonly #first: readonly string[];
  readonly #send: (command: object) => void;
  #part: Part = "first";
  #all: readonly string[] = [];
  // What the first part alone follows.
  #firstAlone: readonly string[] = [];

  constructor(first: readonly string[], send: (command: object) => void) {
    this.#first = first;
    this.#send = send;
  }

  /** The connection follows these topics, and may follow so many. */
  begin(topics: readonly string[], most: number): void {
    this.#all = topics;
    const first = this.#first.slice(0, Math.max(0, most - topics.length));
    if (first.length > 0) this.#ask("first", first);
    else this.#askForRest();
  }

  /** Whether an acknowledgement is that of the part under way. */
  granted({ ref, topics }: { readonly ref?: unknown; readonly topics: readonly string[] }): boolean {
    if (ref !== this.#part) return false;
    if (this.#part === "first") this.#firstAlone = topics.filter((topic) => !this.#all.includes(topic));
    return true;
  }

  /** Whether both parts are whole with what was caught up now; goes on to the second where it was the first. */
  isOver(ref: unknown): boolean {
    if (ref !== this.#part) return false;
    if (this.#part === "rest") return true;
    this.#askForRest();
    return false;
  }

  // Topics that say nothing of their own would keep the gateway from sharing the bytes of other clients with this one.
  #askForRest(): void {
    if (this.#firstAlone.length > 0) this.#send({ type: "unsubscribe", topics: this.#firstAlone });
    this.#ask("rest", this.#all);
  }

  #ask(part: Part, topics: readonly string[]): void {
    this.#part = part;
    this.#send({ type: "subscribe", topics, since: "snapshot", ref: part });
  }
}
