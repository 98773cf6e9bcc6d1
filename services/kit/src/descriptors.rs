//! File descriptors: each client takes one.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// What is assumed where the system does not say: POSIX's least that systems give.
const UNKNOWN: u64 = 1_024;

/// Lets the process have as many as it may, and tells how many that are. Systems begin with few, for the sake of old
/// programs that cannot take more.
pub fn raise() -> u64 {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return UNKNOWN;
    };
    if soft < hard && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok() {
        return hard;
    }
    soft
}

#[cfg(test)]
mod tests {
    #[test]
    fn asking_again_changes_nothing() {
        let first = super::raise();
        assert!(first > 0);
        assert_eq!(super::raise(), first);
    }
}
