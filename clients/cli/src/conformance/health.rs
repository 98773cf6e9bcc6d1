//! The operations port.

use super::{
    check::{Check, Group, Judged, ensure},
    judge::answer::Answer,
    probe::Probe,
};

const fn check(name: &'static str, says: &'static str, run: super::Run) -> Check {
    Check {
        group: Group::Health,
        name,
        says,
        run,
    }
}

pub(crate) const CHECKS: &[Check] = &[
    check("livez", "On the operations port: /livez (process).", |probe| {
        Box::pin(livez(probe))
    }),
    check(
        "readyz",
        "/readyz: bus answers within 10 s, every active feed's last check good; else 503.",
        |probe| Box::pin(readyz(probe)),
    ),
    check("metrics", "/metrics (Prometheus).", |probe| {
        Box::pin(metrics(probe))
    }),
];

async fn livez(probe: Probe) -> Judged {
    Ok(judge_success(&probe.ask_ops("livez").await?)?)
}

async fn readyz(probe: Probe) -> Judged {
    let answer = probe.ask_ops("readyz").await?;
    let wanted = if probe.target.known.has_bus { 200 } else { 503 };
    Ok(ensure(answer.status == wanted, || {
        format!("the status is {} in place of {wanted}", answer.status)
    })?)
}

async fn metrics(probe: Probe) -> Judged {
    Ok(judge_metrics(&probe.ask_ops("metrics").await?)?)
}

fn judge_success(answer: &Answer) -> Result<(), String> {
    ensure(answer.status == 200, || {
        format!("the status is {} in place of 200", answer.status)
    })
}

/// Judges that this is a text that Prometheus reads.
fn judge_metrics(answer: &Answer) -> Result<(), String> {
    judge_success(answer)?;
    let kind = answer.header("content-type");
    ensure(
        kind.starts_with("text/plain") || kind.starts_with("application/openmetrics-text"),
        || format!("Content-Type is {kind:?}, which Prometheus does not read"),
    )?;
    let mut samples = 0;
    for line in answer
        .body
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        // name{labels} value [timestamp]
        let rest = line
            .rsplit_once('}')
            .map_or_else(|| line.split_once(' '), |(name, rest)| Some((name, rest)));
        let value = rest.and_then(|(_, rest)| rest.split_whitespace().next()?.parse::<f64>().ok());
        ensure(value.is_some(), || format!("no sample: {line}"))?;
        samples += 1;
    }
    ensure(samples > 0, || "there is no sample".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_samples_that_prometheus_reads() {
        let answer = Answer::made;
        let good = "# TYPE a counter\na_total 1\nb{x=\"y z\"} 2.5 # {} 1\nc NaN\n# EOF\n";
        assert_eq!(
            judge_metrics(&answer(200, "text/plain; version=0.0.4", good)),
            Ok(())
        );
        assert!(judge_metrics(&answer(503, "text/plain", good)).is_err());
        assert!(judge_metrics(&answer(200, "text/html", good)).is_err());
        assert!(judge_metrics(&answer(200, "text/plain", "# EOF\n")).is_err());
        assert!(judge_metrics(&answer(200, "text/plain", "<html>\n")).is_err());
    }
}
