//! What a request brings to be let in with, and what each address asks for.

use super::{Gateway, error::ApiError};
use crate::{
    auth::{Grant, Refusal, Scope},
    front::Visitor,
};
use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, header},
    middleware::Next,
    response::Response,
};
use oddswire_protocol::{problem::ProblemCode, server::ErrorCode};
use std::sync::Arc;

/// The subprotocol that is answered.
pub(super) const SUBPROTOCOL: &str = "oddswire.v1";
/// What a subprotocol begins with that is a token. It is never sent back.
const BEARER_SUBPROTOCOL: &str = "bearer.";

/// What an address asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// Nothing: the page and the contract are the same for everybody.
    Nothing,
    /// A token whose topics admit the stream. Its handler looks.
    Stream,
    /// A token that is good, whatever it allows.
    Token,
    /// A token with this scope.
    Scope(Scope),
}

/// The one table of who may do what. What is not in it and lies under `/api` asks for a token.
pub(super) fn need(method: &Method, path: &str) -> Need {
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    match (method.as_str(), parts.as_slice()) {
        ("GET", ["api", "ws" | "events"] | ["api", "scrapes", _, "events"]) => Need::Stream,
        (
            "GET" | "HEAD",
            ["api", "odds" | "scrapes" | "sources" | "workers"]
            | ["api", "scrapes", _]
            | ["api", "odds", _, "history"],
        ) => Need::Scope(Scope::Read),
        ("GET" | "HEAD", ["api", "openapi.json" | "asyncapi.json"] | ["api", "schemas", _]) => Need::Nothing,
        ("POST", ["api", "scrapes"]) => Need::Scope(Scope::RunsStart),
        ("POST", ["api", "scrapes", _, "cancel"]) => Need::Scope(Scope::RunsCancel),
        (_, ["api", ..]) => Need::Token,
        _ => Need::Nothing,
    }
}

/// Lets requests through that bring what their address asks for.
pub(super) async fn ask(
    State(gateway): State<Gateway>,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let door = &gateway.shared.door;
    let need = need(request.method(), request.uri().path());
    if !door.is_on() || matches!(need, Need::Nothing | Need::Stream) {
        return Ok(next.run(request).await);
    }
    let grant = gateway
        .admit(
            request.headers(),
            None,
            Transport::Request,
            request.extensions().get::<Visitor>(),
        )
        .await?
        .ok_or_else(|| door.refuse(Refusal::Missing))?;
    if let Need::Scope(scope) = need
        && !grant.allows(scope)
    {
        door.note("scope_missing");
        return Err(scope_missing(scope));
    }
    request.extensions_mut().insert(grant);
    Ok(next.run(request).await)
}

/// Where a token may come from besides the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transport {
    /// Nowhere.
    Request,
    /// A subprotocol.
    WebSocket,
}

/// What was brought.
enum Credential<'a> {
    Token(&'a str),
    Ticket(&'a str),
}

impl Gateway {
    /// Who asks; `None` for somebody who brings nothing.
    pub(super) async fn admit(
        &self,
        headers: &HeaderMap,
        ticket: Option<&str>,
        transport: Transport,
        visitor: Option<&Visitor>,
    ) -> Result<Option<Arc<Grant>>, Refusal> {
        let door = &self.shared.door;
        let auth = door.auth();
        let cookie = auth.cookie.as_deref().map(|name| Cookie {
            name,
            is_own_page: visitor.is_some_and(|visitor| visitor.is_own_page),
        });
        let found = find(headers, ticket, transport, cookie).map_err(|r| door.refuse(r))?;
        match found {
            None => Ok(None),
            Some(Credential::Token(token)) => door.by_token(token).await.map(Some),
            Some(Credential::Ticket(ticket)) => door.by_ticket(ticket).await.map(Some),
        }
    }

    /// Who asks for a stream; `None` where nobody is asked.
    pub(super) async fn admit_stream(
        &self,
        headers: &HeaderMap,
        ticket: Option<&str>,
        visitor: Option<&Visitor>,
    ) -> Result<Option<Arc<Grant>>, Refusal> {
        if !self.shared.door.is_on() {
            return Ok(None);
        }
        let admitted = self.admit(headers, ticket, Transport::Request, visitor).await?;
        admitted
            .map(Some)
            .ok_or_else(|| self.shared.door.refuse(Refusal::Missing))
    }
}

/// The cookie that may have a token in it.
#[derive(Debug, Clone, Copy)]
struct Cookie<'a> {
    name: &'a str,
    /// Whether a browser says that a page of this host sends the request. A cookie comes along whoever makes the browser
    /// send it, so it counts only then.
    is_own_page: bool,
}

