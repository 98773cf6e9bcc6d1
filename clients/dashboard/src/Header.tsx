import type { FeedState } from "@oddswire/client";
import { useSignal } from "@preact/signals";
import { staleAfter } from "./board.js";
import { route } from "./router.js";
import { board, client, gapAt, goodUntil, isWhole, link, now, records, startRuns, title } from "./store.js";
import { closeByEscape } from "./menu.js";
import { asked, may } from "./session.js";
import { Account } from "./SignIn.js";
import { chooseTheme, type Theme, theme } from "./theme.js";
import { duration, plural } from "./words.js";

// Below this a clock is right enough.
const SKEW_TOLD_MS = 5000;

export function Header() {
  const at = route.value.name;
  const here = (...names: string[]) => (names.includes(at) ? ("page" as const) : undefined);
  return (
    <header class="top">
      <h1><a href="#/"><img src="./icon.svg" alt="" width="24" height="24" /> Oddswire</a></h1>
      <nav aria-label="Pages">
        <a href="#/" aria-current={here("home", "event")}>Board</a>
        <a href="#/runs" aria-current={here("runs", "run")}>Runs</a>
      </nav>
      {asked.value === null && <><Badge /><Skew /><Health /></>}
      <span class="grow" />
      <ThemeChoice />
      <Account />
      {asked.value === null && may("runs:start") && <Start />}
    </header>
  );
}

function Badge() {
  const state = link.value;
  const { kind, text, more } = describe(state);
  const why = [more, state.transport === null ? null : `over ${state.transport === "ws" ? "WebSocket" : "Server-Sent Events"}`].filter(Boolean);
  return (
    <p id="link" class="badge" data-kind={kind} title={why.join("; ")}>
      {text}
      {state.status === "live" && state.transport === "sse" && <span class="unseen"> over Server-Sent Events</span>}
    </p>
  );
}

function describe(state: FeedState): { kind: "good" | "wait" | "bad"; text: string; more?: string | undefined } {
  const since = goodUntil.value === null ? "" : `, for ${duration(now.value - goodUntil.value)}`;
  switch (state.status) {
    case "live":
      if (state.upstream === "down") return { kind: "bad", text: "upstream down", more: `the gateway has no bus${since}` };
      if (state.upstream === "stale") return { kind: "wait", text: "upstream stale", more: `the gateway does not know that its feeds are whole${since}` };
      if (gapAt.value !== null) return { kind: "good", text: "live, resynced after a gap", more: "events were lost; the state is right" };
      return { kind: "good", text: "live" };
    case "replaying":
      if (!isWhole.value) return { kind: "wait", text: "loading" };
      if (state.verdict === "replayed") return { kind: "wait", text: state.replayed === 0 ? "replaying" : `replaying ${state.replayed} missed` };
      return { kind: "wait", text: "resyncing", more: state.verdict === "gap" ? "events were lost; the state is loaded anew" : undefined };
    case "unavailable":
      return { kind: "bad", text: "upstream down", more: `the gateway has no bus${since}` };
    case "reconnecting": {
      const left = Math.max(0, Math.ceil(((state.retryAt ?? 0) - Date.now()) / 1000));
      return { kind: "bad", text: left > 0 ? `reconnecting in ${left} s` : "reconnecting", more: state.why ?? undefined };
    }
    case "offline":
      return { kind: "bad", text: "offline", more: "this device says that it has no network" };
    case "closed":
      return { kind: "bad", text: "stopped", more: state.error?.message };
    default:
      return { kind: "wait", text: isWhole.value ? "reconnecting" : "connecting", more: state.why ?? undefined };
  }
}

function Skew() {
  // Looked at with each tick.
  void now.value;
  const offset = client.clockOffsetMs;
  if (Math.abs(offset) < SKEW_TOLD_MS) return null;
  return <p id="skew" class="note">your clock is {duration(Math.abs(offset))} {offset > 0 ? "slow" : "fast"}; ages are computed with the gateway's</p>;
}

/** How a source does, in one word: what its last run found, and whether it was checked in time. */
export function healthOf(source: string): { kind: "good" | "wait" | "bad" | "none"; word: string } {
  const record = records.value.get(source);
  void board.value.checks.value;
  const checked = board.value.confirmed.get(source)?.at;
  if (record?.health === "down") return { kind: "bad", word: "down" };
  if (checked === undefined && record?.health !== "degraded") return { kind: "none", word: "never checked" };
  const age = now.value - (checked ?? now.value);
  if (age > staleAfter(record)) return { kind: "wait", word: `stale, checked ${duration(age)} ago` };
  if (record?.health === "degraded") return { kind: "wait", word: "degraded" };
  return { kind: "good", word: "ok" };
}

function Health() {
  const known = [...new Set([...records.value.keys(), ...board.value.sources])].sort();
  if (known.length === 0) return null;
  return (
    <ul class="health" aria-label="Sources">
      {known.map((source) => {
        const { kind, word } = healthOf(source);
        const text = `${title(source)}: ${word}`;
        return <li key={source} class={`lamp ${kind}`} title={text}><span class="unseen">{text}</span></li>;
      })}
    </ul>
  );
}

function ThemeChoice() {
  return (
    <label class="theme">
      <span class="unseen">Theme</span>
      <select value={theme.value} onChange={(event) => chooseTheme(event.currentTarget.value as Theme)}>
        <option value="system">Auto</option>
        <option value="light">Light</option>
        <option value="dark">Dark</option>
      </select>
    </label>
  );
}

function Start() {
  const sources = [...records.value.values()].filter(({ enabled }) => enabled).map(({ source }) => source);
  const left = useSignal<ReadonlySet<string>>(new Set());
  const busy = useSignal(false);
  const chosen = sources.filter((source) => !left.value.has(source));
  const go = async () => {
    busy.value = true;
    await startRuns(chosen.length === sources.length ? {} : { sources: chosen });
    busy.value = false;
  };
  const toggle = (source: string) => {
    const next = new Set(left.value);
    if (!next.delete(source)) next.add(source);
    left.value = next;
  };
  return (
    <div class="start">
      <button id="scrape" type="button" class="primary" disabled={busy.value || (sources.length > 0 && chosen.length === 0)} onClick={() => void go()}>
        {chosen.length === sources.length ? "Scrape now" : `Scrape ${plural(chosen.length, "source")}`}
      </button>
      {sources.length > 1 && (
        <details id="choose" onKeyDown={closeByEscape}>
          <summary aria-label="Choose the sources to scrape" />
          <fieldset>
            <legend>Sources to scrape</legend>
            {sources.map((source) => (
              <label key={source}>
                <input type="checkbox" checked={!left.value.has(source)} onChange={() => toggle(source)} /> {title(source)}
              </label>
            ))}
          </fieldset>
        </details>
      )}
    </div>
  );
}
