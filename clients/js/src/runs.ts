import { OddswireError } from "./errors.js";
import type { Feed } from "./feed.js";
import type { ScrapeProgress } from "./generated.js";
import { type EventMessage, isOver } from "./messages.js";
import type { FeedState } from "./state.js";

/**
 * One run, followed to its end: `for await (const image of watch)` gives each image, the newest of what was there
 * already first; `done` gives the last one. Either may be used, or both. It begins when one of them is asked for.
 */
export class RunWatch implements AsyncIterable<ScrapeProgress> {
  readonly #feed: Feed;
  #last: ScrapeProgress | undefined;
  #done: Promise<ScrapeProgress> | undefined;

  /** @internal */
  constructor(feed: Feed) {
    this.#feed = feed;
  }

  /** The last image of the run, whatever its outcome. Rejects when the run is unknown, or when the watch is closed before. */
  get done(): Promise<ScrapeProgress> {
    this.#done ??= new Promise((resolve, reject) => {
      if (this.#last !== undefined) return resolve(this.#last);
      const look = (messages: readonly EventMessage[]) => {
        for (const { type, data } of messages) if (type === "scrape_progress" && isOver(data.status)) resolve(data);
      };
      const ended = ({ status, error }: FeedState) => {
        if (status === "closed") reject(error ?? new OddswireError("closed", "the watch was closed before the run was over"));
      };
      this.#feed.on("snapshot", ({ messages }) => look(messages));
      this.#feed.on("scrape_progress", (message) => look([message]));
      this.#feed.on("state", ended);
      ended(this.#feed.state);
    });
    return this.#done;
  }

  get state(): FeedState {
    return this.#feed.state;
  }

  /** Calls `listener` with each change of how the connection does; gives what takes it off again. */
  onState(listener: (state: FeedState) => void): () => void {
    return this.#feed.on("state", listener);
  }

  close(): void {
    this.#feed.close();
  }

  async *[Symbol.asyncIterator](): AsyncIterator<ScrapeProgress> {
    for await (const item of this.#feed) {
      const messages = item.type === "snapshot" ? item.messages : [item];
      for (const { type, data } of messages) {
        if (type !== "scrape_progress") continue;
        if (isOver(data.status)) this.#last = data;
        yield data;
      }
    }
  }
}