/// The one thing that was brought. A cookie, which a browser sends unasked, counts when there is nothing else.
fn find<'a>(
    headers: &'a HeaderMap,
    ticket: Option<&'a str>,
    transport: Transport,
    cookie: Option<Cookie<'_>>,
) -> Result<Option<Credential<'a>>, Refusal> {
    let mut found: Vec<Credential<'a>> = Vec::new();
    for value in headers.get_all(header::AUTHORIZATION) {
        found.push(Credential::Token(bearer(value)?));
    }
    if transport == Transport::WebSocket {
        let tokens = subprotocols(headers).filter_map(|name| name.strip_prefix(BEARER_SUBPROTOCOL));
        found.extend(tokens.map(Credential::Token));
    }
    found.extend(ticket.map(Credential::Ticket));
    if found.len() > 1 {
        return Err(Refusal::Several);
    }
    if let (true, Some(cookie)) = (found.is_empty(), cookie) {
        let mut values = cookies(headers, cookie.name);
        let first = values.next();
        if values.next().is_some() {
            return Err(Refusal::Several);
        }
        if first.is_some() && !cookie.is_own_page {
            return Err(Refusal::Origin);
        }
        return Ok(first.map(Credential::Token));
    }
    Ok(found.pop())
}

fn bearer(value: &HeaderValue) -> Result<&str, Refusal> {
    let (scheme, token) = value
        .to_str()
        .ok()
        .and_then(|text| text.split_once(' '))
        .ok_or(Refusal::Scheme)?;
    if scheme.eq_ignore_ascii_case("bearer") {
        Ok(token.trim())
    } else {
        Err(Refusal::Scheme)
    }
}

fn subprotocols(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers
        .get_all(header::SEC_WEBSOCKET_PROTOCOL)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
}

/// Whether the client offers our subprotocol.
pub(super) fn offers_subprotocol(headers: &HeaderMap) -> bool {
    subprotocols(headers).any(|name| name == SUBPROTOCOL)
}

fn cookies<'a>(headers: &'a HeaderMap, name: &str) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(header::COOKIE)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(move |pair| {
            let (key, value) = pair.trim().split_once('=')?;
            (key == name).then_some(value)
        })
}

const CHALLENGE: &str = "Bearer realm=\"oddswire\"";
const CHALLENGE_TOKEN: &str = "Bearer realm=\"oddswire\", error=\"invalid_token\"";
const CHALLENGE_REQUEST: &str = "Bearer realm=\"oddswire\", error=\"invalid_request\"";
const CHALLENGE_SCOPE: &str = "Bearer realm=\"oddswire\", error=\"insufficient_scope\"";

