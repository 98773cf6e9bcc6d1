//! What is refused, and how.

use crate::conformance::{
    check::{Judged, Miss, ensure, skip},
    judge::{
        answer::{Answer, judge_problem},
        shape::{Kind, shape},
    },
    probe::Probe,
};
use oddswire_protocol::RunId;
use reqwest::Method;

pub(super) async fn unknown_run(probe: Probe) -> Judged {
    // A new id: it cannot be one of a run.
    let run = RunId::new();
    for path in [
        format!("api/scrapes/{run}"),
        format!("api/scrapes/{run}/events"),
        "api/scrapes/not-a-run".to_owned(),
    ] {
        judge_problem(&probe.get(&path).await?, 404, "unknown_run")?;
    }
    let cancel = probe
        .ask(Method::POST, &format!("api/scrapes/{run}/cancel"), &[], "")
        .await?;
    match judge_problem(&cancel, 404, "unknown_run") {
        // Of the rest the token allowed enough.
        Ok(_) | Err(Miss::Skipped(_)) => Ok(()),
        failed => failed.map(|_| ()),
    }
}

pub(super) async fn unknown_address(probe: Probe) -> Judged {
    judge_problem(&probe.get("api/no-such-address").await?, 404, "not_found").map(|_| ())
}

pub(super) async fn methods(probe: Probe) -> Judged {
    for (method, path) in [
        (Method::DELETE, "api/sources"),
        (Method::PUT, "api/workers"),
        (Method::POST, "api/odds"),
        (Method::DELETE, "api/scrapes"),
    ] {
        let answer = probe.ask(method, path, &[], "").await?;
        judge_problem(&answer, 405, "method_not_allowed")?;
    }
    Ok(())
}

pub(super) async fn head(probe: Probe) -> Judged {
    let get = probe.get("api/sources").await?;
    get.judgeable()?;
    let head = probe.ask(Method::HEAD, "api/sources", &[], "").await?;
    Ok(judge_head(&get, &head)?)
}

fn judge_head(get: &Answer, head: &Answer) -> Result<(), String> {
    ensure(head.status == get.status, || {
        format!("the status is {}, and {} with GET", head.status, get.status)
    })?;
    ensure(head.body.is_empty(), || "HEAD has a body".into())?;
    let [of_get, of_head] = [get, head].map(|answer| answer.header("content-type"));
    ensure(of_get == of_head, || {
        format!("Content-Type is {of_head:?}, and {of_get:?} with GET")
    })
}

pub(super) async fn bad_queries(probe: Probe) -> Judged {
    for path in [
        "api/scrapes?status=asleep",
        "api/scrapes?limit=0",
        "api/scrapes?limit=501",
        "api/scrapes?source=A*",
        "api/odds?sport=*",
        "api/odds?limit=5001",
        "api/odds?page=x",
        "api/odds/no-such-event/history?since=yesterday",
        "api/events?conflate_ms=-1",
    ] {
        let answer = probe.get(path).await?;
        judge_problem(&answer, 400, "invalid_query").map_err(|miss| match miss {
            Miss::Failed(complaint) => Miss::Failed(format!("/{path}: {complaint}")),
            skipped @ Miss::Skipped(_) => skipped,
        })?;
    }
    Ok(())
}

pub(super) async fn no_handshake(probe: Probe) -> Judged {
    judge_problem(&probe.get("api/ws").await?, 400, "not_a_websocket").map(|_| ())
}

const FOREIGN: &str = "https://conformance.invalid";

pub(super) async fn foreign_origin(probe: Probe) -> Judged {
    let answer = probe
        .ask(Method::GET, "api/events?since=now", &[("origin", FOREIGN)], "")
        .await?;
    judge_foreign(&answer)
}

fn judge_foreign(answer: &Answer) -> Judged {
    let allowed = answer.header("access-control-allow-origin");
    ensure(allowed != "*" && allowed != FOREIGN, || {
        format!("Access-Control-Allow-Origin is {allowed:?} for a page that nobody named")
    })?;
    judge_problem(answer, 403, "origin_not_allowed").map(|_| ())
}

pub(super) async fn bad_starts(probe: Probe) -> Judged {
    // A gateway that does not notice what is wrong would start something.
    if probe.target.start.is_none() {
        return skip("needs --start SOURCE");
    }
    let big = " ".repeat((64 << 10) + 1);
    for (body, status, code) in [
        ("{", 400, "invalid_body"),
        (r#"{"sauces":[]}"#, 400, "invalid_body"),
        (big.as_str(), 413, "body_too_large"),
    ] {
        let answer = probe.ask(Method::POST, "api/scrapes", &[], body).await?;
        judge_problem(&answer, status, code)?;
    }
    let body = r#"{"sources":["no-such-source"]}"#;
    let answer = probe.ask(Method::POST, "api/scrapes", &[], body).await?;
    let problem = judge_problem(&answer, 422, "unknown_source")?;
    Ok(shape(&problem, "problem", &[("known", Kind::Tokens)])?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::HeaderMap;

    fn answer(status: u16, headers: &[(&'static str, &str)], body: &str) -> Answer {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect();
        let body = body.to_owned();
        Answer {
            status,
            headers,
            body,
        }
    }

    #[test]
    fn a_page_of_another_origin_is_refused_and_may_read_nothing() {
        let body = r#"{"type":"urn:oddswire:problem:origin_not_allowed","title":"T","status":403,"code":"origin_not_allowed","detail":"D."}"#;
        let kind = ("content-type", "application/problem+json");
        assert_eq!(judge_foreign(&answer(403, &[kind], body)), Ok(()));
        for allowed in ["*", FOREIGN] {
            let allowed = ("access-control-allow-origin", allowed);
            assert!(judge_foreign(&answer(403, &[kind, allowed], body)).is_err());
        }
        assert!(judge_foreign(&answer(200, &[("content-type", "text/event-stream")], "")).is_err());
    }

    #[test]
    fn head_is_get_without_a_body() {
        let kind = ("content-type", "application/json");
        let get = answer(200, &[kind], "{}");
        assert_eq!(judge_head(&get, &answer(200, &[kind], "")), Ok(()));
        assert!(judge_head(&get, &answer(405, &[kind], "")).is_err());
        assert!(judge_head(&get, &get).is_err());
        assert!(judge_head(&get, &answer(200, &[], "")).is_err());
    }
}
