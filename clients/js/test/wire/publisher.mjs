// Publishes events as a scraper does (docs/protocol.md, "Messages on the bus"), each of them a small true image.

import { randomUUID } from "node:crypto";
import { jetstream } from "@nats-io/jetstream";
import { connect, headers } from "@nats-io/transport-node";

const time = () => new Date().toISOString();

export async function startPublisher(url) {
  const connection = await connect({ servers: url });
  const stream = jetstream(connection);

  async function publish(subject, type, data, more = {}) {
    const said = headers();
    const id = randomUUID();
    const all = { "Nats-Msg-Id": id, "ce-specversion": "1.0", "ce-id": id, "ce-source": "/oddswire/test", "ce-type": type, "ce-time": time(), ...more };
    for (const [name, value] of Object.entries(all)) said.set(name, value);
    await stream.publish(subject, JSON.stringify(data), { headers: said });
  }

  function run(runId, source, seq, status = "running") {
    const data = {
      run_id: runId, batch_id: runId, source, seq, attempt: 1, worker_id: "test", status,
      phase: status === "running" ? "scraping" : status, current: seq, total: null, unit: "pages", events_count: seq,
      changed_count: 0, message: "Reading pages.", started_at: time(), finished_at: null, elapsed_ms: seq,
      rate_per_s: null, eta_ms: null, outcome: null, phases: [], errors: [], error: null,
    };
    const more = { "Oddswire-Status": status, "Oddswire-Attempt": "1", "Oddswire-Batch": runId };
    return publish(`oddswire.feed.run.${source}.${runId}`, "scrape_progress", data, more);
  }

  function odds(eventId, source, runId, price) {
    const outcome = (name, price) => ({ name, label: name, price, previous_price: null, status: "open" });
    const quote = { line: null, status: "open", outcomes: [outcome("away", price), outcome("home", price)], changed_at: time(), confirmed_at: time(), source_updated_at: null };
    const event = { event_id: eventId, sport_key: "soccer", league: "L", country: null, commence_time: time(), home_team: "H", away_team: "A" };
    const data = { event_ids: [eventId], source, snapshot_count: 1, run_id: runId, event, market: { key: "h2h", period: "ft", quotes: [quote] } };
    return publish(`oddswire.feed.odds.quote.soccer.${eventId}.${source}.h2h-ft`, "odds_update", data);
  }

  return { publish, run, odds, close: () => connection.drain() };
}
