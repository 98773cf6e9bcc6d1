//! The cryptography under `jsonwebtoken`: ring, which the process links for TLS anyway.

use jsonwebtoken::{
    Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind, EncodingKey,
    crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils},
    errors::{ErrorKind, Result, new_error},
};
use ring::{
    hmac,
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED,
        ECDSA_P384_SHA384_FIXED_SIGNING, ED25519, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair,
        RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PKCS1_SHA256,
        RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384,
        RSA_PSS_2048_8192_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding, RsaKeyPair,
        RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
    },
};
use signature::{Signer, Verifier};

static RING: CryptoProvider = CryptoProvider {
    signer_factory: signer,
    verifier_factory: verifier,
    // For thumbprints and for making JWKs out of private keys: neither is done here.
    key_utils: KeyUtils::new_unimplemented(),
};

/// Has tokens signed and checked by ring. Calling it again does nothing.
pub(super) fn install() {
    // The error only says that it is there already.
    let _ = RING.install_default();
}

struct Check {
    algorithm: Algorithm,
    key: DecodingKey,
}

struct Sign {
    algorithm: Algorithm,
    key: EncodingKey,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as the library asks")]
fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>> {
    of_family(*algorithm, key.family())?;
    Ok(Box::new(Check {
        algorithm: *algorithm,
        key: key.clone(),
    }))
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as the library asks")]
fn signer(algorithm: &Algorithm, key: &EncodingKey) -> Result<Box<dyn JwtSigner>> {
    of_family(*algorithm, key.family())?;
    Ok(Box::new(Sign {
        algorithm: *algorithm,
        key: key.clone(),
    }))
}

/// A key does one thing: an RSA key is never a secret, whatever the token says.
fn of_family(algorithm: Algorithm, family: AlgorithmFamily) -> Result<()> {
    if algorithm.family() == family {
        Ok(())
    } else {
        Err(new_error(ErrorKind::InvalidKeyFormat))
    }
}

impl JwtVerifier for Check {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

impl Verifier<Vec<u8>> for Check {
    fn verify(&self, message: &[u8], given: &Vec<u8>) -> std::result::Result<(), signature::Error> {
        match self.key.kind() {
            DecodingKeyKind::RsaModulusExponent { n, e } => {
                let key = RsaPublicKeyComponents { n, e };
                let parameters = rsa_check(self.algorithm).ok_or_else(signature::Error::new)?;
                key.verify(parameters, message, given)
            }
            DecodingKeyKind::SecretOrDer(bytes) => match hmac_of(self.algorithm) {
                Some(with) => hmac::verify(&hmac::Key::new(with, bytes), message, given),
                None => UnparsedPublicKey::new(public(self.algorithm)?, bytes).verify(message, given),
            },
        }
        .map_err(|_| signature::Error::new())
    }
}

impl JwtSigner for Sign {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

impl Signer<Vec<u8>> for Sign {
    fn try_sign(&self, message: &[u8]) -> std::result::Result<Vec<u8>, signature::Error> {
        let bytes = self.key.as_bytes();
        match self.algorithm {
            Algorithm::ES256 => ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING, bytes, message),
            Algorithm::ES384 => ecdsa(&ECDSA_P384_SHA384_FIXED_SIGNING, bytes, message),
            Algorithm::EdDSA => Ed25519KeyPair::from_pkcs8_maybe_unchecked(bytes)
                .map(|pair| pair.sign(message).as_ref().to_vec())
                .map_err(|_| signature::Error::new()),
            _ => match (hmac_of(self.algorithm), rsa_sign(self.algorithm)) {
                (Some(with), _) => Ok(hmac::sign(&hmac::Key::new(with, bytes), message)
                    .as_ref()
                    .to_vec()),
                (None, Some(encoding)) => rsa(encoding, bytes, message),
                (None, None) => Err(signature::Error::new()),
            },
        }
    }
}

fn hmac_of(algorithm: Algorithm) -> Option<hmac::Algorithm> {
    match algorithm {
        Algorithm::HS256 => Some(hmac::HMAC_SHA256),
        Algorithm::HS384 => Some(hmac::HMAC_SHA384),
        Algorithm::HS512 => Some(hmac::HMAC_SHA512),
        _ => None,
    }
}

/// With keys of 2048 bits at least.
fn rsa_check(algorithm: Algorithm) -> Option<&'static RsaParameters> {
    Some(match algorithm {
        Algorithm::RS256 => &RSA_PKCS1_2048_8192_SHA256,
        Algorithm::RS384 => &RSA_PKCS1_2048_8192_SHA384,
        Algorithm::RS512 => &RSA_PKCS1_2048_8192_SHA512,
        Algorithm::PS256 => &RSA_PSS_2048_8192_SHA256,
        Algorithm::PS384 => &RSA_PSS_2048_8192_SHA384,
        Algorithm::PS512 => &RSA_PSS_2048_8192_SHA512,
        _ => return None,
    })
}

fn public(algorithm: Algorithm) -> std::result::Result<&'static dyn VerificationAlgorithm, signature::Error> {
    match algorithm {
        Algorithm::ES256 => Ok(&ECDSA_P256_SHA256_FIXED),
        Algorithm::ES384 => Ok(&ECDSA_P384_SHA384_FIXED),
        Algorithm::EdDSA => Ok(&ED25519),
        other => match rsa_check(other) {
            Some(parameters) => Ok(parameters),
            None => Err(signature::Error::new()),
        },
    }
}

fn rsa_sign(algorithm: Algorithm) -> Option<&'static dyn RsaEncoding> {
    Some(match algorithm {
        Algorithm::RS256 => &RSA_PKCS1_SHA256,
        Algorithm::RS384 => &RSA_PKCS1_SHA384,
        Algorithm::RS512 => &RSA_PKCS1_SHA512,
        Algorithm::PS256 => &RSA_PSS_SHA256,
        Algorithm::PS384 => &RSA_PSS_SHA384,
        Algorithm::PS512 => &RSA_PSS_SHA512,
        _ => return None,
    })
}

fn ecdsa(
    algorithm: &'static EcdsaSigningAlgorithm,
    key: &[u8],
    message: &[u8],
) -> std::result::Result<Vec<u8>, signature::Error> {
    let random = SystemRandom::new();
    let pair = EcdsaKeyPair::from_pkcs8(algorithm, key, &random).map_err(|_| signature::Error::new())?;
    let signed = pair.sign(&random, message).map_err(|_| signature::Error::new())?;
    Ok(signed.as_ref().to_vec())
}

fn rsa(
    encoding: &'static dyn RsaEncoding,
    key: &[u8],
    message: &[u8],
) -> std::result::Result<Vec<u8>, signature::Error> {
    let pair = RsaKeyPair::from_der(key).map_err(|_| signature::Error::new())?;
    let mut signed = vec![0; pair.public().modulus_len()];
    pair.sign(encoding, &SystemRandom::new(), message, &mut signed)
        .map_err(|_| signature::Error::new())?;
    Ok(signed)
}
