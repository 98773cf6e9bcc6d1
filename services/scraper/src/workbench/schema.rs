//! The JSON Schema of source files, for editors: `oddswire source schema`.
//!
//! Loading reads tables key by key, so that it can tell each mistake with its line; these types say the same for
//! editors. A test asks the loader which keys it knows and compares.

mod file;
mod markets;
mod step;

use schemars::generate::SchemaSettings;
use serde_json::Value;

/// The JSON Schema (draft 7) of a source file, as the text of a file.
///
/// # Panics
/// Never: the types are there.
pub fn source_schema() -> String {
    // Editors of TOML know draft 7 best, and nothing here needs more.
    let generator = SchemaSettings::draft07().into_generator();
    let mut schema = generator.into_root_schema_for::<file::SourceFile>().to_value();
    without_null(&mut schema);
    let mut text = serde_json::to_string_pretty(&schema).expect("a schema serialises without failing");
    text.push('\n');
    text
}

/// TOML has no null: a key that may be missing is missing.
fn without_null(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::Array(types)) = fields.get_mut("type") {
                types.retain(|name| name != "null");
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    fields.insert("type".to_owned(), only);
                }
            }
            if let Some(Value::Array(any)) = fields.get_mut("anyOf") {
                any.retain(|one| one["type"] != "null");
                if let [Value::Object(only)] = any.as_slice() {
                    let only = only.clone();
                    fields.remove("anyOf");
                    for (key, value) in only {
                        // A reference stands alone in draft 7.
                        let (key, value) = match key.as_str() {
                            "$ref" => ("allOf".to_owned(), serde_json::json!([{ "$ref": value }])),
                            _ => (key, value),
                        };
                        fields.entry(key).or_insert(value);
                    }
                }
            }
            fields.values_mut().for_each(without_null);
        }
        Value::Array(items) => items.iter_mut().for_each(without_null),
        _ => {}
    }
}

#[cfg(test)]
mod tests;
