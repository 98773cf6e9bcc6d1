//! From a schema to a [`Validator`].

use super::{DEPTH_MAX, Field, Form, Node, Rule, Validator};
use crate::{EventId, Timestamp, schema};
use schemars::JsonSchema;
use serde_json::{Map, Value};

/// A schema says something that the validator does not check, or a rule is for a path that the schema does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unsupported(String);

impl Validator {
    /// Compiles the schema of a type, with further rules by path.
    ///
    /// # Errors
    /// [`Unsupported`]: nothing of a schema is passed over silently.
    pub fn of<T: JsonSchema>(rules: &[(&str, Rule)]) -> Result<Self, Unsupported> {
        Self::compile(schema::of::<T>().as_value(), rules)
    }

    fn compile(schema: &Value, rules: &[(&str, Rule)]) -> Result<Self, Unsupported> {
        let mut compiler = Compiler {
            definitions: schema.get("$defs").and_then(Value::as_object),
            rules,
            used: 0,
        };
        let root = compiler.node(schema, "", 1)?;
        if compiler.used < rules.len() {
            return Err(Unsupported(format!(
                "a rule is for a path that is not there: {rules:?}"
            )));
        }
        Ok(Self { root })
    }
}

/// Keys of a schema that say something about values, and are understood; and those that say nothing.
const KEYWORDS: [&str; 20] = [
    "$schema",
    "$defs",
    "$ref",
    "title",
    "description",
    "default",
    "type",
    "format",
    "properties",
    "required",
    "items",
    "minItems",
    "maxItems",
    "minimum",
    "maximum",
    "pattern",
    "const",
    "enum",
    "oneOf",
    "anyOf",
];

struct Compiler<'a> {
    definitions: Option<&'a Map<String, Value>>,
    rules: &'a [(&'a str, Rule)],
    used: usize,
}

