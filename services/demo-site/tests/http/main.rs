//! The site over HTTP on port 0: pages against the truth, faults, the control interface, the stop.

#![allow(
    clippy::unwrap_used,
    reason = "a panic is how a test fails, in its helper functions too"
)]

mod books;
mod control;
mod faults;
mod pages;
mod site;
mod stop;
mod unchanged;
