//! The keys of an identity provider: a small HTTP server whose answer changes.

use super::{super::Rules, AuthOptions, Mint, Refusal, claims, text};
use crate::auth::{Auth, jwks::Jwks};
use serde_json::{Value, json};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinSet,
};

struct Provider {
    url: String,
    answer: Arc<Mutex<String>>,
    asked: Arc<AtomicUsize>,
    _server: JoinSet<()>,
}

impl Provider {
    async fn start(keys: &Value) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/keys", listener.local_addr().unwrap());
        let (answer, asked) = (
            Arc::new(Mutex::new(keys.to_string())),
            Arc::new(AtomicUsize::new(0)),
        );
        let (body, count) = (Arc::clone(&answer), Arc::clone(&asked));
        let mut server = JoinSet::new();
        server.spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut head = [0; 4096];
                let _ = stream.read(&mut head).await;
                count.fetch_add(1, SeqCst);
                let body = body.lock().unwrap().clone();
                let status = if body.is_empty() { "500 No" } else { "200 OK" };
                let answer = format!(
                    "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
                    body.len()
                );
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        Self {
            url,
            answer,
            asked,
            _server: server,
        }
    }

    fn serve(&self, body: &str) {
        body.clone_into(&mut self.answer.lock().unwrap());
    }

    fn asked(&self) -> usize {
        self.asked.load(SeqCst)
    }

    /// Checks tokens by this provider's keys, which are asked for again after `not_before` at the soonest.
    fn auth(&self, not_before: Duration) -> Auth {
        oddswire_kit::tls::install_provider();
        let mut auth = Auth::new(&AuthOptions {
            auth_jwks_url: Some(self.url.clone()),
            ..AuthOptions::default()
        })
        .unwrap();
        let jwks: Option<&mut Jwks> = auth
            .rules
            .as_mut()
            .and_then(|rules: &mut Rules| rules.jwks.as_mut());
        jwks.unwrap().not_before = not_before;
        auth
    }
}

fn keys(id: &str) -> Value {
    let mut key: Value = serde_json::from_str(&text("rsa.jwk.json")).unwrap();
    key["kid"] = id.into();
    // What is of no use here does not spoil the rest.
    json!({"keys": [{"kty": "weird"}, {"kty": "oct", "kid": "oct", "k": "c2VjcmV0".repeat(8)}, key]})
}

fn signed(id: &str) -> String {
    let mint = Mint::new(&text("rsa.pem"), None).unwrap();
    mint.sign(&claims(), Some(id.into())).unwrap()
}

const AT_ONCE: Duration = Duration::ZERO;
const NEVER: Duration = Duration::from_secs(3_600);

#[tokio::test]
async fn a_new_key_is_found_when_a_token_names_it() {
    let provider = Provider::start(&keys("one")).await;
    let auth = provider.auth(AT_ONCE);
    assert!(auth.check(&signed("one")).await.is_ok());
    assert!(auth.check(&signed("one")).await.is_ok());
    assert_eq!(provider.asked(), 1, "known keys are not asked for again");
    provider.serve(&keys("two").to_string());
    assert!(auth.check(&signed("two")).await.is_ok());
    assert_eq!(
        auth.check(&signed("one")).await,
        Err(Refusal::UnknownKey),
        "it was taken away"
    );
}

#[tokio::test]
async fn unknown_keys_cannot_have_the_provider_asked_again_and_again() {
    let provider = Provider::start(&keys("one")).await;
    let auth = provider.auth(NEVER);
    let tokens: Vec<String> = (0..20).map(|n| signed(&format!("unknown-{n}"))).collect();
    let checks = tokens.iter().map(|token| auth.check(token));
    for outcome in futures_util::future::join_all(checks).await {
        assert_eq!(outcome, Err(Refusal::UnknownKey));
    }
    assert_eq!(provider.asked(), 1);
    assert!(auth.check(&signed("one")).await.is_ok());
}

#[tokio::test]
async fn known_keys_stay_while_the_provider_is_down_or_talks_nonsense() {
    let provider = Provider::start(&keys("one")).await;
    let auth = provider.auth(AT_ONCE);
    assert!(auth.check(&signed("one")).await.is_ok());
    let huge = format!("{{\"keys\":[],\"x\":\"{}\"}}", "x".repeat(300 * 1024));
    for answer in ["", "<html>", "{\"keys\":[]}", &huge] {
        provider.serve(answer);
        assert_eq!(auth.check(&signed("two")).await, Err(Refusal::UnknownKey));
        assert!(auth.check(&signed("one")).await.is_ok());
    }
    assert_eq!(provider.asked(), 5);
}

#[tokio::test]
async fn without_any_keys_nobody_is_let_in_and_the_answer_is_to_try_again() {
    let provider = Provider::start(&json!({})).await;
    provider.serve("");
    let auth = provider.auth(AT_ONCE);
    let refusal = auth.check(&signed("one")).await.unwrap_err();
    assert!(matches!(refusal, Refusal::Unavailable(_)), "{refusal:?}");
}

#[tokio::test]
async fn a_secret_that_everybody_can_read_is_no_key() {
    let provider = Provider::start(&keys("one")).await;
    let auth = provider.auth(AT_ONCE);
    let secret = "secret".repeat(8);
    let token = Mint::new(&secret, None)
        .unwrap()
        .sign(&claims(), Some("oct".into()))
        .unwrap();
    assert_eq!(auth.check(&token).await, Err(Refusal::UnknownKey));
}
