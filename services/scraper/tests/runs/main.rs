//! Whole runs over a real NATS server: what is published, in which order, and that no crash, cut or second worker
//! loses or doubles any of it.

#![expect(
    clippy::unwrap_used,
    reason = "a panic is how a test fails, in its helper functions too"
)]

mod defects;
mod demo;
mod drops;
mod ends;
mod faults;
mod happy;
mod nats;
mod outages;
mod proxy;
mod retire;
mod retry;
mod service;
mod site;
mod takeover;
mod unreadable;
mod world;
mod zombies;
