//! Percentiles and medians.

/// Latencies in microseconds, to within one percent: linear below 128, then 64 steps an octave.
#[derive(Debug, Clone)]
pub(crate) struct Histogram {
    counts: Vec<u64>,
    total: u64,
    max_us: u64,
}

const LINEAR: u64 = 128;
const STEPS: u64 = 64;
/// Octaves above the linear part: up to 2^40 µs, twelve days.
const OCTAVES: u64 = 33;

impl Default for Histogram {
    fn default() -> Self {
        Self {
            counts: vec![0; place(u64::MAX) + 1],
            total: 0,
            max_us: 0,
        }
    }
}

/// Where a value is counted.
fn place(us: u64) -> usize {
    let at = if us < LINEAR {
        us
    } else {
        let octave = (u64::from(us.ilog2()) - 7).min(OCTAVES - 1);
        let step = (us >> (octave + 1)).min(2 * STEPS - 1) - STEPS;
        LINEAR + octave * STEPS + step
    };
    usize::try_from(at).unwrap_or(0)
}

/// The smallest value that is counted there.
fn value(place: usize) -> u64 {
    let at = place as u64;
    if at < LINEAR {
        return at;
    }
    let (octave, step) = ((at - LINEAR) / STEPS, (at - LINEAR) % STEPS);
    (STEPS + step) << (octave + 1)
}

impl Histogram {
    /// Counts one.
    pub(crate) fn add(&mut self, us: u64) {
        self.counts[place(us)] += 1;
        self.total += 1;
        self.max_us = self.max_us.max(us);
    }

    /// The value that a share of all is not above, in milliseconds.
    pub(crate) fn ms(&self, share: f64) -> f64 {
        let wanted = self.total as f64 * share;
        let mut seen = 0;
        for (place, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen > 0 && seen as f64 >= wanted {
                return value(place).min(self.max_us) as f64 / 1e3;
            }
        }
        0.0
    }
}

/// The middle one; of an even number, the mean of the two in the middle. `None` of nothing.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        n if n % 2 == 1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_right_to_within_two_percent() {
        let mut all = Histogram::default();
        (1..=100_000).for_each(|us| all.add(us));
        for (share, us) in [(0.5, 50_000.0), (0.99, 99_000.0), (0.001, 100.0)] {
            let found = all.ms(share) * 1e3;
            assert!((found - us).abs() / us < 0.02, "{share}: {found}");
        }
    }

    #[test]
    fn every_place_begins_with_its_value() {
        for at in 0..place(1 << 39) {
            assert_eq!(place(value(at)), at);
        }
        assert!(place(u64::MAX) < Histogram::default().counts.len());
        assert!(Histogram::default().ms(0.5).abs() < f64::EPSILON);
    }

    #[test]
    fn medians_of_odd_and_even_numbers() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(&[]), None);
    }
}
