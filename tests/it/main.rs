//! The pair from outside: a real nats-server, real sockets, clients that know the contract alone.
#![allow(
    clippy::unwrap_used,
    reason = "a test ends with the first thing that is not as it should be"
)]
#![allow(missing_docs, reason = "tests are named after the behaviour that they show")]

mod harness;
mod history;

mod auth;
mod bad_input;
mod catching_up;
mod chaos;
mod cluster;
mod compression;
mod conflation;
mod conformance;
mod contract;
mod deaf;
mod delivery;
mod envelopes;
mod fences;
mod front;
mod halves;
mod hostile;
mod http;
mod interest;
mod lives;
mod outage;
mod prometheus;
mod proxies;
mod quarantine;
mod rest;
mod resume;
mod secured;
mod settling;
mod shares;
mod siege;
mod signals;
mod slow;
mod steady;
mod terminal;
mod thirty_lines;
mod tls;
mod traces;
mod truth;
mod upheaval;
mod verdicts;
mod windows;
