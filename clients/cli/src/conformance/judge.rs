//! What the contract says of what came: pure, over raw JSON, so that a mistake in our own types cannot hide here.

pub(crate) mod answer;
pub(crate) mod event;
pub(crate) mod message;
pub(crate) mod shape;
pub(crate) mod sse;
