// What the visible view shows, as topics: its state is asked for before that of the rest.

import { oddsTopic, runTopic } from "@oddswire/client";
import { signal } from "@preact/signals";
import { route } from "./router.js";

/** The market that the board shows. */
export const market = signal("h2h-ft");

/** None where the view needs nothing. */
export function topicsShown(): string[] {
  const at = route.peek();
  switch (at.name) {
    case "home":
      return [runTopic(), oddsTopic({ market: market.peek() })];
    case "event":
      return [oddsTopic({ event: at.id })];
    case "runs":
    case "run":
      return [runTopic()];
    case "lost":
      return [];
  }
}
