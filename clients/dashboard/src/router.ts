// The page's own addresses stand behind the #, so that they work below any path and on any file server.

import { signal } from "@preact/signals";

export type Route = { name: "home" } | { name: "runs" } | { name: "run"; id: string } | { name: "event"; id: string } | { name: "lost" };

export const route = signal<Route>(parse(location.hash));

addEventListener("hashchange", () => {
  route.value = parse(location.hash);
  scrollTo(0, 0);
});

function parse(hash: string): Route {
  const [first = "", second, ...more] = hash.replace(/^#?\/?/, "").split("/");
  if (more.length > 0) return { name: "lost" };
  if (first === "" && second === undefined) return { name: "home" };
  if (first === "runs" && second === undefined) return { name: "runs" };
  // Ids are of a-z, 0-9, _ and -: whatever else stands there is no id.
  if (second === undefined || !/^[a-z0-9_-]{1,64}$/.test(second)) return { name: "lost" };
  if (first === "runs") return { name: "run", id: second };
  if (first === "events") return { name: "event", id: second };
  return { name: "lost" };
}

export const toRun = (id: string): string => `#/runs/${id}`;
export const toEvent = (id: string): string => `#/events/${id}`;
