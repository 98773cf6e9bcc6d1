//! The machine: cores, limits, and what `/proc` says of processes.

use anyhow::{Context, Result, bail};
use nix::{
    sched::{CpuSet, sched_setaffinity},
    sys::resource::{Resource, getrlimit, setrlimit},
    unistd::Pid,
};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The core of the server that is measured.
pub(crate) const SERVER_CORE: usize = 0;
/// The core of all that measures: the load generator and NATS.
pub(crate) const LOAD_CORE: usize = 1;

/// Has this thread, and what it starts, run on one core alone.
pub(crate) fn pin(core: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(core)?;
    sched_setaffinity(Pid::from_raw(0), &set)
        .with_context(|| format!("run on core {core}: the bench needs two of them"))
}

/// Lets this process open as many files as it may, and tells how many.
pub(crate) fn raise_files() -> Result<u64> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    Ok(hard)
}

/// Nanoseconds of CPU that the threads of a process have used.
pub(crate) fn cpu_ns(pid: u32) -> u64 {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten();
    threads
        .flatten()
        .filter_map(|thread| {
            let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
            text.split_whitespace().next()?.parse::<u64>().ok()
        })
        .sum()
}

/// KiB of memory that a process holds, shared pages by their share.
pub(crate) fn pss_kib(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    text.lines()
        .find_map(|line| line.strip_prefix("Pss:")?.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

/// Nanoseconds that all cores were busy since the machine started; the kernel counts in ticks of 10 ms.
pub(crate) fn busy_ns() -> u64 {
    const TICK_NS: u64 = 10_000_000;
    // user nice system idle iowait irq softirq steal
    const BUSY: [usize; 6] = [0, 1, 2, 5, 6, 7];
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let ticks: Vec<u64> = text
        .lines()
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect();
    let busy: u64 = BUSY.iter().filter_map(|at| ticks.get(*at)).sum();
    busy * TICK_NS
}

/// Fails unless it is this process that listens on a port of loopback.
pub(crate) fn check_owner(pid: u32, port: u16) -> Result<()> {
    let table = fs::read_to_string("/proc/net/tcp")?;
    let Some(inode) = listener(&table, port) else {
        bail!("nobody listens on port {port}");
    };
    let wanted = PathBuf::from(format!("socket:[{inode}]"));
    let owns = fs::read_dir(format!("/proc/{pid}/fd"))?
        .flatten()
        .any(|file| fs::read_link(file.path()).is_ok_and(|link| link == wanted));
    if !owns {
        bail!("port {port} belongs to another process than the one that was started");
    }
    Ok(())
}

/// The inode of the socket that listens on a port, from the kernel's table.
fn listener(table: &str, port: u16) -> Option<u64> {
    table.lines().skip(1).find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (_, local_port) = words.get(1)?.split_once(':')?;
        let listens = *words.get(3)? == "0A" && u16::from_str_radix(local_port, 16) == Ok(port);
        listens.then(|| words.get(9)?.parse().ok()).flatten()
    })
}

/// A folder in memory where there is one, so that no disk is measured.
pub(crate) fn store_folder() -> Result<tempfile::TempDir> {
    let memory = Path::new("/dev/shm");
    let folder = tempfile::Builder::new()
        .prefix("oddswire-bench-")
        .tempdir_in(memory);
    Ok(folder.or_else(|_| tempfile::tempdir())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_listener_of_a_port_is_found_among_its_connections() {
        let table = "  sl  local_address rem_address   st tx rx tr tm retrnsmt uid timeout inode\n   \
            0: 0100007F:1F90 0100007F:9999 01 0:0 00:0 0 0 0 77 1\n   \
            1: 0100007F:1F90 00000000:0000 0A 0:0 00:0 0 0 0 4711 1\n";
        assert_eq!(listener(table, 8080), Some(4711));
        assert_eq!(listener(table, 8081), None);
    }

    #[test]
    fn this_process_has_used_cpu_and_memory() {
        let me = std::process::id();
        assert!(cpu_ns(me) > 0 && pss_kib(me) > 0 && busy_ns() > 0);
    }
}
