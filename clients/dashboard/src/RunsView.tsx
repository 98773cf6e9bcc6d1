// Runs as rows: a lane a source on the board's page, and the parts that the other pages use too.

import { isOver, type ScrapeProgress } from "@oddswire/client";
import { toRun } from "./router.js";
import type { Run } from "./runs.js";
import { may } from "./session.js";
import { cancelRun, isWhole, link, now, records, runs, startRuns, title, workers } from "./store.js";
import { clock, count, duration, elapsed, plural, words } from "./words.js";

export const PHASES = ["initializing", "discovering", "scraping", "mapping", "storing"];

export function Lanes() {
  void runs.value.version.value;
  const lanes = runs.value.lanes();
  const ended = runs.value.inOrder().filter((run) => isOver(run.image.status) && !lanes.includes(run));
  return (
    <section aria-labelledby="runs-title">
      <div class="bar"><h2 id="runs-title">Runs</h2><Workers /></div>
      {lanes.length === 0 ? <NoRuns /> : <ol id="runs" class="runs">{lanes.map((run) => <RunRow key={run.image.source} run={run} />)}</ol>}
      {ended.length > 0 && (
        <details id="earlier">
          <summary>{plural(ended.length, "earlier run")} of the last minutes</summary>
          <ol class="runs">{ended.map((run) => <RunRow key={run.image.run_id} run={run} />)}</ol>
        </details>
      )}
    </section>
  );
}

function Workers() {
  const alive = workers.value;
  if (alive === null) return null;
  if (alive.length === 0) return <p id="workers" class="note warn">No worker is alive: runs wait until one is.</p>;
  return <p id="workers" class="note">{plural(alive.length, "worker")}</p>;
}

function NoRuns() {
  if (link.value.status === "unavailable") return <p id="runs-empty" class="empty">The bus is unavailable: runs are shown when it is back.</p>;
  if (!isWhole.value) return <p id="runs-empty" class="empty skeleton">Loading the runs …</p>;
  const text = records.value.size === 0 ? "No run yet, and no scraper has told of a source." : "No run in the last minutes. Sources with a timetable begin by themselves.";
  return <p id="runs-empty" class="empty">{text}</p>;
}

export function RunRow({ run: { image, at } }: { run: Run }) {
  const { run_id, source, status, phase } = image;
  return (
    <li class="run" data-source={source} data-key={run_id} data-status={status} data-phase={phase}>
      <div class="who">
        <p><a class="name" href={toRun(run_id)}>{title(source)}</a>{!isOver(status) && <span class={`status ${status}`}> {status}</span>}</p>
        <PhaseStrip image={image} />
      </div>
      <div class="progress"><Progress image={image} at={at} /></div>
      <p class="facts small">
        <span>{plural(image.events_count, "event")}, {plural(image.changed_count, "change")}</span>
        <span>{elapsed(image.elapsed_ms)}{image.attempt > 1 && `, attempt ${image.attempt}`}</span>
      </p>
      <div class="act"><Act image={image} /></div>
    </li>
  );
}

/** A bar of the phases so far, each as long as it took. */
export function PhaseStrip({ image }: { image: ScrapeProgress }) {
  const over = isOver(image.status);
  const phases = image.phases.filter(({ phase }) => PHASES.includes(phase));
  const shown = over && phases.length === 0 ? [] : phases;
  const told = shown.map(({ phase, elapsed_ms }) => `${phase} ${elapsed(elapsed_ms)}`).join(", ");
  return (
    <div class="phases" title={told}>
      <span class="strip" aria-hidden="true">
        {shown.map(({ phase, elapsed_ms }, place) => (
          <i key={phase} class={place === shown.length - 1 && !over ? image.status : over && place === shown.length - 1 ? image.status : "done"} style={{ flexGrow: Math.max(elapsed_ms, 40) }} />
        ))}
        {!over && <i class="rest" style={{ flexGrow: restOf(image) }} />}
      </span>
      <span class="small">{over ? <span class="unseen">{told}</span> : image.phase}</span>
    </div>
  );
}

// How long the rest may take, as far as it is known: what is left of this phase, and a little.
function restOf({ eta_ms, elapsed_ms }: ScrapeProgress): number {
  return Math.max(eta_ms ?? elapsed_ms, 40) + 200;
}

export function Progress({ image, at }: { image: ScrapeProgress; at: number }) {
  if (isOver(image.status)) return <Ended image={image} at={at} />;
  const { current, total, unit, rate_per_s, eta_ms } = image;
  if (image.status === "queued") return <p><b>Waiting for a worker</b></p>;
  const known = typeof total === "number";
  const done = known ? `${count(current)} of ${plural(total, unit.slice(0, -1))}` : plural(current, unit.slice(0, -1));
  const more = [
    typeof rate_per_s === "number" ? `${rate_per_s.toFixed(1)} ${unit}/s` : null,
    typeof eta_ms === "number" ? `about ${duration(eta_ms)} left in this phase` : null,
  ].filter(Boolean);
  return (
    <>
      {/* Without a value the bar says "under way" and no more. */}
      {known ? (
        <progress aria-label={`${title(image.source)}, ${image.phase}`} aria-valuetext={done} max={Math.max(total, 1)} value={total === 0 ? 1 : current} />
      ) : (
        <progress aria-label={`${title(image.source)}, ${image.phase}`} />
      )}
      <p><b class="done">{done}</b> <span class="small">{more.join(", ")}</span></p>
      <p class="small">{image.status === "cancelling" ? "Stopping …" : image.message}<Errors image={image} /></p>
    </>
  );
}

function Ended({ image, at }: { image: ScrapeProgress; at: number }) {
  const when = typeof image.finished_at === "string" ? Date.parse(image.finished_at) : at;
  const word = image.outcome ?? image.status;
  return (
    <>
      <p><b class={`outcome ${word}`}>{word}</b> <span class="small" title={clock(when)}>{duration(now.value - when)} ago</span></p>
      <p class="small">{image.message}<Errors image={image} /></p>
    </>
  );
}

function Errors({ image }: { image: ScrapeProgress }) {
  if (image.errors.length === 0) return null;
  const sum = image.errors.reduce((all, { count }) => all + count, 0);
  const kinds = image.errors.map(({ error_type, count: times }) => `${words(error_type)} × ${count(times)}`).join(", ");
  return <span class="errors"> <strong>{plural(sum, "error")}</strong>: {kinds}</span>;
}

export function Act({ image }: { image: ScrapeProgress }) {
  const { run_id, source, status, outcome } = image;
  if (status === "cancelling") return <button type="button" disabled>Cancelling …</button>;
  if (!isOver(status)) {
    if (!may("runs:cancel")) return null;
    return <button type="button" data-cancel={run_id} aria-label={`Cancel the run of ${title(source)}`} onClick={() => void cancelRun(run_id, source)}>Cancel</button>;
  }
  const again = status !== "completed" || outcome === "partial";
  if (!again || !may("runs:start")) return null;
  return <button type="button" data-retry={run_id} aria-label={`Retry what failed in the run of ${title(source)}`} onClick={() => void startRuns({ retryOf: run_id })}>Retry</button>;
}
