//! JSON Schemas, compiled: whether a text is what the schema of a type says, in one pass over the text.
//!
//! Nothing is made of what is read: no value, no copy of a text (but one scratch buffer for texts with escapes). The
//! schemas are those that the types publish, so that what is checked cannot differ from what is documented. Keys that
//! a schema does not name are passed over, since later releases may add some.

mod compile;
mod scan;

pub use compile::Unsupported;

use scan::Scan;

/// How deeply objects and lists may lie inside of each other. Parsers of other languages give up at about 1,000.
pub const DEPTH_MAX: u32 = 64;

/// A further rule for the value at a path such as `event.event_id`, or `event_ids[]` for the items of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// It is the text with this index among those given to [`Validator::validate`]; a number is compared by its digits.
    Equals(usize),
    /// The number is not less.
    AtLeast(u64),
}

/// A compiled schema.
#[derive(Debug)]
pub struct Validator {
    root: Node,
}

/// What a value has to be.
#[derive(Debug)]
enum Node {
    Object {
        /// In the order in which they are written, as far as the schema tells.
        fields: Vec<Field>,
        /// One bit a field.
        required: u64,
    },
    List {
        items: Box<Node>,
        min: usize,
        max: usize,
    },
    Text {
        form: Form,
        rule: Option<Rule>,
    },
    Integer {
        min: u64,
        max: u64,
        rule: Option<Rule>,
    },
    Number,
    Price,
    Line,
    Bool,
    Nullable(Box<Node>),
}

#[derive(Debug)]
struct Field {
    name: String,
    node: Node,
}

/// What a text has to look like.
#[derive(Debug)]
enum Form {
    Any,
    /// An id, one token of a subject.
    Token,
    Timestamp,
    OneOf(Vec<String>),
}

/// Why a text is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Invalid {
    /// In which way.
    pub kind: InvalidKind,
    /// Where and why, in one sentence of at most 200 characters, such as
    /// `market.quotes[1].status: not one of open, suspended, withdrawn`.
    pub detail: String,
}

/// In which way a text is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvalidKind {
    /// It is no JSON, has a number that no 64-bit float can hold, or lies too deep.
    Json,
    /// It is JSON, but not what the schema says.
    Schema,
    /// It is what the schema says, but differs from what was given to compare it with.
    Mismatch,
}

impl Validator {
    /// Checks a text. `expected` are the texts that [`Rule::Equals`] counts.
    ///
    /// # Errors
    /// [`Invalid`]: the first fault.
    pub fn validate(&self, text: &str, expected: &[&str]) -> Result<(), Invalid> {
        Scan::new(expected).run(&self.root, text)
    }
}
