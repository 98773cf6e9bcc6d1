//! The environment: read here and nowhere else.

/// The value of an environment variable; `None` when it is not set or is not UTF-8.
#[expect(clippy::disallowed_methods, reason = "this is the one place")]
pub fn lookup(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The names of all variables, as far as they are UTF-8.
pub fn names() -> Vec<String> {
    std::env::vars_os()
        .filter_map(|(name, _)| name.into_string().ok())
        .collect()
}

/// What the process was called with, its own name first.
pub fn arguments() -> Vec<std::ffi::OsString> {
    std::env::args_os().collect()
}
