//! How a look whether a feed misses something is counted.

use oddswire_kit::metrics::LabelNames;
use prometheus_client::encoding::EncodeLabelSet;

/// The labels of an audit.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct AuditLabel {
    /// `run` or `odds`.
    pub feed: &'static str,
    /// `good`, `reset` or `failed`.
    pub outcome: &'static str,
}

impl LabelNames for AuditLabel {
    const NAMES: &'static [&'static str] = &["feed", "outcome"];
}
