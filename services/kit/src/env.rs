//! The environment: read here and nowhere else.

/// The value of an environment variable; `None` when it is not set or is not UTF-8.
#[expect(clippy::disallowed_methods, reason = "this is the one place")]
pub fn lookup(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
