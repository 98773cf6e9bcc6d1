//! Repeatable randomness: hashes of a seed and a path of names and numbers.

/// A point in a tree of hashes. Every child is determined by its parent and its label alone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Noise(u64);

impl Noise {
    pub(crate) fn new(seed: u64) -> Self {
        Self(splitmix64(seed))
    }

    /// Gives the child with this number.
    pub(crate) fn at(self, number: u64) -> Self {
        Self(splitmix64(self.0 ^ splitmix64(number)))
    }

    /// Gives the child with this name.
    pub(crate) fn named(self, name: &str) -> Self {
        // FNV-1a turns the name into a number.
        let number = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        self.at(number)
    }

    /// Gives the child that belongs to a bucket of time.
    pub(crate) fn bucket(self, index: i64) -> Self {
        self.at(index.cast_unsigned())
    }

    /// Gives a number in 0 (inclusive) to 1 (exclusive).
    pub(crate) fn unit(self) -> f64 {
        f64::from((self.0 >> 32) as u32) / 4_294_967_296.0
    }

    /// Gives a number in -1 (inclusive) to 1 (exclusive).
    pub(crate) fn signed(self) -> f64 {
        self.unit().mul_add(2.0, -1.0)
    }

    /// Gives a number below `limit`, which must not be 0.
    pub(crate) fn below(self, limit: u64) -> u64 {
        self.0 % limit
    }

    /// Gives a number of milliseconds below `limit_ms`; 0 when the limit is not positive.
    pub(crate) fn below_ms(self, limit_ms: i64) -> i64 {
        let limit = u64::try_from(limit_ms).unwrap_or(0).max(1);
        i64::try_from(self.below(limit)).unwrap_or(0)
    }

    /// Tells whether something with this chance per thousand happens.
    pub(crate) fn happens(self, per_mille: u64) -> bool {
        self.below(1_000) < per_mille
    }

    /// Gives a bounded walk in -1 to 1 that reverts to 0 and holds its value for each bucket of `period_ms`.
    ///
    /// The value is a weighted sum of the hashes of the last buckets, so that it is known for any moment without
    /// walking there.
    pub(crate) fn walk(self, period_ms: i64, t_ms: i64) -> f64 {
        const MEMORY: i64 = 12;
        const KEEP: f64 = 0.8;
        let (index, _) = self.position(period_ms, t_ms);
        let mut weight = 1.0;
        let mut sum = 0.0;
        let mut weights = 0.0;
        for back in 0..MEMORY {
            sum += weight * self.bucket(index - back).signed();
            weights += weight;
            weight *= KEEP;
        }
        sum / weights
    }

    /// Gives the running spell at a moment, if there is one: each bucket of `period_ms` holds a spell with the
    /// given chance, somewhere inside the bucket, as long as `share_per_mille.0` to `.1` of the bucket.
    pub(crate) fn spell(
        self,
        period_ms: i64,
        chance_per_mille: u64,
        share_per_mille: (i64, i64),
        t_ms: i64,
    ) -> Option<Self> {
        let (index, into_ms) = self.position(period_ms, t_ms);
        let bucket = self.bucket(index);
        if !bucket.named("happens").happens(chance_per_mille) {
            return None;
        }
        let (shortest, longest) = share_per_mille;
        let share = shortest + bucket.named("length").below_ms(longest - shortest + 1);
        let length_ms = period_ms * share / 1_000;
        let start_ms = bucket.named("start").below_ms(period_ms - length_ms + 1);
        (start_ms..start_ms + length_ms)
            .contains(&into_ms)
            .then_some(bucket)
    }

    /// Gives the index of the bucket around a moment and how many milliseconds of it have passed. Each point of
    /// the tree has its own phase, so that not everything changes at once.
    pub(crate) fn position(self, period_ms: i64, t_ms: i64) -> (i64, i64) {
        let shifted = t_ms + self.named("phase").below_ms(period_ms);
        (shifted.div_euclid(period_ms), shifted.rem_euclid(period_ms))
    }
}

/// # Source
/// Sebastiano Vigna, <https://prng.di.unimi.it/splitmix64.c>.
fn splitmix64(state: u64) -> u64 {
    let mut z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn splitmix64_equals_its_reference() {
        // The first outputs of the reference generator with seed 0.
        assert_eq!(splitmix64(0), 0xe220_a839_7b1d_cdaf);
        assert_eq!(splitmix64(0x9e37_79b9_7f4a_7c15), 0x6e78_9e6a_a1b9_65f4);
    }

    proptest! {
        #[test]
        fn a_walk_stays_bounded_and_holds_within_a_bucket(seed: u64, t in 0_i64..4_000_000_000_000) {
            let noise = Noise::new(seed);
            let value = noise.walk(60_000, t);
            prop_assert!((-1.0..=1.0).contains(&value));
            let (_, into) = noise.position(60_000, t);
            prop_assert_eq!(value.to_bits(), noise.walk(60_000, t - into).to_bits());
        }

        #[test]
        fn a_spell_never_fills_more_than_its_share(seed: u64, index in 1_i64..1_000_000) {
            let noise = Noise::new(seed);
            let inside = (0..100).filter(|step| {
                noise.spell(10_000, 1_000, (200, 300), index * 10_000 - noise.position(10_000, 0).1 + step * 100).is_some()
            }).count();
            prop_assert!((19..=31).contains(&inside), "{inside}");
        }
    }
}
