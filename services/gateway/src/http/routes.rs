//! The one table of routes below `/api`: the router is made of it, and so is `OpenAPI`.

use super::{
    Gateway,
    contract::{self, Describe},
    odds, scrapes, sse, tickets, ws,
};
use axum::{
    Router,
    handler::Handler,
    http::{Method, StatusCode},
    routing::{self, MethodRouter},
};
use oddswire_protocol::{
    Cursor, EventId, RunId, api,
    header::TRACEPARENT,
    problem::ProblemCode::{self, BusUnavailable, InvalidQuery, InvalidTopic, UnknownRun},
    progress::ScrapeProgress,
};
use serde_json::json;

/// A route: what answers, and what `OpenAPI` says of it.
pub(super) struct Route {
    pub(super) method: Method,
    pub(super) path: &'static str,
    handler: MethodRouter<Gateway>,
    pub(super) describe: Describe,
}

fn get<H: Handler<T, Gateway>, T: 'static>(path: &'static str, handler: H, describe: Describe) -> Route {
    Route {
        method: Method::GET,
        path,
        handler: routing::get(handler),
        describe,
    }
}

fn post<H: Handler<T, Gateway>, T: 'static>(path: &'static str, handler: H, describe: Describe) -> Route {
    Route {
        method: Method::POST,
        path,
        handler: routing::post(handler),
        describe,
    }
}

/// All of them.
pub(super) fn routes() -> Vec<Route> {
    [streams(), runs(), board(), contract()]
        .into_iter()
        .flatten()
        .collect()
}

/// The same with them.
pub(super) fn add(router: Router<Gateway>) -> Router<Gateway> {
    routes()
        .into_iter()
        .fold(router, |router, route| router.route(route.path, route.handler))
}

const EVENT_STREAM: &str = "text/event-stream";
const LAST_EVENT_ID: &str = "Beats every parameter that says the same. EventSource sends it by itself.";

fn streams() -> Vec<Route> {
    vec![
        get("/api/ws", ws::connect, |operation| {
            operation
                .named("connectWebSocket", "streams", "The stream over WebSocket")
                .about("The handshake of RFC 6455. Without a token it is accepted, and the first message is to bring one.")
                .query::<super::query::StreamQuery>()
                .empty(StatusCode::SWITCHING_PROTOCOLS, "From here on, messages as AsyncAPI has them.")
                .problems(&[ProblemCode::NotAWebsocket])
        }),
        get("/api/events", sse::connect, |operation| {
            operation
                .named("connectEvents", "streams", "The stream over Server-Sent Events")
                .query::<super::query::StreamQuery>()
                .header::<Cursor>("Last-Event-ID", LAST_EVENT_ID)
                .answer_of(
                    StatusCode::OK,
                    EVENT_STREAM,
                    json!({ "type": "string" }),
                    "Messages as AsyncAPI has them, without end.",
                )
                .problems(&[InvalidTopic])
        }),
        get("/api/scrapes/{run_id}/events", sse::connect_run, |operation| {
            operation
                .named("followRun", "streams", "The stream of one run, to its end")
                .path::<RunId>("run_id", "The run.")
                .query::<super::query::StreamQuery>()
                .header::<Cursor>("Last-Event-ID", LAST_EVENT_ID)
                .answer_of(
                    StatusCode::OK,
                    EVENT_STREAM,
                    json!({ "type": "string" }),
                    "Its last image, or all after the cursor; then every event up to the terminal one.",
                )
                .empty(
                    StatusCode::NO_CONTENT,
                    "The run is over, and the cursor is past its end.",
                )
                .problems(&[BusUnavailable, UnknownRun])
        }),
        post("/api/tickets", tickets::give, |operation| {
            operation
                .named(
                    "giveTicket",
                    "streams",
                    "A ticket, which opens one stream where no header can be sent",
                )
                .answer::<api::TicketGiven>(StatusCode::OK, "The ticket.")
                .problems(&[ProblemCode::AuthDisabled])
        }),
    ]
}

