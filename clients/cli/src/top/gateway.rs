//! What a gateway's operations port says.

use crate::connection::{Address, Gateways};
use serde::Serialize;

/// A gateway, as its operators see it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Sign {
    pub(super) ops: String,
    /// Whether it is ready; null when it does not answer.
    pub(super) ready: Option<bool>,
    pub(super) sessions: Option<f64>,
    pub(super) delivered_total: Option<f64>,
    pub(super) queue_bytes: Option<f64>,
    pub(super) upstream_connected: Option<f64>,
}

impl Sign {
    pub(super) async fn of(gateways: &Gateways, ops: &Address) -> Self {
        let ready = gateways.look(ops, "readyz").await;
        let metrics = gateways.look(ops, "metrics").await;
        let text = metrics.map(|(_, text)| text).unwrap_or_default();
        let value = |name: &str| sum(&text, &format!("oddswire_gateway_{name}"));
        Self {
            ops: ops.to_string(),
            ready: ready.map(|(is_success, _)| is_success),
            sessions: value("sessions"),
            delivered_total: value("delivered_total"),
            queue_bytes: value("queue_bytes"),
            upstream_connected: value("upstream_connected"),
        }
    }
}

/// A metric over all its labels, in Prometheus' text.
fn sum(text: &str, name: &str) -> Option<f64> {
    let values = text.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        let value = match rest.strip_prefix('{') {
            Some(labelled) => labelled.rsplit_once('}')?.1,
            None => rest.strip_prefix(' ')?,
        };
        value.split_whitespace().next()?.parse::<f64>().ok()
    });
    values.fold(None, |sum, value| Some(sum.unwrap_or(0.0) + value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_summed_over_its_labels_and_no_other_is_taken_for_it() {
        let text = "# TYPE a_sessions gauge\na_sessions{t=\"ws\"} 2\na_sessions{t=\"}\"} 3\na_sessions_opened_total 9\nb 1.5 123\n";
        assert_eq!(sum(text, "a_sessions"), Some(5.0));
        assert_eq!(sum(text, "b"), Some(1.5));
        assert_eq!(sum(text, "a"), None);
    }
}
