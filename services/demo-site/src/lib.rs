//! Gives four fictional bookmakers that show one fictional football world, on one HTTP server.
//!
//! The world is a pure function of a seed, a size and a moment ([`World`]), so [`World::truth`] answers what each
//! book shows at any moment, and a page and the truth of the same moment always agree. World time is a clock that
//! can be sped up, paused and set over HTTP; faults can be switched on for each book. `README.md` beside this crate
//! describes every page and the control interface.
//!
//! Nothing here is a real bookmaker, league, team or price.

mod board;
mod book;
pub mod clock;
mod control;
pub mod faults;
mod options;
mod pages;
mod price;
mod problem;
mod requests;
mod serve;
mod site;
mod timestamp;
pub mod truth;
mod world;

pub use book::Book;
pub use options::DemoOptions;
pub use serve::{Error, run};
pub use world::{World, WorldSpec};
