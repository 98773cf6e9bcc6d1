/** One event of an event stream. */
export interface StreamEvent {
  readonly type: string;
  readonly data: string;
  /** The last `id:` so far, this event's included. */
  readonly id: string;
}

/**
 * Reads an event stream (HTML Living Standard, 9.2.6) from chunks that end anywhere. An event whose last line has not
 * come is no event.
 */
export class StreamReader {
  #rest = "";
  #first = true;
  #data: string[] = [];
  #type = "";
  #id = "";
  #retry: number | undefined;

  /** The last `retry:`, in milliseconds. */
  get retry(): number | undefined {
    return this.#retry;
  }

  *push(chunk: string): Generator<StreamEvent> {
    this.#rest += chunk;
    if (this.#first && this.#rest !== "") {
      this.#first = false;
      if (this.#rest.startsWith("\uFEFF")) this.#rest = this.#rest.slice(1);
    }
    for (;;) {
      const at = this.#rest.search(/[\r\n]/);
      // A CR at the very end may be half of a CR LF.
      if (at < 0 || (this.#rest[at] === "\r" && at === this.#rest.length - 1)) return;
      const line = this.#rest.slice(0, at);
      this.#rest = this.#rest.slice(at + (this.#rest.startsWith("\r\n", at) ? 2 : 1));
      const event = this.#line(line);
      if (event !== undefined) yield event;
    }
  }

  #line(line: string): StreamEvent | undefined {
    if (line === "") return this.#dispatch();
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + (line[colon + 1] === " " ? 2 : 1));
    if (field === "data") this.#data.push(value);
    else if (field === "event") this.#type = value;
    else if (field === "id" && !value.includes("\0")) this.#id = value;
    else if (field === "retry" && /^\d+$/.test(value)) this.#retry = Number(value);
    return undefined;
  }

  #dispatch(): StreamEvent | undefined {
    const event = { type: this.#type || "message", data: this.#data.join("\n"), id: this.#id };
    const empty = this.#data.length === 0;
    this.#data = [];
    this.#type = "";
    return empty ? undefined : event;
  }
}
