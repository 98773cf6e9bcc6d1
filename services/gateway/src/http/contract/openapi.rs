//! `OpenAPI` 3.1, from the table of routes.

use super::operation::Operation;
use crate::http::routes::{Route, routes};
use axum::http::StatusCode;
use oddswire_protocol::{api::QuarantinedEvents, schema};
use schemars::SchemaGenerator;
use serde_json::{Map, Value, json};

const ABOUT: &str = "Live odds and scrape progress. What WebSocket and Server-Sent Events carry is described by \
    /api/asyncapi.json, in the same words. Unknown query parameters are ignored, and later releases may add keys to \
    answers. Every error is a problem document of RFC 9457 whose `code` is stable; the schema ProblemCode has all \
    of them, and docs/errors.md lists them, with a page each. A gateway that asks for no tokens lets everybody in.";

/// The document.
pub(super) fn document() -> Value {
    of(&routes())
}

fn of(routes: &[Route]) -> Value {
    let mut generator = schema::components();
    let mut paths: Map<String, Value> = Map::new();
    for route in routes {
        let operation = (route.describe)(Operation::new(&mut generator));
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method.as_str().to_lowercase()] = operation.finish(&route.method, route.path);
    }
    for (path, item) in operations_port(&mut generator) {
        paths.insert(path.into(), item);
    }
    json!({
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "info": {
            "title": "Oddswire",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "Bookmakers' odds, as they change.",
            "description": ABOUT,
            "license": { "name": "Apache 2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/", "description": "Any gateway: all are equal." }],
        "tags": [
            { "name": "streams", "description": "Events as they happen." },
            { "name": "runs", "description": "Scrapes of sources: started, watched, cancelled." },
            { "name": "odds", "description": "The board, and what it was." },
            { "name": "contract", "description": "This description itself. It needs no token." },
            { "name": "operations", "description": "The operations port, for operators." },
        ],
        "paths": paths,
        "components": {
            "schemas": generator.take_definitions(true),
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "In the header Authorization; for WebSocket also as the subprotocol bearer.<token>, or as \
                        first message. Named scopes are words of the token's claim scope.",
                },
                "ticket": {
                    "type": "apiKey",
                    "in": "query",
                    "name": "ticket",
                    "description": "Opens one stream, once: POST /api/tickets gives it.",
                },
            },
        },
    })
}

/// What `oddswire_kit::ops` serves, the same for every service, and what the gateway adds.
fn operations_port(generator: &mut SchemaGenerator) -> Vec<(&'static str, Value)> {
    let text = || json!({ "type": "string" });
    let mut item = |describe: &dyn Fn(Operation<'_>) -> Value| {
        json!({
            "servers": [{ "url": "http://127.0.0.1:8081", "description": "The operations port." }],
            "get": describe(Operation::new(generator)),
        })
    };
    let security = |mut operation: Value| {
        operation["security"] = json!([]);
        operation
    };
    let livez = item(&|operation| {
        let operation = operation
            .named("isAlive", "operations", "Whether the process answers")
            .answer_of(StatusCode::OK, "text/plain", text(), "It does.");
        security(operation.finish_plain())
    });
    let readyz = item(&|operation| {
        let operation = operation
            .named("isReady", "operations", "Whether clients are served well")
            .answer_of(StatusCode::OK, "text/plain", text(), "They are.")
            .answer_of(
                StatusCode::SERVICE_UNAVAILABLE,
                "text/plain",
                text(),
                "What is wrong, a line each.",
            );
        security(operation.finish_plain())
    });
    let metrics = item(&|operation| {
        let media = "application/openmetrics-text";
        let operation = operation
            .named("metrics", "operations", "Metrics for Prometheus")
            .answer_of(StatusCode::OK, media, text(), "docs/metrics.md names them.");
        security(operation.finish_plain())
    });
    let quarantine = item(&|operation| {
        let about = "What the bus holds that is not what the contract says";
        let operation = operation
            .named("quarantine", "operations", about)
            .answer::<QuarantinedEvents>(StatusCode::OK, "The newest of it.");
        security(operation.finish_plain())
    });
    vec![
        ("/livez", livez),
        ("/readyz", readyz),
        ("/metrics", metrics),
        ("/quarantine", quarantine),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use oddswire_protocol::problem::ProblemCode;
    use std::collections::BTreeSet;

    /// What the router has, as `GET /api/odds`.
    fn routed(routes: &[Route]) -> BTreeSet<String> {
        routes
            .iter()
            .map(|route| format!("{} {}", route.method, route.path))
            .collect()
    }

    /// What the document has on the client port.
    fn described(document: &Value) -> BTreeSet<String> {
        let paths = document["paths"].as_object().unwrap();
        paths
            .iter()
            .filter(|(_, item)| item.get("servers").is_none())
            .flat_map(|(path, item)| {
                let methods = item.as_object().unwrap().keys();
                methods.map(move |method| format!("{} {path}", method.to_uppercase()))
            })
            .collect()
    }

    #[test]
    fn every_route_is_in_the_committed_document_and_the_reverse() {
        let committed = include_str!("../../../../../docs/openapi.json");
        let committed: Value = serde_json::from_str(committed).unwrap();
        let all = routes();
        assert!(all.len() > 12);
        assert_eq!(described(&committed), routed(&all));
        // A route that is missing is noticed.
        assert_ne!(described(&committed), routed(&all[1..]));
        assert_ne!(described(&of(&all[1..])), routed(&all));
    }

    #[test]
    fn every_code_is_that_of_some_operation() {
        let text = document().to_string();
        for code in ProblemCode::ALL {
            // No operation is one that takes no such method.
            if *code != ProblemCode::MethodNotAllowed {
                let word = format!("`{}`", code.as_str());
                assert!(text.contains(&word), "{word} is in no answer");
            }
            assert!(
                text.contains(&format!("\"const\":\"{}\"", code.as_str())),
                "{code:?} is not in ProblemCode"
            );
        }
    }

    #[test]
    fn names_of_operations_are_their_own() {
        let document = document();
        let mut seen = BTreeSet::new();
        for item in document["paths"].as_object().unwrap().values() {
            for operation in item
                .as_object()
                .unwrap()
                .values()
                .filter(|value| value.is_object())
            {
                let id = operation["operationId"].as_str().unwrap().to_owned();
                assert!(seen.insert(id.clone()), "{id} twice");
            }
        }
    }
}
