//! RFC 9457 problem documents: the errors of the REST interface.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The media type.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// A problem document. `code` is stable; `detail` is for a person.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// `urn:oddswire:problem:<code>`.
    #[serde(rename = "type")]
    pub problem_type: String,
    /// The same for every problem of this code.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// Stable.
    pub code: String,
    /// What happened here, in one sentence.
    pub detail: String,
    /// Further members that belong to the code.
    #[serde(flatten)]
    pub members: serde_json::Map<String, serde_json::Value>,
}

impl Problem {
    /// A problem without further members.
    pub fn new(status: u16, code: &str, title: &str, detail: impl Into<String>) -> Self {
        Self {
            problem_type: format!("urn:oddswire:problem:{code}"),
            title: title.into(),
            status,
            code: code.into(),
            detail: detail.into(),
            members: serde_json::Map::new(),
        }
    }

    /// The same problem with one more member.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<serde_json::Value>) -> Self {
        self.members.insert(name.into(), value.into());
        self
    }
}
