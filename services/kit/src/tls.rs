//! The one TLS provider of the process.

/// Makes ring the process's TLS provider. Call it first in every binary and test: two libraries that bring a
/// provider each would otherwise panic at the first handshake. Calling it again does nothing.
pub fn install_provider() {
    // The error only says that one is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
