//! Spans: what a process did within a trace, and for how long. They are exported where the build has the feature `otlp`
//! and the environment names a collector; else they cost nothing.

use crate::trace::Trace;
use oddswire_protocol::Timestamp;
use std::{fmt, time::Duration};
use tokio::time::Instant;

/// What a span is to the spans around it, as OpenTelemetry names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Answers a request.
    Server,
    /// Asks somebody who answers.
    Client,
    /// Sends a message.
    Producer,
    /// Handles a message.
    Consumer,
}

/// A span that is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ended {
    /// Itself.
    pub(crate) trace: Trace,
    /// The one that it is within, which another process may have made.
    pub(crate) parent: Option<Trace>,
    pub(crate) kind: Kind,
    /// One of few; what differs from one to the next is an attribute.
    pub(crate) name: String,
    pub(crate) began_at: Timestamp,
    pub(crate) took: Duration,
    pub(crate) attributes: Vec<(&'static str, String)>,
    pub(crate) failure: Option<String>,
}

/// A span under way; it ends when it is dropped.
#[derive(Debug)]
pub struct Span(Option<(Ended, Instant)>);

impl Span {
    /// Begins the span that `trace` names, within `parent`.
    pub fn begin(kind: Kind, name: &str, trace: Trace, parent: Option<Trace>) -> Self {
        if !trace.is_sampled() || !is_exported() {
            return Self(None);
        }
        let span = Ended {
            trace,
            parent,
            kind,
            name: name.to_owned(),
            began_at: Timestamp::now(),
            took: Duration::ZERO,
            attributes: Vec::new(),
            failure: None,
        };
        Self(Some((span, Instant::now())))
    }

    /// Begins the span of somebody who got a message of this type, within the span that its `traceparent` names.
    pub fn receive(message_type: &str, traceparent: Option<&str>) -> Self {
        let within = traceparent.filter(|_| is_exported());
        match within.and_then(|text| text.parse::<Trace>().ok()) {
            Some(within) => {
                let name = format!("receive {message_type}");
                Self::begin(Kind::Consumer, &name, within.child(), Some(within))
            }
            None => Self(None),
        }
    }

    /// Says something about it. Never a secret, and no more than a line.
    pub fn tell(&mut self, name: &'static str, value: impl fmt::Display) {
        if let Some((span, _)) = &mut self.0 {
            span.attributes.push((name, value.to_string()));
        }
    }

    /// It did not do what it was to do.
    pub fn fail(&mut self, why: impl fmt::Display) {
        if let Some((span, _)) = &mut self.0 {
            span.failure = Some(why.to_string());
        }
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        if let Some((mut span, began)) = self.0.take() {
            span.took = began.elapsed();
            export(span);
        }
    }
}

#[cfg(feature = "otlp")]
use crate::otlp::{export, is_exported};

#[cfg(not(feature = "otlp"))]
fn is_exported() -> bool {
    false
}

#[cfg(not(feature = "otlp"))]
fn export(_: Ended) {}