impl Compiler<'_> {
    fn node(&mut self, schema: &Value, path: &str, depth: u32) -> Result<Node, Unsupported> {
        let unsupported = |what: &str| Unsupported(format!("{path:?}: {what}"));
        let keys = schema.as_object().ok_or_else(|| unsupported("no object"))?;
        if let Some(key) = keys.keys().find(|key| !KEYWORDS.contains(&key.as_str())) {
            return Err(unsupported(&format!("keyword {key}")));
        }
        if depth > DEPTH_MAX {
            return Err(unsupported("a type that holds itself"));
        }
        if let Some(name) = text(schema, "$ref") {
            let name = name.strip_prefix("#/$defs/").unwrap_or(name);
            return match name {
                // Exact in thousandths, which no keyword can say.
                "Price" => Ok(Node::Price),
                "Line" => Ok(Node::Line),
                name => {
                    let found = self.definitions.and_then(|known| known.get(name));
                    self.node(
                        found.ok_or_else(|| unsupported("no such definition"))?,
                        path,
                        depth,
                    )
                }
            };
        }
        if let Some(options) = schema.get("anyOf").and_then(Value::as_array) {
            return match &options[..] {
                [value, null] if text(null, "type") == Some("null") => {
                    Ok(Node::Nullable(Box::new(self.node(value, path, depth)?)))
                }
                _ => Err(unsupported("anyOf")),
            };
        }
        match schema
            .get("type")
            .and_then(Value::as_array)
            .map(|types| &types[..])
        {
            None => self.plain(schema, text(schema, "type"), path, depth),
            Some([kind, null]) if null == "null" => {
                let node = self.plain(schema, kind.as_str(), path, depth)?;
                Ok(Node::Nullable(Box::new(node)))
            }
            Some(_) => Err(unsupported("several types")),
        }
    }

    fn plain(
        &mut self,
        schema: &Value,
        kind: Option<&str>,
        path: &str,
        depth: u32,
    ) -> Result<Node, Unsupported> {
        let unsupported = |what: &str| Unsupported(format!("{path:?}: {what}"));
        let size = |key, otherwise| match schema.get(key).map(Value::as_u64) {
            None => Ok(otherwise),
            Some(size) => size.ok_or_else(|| unsupported(key)),
        };
        match kind {
            Some("object") => self.object(schema, path, depth),
            Some("array") => Ok(Node::List {
                items: Box::new(self.node(&schema["items"], &format!("{path}[]"), depth + 1)?),
                min: usize::try_from(size("minItems", 0)?).unwrap_or(usize::MAX),
                max: usize::try_from(size("maxItems", u64::MAX)?).unwrap_or(usize::MAX),
            }),
            Some("string") | None => Ok(Node::Text {
                form: form(schema).ok_or_else(|| unsupported("this kind of text"))?,
                rule: self.rule(path),
            }),
            Some("integer") => {
                let widest = match text(schema, "format") {
                    Some("uint16") => u64::from(u16::MAX),
                    Some("uint32") => u64::from(u32::MAX),
                    Some("uint" | "uint64") => u64::MAX,
                    _ => return Err(unsupported("this kind of integer")),
                };
                Ok(Node::Integer {
                    min: size("minimum", 0)?,
                    max: size("maximum", widest)?,
                    rule: self.rule(path),
                })
            }
            Some("number") if schema.get("minimum").is_none() && schema.get("maximum").is_none() => {
                Ok(Node::Number)
            }
            Some("boolean") => Ok(Node::Bool),
            Some(other) => Err(unsupported(other)),
        }
    }

    fn object(&mut self, schema: &Value, path: &str, depth: u32) -> Result<Node, Unsupported> {
        let properties = schema.get("properties").and_then(Value::as_object);
        let required: Vec<&str> = schema
            .get("required")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let mut names: Vec<&String> = properties.into_iter().flat_map(Map::keys).collect();
        // `required` has the order of the type, which is that of the wire; the others come behind.
        names.sort_by_key(|name| {
            required
                .iter()
                .position(|known| known == name)
                .unwrap_or(usize::MAX)
        });
        if names.len() > 64 || !names.iter().zip(&required).all(|(name, known)| name == known) {
            return Err(Unsupported(format!(
                "{path:?}: more than 64 keys, or one required that is not described"
            )));
        }
        let mut fields = Vec::new();
        for name in names {
            let inner = if path.is_empty() {
                name.clone()
            } else {
                format!("{path}.{name}")
            };
            let node = self.node(
                &properties.expect("a name is a property's")[name],
                &inner,
                depth + 1,
            )?;
            fields.push(Field {
                name: name.clone(),
                node,
            });
        }
        let required = required
            .iter()
            .enumerate()
            .fold(0, |bits, (at, _)| bits | 1 << at);
        Ok(Node::Object { fields, required })
    }

    fn rule(&mut self, path: &str) -> Option<Rule> {
        let (_, rule) = self.rules.iter().find(|(for_path, _)| *for_path == path)?;
        self.used += 1;
        Some(*rule)
    }
}

fn text<'a>(schema: &'a Value, key: &str) -> Option<&'a str> {
    schema.get(key).and_then(Value::as_str)
}

/// What the schema of a text says; `None` when that is not understood.
fn form(schema: &Value) -> Option<Form> {
    let words = |words: &Value, word: fn(&Value) -> Option<&str>| -> Option<Form> {
        let words = words
            .as_array()?
            .iter()
            .map(|entry| word(entry).map(str::to_owned));
        words.collect::<Option<_>>().map(Form::OneOf)
    };
    if let Some(options) = schema.get("oneOf") {
        return words(options, |option| text(option, "const"));
    }
    if let Some(options) = schema.get("enum") {
        return words(options, Value::as_str);
    }
    let pattern = |schema: schemars::Schema| schema.get("pattern").cloned();
    match schema.get("pattern").cloned() {
        None if schema.get("type").is_some() => Some(Form::Any),
        None => None,
        found if found == pattern(schema::of::<EventId>()) => Some(Form::Token),
        found if found == pattern(schema::of::<Timestamp>()) => Some(Form::Timestamp),
        Some(_) => None,
    }
}
