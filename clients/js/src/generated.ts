// Generated from protocol/schemas by `npm run types`. Do not edit.
/* eslint-disable */

/**
 * Opaque. Pass it back as since or Last-Event-ID.
 */
export type Cursor = string
/**
 * UTC with milliseconds.
 */
export type Timestamp = string
export type EventId = string
export type SportKey = string
/**
 * Line of a market with at most three decimals; null (no line) is not 0.
 */
export type Line = number
export type MarketKey = string
export type Period = string
/**
 * Decimal price with at most three decimals.
 */
export type Price = number
/**
 * Whether a quote or an outcome can be bet on.
 */
export type QuoteStatus = ("open" | "suspended" | "withdrawn")
export type RunId = string
export type SourceKey = string
/**
 * What a run is doing, in one word for lists.
 */
export type Status = ("queued" | "running" | "cancelling" | "completed" | "failed" | "cancelled")
export type BatchId = string
/**
 * The kinds of things that go wrong in a run. Stable: clients may act on it.
 */
export type ErrorType = ("timeout" | "connect" | "http_status" | "rate_limited" | "robots" | "blocked" | "parse" | "schema_drift" | "mapping" | "publish" | "cancelled" | "stale")
/**
 * Where a run is. Closed: an unknown word is refused. The last three end a run.
 */
export type Phase = ("initializing" | "discovering" | "scraping" | "mapping" | "storing" | "completed" | "failed" | "cancelled")
/**
 * What `current` and `total` count.
 */
export type Unit = ("leagues" | "pages" | "events" | "markets")
/**
 * How well a run that is over went.
 */
export type RunOutcome = ("complete" | "partial" | "empty" | "unreachable" | "blocked" | "broken")
/**
 * How a source does, as its last run found it.
 */
export type SourceHealth = ("unknown" | "ok" | "degraded" | "down")
/**
 * From where a subscribe in mid-connection begins.
 */
export type SubscribeSince = ("now" | "snapshot")
/**
 * UTC with milliseconds.
 */
export type Timestamp1 = string
/**
 * Who started a run.
 */
export type RequestedBy = ("api" | "schedule")
/**
 * How a connection continues what the client had. Never left out and never wrong. Ordered from best to worst: one
 * verdict covers all feeds asked for, the worst.
 */
export type Verdict = ("live" | "replayed" | "snapshot" | "gap" | "unavailable")
/**
 * Stable codes of `error`. Each has a page in `docs/errors/`.
 */
export type ErrorCode = ("invalid_json" | "unknown_type" | "invalid_message" | "invalid_topic" | "too_many_topics" | "rate_limited" | "auth_disabled" | "topic_forbidden" | "token_missing" | "several_tokens" | "token_invalid" | "token_expired" | "token_expiring" | "ticket_invalid" | "subject_changed" | "auth_unavailable" | "internal")
/**
 * Whether the bus is there, in `heartbeat`.
 */
export type Upstream = ("ok" | "stale" | "down")

/**
 * A sporting event.
 */
export interface Event {
/**
 * The away team as the source writes it.
 */
away_team: string
commence_time: Timestamp
/**
 * The country of the league: two countries may have leagues of one name. Null when the source does not say.
 */
country?: (string | null)
event_id: EventId
/**
 * The home team as the source writes it.
 */
home_team: string
/**
 * The league as the source writes it.
 */
league: string
sport_key: SportKey
[k: string]: unknown
}
/**
 * A market of an event: one row a line.
 */
export interface Market {
key: MarketKey
period: Period
/**
 * The quotes, ordered by line, none first.
 */
quotes: Quote[]
[k: string]: unknown
}
/**
 * The prices of one line of a market.
 */
export interface Quote {
changed_at: Timestamp
confirmed_at: Timestamp
/**
 * The line; null for a market without one. Null is not 0.
 */
line?: (Line | null)
/**
 * The outcomes, ordered by name.
 */
outcomes: Outcome[]
/**
 * When the source says that it changed, which may be wrong; null when it does not say.
 */
source_updated_at?: (Timestamp | null)
status: QuoteStatus
[k: string]: unknown
}
/**
 * One thing that can happen, and its price.
 */
export interface Outcome {
/**
 * As the source writes it.
 */
label: string
/**
 * In our words: `home` `draw` `away` `over` `under` `yes` `no`, and of `double_chance` `home_draw` `home_away`
 * `draw_away`.
 */
name: string
/**
 * The price before the last change of price; null when there was none.
 */
previous_price?: (Price | null)
/**
 * The price; the last known one while suspended; null when none was ever seen.
 */
price?: (Price | null)
status: QuoteStatus
[k: string]: unknown
}
/**
 * `data` of `odds_confirmed`: a source was checked, and all that is shown of it stands as of `confirmed_at`, but
 * for the listed events.
 * 
 * This interface was referenced by `undefined`'s JSON-Schema definition
 * via the `patternProperty` "^[a-z0-9_-]{1,64}$".
 */
