//! Requests as templates: `{{var}}` and nothing else. The position decides how a value is encoded, so that no value
//! of a page can change what is asked of which host.

use serde_json::Value;
use std::collections::BTreeMap;

/// Values by name, found on the pages on the way here.
pub(crate) type Vars = BTreeMap<String, String>;

/// A text with places for values.
#[derive(Debug, Clone)]
pub(crate) struct Template {
    parts: Vec<Part>,
}

#[derive(Debug, Clone)]
enum Part {
    Text(String),
    Var(String),
}

impl Template {
    /// Reads a template.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let (name, behind) = after
                .split_once("}}")
                .ok_or_else(|| format!("{text:?} has {{{{ without }}}}"))?;
            let name = name.trim();
            if !is_name(name) {
                return Err(format!("{name:?} is no name of a variable: use a-z, 0-9 and _"));
            }
            parts.push(Part::Text(before.to_owned()));
            parts.push(Part::Var(name.to_owned()));
            rest = behind;
        }
        parts.push(Part::Text(rest.to_owned()));
        Ok(Self { parts })
    }

    /// The names that it needs.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Var(name) => Some(name.as_str()),
            Part::Text(_) => None,
        })
    }

    /// The text with all values percent-encoded: one of them never adds a path segment or a parameter. One alone
    /// between two slashes that is `.` or `..` would take one away: see [`climbs`].
    pub(crate) fn url(&self, vars: &Vars) -> String {
        self.fill(vars, |value, out| {
            for byte in value.bytes() {
                if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                    out.push(char::from(byte));
                } else {
                    let digit = |half: u8| char::from(b"0123456789ABCDEF"[usize::from(half)]);
                    out.extend(['%', digit(byte >> 4), digit(byte & 15)]);
                }
            }
        })
    }

    fn plain(&self, vars: &Vars) -> String {
        self.fill(vars, |value, out| out.push_str(value))
    }

    /// The name, when the template is one variable and nothing else.
    fn alone(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [Part::Text(before), Part::Var(name), Part::Text(after)]
                if before.is_empty() && after.is_empty() =>
            {
                Some(name)
            }
            _ => None,
        }
    }

    fn fill(&self, vars: &Vars, write: impl Fn(&str, &mut String)) -> String {
        let mut out = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                // Loading refuses a template with a name that is not there.
                Part::Var(name) => write(vars.get(name).map_or("", String::as_str), &mut out),
            }
        }
        out
    }
}

/// Whether a path has a segment that means another place, which no encoding changes: `.`, `..`, `%2e%2E`.
pub(crate) fn climbs(url: &str) -> bool {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    path.split(['/', '\\']).any(|segment| {
        let dots = segment.to_ascii_lowercase().replace("%2e", ".");
        dots == "." || dots == ".."
    })
}

/// A JSON body with places for values in its texts.
#[derive(Debug, Clone)]
pub(crate) enum JsonTemplate {
    /// A value without places.
    Fixed(Value),
    /// A text with places.
    Text(Template),
    /// An array.
    Array(Vec<JsonTemplate>),
    /// An object; its keys have no places.
    Object(BTreeMap<String, JsonTemplate>),
}

impl JsonTemplate {
    /// The names that it needs.
    pub(crate) fn names(&self) -> Vec<&str> {
        match self {
            Self::Fixed(_) => Vec::new(),
            Self::Text(template) => template.names().collect(),
            Self::Array(items) => items.iter().flat_map(Self::names).collect(),
            Self::Object(fields) => fields.values().flat_map(Self::names).collect(),
        }
    }

    /// The body. A text that is exactly `{{page}}`, `{{offset}}` or `{{size}}` becomes a number, all others stay texts.
    pub(crate) fn render(&self, vars: &Vars) -> Value {
        match self {
            Self::Fixed(value) => value.clone(),
            Self::Text(template) => {
                let text = template.plain(vars);
                match template.alone() {
                    Some("page" | "offset" | "size") => text.parse::<u32>().map_or(Value::Null, Value::from),
                    _ => Value::String(text),
                }
            }
            Self::Array(items) => items.iter().map(|item| item.render(vars)).collect(),
            Self::Object(fields) => fields
                .iter()
                .map(|(key, field)| (key.clone(), field.render(vars)))
                .collect(),
        }
    }
}

/// Whether `text` may name a variable: 1 to 32 of `[a-z0-9_]`.
pub(super) fn is_name(text: &str) -> bool {
    (1..=32).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use url::Url;

    fn vars(value: &str) -> Vars {
        Vars::from([("id".to_owned(), value.to_owned())])
    }

    #[test]
    fn only_names_stand_between_braces() {
        for bad in ["{{", "{{}}", "{{a b}}", "{{A}}", "{{a|upper}}", "{{a"] {
            assert!(Template::parse(bad).is_err(), "{bad}");
        }
        let template = Template::parse("/x/{{ id }}?y={{id}}").unwrap();
        assert_eq!(template.names().collect::<Vec<_>>(), ["id", "id"]);
    }

    #[test]
    fn a_value_that_would_climb_out_of_its_place_is_noticed() {
        let template = Template::parse("/a/{{id}}/b?c={{id}}").unwrap();
        for (value, expected) in [
            (".", true),
            ("..", true),
            ("...", false),
            ("a..b", false),
            ("%2e", false),
        ] {
            assert_eq!(climbs(&template.url(&vars(value))), expected, "{value}");
        }
        assert!(climbs("/a/%2E%2e/b") && climbs("/a/.") && !climbs("/a?b=/../c"));
    }

    #[test]
    fn page_and_size_are_numbers_in_json_and_all_else_is_text() {
        let text = |text| JsonTemplate::Text(Template::parse(text).unwrap());
        let body = JsonTemplate::Object(BTreeMap::from([
            ("page".to_owned(), text("{{page}}")),
            ("id".to_owned(), text("{{id}}")),
        ]));
        let vars = Vars::from([("page", "3"), ("id", "7\"}")].map(|(k, v)| (k.to_owned(), v.to_owned())));
        assert_eq!(body.render(&vars).to_string(), r#"{"id":"7\"}","page":3}"#);
    }

    proptest! {
        #[test]
        fn no_value_leaves_its_place_in_a_url(value in ".{0,40}") {
            let text = Template::parse("/a/{{id}}x/b?c={{id}}").unwrap().url(&vars(&value));
            let url = Url::parse(&format!("http://example.org/base{text}")).unwrap();
            prop_assert_eq!(url.host_str(), Some("example.org"));
            prop_assert_eq!(url.path_segments().unwrap().count(), 4);
            prop_assert_eq!(url.query_pairs().collect::<Vec<_>>(), [("c".into(), value.into())]);
            prop_assert_eq!(url.fragment(), None);
        }
    }
}
