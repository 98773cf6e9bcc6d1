// The page: what the gateway tells goes into a state, and the state is drawn once a frame.

import { Board } from "./board.js";
import { setText } from "./dom.js";
import { Feed } from "./feed.js";
import { showRuns } from "./runs.js";
import { isOver, priceMoves, State } from "./state.js";
import { duration, plural } from "./words.js";

const RUNS_ASKED = 20;
const NOTICE_MS = 20_000;
const VOICE_MS = 5000;
const SKEW_TOLD_MS = 2000;

const element = (id) => document.getElementById(id);

let state = new State();
// A new state that is being built while the old one is shown.
let aside = null;
// Whether `state` was ever whole.
let settled = false;
let link = { kind: "wait" };
let upstream = "ok";
// The gateway's clock less ours.
let offsetMs = 0;
// source → what GET /api/sources says of it.
let records = new Map();
const cancelling = new Set();
const board = new Board(draw);

const now = () => Date.now() + offsetMs;
const titleOf = (source) => records.get(source)?.title ?? source;
const isLive = () => link.kind === "live" && upstream !== "down";

// --- What the gateway tells ---

const feed = new Feed({
  begin() {
    aside = new State();
  },
  event({ type, timestamp, data }) {
    const target = aside ?? state;
    if (type === "scrape_progress") takeRun(target, data, Date.parse(timestamp));
    else if (type === "odds_update") takeOdds(target, data);
    else target.takeConfirmed(data);
    draw({ board: type !== "scrape_progress" });
  },
  settled() {
    if (aside !== null) {
      state = aside;
      aside = null;
      board.forgetMoves();
      board.touchAll();
    }
    settled = true;
    loadSources();
    loadRuns();
  },
  link(next) {
    link = next;
    if (next.kind === "away" || next.kind === "stopped") aside = null;
    if (next.kind === "wait") upstream = "ok";
    if (next.kind === "stopped") notice(next.detail, true);
    draw();
  },
  beat(heartbeat) {
    upstream = heartbeat.upstream;
    draw();
  },
  time(timestamp) {
    offsetMs = Date.parse(timestamp) - Date.now();
  },
  fault(detail) {
    notice(`The gateway says: ${detail}`, true);
  },
});

function takeRun(target, image, at) {
  const taken = target.takeRun(image, at);
  const ended = taken !== null && isOver(taken.run);
  if (!ended || target !== state || link.kind !== "live") return;
  cancelling.delete(image.run_id);
  say(image);
  loadSources();
}

function takeOdds(target, data) {
  const before = target.takeOdds(data);
  if (target !== state) return;
  board.touch(data.event.event_id);
  if (before && link.kind === "live") board.moved(data, priceMoves(before, data));
}

// --- What is asked for ---

// Answers the body of a request, or throws an error with a sentence for a person.
async function ask(method, path) {
  const answer = await fetch(path, { method }).catch(() => {
    throw new Error("The gateway did not answer.");
  });
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error([body.title ?? `HTTP ${answer.status}`, body.detail].filter(Boolean).join(": "));
  return body;
}

async function loadSources() {
  try {
    const { sources } = await ask("GET", "api/sources");
    records = new Map(sources.map((record) => [record.source, record]));
    draw();
  } catch {
    // Titles, health and limits of staleness: the page shows the keys of the sources and its defaults without.
  }
}

// The stream tells of runs of the last minutes; these are the ones before, and those that still wait for a worker.
async function loadRuns() {
  try {
    const { runs } = await ask("GET", `api/scrapes?limit=${RUNS_ASKED}`);
    for (const image of runs) state.takeRun(image, Date.parse(image.started_at) + image.elapsed_ms);
    draw();
  } catch (error) {
    notice(`Earlier runs could not be loaded. ${error.message}`, true);
  }
}

