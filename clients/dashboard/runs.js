// The list of runs: one row each, with its phases, a live bar, its pace and what went wrong.

import { h, morphChildren, setText } from "./dom.js";
import { isOver } from "./state.js";
import { count, duration, elapsed, plural, words } from "./words.js";

const PHASES = ["initializing", "discovering", "scraping", "mapping", "storing"];
// A worker says something every 5 s; after this long it is worth telling that it does not.
const SILENT_MS = 15_000;

const list = document.querySelector("#runs");
const earlier = document.querySelector("#earlier");
const empty = document.querySelector("#runs-empty");

// Shows the runs of `view` `{state, now, live, settled, bus, titleOf, cancelling}`.
export function showRuns(view) {
  const runs = view.state.runsInOrder();
  // A source has at most one run at a time. Rows keep their places, for a button must not move away from under a
  // finger each time that some source begins anew.
  const newest = new Map(runs.toReversed().map((run) => [run.image.source, run]));
  const current = [...newest.keys()].sort().map((source) => newest.get(source));
  const rest = runs.filter((run) => !current.includes(run));
  morphChildren(list, current.map((run) => row(run, view)));
  morphChildren(earlier.querySelector("ol"), rest.map((run) => row(run, view)));
  setText(earlier.querySelector("summary"), plural(rest.length, "earlier run"));
  earlier.hidden = rest.length === 0;
  empty.hidden = runs.length > 0;
  const waiting = view.bus ? "Loading the runs …" : "The bus is unavailable: no runs can be loaded yet.";
  setText(empty, view.settled ? "Never scraped yet. “Scrape now” starts a run of every source." : waiting);
}

function row(run, view) {
  const { image } = run;
  const { run_id, source, status, phase } = image;
  const marks = { "data-key": run_id, "data-source": source, "data-status": status, "data-phase": phase };
  const name = h("p", {}, h("strong", {}, view.titleOf(source)), " ", h("span", { class: "status" }, status));
  const place = isOver(run) ? ending(image, view) : moving(image, view);
  const said = h("p", { class: "small" }, message(run, view));
  const counts = `${plural(image.events_count, "event")}, ${plural(image.changed_count, "change")}`;
  const time = h("p", { class: "elapsed" }, elapsed(elapsedMs(run, view)));
  return h(
    "li",
    { class: "run", ...marks },
    h("div", {}, name, strip(image)),
    h("div", { class: "progress" }, ...place, said, errors(image)),
    h("div", { class: "facts small" }, h("p", {}, counts), time),
    h("div", { class: "act" }, cancelButton(run, view)),
  );
}

function strip({ phases, phase, status }) {
  const reached = phases.findLast((entry) => PHASES.includes(entry.phase))?.phase ?? phase;
  const markOf = (place) => {
    if (status === "completed" || place < PHASES.indexOf(reached)) return "done";
    return place === PHASES.indexOf(reached) ? status : "ahead";
  };
  const segment = (name, place) => {
    const entry = phases.findLast((candidate) => candidate.phase === name);
    const title = `${name}: ${entry ? elapsed(entry.elapsed_ms) : "not begun"}`;
    return h("li", { class: markOf(place), title });
  };
  const shown = ["completed", "queued"].includes(status) ? "" : reached;
  const segments = h("ol", { "aria-hidden": "true" }, ...PHASES.map(segment));
  return h("div", { class: "phases" }, segments, h("p", { class: "phase small" }, shown));
}

function moving({ source, status, phase, current, total, unit, rate_per_s, eta_ms }, view) {
  const text = total === null ? `${count(current)} ${unit}` : `${count(current)} of ${count(total)} ${unit}`;
  // A bar without a value moves for ever: that would be a lie about a run that nobody works on or hears of.
  const unknown = total === null && status !== "queued" && view.live;
  const value = total === null ? 0 : current;
  const label = `${view.titleOf(source)}, ${phase}: ${text}`;
  const rate = rate_per_s !== null && `${rate_per_s.toFixed(rate_per_s < 10 ? 1 : 0)} ${unit}/s`;
  const left = eta_ms !== null && `about ${duration(eta_ms)} left in this phase`;
  const pace = h("span", { class: "small" }, [rate, left].filter(Boolean).join(", "));
  return [
    h("progress", { max: total || 1, value: unknown ? null : value, "aria-label": label }),
    h("p", {}, h("b", { class: "done" }, text), " ", pace),
  ];
}

function ending({ finished_at, outcome, status }, view) {
  const ago = finished_at && `${duration(view.now - Date.parse(finished_at))} ago`;
  const result = outcome ?? status;
  return [h("p", {}, h("b", { class: `outcome ${result}` }, result), " ", h("span", { class: "small" }, ago))];
}

function errors({ errors: groups }) {
  const item = (group) => {
    const kind = words(group.error_type) + (group.http_status ? ` ${group.http_status}` : "");
    const retry = group.retry_in_ms ? ` Next try in ${duration(group.retry_in_ms)}.` : "";
    return h("li", {}, h("strong", {}, `${count(group.count)} × ${kind}`), ` ${group.message}${retry}`);
  };
  return groups.length > 0 && h("ul", { class: "errors small", "aria-label": "Errors" }, ...groups.map(item));
}

// Goes on counting between the images of a run that is heard of.
function elapsedMs({ image, at }, view) {
  const counts = view.live && (image.status === "running" || image.status === "cancelling");
  return image.elapsed_ms + (counts ? Math.max(0, view.now - at) : 0);
}

function message(run, view) {
  const { image, at } = run;
  const silence = view.now - at;
  const silent = view.live && !isOver(run) && image.status !== "queued" && silence > SILENT_MS;
  const attempt = image.attempt > 1 ? `Attempt ${image.attempt}. ` : "";
  return attempt + image.message + (silent ? ` No sign of life for ${duration(silence)}.` : "");
}

function cancelButton(run, view) {
  if (isOver(run)) return null;
  const { run_id, source, status } = run.image;
  const asked = status === "cancelling" || view.cancelling.has(run_id);
  const label = asked ? "Cancelling …" : "Cancel";
  const look = { type: "button", "data-cancel": run_id, disabled: asked || !view.live };
  return h("button", { ...look, "aria-label": `${label}: the run of ${view.titleOf(source)}` }, label);
}