export interface OddsConfirmed {
/**
 * Present and true when more events than that could not be read: nothing is confirmed.
 */
all_unconfirmed?: boolean
confirmed_at: Timestamp
run_id: RunId
source: SourceKey
/**
 * Events whose pages could not be read. At most [`UNCONFIRMED_MAX`].
 */
unconfirmed_event_ids: EventId[]
[k: string]: unknown
}
/**
 * `data` of `odds_update`: the **image** of one market of one event at one source. Published when it changed, never
 * otherwise; the newest image replaces the one before it whole.
 */
export interface OddsUpdate {
event: Event
/**
 * The one event.
 * 
 * @minItems 1
 * @maxItems 1
 */
event_ids: [EventId]
market: Market
run_id: RunId
/**
 * Quotes in this image.
 */
snapshot_count: number
source: SourceKey
[k: string]: unknown
}
/**
 * Answer to `GET /api/odds`: the board now.
 */
export interface Board {
/**
 * What was confirmed last, by source.
 */
confirmed: {
[k: string]: OddsConfirmed
}
cursor: Cursor
/**
 * The last image of each market, the one that changed longest ago first.
 */
markets: OddsUpdate[]
/**
 * Asks for the next page; null at the end.
 */
next_page?: (string | null)
[k: string]: unknown
}
/**
 * Answer to `POST /api/scrapes/{run_id}/cancel`.
 */
export interface Cancelled {
run_id: RunId
status: Status
[k: string]: unknown
}
/**
 * A message of type odds_update.
 */
export interface OddsUpdateMessage {
data: OddsUpdate
id?: Cursor
timestamp: Timestamp
type: "odds_update"
[k: string]: unknown
}
/**
 * Answer to `GET /api/odds/{event_id}/history`.
 */
export interface History {
event_id: EventId
/**
 * The messages of type `odds_update` as they were sent, oldest first.
 */
images: OddsUpdateMessage[]
/**
 * Asks for the next page; null at the end.
 */
next_page?: (string | null)
since: Timestamp
[k: string]: unknown
}
/**
 * Where a JSON Schema is.
 */
export interface SchemaAddress {
/**
 * `message.` and a message's type, for its `data`; `client.` and a command's; `api.` and a body's; or `envelope`,
 * `job`, `problem`.
 */
name: string
/**
 * Relative to this host.
 */
url: string
[k: string]: unknown
}
/**
 * Answer to `GET /api/schemas/`.
 */
export interface Schemas {
/**
 * Ordered by name.
 */
schemas: SchemaAddress[]
[k: string]: unknown
}
/**
 * Things that went wrong in the same way.
 */
export interface ErrorGroup {
/**
 * How often.
 */
count: number
error_type: ErrorType
first_at: Timestamp
/**
 * The HTTP status, where there was one.
 */
http_status?: (number | null)
last_at: Timestamp
/**
 * One sentence for a person; never a token or a full query string.
 */
message: string
/**
 * Whether trying again may help.
 */
recoverable: boolean
/**
 * Milliseconds until the next try, where there is one.
 */
retry_in_ms?: (number | null)
[k: string]: unknown
}
/**
 * One phase of a run.
 */
export interface PhaseProgress {
/**
 * `unit`s done.
 */
current: number
/**
 * Milliseconds in it.
 */
elapsed_ms: number
phase: Phase
/**
 * `unit`s in all; null when never known.
 */
total?: (number | null)
unit: Unit
[k: string]: unknown
}
/**
 * `data` of `scrape_progress`: the state of a run.
 */
export interface ScrapeProgress {
/**
 * 1 for the first worker, one more for each that took over.
 */
attempt: number
batch_id: BatchId
/**
 * Images published so far in the run: markets whose odds changed.
 */
changed_count: number
/**
 * How many `unit`s are done in this phase; never falls inside a phase and an attempt.
 */
current: number
/**
 * Milliseconds of work, by a monotonic clock.
 */
elapsed_ms: number
/**
 * The last of what went wrong.
 */
error?: (ErrorGroup | null)
/**
 * What went wrong, grouped.
 */
errors: ErrorGroup[]
/**
 * Milliseconds to the end of this phase at this rate; null when unknown.
 */
eta_ms?: (number | null)
/**
 * Events read so far in the run.
 */
events_count: number
/**
 * When the run was over.
 */
finished_at?: (Timestamp | null)
/**
 * One sentence for a person.
 */
message: string
/**
 * How well it went; null before the end, and when it was cancelled.
 */
outcome?: (RunOutcome | null)
phase: Phase
/**
 * The phases so far, in order, the present one last.
 */
phases: PhaseProgress[]
/**
 * `unit`s a second in this phase; null before there is one.
 */
rate_per_s?: (number | null)
run_id: RunId
/**
 * 1 for the first event of the run, then one more each, across attempts.
 */
seq: number
source: SourceKey
/**
 * When the worker began; null while queued.
 */
started_at?: (Timestamp | null)
status: Status
/**
 * How many there are; null while unknown.
 */
total?: (number | null)
unit: Unit
/**
 * The worker, null while queued.
 */
worker_id?: (string | null)
[k: string]: unknown
}
/**
 * Answer to `GET /api/scrapes`.
 */
