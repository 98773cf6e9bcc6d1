//! Making tokens, for `oddswire token`: who runs Oddswire alone needs no identity provider.

use super::crypto;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use jsonwebtoken::{Algorithm, AlgorithmFamily, EncodingKey, Header};
use oddswire_protocol::Timestamp;
use ring::{
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
        KeyPair as _,
    },
};

/// Why no token can be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct MintError(String);

/// What is to stand in a token.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    /// `iss`.
    pub issuer: String,
    /// `aud`.
    pub audience: String,
    /// `sub`.
    pub subject: String,
    /// `oddswire.topics`.
    pub topics: Vec<String>,
    /// `scope`, word by word.
    pub scopes: Vec<String>,
    /// Seconds from now to `exp`.
    pub ttl_s: u64,
    /// `kid`.
    pub key_id: Option<String>,
}

/// A key that makes tokens.
#[derive(Debug)]
pub struct Mint {
    algorithm: Algorithm,
    key: EncodingKey,
}

impl Mint {
    /// The private key of a PEM file, or else a secret.
    ///
    /// # Errors
    /// [`MintError`].
    pub fn new(text: &str, algorithm: Option<&str>) -> Result<Self, MintError> {
        crypto::install();
        let wish: Option<Algorithm> = match algorithm {
            Some(name) => Some(
                name.parse()
                    .map_err(|_| MintError(format!("{name:?} is no algorithm that is known")))?,
            ),
            None => None,
        };
        let (usual, key) = if text.contains("-----BEGIN") {
            private(text.as_bytes())?
        } else {
            let secret = text.trim_end_matches(['\r', '\n']);
            (Algorithm::HS256, EncodingKey::from_secret(secret.as_bytes()))
        };
        let algorithm = wish.unwrap_or(usual);
        if algorithm.family() != usual.family()
            || (usual.family() == AlgorithmFamily::Ec && algorithm != usual)
        {
            return Err(MintError(format!("{algorithm:?} is no algorithm of this key")));
        }
        Ok(Self { algorithm, key })
    }

    /// A token that holds from now on.
    ///
    /// # Errors
    /// [`MintError`].
    pub fn make(&self, wish: &Wish) -> Result<String, MintError> {
        let now_s = Timestamp::now().unix_ms() / 1_000;
        let until_s = now_s.saturating_add(i64::try_from(wish.ttl_s).unwrap_or(i64::MAX));
        let claims = serde_json::json!({
            "iss": wish.issuer,
            "aud": wish.audience,
            "sub": wish.subject,
            "iat": now_s,
            "exp": until_s,
            "scope": wish.scopes.join(" "),
            "oddswire": { "topics": wish.topics },
        });
        self.sign(&claims, wish.key_id.clone())
    }

    /// A token with any claims.
    ///
    /// # Errors
    /// [`MintError`].
    pub fn sign(&self, claims: &serde_json::Value, key_id: Option<String>) -> Result<String, MintError> {
        let header = Header {
            kid: key_id,
            ..Header::new(self.algorithm)
        };
        jsonwebtoken::encode(&header, claims, &self.key)
            .map_err(|error| MintError(format!("this key does not sign: {error}")))
    }
}

fn private(pem: &[u8]) -> Result<(Algorithm, EncodingKey), MintError> {
    if let Ok(key) = EncodingKey::from_ed_pem(pem) {
        return Ok((Algorithm::EdDSA, key));
    }
    if let Ok(key) = EncodingKey::from_ec_pem(pem) {
        let random = SystemRandom::new();
        for (algorithm, ring) in [
            (Algorithm::ES256, &ECDSA_P256_SHA256_FIXED_SIGNING),
            (Algorithm::ES384, &ECDSA_P384_SHA384_FIXED_SIGNING),
        ] {
            if EcdsaKeyPair::from_pkcs8(ring, key.as_bytes(), &random).is_ok() {
                return Ok((algorithm, key));
            }
        }
        return Err(MintError("of elliptic curves, P-256 and P-384 are known".into()));
    }
    EncodingKey::from_rsa_pem(pem)
        .map(|key| (Algorithm::RS256, key))
        .map_err(|_| MintError("no private key in PEM that can sign (Ed25519, P-256, P-384, RSA)".into()))
}

/// What comes before the 32 bytes of an Ed25519 key in DER.
///
/// # Source
/// RFC 8410, 4.
const ED25519_PUBLIC: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

/// A new Ed25519 key: the private half and the public one, in PEM.
///
/// # Errors
/// When the system gives no chance.
pub fn keygen() -> Result<(String, String), MintError> {
    let failed = |_| MintError("the system gives no random bytes".into());
    let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(failed)?;
    let pair = Ed25519KeyPair::from_pkcs8(document.as_ref())
        .map_err(|error| MintError(format!("a key that cannot be read: {error}")))?;
    let public = [&ED25519_PUBLIC, pair.public_key().as_ref()].concat();
    Ok((pem("PRIVATE KEY", document.as_ref()), pem("PUBLIC KEY", &public)))
}

fn pem(what: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut pem = format!("-----BEGIN {what}-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(64));
        pem.push_str(line);
        pem.push('\n');
        rest = after;
    }
    pem + "-----END " + what + "-----\n"
}
