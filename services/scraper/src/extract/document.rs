//! A page that was parsed and found to be one.

use super::{Error, body, node::Node};
use crate::{
    fetch::Page,
    source::{BlockRule, Body, Source, Step, Vars},
};
use scraper::Html;
use serde_json::Value;

/// A parsed page.
pub(super) enum Document {
    Json(Value),
    Html(Box<Html>),
}

impl Document {
    /// Parses a page of a step.
    ///
    /// # Errors
    /// That it is a block page, cut off, not of the format, or an answer that reports an error.
    pub(super) fn parse(source: &Source, step: &Step, page: &Page) -> Result<Self, Error> {
        if let Some(rule) = source.expect.blocked_when.iter().find(|rule| applies(rule, page)) {
            return Err(Error::Blocked(match rule {
                BlockRule::Header(name, _) => format!("its header {name} says so"),
                BlockRule::Body(_) => "its text says so".to_owned(),
            }));
        }
        let whole = page.body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&page.body);
        let bytes = whole.trim_ascii();
        if let Some(marker) = &step.end_marker
            && !contains_ignoring_case(bytes, marker)
        {
            body::text(bytes)?;
            return Err(Error::Parse(format!("cut off: {marker} is not in it")));
        }
        let document = match &step.body {
            Body::Json => Self::Json(body::json(bytes)?),
            Body::Ndjson => Self::Json(body::ndjson(bytes)?),
            Body::Csv(rule) => Self::Json(body::csv(whole, rule)?),
            Body::Embedded(rule) => Self::Json(body::embedded(bytes, rule)?),
            Body::Html => Self::Html(Box::new(Html::parse_document(body::text(bytes)?))),
        };
        document.check_envelope(step)?;
        document.check_required(step)?;
        Ok(document)
    }

    /// The whole page as a row.
    pub(super) fn root(&self) -> Node<'_> {
        match self {
            Self::Json(value) => Node::Json(value),
            Self::Html(html) => Node::Html(html.root_element()),
        }
    }

    fn check_required(&self, step: &Step) -> Result<(), Error> {
        let required = &step.expect.required;
        match required.iter().find(|(_, pick)| !self.root().has(pick)) {
            Some((place, _)) => Err(Error::Drift(format!("{place} is not there"))),
            None => Ok(()),
        }
    }

    fn check_envelope(&self, step: &Step) -> Result<(), Error> {
        let Some(condition) = &step.ok_when else {
            return Ok(());
        };
        match self.root().picked(&condition.pick, &Vars::new()) {
            Some(text) if condition.test.passes(&text) => Ok(()),
            Some(text) => Err(Error::Envelope(format!(
                "{:?}",
                text.chars().take(80).collect::<String>()
            ))),
            None => Err(Error::Drift(
                "the value that ok_when asks for is not there".to_owned(),
            )),
        }
    }
}

fn applies(rule: &BlockRule, page: &Page) -> bool {
    match rule {
        BlockRule::Header(name, regex) => page
            .headers
            .get_all(name)
            .iter()
            .any(|value| regex.is_match(&String::from_utf8_lossy(value.as_bytes()))),
        BlockRule::Body(regex) => regex.is_match(&page.body),
    }
}

fn contains_ignoring_case(text: &[u8], part: &str) -> bool {
    // Searched from the end, where the marker of a whole page stands.
    let mut windows = text.windows(part.len()).rev();
    windows.any(|window| window.eq_ignore_ascii_case(part.as_bytes()))
}
