//! Tokens, and what is wrong with them. The keys beside this file were made for these tests and open nothing.

mod provider;

use super::{Auth, AuthOptions, Mint, Refusal, TOKEN_MAX_BYTES, keygen};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use oddswire_protocol::Timestamp;
use serde_json::{Value, json};
use std::path::PathBuf;

const SECRET: &str = "a secret of at least 32 bytes, for tests";

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("src/auth/tests")
        .join(name)
}

fn text(name: &str) -> String {
    std::fs::read_to_string(file(name)).unwrap()
}

fn now_s() -> i64 {
    Timestamp::now().unix_ms() / 1_000
}

fn claims() -> Value {
    json!({
        "iss": "oddswire", "aud": "oddswire", "sub": "ann", "iat": now_s(), "exp": now_s() + 600,
        "scope": "read", "oddswire": {"topics": ["odds_updates.soccer"]},
    })
}

fn with(key: &str, value: impl Into<Value>) -> Value {
    let mut claims = claims();
    claims[key] = value.into();
    claims
}

fn without(key: &str) -> Value {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove(key);
    claims
}

fn by_secret() -> AuthOptions {
    AuthOptions {
        auth_secret: Some(SECRET.parse().unwrap()),
        ..AuthOptions::default()
    }
}

fn by_key(name: &str, algorithm: Option<&str>) -> AuthOptions {
    AuthOptions {
        auth_key_file: vec![file(name)],
        auth_algorithm: algorithm.map(str::to_owned),
        ..AuthOptions::default()
    }
}

fn sign(key: &str, algorithm: Option<&str>, claims: &Value) -> String {
    Mint::new(key, algorithm).unwrap().sign(claims, None).unwrap()
}

async fn refusal(options: &AuthOptions, token: &str) -> Refusal {
    Auth::new(options).unwrap().check(token).await.unwrap_err()
}

/// A token put together by hand.
fn forged(header: &Value, claims: &Value, signature: &str) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.{signature}", part(header), part(claims))
}

#[tokio::test]
async fn a_good_token_of_each_algorithm_is_let_in() {
    let (private, public) = keygen().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let ed = folder.path().join("ed.pem");
    std::fs::write(&ed, public).unwrap();
    let mut cases = vec![(
        "EdDSA",
        private,
        AuthOptions {
            auth_key_file: vec![ed],
            ..AuthOptions::default()
        },
    )];
    for name in ["HS256", "HS384", "HS512"] {
        let options = AuthOptions {
            auth_algorithm: Some(name.into()),
            ..by_secret()
        };
        cases.push((name, SECRET.into(), options));
    }
    for name in ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"] {
        cases.push((name, text("rsa.pem"), by_key("rsa.pub.pem", Some(name))));
    }
    cases.push(("ES256", text("p256.pem"), by_key("p256.pub.pem", None)));
    cases.push(("ES384", text("p384.pem"), by_key("p384.pub.pem", None)));
    for (name, key, options) in cases {
        let auth = Auth::new(&options).unwrap();
        let token = sign(&key, Some(name), &claims());
        let grant = auth.check(&token).await.unwrap();
        assert_eq!(grant.subject(), "ann", "{name}");
        // A changed byte of what is signed.
        let (head, rest) = token.split_once('.').unwrap();
        let (_, signature) = rest.split_once('.').unwrap();
        let other = URL_SAFE_NO_PAD.encode(with("sub", "eve").to_string());
        let changed = format!("{head}.{other}.{signature}");
        assert_eq!(auth.check(&changed).await, Err(Refusal::Signature), "{name}");
    }
}

