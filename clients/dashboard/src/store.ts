// What the page knows, and how what comes gets into it: queued, and taken over in slices of a few milliseconds, once a
// frame. The first state is drawn as it comes. A later one is built aside and shown when it is whole: what is on the page
// until then is worth more than a part.

import {
  type Client,
  createClient,
  type EventMessage,
  type Feed,
  type FeedState,
  IDLE,
  OddswireError,
  type Snapshot,
  type SourceRecord,
  type WorkerRecord,
} from "@oddswire/client";
import { batch, signal } from "@preact/signals";
import { Board, type Row } from "./board.js";
import { topicsShown } from "./first.js";
import { type Run, Runs } from "./runs.js";
import { ask, asked, type Given, given, isEnding, lacks, noToken, onSignOutElsewhere, restore, signIn, signOut, source } from "./session.js";
import { say } from "./voice.js";

// Of a frame's 16 ms; the rest is for drawing.
const SLICE_MS = 8;
// Of the rows on the page so many are drawn again in a frame: all of them at once would take longer than one.
const ROWS_A_FRAME = 12;
// A hidden page draws no frames.
const HIDDEN_MS = 1000;
const LOOK_AGAIN_MS = 15_000;
// What another token may mend.
const NEED_TOKEN = ["token_missing", "token_invalid", "token_expired", "topic_forbidden"];

// A part of the first state, or where it begins.
interface Part {
  readonly type: "part";
  readonly message: EventMessage | null;
}

// The end of the first state, whose parts were drawn as they came.
interface Whole {
  readonly type: "whole";
  readonly verdict: Snapshot["verdict"];
}

type Item = EventMessage | Snapshot | Part | Whole;

// Both are made when the page starts, and anew for another token.
export let client!: Client;
export let feed!: Feed;

export const link = signal<FeedState>(IDLE);
// Whether the first state came whole.
let hasState = false;
/** Whether the state on the page ever was whole. */
export const isWhole = signal(false);
/** When the connection was last known to be good, in the gateway's milliseconds; null while it is. */
export const goodUntil = signal<number | null>(null);
/** After a gap: when that was, and until when it is told. */
export const gapAt = signal<number | null>(null);
/** The gateway's time, in whole seconds' steps. */
export const now = signal(Date.now());
export const records = signal<ReadonlyMap<string, SourceRecord>>(new Map());
export const workers = signal<readonly WorkerRecord[] | null>(null);
/** One line for the person: what a command did, or why not. */
export const notice = signal<{ text: string; bad: boolean } | null>(null);

export const board = signal(new Board());
export const runs = signal(new Runs(tellEnd));

const queue: Item[] = [];
const dirty = new Set<Row>();
let taken = 0;
let waiting = false;
// The state being built, and how much of its snapshot was taken.
let aside: { board: Board; runs: Runs; snapshot: Snapshot; taken: number } | null = null;

export function start(): void {
  restore();
  onSignOutElsewhere(() => {
    if (given.value === null) return;
    if (asked.value === null) endSession(() => signOut("You signed out in another tab."));
    else signOut(asked.value);
  });
  connect();
  setInterval(tick, 1000);
  setInterval(() => document.visibilityState === "visible" && void look(), LOOK_AGAIN_MS);
  document.addEventListener("visibilitychange", wake);
}

// Connects with the token in force: for a whole state, or on from where another token ended.
function connect(since = "snapshot"): void {
  const token = source();
  const before: Feed | undefined = feed;
  client = createClient(undefined, token === undefined ? {} : { token });
  feed = client.subscribe({ since, first: topicsShown() });
  before?.close();
  listen(feed);
  void look();
}

