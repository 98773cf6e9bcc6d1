//! The allocator of every process of ours.
//!
//! A scraper takes pages of megabytes apart on several threads, and a gateway is written for months: glibc's pools, one or
//! more a thread, keep what was freed. The figures are in `docs/performance.md`.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
