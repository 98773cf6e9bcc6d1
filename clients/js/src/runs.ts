import { OddswireError } from "./errors.js";
import type { Feed, FeedState } from "./feed.js";
import type { ScrapeProgress } from "./generated.js";
import { isOver } from "./messages.js";

/**
 * One run, followed to its end: `for await (const image of watch)` gives each image, the newest first of what was
 * there already; `done` gives the last one. Either may be used, or both.
 */
export class RunWatch implements AsyncIterable<ScrapeProgress> {
  readonly #feed: Feed;

  /** @internal */
  constructor(feed: Feed) {
    this.#feed = feed;
  }

  /** The last image of the run, whatever its outcome. Rejects when the run is unknown, or when the watch is closed before. */
  get done(): Promise<ScrapeProgress> {
    return new Promise((resolve, reject) => {
      const look = (image: ScrapeProgress) => isOver(image.status) && resolve(image);
      this.#feed.on("snapshot", ({ messages }) => messages.forEach((message) => message.type === "scrape_progress" && look(message.data)));
      this.#feed.on("scrape_progress", ({ data }) => look(data));
      const ended = ({ status, error }: FeedState) => {
        if (status === "closed") reject(error ?? new OddswireError("closed", "the watch was closed before the run was over"));
      };
      this.#feed.on("state", ended);
      ended(this.#feed.state);
    });
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
      for (const message of messages) if (message.type === "scrape_progress") yield message.data;
    }
  }
}
