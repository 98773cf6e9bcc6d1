// The runs that the page holds. No page in here.

import { isOver, type ScrapeProgress } from "@oddswire/client";
import { signal } from "@preact/signals";

const KEPT = 60;

export interface Run {
  readonly image: ScrapeProgress;
  /** When the image was true, in milliseconds. */
  readonly at: number;
}

export class Runs {
  readonly byId = new Map<string, Run>();
  readonly version = signal(0);
  readonly #ended: ((run: Run) => void) | undefined;

  constructor(ended?: (run: Run) => void) {
    this.#ended = ended;
  }

  take(image: ScrapeProgress, at: number): void {
    const before = this.byId.get(image.run_id);
    if (before !== undefined && before.image.seq >= image.seq) return;
    const run = { image, at };
    this.byId.set(image.run_id, run);
    if (isOver(image.status) && before !== undefined && !isOver(before.image.status)) this.#ended?.(run);
    if (this.byId.size > KEPT) this.#forget();
    this.version.value += 1;
  }

  /** Newest first: ids of runs are ordered by time. */
  inOrder(): Run[] {
    return [...this.byId.values()].sort((a, b) => (a.image.run_id < b.image.run_id ? 1 : -1));
  }

  /** The run of each source that is under way, else its last one; by source. */
  lanes(): Run[] {
    const lanes = new Map<string, Run>();
    for (const run of this.inOrder()) {
      const held = lanes.get(run.image.source);
      if (held === undefined || (isOver(held.image.status) && !isOver(run.image.status))) lanes.set(run.image.source, run);
    }
    return [...lanes.values()].sort((a, b) => (a.image.source < b.image.source ? -1 : 1));
  }

  // The oldest that are over go, but each source's lane stays.
  #forget(): void {
    const lanes = new Set(this.lanes());
    const over = this.inOrder().filter((run) => isOver(run.image.status) && !lanes.has(run));
    for (const { image } of over.slice(KEPT / 2)) this.byId.delete(image.run_id);
  }
}
