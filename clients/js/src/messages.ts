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

/** Whether a run with this status has had its last event. */
export const isOver = (status: string): boolean => status === "completed" || status === "failed" || status === "cancelled";
