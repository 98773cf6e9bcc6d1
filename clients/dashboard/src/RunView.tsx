// One run, with all that is known of it: `#/runs/<id>`.

import { isOver, OddswireError, type ScrapeProgress } from "@oddswire/client";
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { Act, PHASES, Progress } from "./RunsView.js";
import { client, isWhole, runs, title } from "./store.js";
import { clock, count, day, elapsed, plural, words } from "./words.js";

export function RunView({ id }: { id: string }) {
  const fetched = useSignal<ScrapeProgress | null>(null);
  const problem = useSignal<string | null>(null);
  void runs.value.version.value;
  const held = runs.value.byId.get(id);
  const image = held?.image ?? fetched.value;
  const missing = held === undefined;
  useEffect(() => {
    if (!missing || !isWhole.value) return;
    client.runs.get(id).then(
      (run) => (fetched.value = run),
      (error: unknown) => (problem.value = error instanceof OddswireError ? error.message : String(error)),
    );
  }, [id, missing, isWhole.value]);
  if (image === null) return <p class="empty">{problem.value ?? "Loading the run …"} <a href="#/runs">All runs</a></p>;
  return <Whole image={image} at={held?.at ?? Date.now()} />;
}

function Whole({ image, at }: { image: ScrapeProgress; at: number }) {
  const { run_id, source, status, phase, worker_id, batch_id, attempt, seq } = image;
  const start = typeof image.started_at === "string" ? Date.parse(image.started_at) : null;
  const end = typeof image.finished_at === "string" ? Date.parse(image.finished_at) : null;
  return (
    <article id="run" data-key={run_id} data-status={status} data-phase={phase} aria-labelledby="run-title">
      <p class="trail"><a href="#/runs">Runs</a> / <code>{run_id}</code></p>
      <div class="bar">
        <h2 id="run-title">{title(source)}{!isOver(status) && <span class={`status ${status}`}> {status}</span>}</h2>
        <span class="grow" />
        <Act image={image} />
      </div>
      <div class="card progress"><Progress image={image} at={at} /></div>
      <Timeline image={image} />
      <dl class="facts">
        <div><dt>Started</dt><dd>{start === null ? "not yet" : `${day(start)}, ${clock(start)}`}</dd></div>
        <div><dt>Ended</dt><dd>{end === null ? "not yet" : clock(end)}</dd></div>
        <div><dt>Work</dt><dd>{elapsed(image.elapsed_ms)}</dd></div>
        <div><dt>Events read</dt><dd>{count(image.events_count)}</dd></div>
        <div><dt>Odds published</dt><dd>{plural(image.changed_count, "image")}</dd></div>
        <div><dt>Worker</dt><dd>{worker_id ?? "none yet"}{attempt > 1 && `, attempt ${attempt}`}</dd></div>
        <div><dt>Batch</dt><dd><code>{batch_id.slice(0, 13)}…</code></dd></div>
        <div><dt>Messages</dt><dd>{count(seq)}</dd></div>
      </dl>
      <Faults image={image} />
    </article>
  );
}

function Timeline({ image }: { image: ScrapeProgress }) {
  const shown = image.phases.filter(({ phase }) => PHASES.includes(phase));
  if (shown.length === 0) return null;
  const whole = shown.reduce((sum, { elapsed_ms }) => sum + elapsed_ms, 0);
  return (
    <section aria-labelledby="phases-title">
      <h3 id="phases-title">Phases</h3>
      <ol class="timeline">
        {shown.map(({ phase, current, total, unit, elapsed_ms }, place) => {
          const now = !isOver(image.status) && place === shown.length - 1;
          return (
            <li key={phase}>
              <span>{phase}</span>
              <span class="small">{typeof total === "number" ? `${count(current)} of ${plural(total, unit.slice(0, -1))}` : plural(current, unit.slice(0, -1))}</span>
              <span class="lane" aria-hidden="true">
                <i style={{ marginLeft: `${share(shown.slice(0, place).reduce((sum, one) => sum + one.elapsed_ms, 0), whole)}%`, width: `${Math.max(share(elapsed_ms, whole), 0.5)}%` }} class={now ? "running" : "done"} />
              </span>
              <span class="small time">{elapsed(elapsed_ms)}</span>
            </li>
          );
        })}
      </ol>
    </section>
  );
}

const share = (part: number, whole: number): number => (whole === 0 ? 0 : (100 * part) / whole);

function Faults({ image }: { image: ScrapeProgress }) {
  if (image.errors.length === 0) return <p class="note">No errors.</p>;
  return (
    <section aria-labelledby="errors-title">
      <h3 id="errors-title">Errors, by kind</h3>
      <div class="scroll" tabIndex={0} role="region" aria-labelledby="errors-title">
        <table class="plain">
          <thead><tr><th scope="col">Kind</th><th scope="col">Times</th><th scope="col">First</th><th scope="col">Last</th><th scope="col">For example</th></tr></thead>
          <tbody>
            {image.errors.map((error) => (
              <tr key={`${error.error_type} ${error.message}`}>
                <th scope="row">{words(error.error_type)}{typeof error.http_status === "number" && ` ${error.http_status}`}</th>
                <td>{count(error.count)}</td>
                <td>{clock(Date.parse(error.first_at))}</td>
                <td>{clock(Date.parse(error.last_at))}</td>
                <td>{error.message}{!error.recoverable && <span class="small"> Trying again does not help.</span>}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

