//! Traces: which events, jobs and requests belong together, as W3C Trace Context names it. Ids are made and handed on
//! whether or not anybody collects the spans ([`crate::span`]).

use std::{fmt, str::FromStr};

/// A span within a trace: what `traceparent` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trace {
    id: u128,
    span_id: u64,
    sampled: bool,
}

impl Trace {
    /// The first span of the trace with this id, which is not 0.
    pub fn of_id(trace_id: u128) -> Self {
        Self {
            id: trace_id.max(1),
            span_id: new_span(),
            sampled: true,
        }
    }

    /// A new span of the same trace.
    #[must_use]
    pub fn child(self) -> Self {
        Self {
            span_id: new_span(),
            ..self
        }
    }

    /// Whether whoever began the trace wants it to be kept.
    pub(crate) fn is_sampled(self) -> bool {
        self.sampled
    }

    /// The trace's id, and the span's.
    #[cfg(feature = "otlp")]
    pub(crate) fn ids(self) -> (u128, u64) {
        (self.id, self.span_id)
    }

    /// The id of the trace in logs: 32 hexadecimal digits.
    pub fn trace_id(&self) -> String {
        format!("{:032x}", self.id)
    }
}

fn new_span() -> u64 {
    rand::random::<u64>().max(1)
}

/// # Source
/// W3C Trace Context, level 1, section 3.2: version 00, 32 and 16 small hexadecimal digits, flags.
impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (trace, span, flags) = (self.id, self.span_id, u8::from(self.sampled));
        write!(f, "00-{trace:032x}-{span:016x}-{flags:02x}")
    }
}

/// It is not of the form that W3C Trace Context asks for; then a trace begins anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a traceparent")]
pub struct TraceError;

/// A version that is not known yet may have more after the flags.
///
/// # Source
/// W3C Trace Context, level 1, sections 3.2 and 4.
impl FromStr for Trace {
    type Err = TraceError;

    fn from_str(text: &str) -> Result<Self, TraceError> {
        let mut parts = text.split('-');
        let mut digits = |count: usize| {
            let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
            let part = parts.next()?;
            (part.len() == count && part.bytes().all(is_digit)).then_some(part)
        };
        let (version, trace, span, flags) = (digits(2), digits(32), digits(16), digits(2));
        let number = |part: Option<&str>| u128::from_str_radix(part?, 16).ok();
        let (version, flags) = (number(version), number(flags));
        let (trace_id, span_id) = (number(trace), number(span).and_then(|id| u64::try_from(id).ok()));
        let is_known = version.is_some_and(|version| version > 0 && version < 255)
            || (version == Some(0) && parts.next().is_none());
        match (trace_id, span_id, flags) {
            (Some(id @ 1..), Some(span_id @ 1..), Some(flags)) if is_known => Ok(Self {
                id,
                span_id,
                sampled: flags & 1 == 1,
            }),
            _ => Err(TraceError),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_traceparent_is_read_and_written_to_the_letter() {
        let unsampled = GOOD.replace("-01", "-00");
        for text in [GOOD, &unsampled] {
            assert_eq!(text.parse::<Trace>().unwrap().to_string(), text);
        }
        let later = format!("cc{}-what-comes", &GOOD[2..]);
        assert_eq!(later.parse::<Trace>().unwrap().to_string(), GOOD);
    }

    #[test]
    fn what_is_no_traceparent_is_refused() {
        let zero_trace = "00-00000000000000000000000000000000-00f067aa0ba902b7-01";
        let zero_span = "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01";
        let upper = GOOD.to_uppercase();
        let more = format!("{GOOD}-00");
        let no_version = format!("ff{}", &GOOD[2..]);
        for text in [
            "",
            "00",
            "00-4bf9-00f0-01",
            zero_trace,
            zero_span,
            &upper,
            &more,
            &no_version,
        ] {
            assert_eq!(text.parse::<Trace>(), Err(TraceError), "{text}");
        }
    }

    #[test]
    fn a_child_is_another_span_of_the_same_trace() {
        let parent: Trace = GOOD.parse().unwrap();
        let child = parent.child();
        assert_eq!(child.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_ne!(child, parent);
        assert_eq!(child.to_string().parse::<Trace>(), Ok(child));
        assert_eq!(Trace::of_id(0).trace_id(), format!("{:032x}", 1));
    }
}
