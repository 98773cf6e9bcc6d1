//! Answers to requests.

use super::shape::{Kind, shape};
use crate::conformance::{
    check::{Miss, ensure, shortened, skip},
    probe::head,
};
use reqwest::header::HeaderMap;
use serde_json::Value;

/// A whole answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    /// One of this media type, for tests of judges.
    #[cfg(test)]
    pub(crate) fn made(status: u16, kind: &str, body: &str) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", kind.parse().unwrap());
        let body = body.to_owned();
        Self {
            status,
            headers,
            body,
        }
    }

    /// The answer as a line.
    pub(crate) fn told(&self) -> String {
        let body = shortened(&self.body, 250);
        format!(
            "{} {} · {body}",
            self.status,
            shortened(&head(&self.headers), 200)
        )
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default()
    }

    /// The body as JSON, of an answer with this status.
    pub(crate) fn json_of(&self, status: u16) -> Result<Value, String> {
        ensure(self.status == status, || {
            format!("the status is {} in place of {status}", self.status)
        })?;
        let kind = self.header("content-type");
        ensure(kind.starts_with("application/json"), || {
            format!("Content-Type is {kind:?} in place of application/json")
        })?;
        serde_json::from_str(&self.body).map_err(|error| format!("the body is no JSON: {error}"))
    }

    /// The code of a problem document, if this is one.
    pub(crate) fn code(&self) -> Option<String> {
        let problem: Value = serde_json::from_str(&self.body).ok()?;
        problem["code"].as_str().map(str::to_owned)
    }

    /// Goes on unless this answer says nothing of what it was asked: the token's rights, a bus that is down, limits.
    pub(crate) fn judgeable(&self) -> Result<(), Miss> {
        let code = self.code();
        match (self.status, code.as_deref()) {
            (403, Some("scope_missing" | "topic_forbidden")) => skip("the token does not allow it"),
            (503, Some("bus_unavailable")) => skip("its bus is down"),
            (429, Some("too_many_requests")) | (503, Some(_)) => skip("the gateway has no room for it now"),
            _ => Ok(()),
        }
    }
}

/// Judges a refusal: its status, and a problem document (RFC 9457) with this code. Gives the document.
pub(crate) fn judge_problem(answer: &Answer, status: u16, code: &str) -> Result<Value, Miss> {
    if answer.status != status {
        answer.judgeable()?;
    }
    ensure(answer.status == status, || {
        format!("the status is {} in place of {status} {code}", answer.status)
    })?;
    let kind = answer.header("content-type");
    ensure(kind.starts_with("application/problem+json"), || {
        format!("Content-Type is {kind:?} in place of application/problem+json")
    })?;
    let problem: Value =
        serde_json::from_str(&answer.body).map_err(|error| format!("the body is no JSON: {error}"))?;
    shape(
        &problem,
        "problem",
        &[
            ("type", Kind::Text),
            ("title", Kind::Text),
            ("status", Kind::Count),
            ("code", Kind::Text),
            ("detail", Kind::Text),
        ],
    )?;
    ensure(problem["code"] == code, || {
        format!("code is {} in place of {code:?}", problem["code"])
    })?;
    ensure(problem["status"] == status, || {
        format!(
            "status is {} in the document and {status} in the head",
            problem["status"]
        )
    })?;
    ensure(problem["detail"] != "", || "detail is empty".into())?;
    let urn = format!("urn:oddswire:problem:{code}");
    ensure(problem["type"] == urn.as_str(), || {
        format!("type is {} in place of {urn:?}", problem["type"])
    })?;
    Ok(problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROBLEM: &str = "application/problem+json";
    const UNKNOWN: &str = r#"{"type":"urn:oddswire:problem:unknown_run","title":"Unknown run","status":404,"code":"unknown_run","detail":"there is no run \"x\""}"#;

    #[test]
    fn a_refusal_is_a_problem_document_with_its_status_and_code() {
        let judge = |answer: Answer| judge_problem(&answer, 404, "unknown_run").map(|_| ());
        assert_eq!(judge(Answer::made(404, PROBLEM, UNKNOWN)), Ok(()));
        for bad in [
            Answer::made(200, PROBLEM, UNKNOWN),
            Answer::made(404, "text/html", UNKNOWN),
            Answer::made(404, PROBLEM, "<html>"),
            Answer::made(
                404,
                PROBLEM,
                &UNKNOWN.replace("\"code\":\"unknown_run\"", "\"code\":\"not_found\""),
            ),
            Answer::made(404, PROBLEM, &UNKNOWN.replace("\"code\"", "\"kode\"")),
            Answer::made(404, PROBLEM, &UNKNOWN.replace("\"status\":404", "\"status\":400")),
            Answer::made(404, PROBLEM, &UNKNOWN.replace("urn:oddswire", "urn:other")),
        ] {
            assert!(matches!(judge(bad.clone()), Err(Miss::Failed(_))), "{bad:?}");
        }
    }

    #[test]
    fn what_a_token_or_the_bus_forbids_is_no_failure() {
        for (status, code) in [
            (403, "scope_missing"),
            (503, "bus_unavailable"),
            (429, "too_many_requests"),
        ] {
            let refused = Answer::made(status, PROBLEM, &format!("{{\"code\":\"{code}\"}}"));
            assert!(matches!(refused.judgeable(), Err(Miss::Skipped(_))), "{code}");
        }
        assert_eq!(Answer::made(404, PROBLEM, UNKNOWN).judgeable(), Ok(()));
        assert_eq!(Answer::made(500, "text/html", "").judgeable(), Ok(()));
    }
}
