//! Tokens through real gateways: who is let in, to what, and the exact answer to those who are not.

mod attacks;
mod door;
mod end;
mod tickets;

use crate::harness::{Gateway, Sse, World, Ws, logs, within};
use oddswire_gateway::{
    GatewayOptions,
    auth::{AuthOptions, Mint},
};
use oddswire_protocol::Timestamp;
use reqwest::{RequestBuilder, Response};
use serde_json::{Value, json};

pub(crate) const SECRET: &str = "a planted-secret of at least 32 bytes, for tests";

/// Tokens are asked for; they end to the second.
pub(crate) fn on(options: &mut GatewayOptions) {
    options.auth = AuthOptions {
        auth_secret: Some(SECRET.parse().unwrap()),
        auth_leeway_s: 0,
        ..AuthOptions::default()
    };
}

pub(crate) fn now_s() -> i64 {
    Timestamp::now().unix_ms() / 1_000
}

pub(crate) fn sign(claims: &Value) -> String {
    let token = Mint::new(SECRET, None).unwrap().sign(claims, None).unwrap();
    logs::plant(&token);
    token
}

/// The claims of one who may listen to `topics` and do `scope` for `ttl_s`.
pub(crate) fn claims(subject: &str, topics: &[&str], scope: &str, ttl_s: i64) -> Value {
    json!({
        "iss": "oddswire", "aud": "oddswire", "sub": subject, "iat": now_s(), "exp": now_s() + ttl_s,
        "scope": scope, "oddswire": {"topics": topics},
    })
}

pub(crate) fn token(topics: &[&str], scope: &str) -> String {
    sign(&claims("ann", topics, scope, 600))
}

pub(crate) fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

impl World {
    pub(crate) async fn guarded(&self) -> Gateway {
        self.gateway_with(on).await
    }
}

impl Gateway {
    pub(crate) async fn ws_by(&self, query: &str, token: &str) -> Ws {
        let (client, _) = Ws::connect_with(&self.address, query, &[("authorization", &bearer(token))]).await;
        client
    }

    pub(crate) async fn send(&self, request: RequestBuilder) -> Response {
        within("an answer", request.send()).await.unwrap()
    }

    /// The answer to a request with a token.
    pub(crate) async fn get_by(&self, path: &str, token: &str) -> Response {
        let request = reqwest::Client::new().get(self.url(path)).bearer_auth(token);
        self.send(request).await
    }

    pub(crate) async fn post_by(&self, path: &str, token: &str) -> Response {
        let request = reqwest::Client::new().post(self.url(path)).bearer_auth(token);
        self.send(request).await
    }

    pub(crate) async fn sse_by(&self, query: &str, token: &str) -> Sse {
        Sse::of(self.get_by(&format!("/api/events?{query}"), token).await)
    }

    pub(crate) async fn ticket(&self, token: &str) -> String {
        let answer = self.post_by("/api/tickets", token).await;
        assert_eq!(answer.status(), 200);
        let given: Value = answer.json().await.unwrap();
        given["ticket"].as_str().unwrap().to_owned()
    }
}

/// Status, code and challenge of a refusal.
pub(crate) async fn refusal(answer: Response) -> (u16, String, String) {
    let status = answer.status().as_u16();
    // A stream would never end.
    assert!(status >= 400, "let in with {status}");
    let challenge = answer.headers().get("www-authenticate");
    let challenge = challenge.map_or_else(String::new, |value| value.to_str().unwrap().to_owned());
    let problem: Value = answer.json().await.unwrap();
    (
        status,
        problem["code"].as_str().unwrap_or_default().to_owned(),
        challenge,
    )
}
