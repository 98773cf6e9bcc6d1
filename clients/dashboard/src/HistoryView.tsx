// The runs of the last days, newest first: `#/runs`.

import { isOver, OddswireError, type ScrapeProgress, type Status } from "@oddswire/client";
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { RunRow } from "./RunsView.js";
import { client, now, records, runs, title } from "./store.js";
import { date, plural } from "./words.js";

const STATUSES: readonly Status[] = ["queued", "running", "cancelling", "completed", "failed", "cancelled"];
const PAGE = 50;

export function HistoryView() {
  const status = useSignal("");
  const source = useSignal("");
  const listed = useSignal<readonly ScrapeProgress[] | null>(null);
  const next = useSignal<string | null>(null);
  const problem = useSignal<string | null>(null);

  const load = async (page: string | null) => {
    try {
      const filter = { limit: PAGE, ...(status.value && { status: status.value as Status }), ...(source.value && { source: source.value }), ...(page && { page }) };
      const answer = await client.runs.list(filter);
      listed.value = page === null ? answer.runs : [...(listed.value ?? []), ...answer.runs];
      next.value = answer.next_page ?? null;
      problem.value = null;
    } catch (error) {
      problem.value = error instanceof OddswireError ? error.message : String(error);
    }
  };
  useEffect(() => void load(null), [status.value, source.value]);

  // What came since then stands above, and in newer images.
  void runs.value.version.value;
  const shown = merged(listed.value ?? []).filter((run) => (!status.value || run.status === status.value) && (!source.value || run.source === source.value));
  const batches = Map.groupBy(shown, (run) => run.batch_id);
  return (
    <section aria-labelledby="history-title">
      <div class="bar">
        <h2 id="history-title">Runs</h2>
        <label><span class="unseen">Status</span>
          <select id="status" value={status.value} onChange={(event) => (status.value = event.currentTarget.value)}>
            <option value="">Any status</option>
            {STATUSES.map((one) => <option key={one} value={one}>{one}</option>)}
          </select>
        </label>
        <label><span class="unseen">Source</span>
          <select id="source" value={source.value} onChange={(event) => (source.value = event.currentTarget.value)}>
            <option value="">All sources</option>
            {[...records.value.keys()].sort().map((one) => <option key={one} value={one}>{title(one)}</option>)}
          </select>
        </label>
        <p class="note">{plural(shown.length, "run")}{next.value !== null && ", and more"}</p>
      </div>
      {problem.value !== null && <p class="empty" role="alert">The runs could not be had: {problem.value}</p>}
      {listed.value === null && problem.value === null && <p class="empty skeleton">Loading the runs …</p>}
      {listed.value !== null && shown.length === 0 && <p class="empty">{status.value || source.value ? "No run is left by these filters." : "No run in the last seven days."}</p>}
      <ol class="batches">
        {[...batches].map(([batch, images]) => (
          <li key={batch}>
            {images.length > 1 && <p class="batch small">{plural(images.length, "run")} started together{begun(images)}{summary(images)}</p>}
            <ol class="runs">{images.map((image) => <RunRow key={image.run_id} run={{ image, at: now.value }} />)}</ol>
          </li>
        ))}
      </ol>
      {next.value !== null && <button type="button" id="more" onClick={() => void load(next.value)}>Show more</button>}
    </section>
  );
}

function merged(listed: readonly ScrapeProgress[]): ScrapeProgress[] {
  const all = new Map(listed.map((run) => [run.run_id, run]));
  for (const { image } of runs.value.byId.values()) if ((all.get(image.run_id)?.seq ?? -1) < image.seq) all.set(image.run_id, image);
  return [...all.values()].sort((a, b) => (a.run_id < b.run_id ? 1 : -1));
}

function begun(images: readonly ScrapeProgress[]): string {
  const first = images.map(({ started_at }) => started_at).filter((time) => typeof time === "string").sort()[0];
  return first === undefined ? "" : ` on ${date(Date.parse(first))}`;
}

function summary(images: readonly ScrapeProgress[]): string {
  const over = images.filter(({ status }) => isOver(status)).length;
  return over === images.length ? "" : `, ${over} of ${images.length} over`;
}
