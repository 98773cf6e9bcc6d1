//! Keys that tokens are checked with. Each does one algorithm, whatever a token says.

use super::refusal::Refusal;
use jsonwebtoken::{
    Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse},
};
use serde::Deserialize;

/// A key.
#[derive(Debug, Clone)]
pub(super) struct Key {
    id: Option<String>,
    pub(super) algorithm: Algorithm,
    pub(super) decoding: DecodingKey,
}

/// Keys, in the order in which they are tried.
#[derive(Debug, Clone, Default)]
pub(super) struct KeySet(Vec<Key>);

/// The smallest secret and the smallest RSA modulus, in bytes.
const SECRET_MIN_BYTES: usize = 32;
const MODULUS_MIN_BYTES: usize = 256;
/// Keys in one set that are looked at.
const KEYS_MAX: usize = 100;

#[derive(Deserialize)]
struct RawSet {
    keys: Vec<serde_json::Value>,
}

impl KeySet {
    /// A secret.
    pub(super) fn of_secret(secret: &[u8], algorithm: Option<Algorithm>) -> Result<Self, String> {
        let algorithm = algorithm.unwrap_or(Algorithm::HS256);
        if algorithm.family() != AlgorithmFamily::Hmac {
            return Err(format!("{algorithm:?} is no algorithm of a secret"));
        }
        check_secret(secret)?;
        Ok(Self(vec![Key {
            id: None,
            algorithm,
            decoding: DecodingKey::from_secret(secret),
        }]))
    }

    /// The keys of a file: a public key in PEM, a JWK, or a set of JWKs.
    pub(super) fn of_file(text: &str, algorithm: Option<Algorithm>) -> Result<Self, String> {
        if text.trim_start().starts_with('{') {
            let value: serde_json::Value =
                serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))?;
            let keys = if value.get("keys").is_some() {
                let set: RawSet = serde_json::from_value(value).map_err(|error| error.to_string())?;
                set.keys
            } else {
                vec![value]
            };
            let keys: Result<Vec<Key>, String> = keys.into_iter().map(of_jwk).collect();
            return keys.map(Self);
        }
        if text.contains("PRIVATE KEY") {
            return Err("this is a private key: the gateway needs the public one alone".into());
        }
        of_pem(text.as_bytes(), algorithm).map(|key| Self(vec![key]))
    }

    /// The keys of an identity provider; those that are of no use here are left out.
    pub(super) fn of_provider(body: &[u8]) -> Result<Self, String> {
        let set: RawSet =
            serde_json::from_slice(body).map_err(|error| format!("not a set of JWKs: {error}"))?;
        let mut keys = Vec::new();
        for value in set.keys.into_iter().take(KEYS_MAX) {
            match of_jwk(value) {
                // Everybody can read a secret that stands there.
                Ok(key) if key.algorithm.family() == AlgorithmFamily::Hmac => {}
                Ok(key) => keys.push(key),
                Err(error) => tracing::debug!(%error, "a key of the identity provider is of no use"),
            }
        }
        if keys.is_empty() {
            return Err("no key in it can be used".into());
        }
        Ok(Self(keys))
    }

    pub(super) fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// The keys that may have signed a token: those of its `kid`, or those without a name, of its algorithm.
    pub(super) fn candidates(&self, id: Option<&str>, algorithm: Algorithm) -> Result<Vec<Key>, Refusal> {
        let named: Vec<&Key> = self
            .0
            .iter()
            .filter(|key| id.is_some() && key.id.as_deref() == id)
            .collect();
        let meant = if named.is_empty() {
            self.0
                .iter()
                .filter(|key| id.is_none() || key.id.is_none())
                .collect()
        } else {
            named
        };
        if meant.is_empty() {
            return Err(Refusal::UnknownKey);
        }
        let fit: Vec<Key> = meant
            .into_iter()
            .filter(|key| key.algorithm == algorithm)
            .cloned()
            .collect();
        if fit.is_empty() {
            return Err(Refusal::Algorithm);
        }
        Ok(fit)
    }
}