fn runs() -> Vec<Route> {
    vec![
        get("/api/scrapes", scrapes::list, |operation| {
            operation
                .named("listRuns", "runs", "Runs of the last days, newest first")
                .query::<scrapes::ListQuery>()
                .answer::<api::Scrapes>(StatusCode::OK, "A page of them.")
                .problems(&[BusUnavailable, InvalidQuery])
        }),
        post("/api/scrapes", scrapes::start, |operation| {
            operation
                .named("startRuns", "runs", "Starts a run a source")
                .header::<String>(TRACEPARENT, "W3C trace context, continued by the runs.")
                .body::<api::StartScrapes>("Which; none: all sources that are enabled.")
                .answer::<api::Started>(StatusCode::ACCEPTED, "What was started, and what was busy.")
                .problems(&[
                    BusUnavailable,
                    ProblemCode::Busy,
                    ProblemCode::NotOver,
                    ProblemCode::NothingFailed,
                    UnknownRun,
                    ProblemCode::UnknownSource,
                ])
        }),
        get("/api/scrapes/{run_id}", scrapes::show, |operation| {
            operation
                .named("showRun", "runs", "The last image of a run")
                .path::<RunId>("run_id", "The run.")
                .answer::<ScrapeProgress>(StatusCode::OK, "The run.")
                .problems(&[BusUnavailable, UnknownRun])
        }),
        post("/api/scrapes/{run_id}/cancel", scrapes::cancel, |operation| {
            operation
                .named(
                    "cancelRun",
                    "runs",
                    "Cancels a run; one that is over stays as it is",
                )
                .path::<RunId>("run_id", "The run.")
                .answer::<api::Cancelled>(StatusCode::ACCEPTED, "What it is now.")
                .problems(&[BusUnavailable, UnknownRun])
        }),
        get("/api/sources", scrapes::sources, |operation| {
            operation
                .named("listSources", "runs", "The sources that scrapers know")
                .answer::<api::Sources>(StatusCode::OK, "All of them.")
                .problems(&[BusUnavailable])
        }),
        get("/api/workers", scrapes::workers, |operation| {
            operation
                .named("listWorkers", "runs", "The scrapers that are alive")
                .answer::<api::Workers>(StatusCode::OK, "All of them.")
                .problems(&[BusUnavailable])
        }),
    ]
}

fn board() -> Vec<Route> {
    vec![
        get("/api/odds", odds::board, |operation| {
            operation
                .named(
                    "showBoard",
                    "odds",
                    "The board now, to be continued by a stream with its cursor",
                )
                .query::<odds::BoardQuery>()
                .answer::<api::Board>(StatusCode::OK, "A page of it.")
                .problems(&[BusUnavailable, InvalidQuery])
        }),
        get("/api/odds/{event_id}/history", odds::history, |operation| {
            operation
                .named(
                    "showHistory",
                    "odds",
                    "What an event's odds were in the last 24 hours",
                )
                .path::<EventId>("event_id", "The event; one without a past has no images.")
                .query::<odds::HistoryQuery>()
                .answer::<api::History>(StatusCode::OK, "A page of it.")
                .problems(&[BusUnavailable, InvalidQuery])
        }),
    ]
}

fn contract() -> Vec<Route> {
    vec![
        get("/api/openapi.json", contract::openapi, |operation| {
            let named = operation.named("showOpenApi", "contract", "This document");
            contract::cached(named, "application/json", "OpenAPI 3.1.")
        }),
        get("/api/asyncapi.json", contract::asyncapi, |operation| {
            let named = operation.named("showAsyncApi", "contract", "What the streams and the bus carry");
            contract::cached(named, "application/json", "AsyncAPI 3.")
        }),
        get("/api/schemas/", contract::index, |operation| {
            operation
                .named(
                    "listSchemas",
                    "contract",
                    "The JSON Schemas of messages and bodies",
                )
                .answer::<api::Schemas>(StatusCode::OK, "All of them.")
        }),
        get("/api/schemas/{name}", contract::schema, |operation| {
            let named = operation
                .named("showSchema", "contract", "A JSON Schema, draft 2020-12")
                .path::<String>("name", "As the list has it.");
            contract::cached(named, contract::SCHEMA_MEDIA_TYPE, "The schema.")
                .problems(&[ProblemCode::NotFound])
        }),
    ]
}
