// One WebSocket to the gateway: connects, comes back, and says what the connection is worth at any moment.
//
// The handler gets `begin()` (what follows is a whole new state, to be built aside), `event(message)`, `settled()`
// (all that was asked for is delivered: show it, live from here), `beat(heartbeat)`, `fault(detail)`, `time(server
// time)` and `link(link)`, where a link is `{kind, until?, detail?}` and a kind is one of `wait` (connecting),
// `catch_up`, `live`, `unavailable` (bus down), `away` (comes back at `until`) and `stopped` (does not come back).

const BACKOFF_MIN_MS = 500;
const BACKOFF_MAX_MS = 20_000;
const STABLE_MS = 10_000;
const OPEN_WITHIN_MS = 15_000;
const MISSED_HEARTBEATS = 2.5;
const EVENTS = ["scrape_progress", "odds_update", "odds_confirmed"];

// The close codes after which coming back would not help.
const isFinal = (code) => [1002, 1007, 1008, 1009].includes(code) || (code >= 4500 && code <= 4999);

export class Feed {
  #handler;
  #socket = null;
  // Where to continue: everything before it was taken.
  #since = "snapshot";
  // Whether a new state is being built: its messages do not move `since`, for half a state cannot be continued.
  #aside = false;
  #attempts = 0;
  #acknowledgedAt = null;
  #heardAt = 0;
  #silenceMs = OPEN_WITHIN_MS;
  #comeBack = 0;
  #leave = 0;

  constructor(handler) {
    this.#handler = handler;
    setInterval(() => this.#watch(), 1000);
    addEventListener("online", () => this.#socket === null && this.#comeBack !== 0 && this.#connect());
  }

  start() {
    this.#connect();
  }

  #connect() {
    clearTimeout(this.#comeBack);
    this.#comeBack = 0;
    const url = new URL("api/ws", document.baseURI);
    url.protocol = url.protocol.replace("http", "ws");
    url.searchParams.set("since", this.#since);
    this.#aside = false;
    this.#acknowledgedAt = null;
    this.#silenceMs = OPEN_WITHIN_MS;
    this.#heardAt = performance.now();
    this.#handler.link({ kind: "wait" });
    this.#socket = new WebSocket(url);
    this.#socket.onmessage = ({ data }) => {
      this.#heardAt = performance.now();
      this.#take(JSON.parse(data));
    };
    this.#socket.onclose = ({ code, reason }) => this.#lost(code, reason);
  }

  // A half-open connection says nothing: silence is the only sign of it.
  #watch() {
    const silent = performance.now() - this.#heardAt > this.#silenceMs;
    if (this.#socket !== null && silent) this.#lost(1006, "");
  }

  #lost(code, reason) {
    clearTimeout(this.#leave);
    this.#socket.onmessage = null;
    this.#socket.onclose = null;
    this.#socket.close();
    this.#socket = null;
    if (isFinal(code)) {
      this.#handler.link({ kind: "stopped", detail: `The gateway refused this page (${code} ${reason}).` });
      return;
    }
    const stable = this.#acknowledgedAt !== null && performance.now() - this.#acknowledgedAt >= STABLE_MS;
    if (stable) this.#attempts = 0;
    const ceiling = Math.min(BACKOFF_MAX_MS, BACKOFF_MIN_MS * 2 ** this.#attempts);
    const delay = Math.random() * ceiling;
    this.#attempts += 1;
    this.#comeBack = setTimeout(() => this.#connect(), delay);
    this.#handler.link({ kind: "away", until: Date.now() + delay });
  }

  #take(message) {
    const { type, data } = message;
    if (EVENTS.includes(type)) {
      if (!this.#aside && message.id) this.#since = message.id;
      this.#handler.event(message);
    } else if (type === "connection_ack") {
      this.#acknowledgedAt = performance.now();
      this.#silenceMs = MISSED_HEARTBEATS * data.heartbeat_ms;
      this.#handler.time(message.timestamp);
      this.#resume(data.resume.verdict);
    } else if (type === "resume") {
      this.#resume(data.verdict);
    } else if (type === "caught_up") {
      this.#aside = false;
      this.#since = data.cursor;
      this.#handler.settled();
      this.#handler.link({ kind: "live" });
    } else if (type === "heartbeat") {
      if (!this.#aside) this.#since = data.cursor;
      this.#handler.time(data.server_time);
      this.#handler.beat(data);
    } else if (type === "reconnect") {
      this.#attempts = 0;
      clearTimeout(this.#leave);
      this.#leave = setTimeout(() => this.#lost(1012, data.reason), data.after_ms);
    } else if (type === "error") {
      this.#handler.fault(data.detail);
    }
    // `lagging` needs no answer: every message is a whole image, and the newest one comes. The rest was not asked for.
  }

  #resume(verdict) {
    if (verdict === "gap") {
      // Events were lost. Which feed lost them is not said, so everything is asked for anew.
      this.#since = "snapshot";
      this.#lost(1006, "");
      return;
    }
    const whole = verdict === "snapshot" || this.#since === "snapshot";
    if (whole && !this.#aside) {
      this.#aside = true;
      this.#handler.begin();
    }
    this.#handler.link({ kind: verdict === "unavailable" ? "unavailable" : "catch_up" });
  }
}