fn check_secret(secret: &[u8]) -> Result<(), String> {
    if secret.len() < SECRET_MIN_BYTES {
        return Err(format!(
            "a secret has at least {SECRET_MIN_BYTES} bytes, this one {}",
            secret.len()
        ));
    }
    Ok(())
}

fn of_pem(pem: &[u8], algorithm: Option<Algorithm>) -> Result<Key, String> {
    let wish = |family| algorithm.filter(|algorithm| algorithm.family() == family);
    let (algorithm, key) = if let Ok(key) = DecodingKey::from_ed_pem(pem) {
        (Algorithm::EdDSA, key)
    } else if let Ok(key) = DecodingKey::from_ec_pem(pem) {
        match key.try_get_as_bytes().map_or(0, <[u8]>::len) {
            65 => (Algorithm::ES256, key),
            97 => (Algorithm::ES384, key),
            _ => return Err("of elliptic curves, P-256 and P-384 are known".into()),
        }
    } else if let Ok(key) = DecodingKey::from_rsa_pem(pem) {
        if key.try_get_as_bytes().map_or(0, <[u8]>::len) < MODULUS_MIN_BYTES {
            return Err("an RSA key has at least 2048 bits".into());
        }
        (wish(AlgorithmFamily::Rsa).unwrap_or(Algorithm::RS256), key)
    } else {
        return Err("neither a public key in PEM (RSA, P-256, P-384, Ed25519) nor JSON".into());
    };
    Ok(Key {
        id: None,
        algorithm,
        decoding: key,
    })
}

fn of_jwk(value: serde_json::Value) -> Result<Key, String> {
    let jwk: Jwk = serde_json::from_value(value).map_err(|error| format!("not a JWK: {error}"))?;
    if jwk
        .common
        .public_key_use
        .as_ref()
        .is_some_and(|is| *is != PublicKeyUse::Signature)
    {
        return Err("a JWK that is not for signatures".into());
    }
    let said = match jwk.common.key_algorithm {
        Some(said) => Some(
            Algorithm::try_from(said).map_err(|_| "a JWK of an algorithm that is not known".to_owned())?,
        ),
        None => None,
    };
    let (family, usual) = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => (AlgorithmFamily::Rsa, Algorithm::RS256),
        AlgorithmParameters::EllipticCurve(key) => match key.curve {
            EllipticCurve::P256 => (AlgorithmFamily::Ec, Algorithm::ES256),
            EllipticCurve::P384 => (AlgorithmFamily::Ec, Algorithm::ES384),
            _ => return Err("of elliptic curves, P-256 and P-384 are known".into()),
        },
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
            (AlgorithmFamily::Ed, Algorithm::EdDSA)
        }
        AlgorithmParameters::OctetKey(_) => (AlgorithmFamily::Hmac, Algorithm::HS256),
        _ => return Err("a JWK of a kind that is not known".into()),
    };
    let algorithm = said.unwrap_or(usual);
    // An elliptic curve has one algorithm.
    if algorithm.family() != family || (family == AlgorithmFamily::Ec && algorithm != usual) {
        return Err(format!("a JWK that does not fit its alg {algorithm:?}"));
    }
    let key = DecodingKey::from_jwk(&jwk).map_err(|error| format!("a JWK that cannot be read: {error}"))?;
    match key.kind() {
        DecodingKeyKind::RsaModulusExponent { n, .. } if n.len() < MODULUS_MIN_BYTES => {
            return Err("an RSA key has at least 2048 bits".into());
        }
        DecodingKeyKind::SecretOrDer(secret) if family == AlgorithmFamily::Hmac => check_secret(secret)?,
        _ => {}
    }
    Ok(Key {
        id: jwk.common.key_id,
        algorithm,
        decoding: key,
    })
}