#[tokio::test]
async fn claims_that_are_not_right_have_an_answer_each() {
    let past = now_s() - 31;
    let soon = now_s() + 35;
    let cases = [
        (with("exp", past), Refusal::Expired),
        (with("nbf", soon), Refusal::NotYetValid),
        (with("iss", "other"), Refusal::Issuer),
        (with("aud", "other"), Refusal::Audience),
        (with("aud", json!(["other", "another"])), Refusal::Audience),
        (
            without("exp"),
            Refusal::Claims("exp is missing or malformed".into()),
        ),
        (
            without("iss"),
            Refusal::Claims("iss is missing or malformed".into()),
        ),
        (
            without("aud"),
            Refusal::Claims("aud is missing or malformed".into()),
        ),
        (
            without("sub"),
            Refusal::Claims("sub is missing or malformed".into()),
        ),
    ];
    for (claims, expected) in cases {
        let found = refusal(&by_secret(), &sign(SECRET, None, &claims)).await;
        // A claim that is not there is noticed by whoever looks first.
        let same = matches!((&found, &expected), (Refusal::Claims(_), Refusal::Claims(_)));
        assert!(found == expected || same, "{claims}: {found:?}");
    }
    for claims in [
        with("exp", "tomorrow"),
        with("exp", Value::Null),
        with("nbf", "yesterday"),
        with("scope", json!(["read"])),
        with("oddswire", json!({"topics": "odds_updates"})),
        with("oddswire", json!({"topics": ["odds_updates.>"]})),
    ] {
        let found = refusal(&by_secret(), &sign(SECRET, None, &claims)).await;
        assert!(matches!(found, Refusal::Claims(_)), "{claims}: {found:?}");
    }
}

#[tokio::test]
async fn the_leeway_and_lists_of_audiences_let_in() {
    let auth = Auth::new(&by_secret()).unwrap();
    for claims in [
        with("exp", now_s() - 5),
        with("nbf", now_s() + 5),
        with("aud", json!(["other", "oddswire"])),
    ] {
        assert!(auth.check(&sign(SECRET, None, &claims)).await.is_ok(), "{claims}");
    }
    let grant = auth
        .check(&sign(SECRET, None, &with("exp", now_s() - 5)))
        .await
        .unwrap();
    assert!(grant.left_ms() <= 25_000, "it ends with its leeway");
}

#[tokio::test]
async fn a_token_for_too_long_is_refused_where_that_is_asked() {
    let options = AuthOptions {
        auth_max_lifetime_s: 600,
        ..by_secret()
    };
    let auth = Auth::new(&options).unwrap();
    assert!(auth.check(&sign(SECRET, None, &claims())).await.is_ok());
    let long = sign(SECRET, None, &with("exp", now_s() + 700));
    assert_eq!(auth.check(&long).await, Err(Refusal::TooLongLived));
    let mut from_the_future = with("exp", now_s() + 3_600);
    from_the_future["iat"] = (now_s() + 3_500).into();
    let from_the_future = sign(SECRET, None, &from_the_future);
    assert_eq!(auth.check(&from_the_future).await, Err(Refusal::TooLongLived));
    let ageless = sign(SECRET, None, &without("iat"));
    assert!(matches!(auth.check(&ageless).await, Err(Refusal::Claims(_))));
}

#[tokio::test]
async fn no_algorithm_and_an_algorithm_of_another_key_are_refused() {
    for alg in ["none", "None", "nOnE", "HS1", ""] {
        for signature in ["", "x"] {
            let token = forged(&json!({"alg": alg, "typ": "JWT"}), &claims(), signature);
            assert_eq!(refusal(&by_secret(), &token).await, Refusal::Algorithm, "{alg}");
        }
    }
    for name in ["HS384", "HS512"] {
        let token = sign(SECRET, Some(name), &claims());
        assert_eq!(refusal(&by_secret(), &token).await, Refusal::Algorithm, "{name}");
    }
    let token = sign(&text("rsa.pem"), Some("PS256"), &claims());
    assert_eq!(
        refusal(&by_key("rsa.pub.pem", None), &token).await,
        Refusal::Algorithm
    );
}

#[tokio::test]
async fn a_public_key_is_no_secret() {
    for (public, algorithm) in [
        ("rsa.pub.pem", "HS256"),
        ("p256.pub.pem", "HS256"),
        ("rsa.pub.pem", "HS512"),
    ] {
        let token = sign(
            &text(public).replace("-----", "+++++"),
            Some(algorithm),
            &claims(),
        );
        assert_eq!(refusal(&by_key(public, None), &token).await, Refusal::Algorithm);
        // The attack as it is meant: the bytes of the file are the secret.
        let mut header = jsonwebtoken::Header::new(algorithm.parse().unwrap());
        let secret = jsonwebtoken::EncodingKey::from_secret(text(public).as_bytes());
        for kid in [None, Some("rsa".to_owned())] {
            header.kid = kid;
            let token = jsonwebtoken::encode(&header, &claims(), &secret).unwrap();
            assert_eq!(refusal(&by_key(public, None), &token).await, Refusal::Algorithm);
        }
        assert_eq!(
            refusal(&by_key("rsa.jwk.json", None), &token).await,
            Refusal::Algorithm
        );
    }
}

