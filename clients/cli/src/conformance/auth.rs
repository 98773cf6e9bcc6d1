//! Who is not let in.

use super::{
    check::{Check, Group, Judged, ensure, skip},
    judge::answer::{Answer, judge_problem},
    probe::Probe,
    socket::{Closed, Socket},
    topics::judge_error,
};

const fn check(name: &'static str, says: &'static str, run: super::Run) -> Check {
    Check {
        group: Group::Auth,
        name,
        says,
        run,
    }
}

pub(crate) const CHECKS: &[Check] = &[
    check(
        "no-token",
        "Without a token: 401 token_missing with WWW-Authenticate, from addresses and event streams.",
        |probe| Box::pin(no_token(probe)),
    ),
    check(
        "bad-token",
        "A token that is refused: 401 token_invalid with WWW-Authenticate.",
        |probe| Box::pin(bad_token(probe)),
    ),
    check(
        "websocket-no-token",
        "WebSocket without a token, whose first message is not auth: error token_missing, close 4501.",
        |probe| Box::pin(websocket_no_token(probe)),
    ),
    check(
        "websocket-bad-token",
        "WebSocket with a token that is refused: error token_invalid, close 4501.",
        |probe| Box::pin(websocket_bad_token(probe)),
    ),
];

const BAD: (&str, &str) = ("authorization", "Bearer not.a.token");

fn needs_guard(probe: &Probe) -> Judged {
    if probe.target.known.is_guarded {
        return Ok(());
    }
    skip("this gateway asks for no tokens")
}

async fn no_token(probe: Probe) -> Judged {
    needs_guard(&probe)?;
    for path in ["api/sources", "api/odds", "api/events"] {
        judge_refusal(&probe.ask_bare(path, &[]).await?, "token_missing")?;
    }
    Ok(())
}

async fn bad_token(probe: Probe) -> Judged {
    needs_guard(&probe)?;
    for path in ["api/sources", "api/events"] {
        judge_refusal(&probe.ask_bare(path, &[BAD]).await?, "token_invalid")?;
    }
    Ok(())
}

fn judge_refusal(answer: &Answer, code: &str) -> Judged {
    judge_problem(answer, 401, code)?;
    let challenge = answer.header("www-authenticate");
    Ok(ensure(challenge.starts_with("Bearer"), || {
        format!("WWW-Authenticate is {challenge:?} in place of Bearer")
    })?)
}

async fn websocket_no_token(probe: Probe) -> Judged {
    needs_guard(&probe)?;
    let (mut socket, _) = Socket::open_as(&probe, &probe.target.address, "", &[], false).await?;
    socket.send(r#"{"type":"ping"}"#).await?;
    refused(&mut socket, "token_missing").await
}

async fn websocket_bad_token(probe: Probe) -> Judged {
    needs_guard(&probe)?;
    let (mut socket, _) = Socket::open_as(&probe, &probe.target.address, "", &[BAD], false).await?;
    refused(&mut socket, "token_invalid").await
}

async fn refused(socket: &mut Socket, code: &str) -> Judged {
    judge_error(&socket.message().await?, code)?;
    let Closed(closed) = socket.closed().await?;
    Ok(ensure(closed == Some(4501), || {
        format!("the close code is {closed:?} in place of 4501")
    })?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::HeaderMap;

    #[test]
    fn a_refusal_says_how_to_come_in() {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", "application/problem+json".parse().unwrap());
        let body = r#"{"type":"urn:oddswire:problem:token_missing","title":"T","status":401,"code":"token_missing","detail":"D."}"#;
        let mut answer = Answer {
            status: 401,
            headers,
            body: body.to_owned(),
        };
        assert!(judge_refusal(&answer, "token_missing").is_err(), "no challenge");
        answer
            .headers
            .insert("www-authenticate", "Bearer".parse().unwrap());
        assert_eq!(judge_refusal(&answer, "token_missing"), Ok(()));
        assert!(judge_refusal(&answer, "token_invalid").is_err());
    }
}
