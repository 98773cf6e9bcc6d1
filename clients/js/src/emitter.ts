/** Listeners by name. One that throws stops neither the others nor the feed; its error is the program's, uncaught. */
export class Emitter<Events extends object> {
  readonly #listeners = new Map<keyof Events, Set<(event: never) => void>>();

  /** Calls `listener` with each event of this name from now on; gives what takes it off again. */
  on<Name extends keyof Events>(name: Name, listener: (event: Events[Name]) => void): () => void {
    const known = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, known.add(listener));
    return () => void known.delete(listener);
  }

  protected emit<Name extends keyof Events>(name: Name, event: Events[Name]): void {
    const known = this.#listeners.get(name);
    // A copy: one that is added meanwhile begins with the next event. One that was taken off meanwhile is not called.
    for (const listener of [...(known ?? [])]) {
      if (known?.has(listener) !== true) continue;
      try {
        (listener as (event: Events[Name]) => void)(event);
      } catch (error) {
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }
}