fn scope_missing(scope: Scope) -> ApiError {
    let detail = format!("the token's scope lacks {}", scope.as_str());
    ApiError::new(ProblemCode::ScopeMissing, detail)
        .with("scope", scope.as_str())
        .with_header(header::WWW_AUTHENTICATE, CHALLENGE_SCOPE)
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let (code, challenge) = match refusal.code() {
            ErrorCode::TokenMissing => (ProblemCode::TokenMissing, CHALLENGE),
            ErrorCode::SeveralTokens => (ProblemCode::SeveralTokens, CHALLENGE_REQUEST),
            ErrorCode::AuthUnavailable => {
                return Self::new(ProblemCode::AuthUnavailable, refusal.to_string());
            }
            ErrorCode::TokenExpired => (ProblemCode::TokenExpired, CHALLENGE_TOKEN),
            ErrorCode::TicketInvalid => (ProblemCode::TicketInvalid, CHALLENGE_TOKEN),
            _ => (ProblemCode::TokenInvalid, CHALLENGE_TOKEN),
        };
        Self::new(code, refusal.to_string()).with_header(header::WWW_AUTHENTICATE, challenge)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_in_the_table_asks_for_a_token() {
        for (method, path, expected) in [
            ("GET", "/", Need::Nothing),
            ("GET", "/app.js", Need::Nothing),
            ("GET", "/api/ws", Need::Stream),
            ("GET", "/api/events", Need::Stream),
            ("GET", "/api/scrapes/r1/events", Need::Stream),
            ("GET", "/api/odds", Need::Scope(Scope::Read)),
            ("GET", "/api/odds/e1/history", Need::Scope(Scope::Read)),
            ("HEAD", "/api/odds", Need::Scope(Scope::Read)),
            ("GET", "/api/scrapes", Need::Scope(Scope::Read)),
            ("GET", "/api/scrapes/r1", Need::Scope(Scope::Read)),
            ("POST", "/api/scrapes", Need::Scope(Scope::RunsStart)),
            ("POST", "/api/scrapes/r1/cancel", Need::Scope(Scope::RunsCancel)),
            ("POST", "/api/tickets", Need::Token),
            ("DELETE", "/api/scrapes/r1", Need::Token),
            ("HEAD", "/api/events", Need::Token),
            ("GET", "/api/openapi.json", Need::Nothing),
            ("GET", "/api/asyncapi.json", Need::Nothing),
            ("GET", "/api/schemas/", Need::Nothing),
            ("GET", "/api/schemas/problem", Need::Nothing),
            ("POST", "/api/schemas/problem", Need::Token),
            ("GET", "/api/schemas/a/b", Need::Token),
            ("GET", "/api/new", Need::Token),
            ("GET", "/api", Need::Token),
            ("GET", "/api/scrapes/r1/events/x", Need::Token),
        ] {
            assert_eq!(need(&method.parse().unwrap(), path), expected, "{method} {path}");
        }
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(*name, HeaderValue::from_static(value));
        }
        map
    }

    fn token(
        pairs: &[(&'static str, &'static str)],
        ticket: Option<&str>,
    ) -> Result<Option<String>, Refusal> {
        token_of(pairs, ticket, true)
    }

    fn token_of(
        pairs: &[(&'static str, &'static str)],
        ticket: Option<&str>,
        is_own_page: bool,
    ) -> Result<Option<String>, Refusal> {
        let cookie = Cookie {
            name: "odds",
            is_own_page,
        };
        find(&headers(pairs), ticket, Transport::WebSocket, Some(cookie)).map(|found| {
            found.map(|found| match found {
                Credential::Token(token) => token.to_owned(),
                Credential::Ticket(ticket) => format!("ticket {ticket}"),
            })
        })
    }

    #[test]
    fn one_token_is_found_wherever_it_is() {
        assert_eq!(token(&[], None), Ok(None));
        assert_eq!(
            token(&[("authorization", "bearer a.b.c")], None),
            Ok(Some("a.b.c".into()))
        );
        assert_eq!(
            token(&[("sec-websocket-protocol", "oddswire.v1, bearer.a.b.c")], None),
            Ok(Some("a.b.c".into()))
        );
        assert_eq!(token(&[], Some("t")), Ok(Some("ticket t".into())));
    }

    #[test]
    fn two_are_refused_by_one_way_or_by_two() {
        for pairs in [
            &[("authorization", "Bearer a"), ("authorization", "Bearer a")][..],
            &[
                ("authorization", "Bearer a"),
                ("sec-websocket-protocol", "bearer.a"),
            ],
            &[("sec-websocket-protocol", "bearer.a, bearer.b")],
            &[("cookie", "odds=a; odds=b")],
            &[("cookie", "odds=a"), ("cookie", "odds=a")],
        ] {
            assert_eq!(token(pairs, None), Err(Refusal::Several), "{pairs:?}");
        }
        assert_eq!(
            token(&[("authorization", "Bearer a")], Some("t")),
            Err(Refusal::Several)
        );
    }

    #[test]
    fn another_scheme_is_refused_and_not_passed_over() {
        for value in ["Basic YTpi", "Bearer", "a.b.c"] {
            assert_eq!(
                token(&[("authorization", value)], None),
                Err(Refusal::Scheme),
                "{value}"
            );
        }
    }

    #[test]
    fn a_cookie_counts_for_pages_of_this_host_alone() {
        let cookie = ("cookie", "x=1; odds=a.b.c");
        assert_eq!(token_of(&[cookie], None, true), Ok(Some("a.b.c".to_owned())));
        assert_eq!(token_of(&[cookie], None, false), Err(Refusal::Origin));
        // What is sent on purpose beats it.
        assert_eq!(token_of(&[cookie], Some("t"), false), Ok(Some("ticket t".into())));
    }
}
