export { type Board, type BoardFilter, Client, type ClientOptions, createClient, type HistoryFilter, type RunFilter, type RunList } from "./client.js";
export type { Transport, WebSocketConstructor, WebSocketLike } from "./connection.js";
export { OddswireError } from "./errors.js";
export { type CursorStorage, Feed, type FeedEvents, type FeedOptions, type FeedState, type Snapshot } from "./feed.js";
export type * from "./generated.js";
export { type ConfirmedMessage, type ControlMessage, type Envelope, type EventMessage, isEvent, isOver, type Message, type OddsMessage, type RunMessage } from "./messages.js";
export { RunWatch } from "./runs.js";
export type { TokenSource } from "./token.js";
export { oddsTopic, runTopic } from "./topics.js";
