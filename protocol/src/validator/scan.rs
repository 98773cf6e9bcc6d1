//! One pass over a text.

use super::{DEPTH_MAX, Field, Form, Invalid, InvalidKind, Node, Rule};
use crate::{Line, Price, id::is_token, time::is_timestamp};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use std::{
    cell::{Cell, RefCell},
    fmt,
};

/// The longest sentence about a fault, in characters.
const DETAIL_MAX: usize = 200;

/// What the visitors share.
pub(super) struct Scan<'a> {
    expected: &'a [&'a str],
    /// Written while a fault is handed out: the inmost part comes first.
    path: RefCell<String>,
    differs: Cell<bool>,
}

impl<'a> Scan<'a> {
    pub(super) fn new(expected: &'a [&'a str]) -> Self {
        Self {
            expected,
            path: RefCell::default(),
            differs: Cell::new(false),
        }
    }

    pub(super) fn run(self, root: &Node, text: &str) -> Result<(), Invalid> {
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let value = Value {
            scan: &self,
            node: root,
            depth: 0,
        };
        value
            .deserialize(&mut deserializer)
            .and_then(|()| deserializer.end())
            .map_err(|error| self.invalid(&error))
    }

    fn invalid(&self, error: &serde_json::Error) -> Invalid {
        let path = self.path.borrow();
        let kind = match error.classify() {
            serde_json::error::Category::Data if self.differs.get() => InvalidKind::Mismatch,
            serde_json::error::Category::Data => InvalidKind::Schema,
            _ => InvalidKind::Json,
        };
        let detail = match path.trim_start_matches('.') {
            "" => error.to_string(),
            path => format!("{path}: {error}"),
        };
        let mut line = String::new();
        for sign in detail.chars().take(DETAIL_MAX) {
            match sign {
                '"' | '\'' | '\\' => line.push(sign),
                other => line.extend(other.escape_debug()),
            }
        }
        Invalid { kind, detail: line }
    }

    /// A fault comes from here.
    fn at<E>(&self, place: fmt::Arguments<'_>, error: E) -> E {
        self.path.borrow_mut().insert_str(0, &place.to_string());
        error
    }

    fn equals<E: Error>(&self, rule: Option<Rule>, found: impl FnOnce(&str) -> bool) -> Result<(), E> {
        match rule {
            Some(Rule::Equals(index)) if !found(self.expected[index]) => {
                self.differs.set(true);
                Err(E::custom(format_args!(
                    "not {:?}, as the subject or a header says",
                    self.expected[index]
                )))
            }
            _ => Ok(()),
        }
    }
}

/// A value that has to be what a node says.
#[derive(Clone, Copy)]
struct Value<'s> {
    scan: &'s Scan<'s>,
    node: &'s Node,
    depth: u32,
}

impl<'de> DeserializeSeed<'de> for Value<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match self.node {
            Node::Object { .. } => deserializer.deserialize_map(self),
            Node::List { .. } => deserializer.deserialize_seq(self),
            Node::Text { .. } => deserializer.deserialize_str(self),
            Node::Integer { .. } => deserializer.deserialize_u64(self),
            Node::Number => f64::deserialize(deserializer).map(drop),
            Node::Price => Price::deserialize(deserializer).map(drop),
            Node::Line => Line::deserialize(deserializer).map(drop),
            Node::Bool => bool::deserialize(deserializer).map(drop),
            Node::Nullable(_) => deserializer.deserialize_option(self),
        }
    }
}

