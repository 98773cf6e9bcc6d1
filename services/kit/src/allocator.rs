//! The allocator of every process of ours.
//!
//! A scraper takes pages of megabytes apart on several threads, and runs for months: glibc's pools, one or more a thread,
//! keep what was freed. With 85,600 quotes held its memory peaks at 254 MiB instead of 341 (`cargo xtask bench-scraper
//! --events 4000`).

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