export interface Scrapes {
/**
 * Asks for those that are older; null at the end.
 */
next_page?: (RunId | null)
/**
 * The last image of each, newest first; queued ones on the first page.
 */
runs: ScrapeProgress[]
[k: string]: unknown
}
/**
 * CONTROL `source.<key>`: what is known of a source, written by the scrapers that have its definition.
 */
export interface SourceRecord {
/**
 * The times of scheduled runs as a cron expression and its time zone, `0 9 * * MON (Europe/Berlin)`; null when it
 * runs by an interval or on request only.
 */
cron?: (string | null)
/**
 * Which definition the scrapers have.
 */
definition_hash: string
/**
 * Whether it is scraped when nobody names it.
 */
enabled: boolean
health: SourceHealth
/**
 * Milliseconds between scheduled runs; null when it runs at set times or on request only.
 */
interval_ms?: (number | null)
/**
 * Its last run that is over.
 */
last_run_id?: (RunId | null)
source: SourceKey
/**
 * Milliseconds after which an unconfirmed quote is stale.
 */
stale_after_ms: number
/**
 * For people.
 */
title: string
updated_at: Timestamp
[k: string]: unknown
}
/**
 * Answer to `GET /api/sources`.
 */
export interface Sources {
/**
 * Ordered by key.
 */
sources: SourceRecord[]
[k: string]: unknown
}
/**
 * `POST /api/scrapes`.
 */
export interface StartScrapes {
/**
 * Repeats what failed in this run.
 */
retry_of?: (RunId | null)
/**
 * The sources; none or an empty list: all that are enabled.
 */
sources?: (string[] | null)
}
/**
 * A source that has a run already.
 */
export interface BusySource {
/**
 * Its run; null when that ended in between.
 */
run_id?: (RunId | null)
source: SourceKey
[k: string]: unknown
}
/**
 * A run that was started.
 */
export interface StartedRun {
/**
 * Where its state is, relative to this host.
 */
location: string
run_id: RunId
source: SourceKey
[k: string]: unknown
}
/**
 * Answer to `POST /api/scrapes`.
 */
export interface Started {
batch_id: BatchId
/**
 * Sources that have a run already.
 */
busy: BusySource[]
/**
 * One a source.
 */
runs: StartedRun[]
/**
 * Workers alive; with 0 the runs wait.
 */
workers: number
[k: string]: unknown
}
/**
 * Answer to `POST /api/tickets`.
 */
export interface TicketGiven {
/**
 * Seconds for which it holds.
 */
expires_in_s: number
/**
 * Opens one stream, once, as `ticket` in its query.
 */
ticket: string
[k: string]: unknown
}
/**
 * CONTROL `worker.<id>`: a worker that is alive. Vanishes 30 s after its last sign of life.
 */
export interface WorkerRecord {
/**
 * Runs at once.
 */
concurrency: number
/**
 * Runs that it is at.
 */
running: RunId[]
seen_at: Timestamp
/**
 * Sources of which it has the definition.
 */
sources: SourceKey[]
started_at: Timestamp
/**
 * Its build.
 */
version: string
/**
 * The worker.
 */
worker_id: string
[k: string]: unknown
}
/**
 * Answer to `GET /api/workers`.
 */
export interface Workers {
/**
 * Those alive, ordered by id.
 */
workers: WorkerRecord[]
[k: string]: unknown
}
/**
 * Brings a token.
 */
export interface AuthCommand {
/**
 * Given back in the answer.
 */
ref?: (string | number | null)
/**
 * A JSON Web Token.
 */
token: string
type: "auth"
[k: string]: unknown
}
/**
 * Asks for a `pong`.
 */
export interface PingCommand {
/**
 * Given back in the answer.
 */
ref?: (string | number | null)
type: "ping"
[k: string]: unknown
}
/**
 * Adds topics.
 */
export interface SubscribeCommand {
/**
 * Milliseconds in which at most one message a key comes, from now on, on the whole connection.
 */
conflate_ms?: (number | null)
/**
 * Given back in the answer.
 */
ref?: (string | number | null)
since?: SubscribeSince
/**
 * Each is judged by itself.
 */
topics: string[]
type: "subscribe"
[k: string]: unknown
}
/**
 * Removes topics.
 */