function listen(own: Feed): void {
  own.on("state", (state) => {
    if (own !== feed) return;
    link.value = state;
    const good = state.status === "live" && (state.upstream === "ok" || state.upstream === "unknown");
    if (good) goodUntil.value = null;
    else goodUntil.value ??= client.now();
    // An address that gives no token: the person knows another, or a token. One that may give it later is asked again.
    if (!isWhole.value && noToken.value !== null && asked.value === null) return endSession(() => ask(`There is no token at that address: ${noToken.value}`));
    if (state.status !== "closed" || state.error === null) return;
    if (!isSignInAsked(state.error)) notice.value = { text: `The gateway refused this page, and it does not try again: ${state.error.message}`, bad: true };
  });
  own.on("part", (message) => {
    if (!hasState) put({ type: "part", message });
  });
  own.on("event", put);
  own.on("snapshot", (snapshot) => {
    put(hasState ? snapshot : { type: "whole", verdict: snapshot.verdict });
    hasState = true;
  });
  own.on("caught_up", () => void look());
  own.on("fault", ({ code, detail }) => {
    if (code === "token_expiring") isEnding.value = typeof source() === "string";
    else if (!NEED_TOKEN.includes(code)) notice.value = { text: detail, bad: true };
  });
}

/** Signs in: what is shown stays where the person only goes on with the next token. */
export function enter(what: Given, isKept?: boolean): void {
  const goesOn = asked.value === null;
  signIn(what, isKept);
  connect((goesOn ? feed.cursor : null) ?? "snapshot");
}

/** Signs out: nothing that a token showed stays on the page. */
export function leave(): void {
  endSession(() => signOut("", true));
}

// Without a token that counts the page shows nothing, and holds nothing of what one showed.
function endSession(andThen: () => void): void {
  feed.close();
  andThen();
  queue.length = 0;
  taken = 0;
  aside = null;
  hasState = false;
  dirty.clear();
  batch(() => {
    board.value = new Board();
    runs.value = new Runs(tellEnd);
    records.value = new Map();
    workers.value = null;
    notice.value = gapAt.value = goodUntil.value = null;
    isWhole.value = false;
  });
}

function whyAsked({ code, message }: OddswireError): string {
  if (code === "token_missing") return "";
  if (code === "token_expired") return "Your token has ended.";
  return `The token was refused: ${message}.`;
}

// Whether the person has to sign in for this refusal, and then asks for it. What they gave is kept: gateways that restart or
// exchange their keys may refuse a good token for a moment, and then the same is good again.
function isSignInAsked(error: OddswireError): boolean {
  if (!NEED_TOKEN.includes(error.code)) return false;
  if (asked.value === null) endSession(() => ask(whyAsked(error), error.code === "token_expired"));
  return true;
}

function put(item: Item): void {
  queue.push(item);
  wake();
}

function wake(): void {
  if (waiting || (queue.length === 0 && dirty.size === 0)) return;
  waiting = true;
  if (document.visibilityState === "hidden") setTimeout(flush, HIDDEN_MS);
  else requestAnimationFrame(flush);
}

function flush(): void {
  waiting = false;
  const until = performance.now() + SLICE_MS;
  batch(() => {
    while (taken < queue.length && performance.now() < until) {
      if (takeSome(queue[taken] as Item)) taken += 1;
    }
    drawAgain();
  });
  if (taken === queue.length) {
    queue.length = 0;
    taken = 0;
    if (link.value.status === "live") isWhole.value = true;
  } else if (taken > 10_000) {
    queue.splice(0, taken);
    taken = 0;
  }
  wake();
}

// Those first that wait the longest.
function drawAgain(): void {
  let drawn = 0;
  for (const row of dirty) {
    dirty.delete(row);
    row.version.value += 1;
    if (board.value.drawn.has(row) && (drawn += 1) === ROWS_A_FRAME) return;
  }
}

function allDrawnAgain(): void {
  for (const row of board.value.drawn) dirty.add(row);
}

// Takes an item, or a part of a large one; true when it is done.
function takeSome(item: Item): boolean {
  if (item.type === "part") {
    if (item.message === null) {
      board.value = new Board();
      runs.value = new Runs(tellEnd);
    } else {
      takeEvent(item.message, board.value, runs.value, { isNews: false, isShown: true });
    }
    return true;
  }
  if (item.type === "whole") {
    if (item.verdict === "gap") gapAt.value = client.now();
    return true;
  }
  if (item.type !== "snapshot") {
    takeEvent(item, board.value, runs.value, { isNews: true, isShown: true });
    return true;
  }
  aside ??= { board: new Board(), runs: new Runs(tellEnd), snapshot: item, taken: 0 };
  const end = Math.min(aside.taken + 100, item.messages.length);
  for (; aside.taken < end; aside.taken += 1) takeEvent(item.messages[aside.taken] as EventMessage, aside.board, aside.runs, { isNews: false, isShown: false });
  if (aside.taken < item.messages.length) return false;
  if (item.verdict === "gap") gapAt.value = client.now();
  board.value = aside.board;
  runs.value = aside.runs;
  aside = null;
  return true;
}

