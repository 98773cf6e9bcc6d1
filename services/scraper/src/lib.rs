//! Scrapes sources: takes jobs from the bus, reads the sites as their definitions say, and publishes what changed.
//!
//! One job walks through the folders in this order: `worker` takes it, `run` claims it and has it worked at,
//! [`walk`] reads the site ([`fetch`], `extract`) into a [`reading`], `diff` compares that with what the bus has,
//! `publish` writes what changed. `progress` is the state that people see meanwhile, `schedule` starts runs.
//!
//! Its one invariant: what is published under a claim is acknowledged before anything depends on it, and nothing is
//! published once the claim may be another worker's.

mod bus;
mod diff;
mod extract;
pub mod fetch;
mod metrics;
mod options;
mod progress;
mod publish;
pub mod reading;
mod records;
mod run;
mod schedule;
mod service;
mod shelf;
pub mod source;
mod tape;
pub mod trial;
pub mod walk;
pub mod workbench;
mod worker;

pub use options::ScraperOptions;
pub use service::{Error, Problems, metrics, run, run_on_trial};