async function scrape() {
  element("scrape").disabled = true;
  try {
    const { runs, busy, workers } = await ask("POST", "api/scrapes");
    const parts = [runs.length > 0 ? `Started ${plural(runs.length, "run")}.` : "There is no source to scrape."];
    if (busy.length > 0) parts.push(`Busy already: ${busy.map(({ source }) => titleOf(source)).join(", ")}.`);
    if (workers === 0) parts.push("No worker is alive: the runs wait for one.");
    notice(parts.join(" "), runs.length === 0 || workers === 0);
    await loadRuns();
  } catch (error) {
    notice(`Not started. ${error.message}`, true);
  }
  element("scrape").disabled = false;
}

async function cancel(runId) {
  cancelling.add(runId);
  draw();
  try {
    await ask("POST", `api/scrapes/${runId}/cancel`);
  } catch (error) {
    cancelling.delete(runId);
    notice(`Not cancelled. ${error.message}`, true);
    draw();
  }
}

// --- What is shown ---

let frame = 0;
let boardDue = false;

function draw({ board: alsoBoard = true } = {}) {
  boardDue ||= alsoBoard;
  frame ||= requestAnimationFrame(() => {
    frame = 0;
    const bus = link.kind !== "unavailable";
    const view = { state, now: now(), live: isLive(), settled, bus, records, titleOf, cancelling };
    showLink();
    showRuns(view);
    if (boardDue) board.show(view);
    boardDue = false;
  });
}

function showLink() {
  const [kind, text] = badge();
  element("link").dataset.kind = kind;
  setText(element("link"), text);
  document.body.classList.toggle("lost", settled && !isLive());
  const skewed = Math.abs(offsetMs) > SKEW_TOLD_MS;
  element("skew").hidden = !skewed;
  const skew = `${duration(Math.abs(offsetMs))} ${offsetMs > 0 ? "slow" : "fast"}`;
  setText(element("skew"), `your clock is ${skew}; ages are by the gateway’s`);
}

function badge() {
  if (link.kind === "wait") return ["wait", settled ? "reconnecting" : "connecting"];
  if (link.kind === "catch_up") return ["wait", "catching up"];
  if (link.kind === "unavailable") return ["bad", "bus unavailable"];
  if (link.kind === "stopped") return ["bad", "offline"];
  if (link.kind === "away" && !navigator.onLine) return ["bad", "offline"];
  if (link.kind === "away") return ["bad", `reconnecting in ${duration(Math.max(1000, link.until - Date.now()))}`];
  if (upstream === "down") return ["bad", "upstream down"];
  return upstream === "stale" ? ["wait", "live, upstream stale"] : ["good", "live"];
}

let noticeTimer = 0;

function notice(text, isBad) {
  element("notice").hidden = false;
  element("notice").classList.toggle("bad", isBad);
  setText(element("notice"), text);
  clearTimeout(noticeTimer);
  if (link.kind !== "stopped") noticeTimer = setTimeout(() => (element("notice").hidden = true), NOTICE_MS);
}

// Last images of runs that ended and were not told yet, for those who listen instead of looking.
let untold = [];
let voiceTimer = 0;

function say(image) {
  untold.push(image);
  voiceTimer ||= setTimeout(tell, 0);
}

function tell() {
  voiceTimer = 0;
  if (untold.length === 0) return;
  const failed = untold.filter(({ status }) => status !== "completed").length;
  const errors = untold.flatMap((image) => image.errors).reduce((sum, group) => sum + group.count, 0);
  const [{ source, status }] = untold;
  const one = untold.length === 1;
  const who = one ? `${titleOf(source)} ${status}` : `${untold.length} runs ended, ${failed} not completed`;
  setText(element("voice"), errors > 0 ? `${who}, ${plural(errors, "error")}.` : `${who}.`);
  untold = [];
  voiceTimer = setTimeout(tell, VOICE_MS);
}

element("scrape").addEventListener("click", scrape);
document.addEventListener("click", ({ target }) => {
  const runId = target.closest("[data-cancel]")?.dataset.cancel;
  if (runId !== undefined) cancel(runId);
});
setInterval(draw, 1000);
feed.start();