function takeEvent(message: EventMessage, board: Board, runs: Runs, { isNews, isShown }: { isNews: boolean; isShown: boolean }): void {
  if (message.type === "odds_update") {
    const row = board.take(message.data, client.now(), isNews && document.visibilityState === "visible");
    if (isShown) dirty.add(row);
  } else if (message.type === "odds_confirmed") {
    board.confirm(message.data);
    if (isShown) allDrawnAgain();
  } else {
    runs.take(message.data, Date.parse(message.timestamp));
    if (isNews && message.data.seq === 1 && !records.value.has(message.data.source)) void look();
  }
}

function tick(): void {
  batch(() => {
    now.value = client.now();
    for (const row of board.value.settle(now.value)) dirty.add(row);
    allDrawnAgain();
    if (gapAt.value !== null && now.value - gapAt.value > 15_000) gapAt.value = null;
  });
  wake();
}

let looking = false;

// Health and workers are not part of the stream.
async function look(): Promise<void> {
  if (looking || asked.value !== null) return;
  looking = true;
  const from = client;
  try {
    const [sources, alive] = await Promise.all([from.sources(), from.workers()]);
    // Another token may be in force by now.
    if (from !== client || asked.value !== null) return;
    batch(() => {
      records.value = new Map(sources.map((record) => [record.source, record]));
      workers.value = alive;
    });
    allDrawnAgain();
    wake();
  } catch (error) {
    // The badge tells how the connection does; what is known stays. A gateway that wants a token says so here first: over a
    // WebSocket it waits for one. Whether a token that was given still counts the stream says, and not one answer of one
    // gateway, which may have just started or not have the new keys yet.
    if (from === client && error instanceof OddswireError && error.code === "token_missing") isSignInAsked(error);
  } finally {
    looking = false;
  }
}

function tellEnd({ image }: Run): void {
  say({ source: title(image.source), completed: image.status === "completed", word: image.status, errors: image.errors.reduce((sum, { count }) => sum + count, 0) });
  // Health changes with the end of a run.
  void look();
}

export const title = (source: string): string => records.value.get(source)?.title ?? source;

/** Starts runs of these sources (none: all enabled), or of what failed in a run, and says what came of it. */
export async function startRuns(what: { sources?: string[]; retryOf?: string }): Promise<void> {
  await command("Not started", "runs:start", async () => {
    const { runs, busy, workers } = await client.runs.start(what);
    const said = [`Started ${runs.length === 1 ? "1 run" : `${runs.length} runs`}.`];
    if (busy.length > 0) said.push(`Busy already: ${busy.map(({ source }) => title(source)).join(", ")}.`);
    if (workers === 0) said.push("No worker is alive: the runs wait for one.");
    return said.join(" ");
  });
}

export async function cancelRun(runId: string, source: string): Promise<void> {
  await command("Not cancelled", "runs:cancel", async () => {
    const { status } = await client.runs.cancel(runId);
    return status === "cancelling" ? `Asked the run of ${title(source)} to stop.` : `The run of ${title(source)} is over already.`;
  });
}

async function command(failed: string, scope: string, act: () => Promise<string>): Promise<void> {
  try {
    notice.value = { text: await act(), bad: false };
  } catch (error) {
    if (error instanceof OddswireError && error.code === "scope_missing") lacks(scope);
    const { message, problem } = error instanceof OddswireError ? error : { message: String(error), problem: undefined };
    notice.value = { text: `${failed}. ${problem === undefined ? "" : `${problem.title}: `}${message}`, bad: true };
  }
}
