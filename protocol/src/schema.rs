//! JSON Schemas of everything above, generated from the types. `cargo xtask types` writes them to
//! `protocol/schemas/`; a test fails when those files are stale.

use crate::{api, client, envelope, job, problem};
use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings};

/// The schema of a type, draft 2020-12.
pub fn of<T: JsonSchema>() -> Schema {
    SchemaSettings::draft2020_12()
        .into_generator()
        .into_root_schema_for::<T>()
}

/// A generator for documents that keep their schemas under `components`, as OpenAPI and AsyncAPI do.
pub fn components() -> SchemaGenerator {
    SchemaSettings::draft2020_12()
        .with(|settings| settings.definitions_path = "/components/schemas".into())
        .into_generator()
}

/// Every schema file: its name and its text.
///
/// # Panics
/// Never: a schema is JSON.
pub fn files() -> Vec<(String, String)> {
    let mut files: Vec<(String, Schema)> = envelope::data_schemas()
        .into_iter()
        .map(|(message_type, schema)| (format!("message.{}.json", message_type.as_str()), schema))
        .collect();
    files.extend(client::schemas().map(|(word, schema)| (format!("client.{word}.json"), schema)));
    files.extend([
        ("envelope.json".into(), envelope()),
        ("job.json".into(), of::<job::Job>()),
        ("api.board.json".into(), of::<api::Board>()),
        ("api.cancelled.json".into(), of::<api::Cancelled>()),
        ("api.history.json".into(), of::<api::History>()),
        ("api.scrapes.json".into(), of::<api::Scrapes>()),
        ("api.schemas.json".into(), of::<api::Schemas>()),
        ("api.start_scrapes.json".into(), of::<api::StartScrapes>()),
        ("api.started.json".into(), of::<api::Started>()),
        ("api.sources.json".into(), of::<api::Sources>()),
        ("api.ticket.json".into(), of::<api::TicketGiven>()),
        ("api.workers.json".into(), of::<api::Workers>()),
        ("problem.json".into(), of::<problem::Problem>()),
    ]);
    files
        .into_iter()
        .map(|(name, schema)| {
            let mut text = serde_json::to_string_pretty(&schema).expect("a schema is JSON");
            text.push('\n');
            (name, text)
        })
        .collect()
}

fn envelope() -> Schema {
    let timestamp = of::<crate::Timestamp>();
    let words: Vec<_> = envelope::MessageType::ALL.iter().map(|t| t.as_str()).collect();
    schemars::json_schema!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Envelope",
        "description": "Every message to clients, its keys in this order.",
        "type": "object",
        "properties": {
            "type": { "enum": words },
            "timestamp": timestamp,
            "data": { "type": "object" },
            "id": { "type": "string", "description": "Only for WebSocket clients that sent since, on messages that have a position." }
        },
        "required": ["type", "timestamp", "data"]
    })
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    #[test]
    fn the_schema_files_are_up_to_date() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
        let wanted = super::files();
        for (name, text) in &wanted {
            let found = fs::read_to_string(dir.join(name)).unwrap_or_default();
            assert!(found == *text, "{name} is stale: run `cargo xtask types`");
        }
        let mut names: Vec<_> = fs::read_dir(&dir)
            .unwrap()
            .map(|f| f.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        let mut expected: Vec<_> = wanted.into_iter().map(|(name, _)| name).collect();
        expected.sort();
        assert_eq!(names, expected, "a schema file that no type has");
    }
}
