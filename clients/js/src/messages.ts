// What crosses the wire, by name.

import type {
  CaughtUp,
  ConnectionAck,
  ErrorData,
  Heartbeat,
  Lagging,
  OddsConfirmed,
  OddsUpdate,
  Reconnect,
  Resume,
  ScrapeProgress,
  SubscriptionAck,
} from "./generated.js";

/** A message as the gateway sends it. `id` is the position after it: opaque, and continued by any gateway. */
export interface Envelope<Type extends string, Data> {
  readonly type: Type;
  /** The event's own time: UTC with milliseconds. */
  readonly timestamp: string;
  readonly data: Data;
  readonly id?: string;
}

export type RunMessage = Envelope<"scrape_progress", ScrapeProgress>;
export type OddsMessage = Envelope<"odds_update", OddsUpdate>;
export type ConfirmedMessage = Envelope<"odds_confirmed", OddsConfirmed>;

/** An event of the bus: an image that replaces what is held under its key whole. */
export type EventMessage = RunMessage | OddsMessage | ConfirmedMessage;

/** What the gateway says for itself. */
export type ControlMessage =
  | Envelope<"connection_ack", ConnectionAck>
  | Envelope<"caught_up", CaughtUp>
  | Envelope<"subscription_ack", SubscriptionAck>
  | Envelope<"resume", Resume>
  | Envelope<"heartbeat", Heartbeat>
  | Envelope<"lagging", Lagging>
  | Envelope<"reconnect", Reconnect>
  | Envelope<"pong", { ref?: string | number }>
  | Envelope<"error", ErrorData>;

export type Message = EventMessage | ControlMessage;

const EVENTS: ReadonlySet<string> = new Set(["scrape_progress", "odds_update", "odds_confirmed"]);

export const isEvent = (message: Message): message is EventMessage => EVENTS.has(message.type);

/**
 * Whether an event has what it is held and ordered by. A gateway shows no other; one of another make might, and a message
 * that cannot be read must cost that message and not the stream.
 */
export const isReadable = ({ type, timestamp, data }: EventMessage): boolean => {
  const texts = (...values: unknown[]): boolean => values.every((value) => typeof value === "string");
  if (typeof timestamp !== "string") return false;
  switch (type) {
    case "scrape_progress":
      return texts(data.run_id, data.source, data.status, data.phase) && Number.isSafeInteger(data.seq) && Array.isArray(data.errors);
    case "odds_update":
      return texts(data.source, data.event?.event_id, data.event?.sport_key, data.market?.key, data.market?.period) && quotes(data.market.quotes);
    case "odds_confirmed":
      return texts(data.source, data.confirmed_at) && Array.isArray(data.unconfirmed_event_ids);
  }
};

const quotes = (list: unknown): boolean =>
  Array.isArray(list) && list.every((quote: { outcomes?: unknown } | null) => Array.isArray(quote?.outcomes) && quote.outcomes.every((outcome: unknown) => typeof outcome === "object" && outcome !== null));

/** Whether a run with this status has had its last event. */
export const isOver = (status: string): boolean => status === "completed" || status === "failed" || status === "cancelled";