#[tokio::test]
async fn keys_that_a_token_brings_along_are_not_used() {
    let jwk: Value = serde_json::from_str(&text("rsa.jwk.json")).unwrap();
    let body = |header: &Value| {
        let key = jsonwebtoken::EncodingKey::from_rsa_pem(text("rsa.pem").as_bytes()).unwrap();
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(header), part(&claims()));
        let signature =
            jsonwebtoken::crypto::sign(message.as_bytes(), &key, jsonwebtoken::Algorithm::RS256).unwrap();
        format!("{message}.{signature}")
    };
    let options = by_key("p256.pub.pem", None);
    for header in [
        json!({"alg": "RS256", "jwk": jwk}),
        json!({"alg": "RS256", "jku": "http://127.0.0.1:1/keys"}),
        json!({"alg": "RS256", "kid": "../../tests/rsa.pub.pem"}),
    ] {
        assert_eq!(
            refusal(&options, &body(&header)).await,
            Refusal::Algorithm,
            "{header}"
        );
    }
    let known = by_key("rsa.pub.pem", None);
    let crit = body(&json!({"alg": "RS256", "crit": ["exp"]}));
    assert!(matches!(refusal(&known, &crit).await, Refusal::Malformed(_)));
    assert!(
        Auth::new(&known)
            .unwrap()
            .check(&body(&json!({"alg": "RS256"})))
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn a_named_key_is_meant_and_no_other() {
    let signed = |kid: &str| {
        let mint = Mint::new(&text("rsa.pem"), None).unwrap();
        mint.sign(&claims(), Some(kid.into())).unwrap()
    };
    let options = by_key("rsa.jwk.json", None);
    assert!(Auth::new(&options).unwrap().check(&signed("rsa")).await.is_ok());
    assert_eq!(refusal(&options, &signed("other")).await, Refusal::UnknownKey);
}

#[tokio::test]
async fn what_is_no_token_is_refused_without_panic() {
    let good = sign(SECRET, None, &claims());
    for cut in 0..good.len() {
        refusal(&by_secret(), &good[..cut]).await;
    }
    for bad in [
        "",
        ".",
        "..",
        "...",
        "a.b",
        "a.b.c",
        "a.b.c.d",
        "ä.ö.ü",
        &format!("{good}.x"),
        &format!("{good}="),
    ] {
        refusal(&by_secret(), bad).await;
    }
    let twice = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","alg":"HS256"}"#);
    let token = format!("{twice}.{}", good.split_once('.').unwrap().1);
    assert!(matches!(
        refusal(&by_secret(), &token).await,
        Refusal::Malformed(_)
    ));
}

#[tokio::test]
async fn a_token_over_the_limit_is_not_looked_at() {
    let token = sign(SECRET, None, &with("pad", "x".repeat(TOKEN_MAX_BYTES)));
    assert_eq!(refusal(&by_secret(), &token).await, Refusal::TooLarge);
}

#[test]
fn keys_of_no_use_are_told_all_at_once() {
    let options = AuthOptions {
        auth_key_file: ["rsa.pem", "rsa1024.pub.pem", "nothing.pem", "../tests.rs"]
            .map(file)
            .into(),
        auth_secret: Some("too short".parse().unwrap()),
        auth_jwks_url: Some("ftp://keys".into()),
        auth_algorithm: Some("none".into()),
        auth_issuer: vec![String::new()],
        ..AuthOptions::default()
    };
    let problems = Auth::new(&options).unwrap_err();
    let told: Vec<&str> = problems.iter().map(|problem| problem.option).collect();
    assert_eq!(
        told,
        [
            "--auth-algorithm",
            "--auth-key-file",
            "--auth-key-file",
            "--auth-key-file",
            "--auth-key-file",
            "--auth-secret",
            "--auth-jwks-url",
            "--auth-issuer"
        ],
        "{problems:#?}"
    );
    assert!(!format!("{options:?} {problems:?}").contains("too short"));
}

#[tokio::test]
async fn refusals_quote_nothing_of_a_token() {
    let marker = "marker-that-must-not-show";
    for claims in [
        with("exp", marker),
        with("iss", marker),
        with("scope", json!({ "x": marker })),
    ] {
        let refusal = refusal(&by_secret(), &sign(SECRET, None, &claims)).await;
        assert!(!format!("{refusal} {refusal:?}").contains(marker), "{refusal:?}");
    }
}
