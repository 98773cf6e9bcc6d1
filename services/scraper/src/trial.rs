//! What may be broken on purpose, to show what it is there for.
//!
//! A test that passes with a mechanism on shows little unless it fails with the mechanism off. Nothing outside of tests
//! sets any of this, and no flag or variable of the product does.

/// Mechanisms that are off. The default is the product.
#[derive(Debug, Clone, Copy, Default)]
pub struct Trial {
    /// A worker goes on with a run however long nobody has heard its signs of life.
    pub no_lease: bool,
    /// Odds are written whatever stands there, and a worker that was overtaken does not mind.
    pub no_fence: bool,
    /// What happens between a worker's look at its lease and the odds that it sends then.
    pub before_odds: Option<fn()>,
}