export interface UnsubscribeCommand {
/**
 * Given back in the answer.
 */
ref?: (string | number | null)
/**
 * Named exactly as granted.
 */
topics: string[]
type: "unsubscribe"
[k: string]: unknown
}
/**
 * Every message to clients, its keys in this order.
 */
export interface Envelope {
data: {
[k: string]: unknown
}
/**
 * Only for WebSocket clients that sent since, on messages that have a position.
 */
id?: string
timestamp: Timestamp1
type: ("connection_ack" | "caught_up" | "scrape_progress" | "odds_update" | "odds_confirmed" | "subscription_ack" | "resume" | "heartbeat" | "lagging" | "reconnect" | "pong" | "error")
[k: string]: unknown
}
/**
 * The body of a job. Its subject names the source; until it is acknowledged it is the source's lock.
 */
export interface Job {
batch_id: BatchId
requested_at: Timestamp
requested_by: RequestedBy
/**
 * The run of which it repeats what failed.
 */
retry_of?: (RunId | null)
run_id: RunId
source: SourceKey
[k: string]: unknown
}
/**
 * `caught_up`.
 */
export interface CaughtUp {
cursor: Cursor
/**
 * The `ref` of the subscribe that this answers.
 */
ref?: {
[k: string]: unknown
}
/**
 * Events delivered for this before it.
 */
replayed: number
[k: string]: unknown
}
/**
 * What a connection may do.
 */
export interface Limits {
/**
 * Bytes in one message of the client.
 */
message_bytes: number
/**
 * Messages of the client a second.
 */
messages_per_s: number
/**
 * Topics at once.
 */
topics: number
[k: string]: unknown
}
/**
 * The verdict and, for a gap, from where history is still there.
 */
export interface Resume {
/**
 * With `gap`: the oldest cursor that could have been continued, where that is known.
 */
oldest?: (Cursor | null)
verdict: Verdict
[k: string]: unknown
}
/**
 * `connection_ack`.
 */
export interface ConnectionAck {
/**
 * Milliseconds of conflation granted; 0 is none.
 */
conflate_ms: number
/**
 * For the operator's logs.
 */
connection_id: string
cursor: Cursor
/**
 * Milliseconds between heartbeats.
 */
heartbeat_ms: number
limits: Limits
/**
 * The `ref` of the `auth` that opened this connection.
 */
ref?: {
[k: string]: unknown
}
resume: Resume
/**
 * When the connection ends unless a new token comes; left out where this gateway asks for none.
 */
token_expires_at?: (Timestamp | null)
/**
 * The topics granted.
 */
topics: string[]
[k: string]: unknown
}
/**
 * `error`.
 */
export interface ErrorData {
code: ErrorCode
/**
 * One sentence for a person.
 */
detail: string
/**
 * The `ref` of the message that this answers.
 */
ref?: {
[k: string]: unknown
}
[k: string]: unknown
}
/**
 * `heartbeat`.
 */
export interface Heartbeat {
cursor: Cursor
/**
 * Milliseconds since the bus was last known to be there; 0 while `ok`.
 */
lag_ms: number
server_time: Timestamp
upstream: Upstream
[k: string]: unknown
}
/**
 * `lagging`.
 */
export interface Lagging {
/**
 * Messages left out because a newer image of the same key follows.
 */
conflated: number
since: Timestamp
[k: string]: unknown
}
/**
 * `pong`.
 */
export interface Pong {
/**
 * The `ref` of the ping, if it had one.
 */
ref?: {
[k: string]: unknown
}
[k: string]: unknown
}
/**
 * `reconnect`.
 */
export interface Reconnect {
/**
 * Milliseconds until this connection is closed; come back then.
 */
after_ms: number
/**
 * Why, for a person.
 */
reason: string
[k: string]: unknown
}
/**
 * `subscription_ack`.
 */
export interface SubscriptionAck {
/**
 * The `ref` of the message that this answers.
 */
ref?: {
[k: string]: unknown
}
resume: Resume
/**
 * When the connection ends unless a new token comes; left out where this gateway asks for none.
 */
token_expires_at?: (Timestamp | null)
/**
 * The topics now in force.
 */
topics: string[]
[k: string]: unknown
}
/**
 * A problem document. `code` is stable; `detail` is for a person.
 */
export interface Problem {
/**
 * Stable.
 */
code: string
/**
 * What happened here, in one sentence.
 */
detail: string
/**
 * The HTTP status.
 */
status: number
/**
 * The same for every problem of this code.
 */
title: string
/**
 * `urn:oddswire:problem:<code>`.
 */
type: string
[k: string]: unknown
}