impl<'de> Visitor<'de> for Value<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.node {
            Node::Object { .. } => "an object",
            Node::List { .. } => "a list",
            Node::Text { .. } => "a text",
            Node::Integer { .. } => "an integer that is not negative",
            Node::Number | Node::Price | Node::Line => "a number",
            Node::Bool => "true or false",
            Node::Nullable(_) => "a value or null",
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Node::Object { fields, required } = self.node else {
            return Err(A::Error::custom("an object"));
        };
        let (mut seen, mut next) = (0u64, 0);
        while let Some(found) = map.next_key_seed(Key { fields, next })? {
            let depth = self.depth + 1;
            let Some(at) = found else {
                map.next_value_seed(Unknown { depth })?;
                continue;
            };
            let Field { name, node } = &fields[at];
            // Readers differ in which of the two they take.
            if seen & (1 << at) != 0 {
                return Err(self
                    .scan
                    .at(format_args!(".{name}"), A::Error::custom("is there twice")));
            }
            seen |= 1 << at;
            next = at + 1;
            map.next_value_seed(Self { node, depth, ..self })
                .map_err(|error| self.scan.at(format_args!(".{name}"), error))?;
        }
        match required & !seen {
            0 => Ok(()),
            missing => {
                let Field { name, .. } = &fields[missing.trailing_zeros() as usize];
                Err(A::Error::custom(format_args!("key {name:?} is missing")))
            }
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let Node::List { items, min, max } = self.node else {
            return Err(A::Error::custom("a list"));
        };
        let item = Self {
            node: items,
            depth: self.depth + 1,
            ..self
        };
        let mut length = 0;
        while let Some(()) = list
            .next_element_seed(item)
            .map_err(|error| self.scan.at(format_args!("[{length}]"), error))?
        {
            length += 1;
        }
        if (*min..=*max).contains(&length) {
            return Ok(());
        }
        Err(A::Error::custom(format_args!(
            "has {length} items, and must have {min} to {max}"
        )))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        let Node::Text { form, rule } = self.node else {
            return Err(E::custom("a text"));
        };
        match form {
            Form::Token if !is_token(text) => Err(E::custom("not 1 to 64 of a-z, 0-9, _ and -")),
            Form::Timestamp if !is_timestamp(text) => {
                Err(E::custom("not a UTC time of the form 2026-02-06T01:30:00.123Z"))
            }
            Form::OneOf(words) if !words.iter().any(|word| word == text) => {
                Err(E::custom(format_args!("not one of {}", words.join(", "))))
            }
            _ => self.scan.equals(*rule, |expected| expected == text),
        }
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        let Node::Integer { min, max, rule } = self.node else {
            return Err(E::custom("an integer"));
        };
        let min = match rule {
            Some(Rule::AtLeast(least)) => least.max(min),
            _ => min,
        };
        if !(min..=max).contains(&&number) {
            return Err(E::custom(format_args!("{number} is not in {min} to {max}")));
        }
        self.scan.equals(*rule, |expected| expected.parse() == Ok(number))
    }

    fn visit_none<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match self.node {
            Node::Nullable(node) => Self { node, ..self }.deserialize(deserializer),
            _ => Err(D::Error::custom("a value")),
        }
    }
}

/// A key, as its place among the fields; `None` for an unknown one.
#[derive(Clone, Copy)]
struct Key<'s> {
    fields: &'s [Field],
    /// The likeliest place.
    next: usize,
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = Option<usize>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<usize>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = Option<usize>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }
    fn visit_str<E>(self, text: &str) -> Result<Option<usize>, E> {
        let (before, after) = self.fields.split_at(self.next.min(self.fields.len()));
        let place = |fields: &[Field]| fields.iter().position(|field| field.name == text);
        Ok(place(after).map(|at| self.next + at).or_else(|| place(before)))
    }
}

/// A value that no schema knows: any JSON, if it does not lie too deep.
#[derive(Clone, Copy)]
struct Unknown {
    depth: u32,
}

impl Unknown {
    fn inner<E: Error>(self) -> Result<Self, E> {
        let depth = self.depth + 1;
        if depth > DEPTH_MAX {
            return Err(E::custom(format_args!("lies deeper than {DEPTH_MAX}")));
        }
        Ok(Self { depth })
    }
}

impl<'de> DeserializeSeed<'de> for Unknown {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        // Not as `IgnoredAny`: that takes any depth, numbers that nothing can hold, and halves of surrogate pairs.
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Unknown {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }
    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }
    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }
    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let inner = self.inner()?;
        while list.next_element_seed(inner)?.is_some() {}
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let inner = self.inner()?;
        while map.next_key::<IgnoredAny>()?.is_some() {
            map.next_value_seed(inner)?;
        }
        Ok(())
    }
}
