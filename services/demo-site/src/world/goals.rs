//! How many goals the world expects, and the fair probability of each outcome that follows from it.

use super::World;
use super::fixture::Fixture;
use super::market::{Kind, Line, Market, Outcome};
use crate::book::Book;

/// More goals than this count for nothing: of the at most 4 goals that are ever expected in an event, their
/// probability is below one in a million.
const MOST_GOALS: i32 = 18;
/// The share of the goals that fall in the first half.
const FIRST_HALF: f64 = 0.45;
const STEP_MS: i64 = 60_000;
const STEP_IN_PLAY_MS: i64 = 20_000;

/// What is expected of one event for its whole life.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outlook {
    /// The handicap, in quarters of a goal, that makes the teams equal before kick-off.
    pub(crate) handicap: Line,
    /// Goals of both teams.
    pub(crate) total: f64,
}

impl Outlook {
    pub(crate) fn of(fixture: &Fixture) -> Self {
        let quarters = i32::try_from(fixture.noise.named("handicap").below(8)).unwrap_or(0) - 5;
        Self {
            handicap: Line(quarters),
            total: 2.2 + 1.2 * fixture.noise.named("total").unit(),
        }
    }
}

/// The expected goals of both teams at one moment: two independent Poisson distributions.
#[derive(Clone, Debug)]
pub(crate) struct Goals {
    home: f64,
    away: f64,
    /// The chance of each lead of the home team, from the greatest deficit to the greatest lead.
    leads: Vec<(i32, f64)>,
}

impl Goals {
    /// Gives what a book expects of an event at a moment: the world's walk and the book's own small bias.
    pub(crate) fn expected(world: &World, fixture: &Fixture, book: Book, t_ms: i64) -> Self {
        let outlook = Outlook::of(fixture);
        let step_ms = world.paced_ms(if fixture.in_play(t_ms) {
            STEP_IN_PLAY_MS
        } else {
            STEP_MS
        });
        let bias = 0.06 * fixture.noise.named("bias").named(book.key()).signed();
        let lead = -outlook.handicap.number() + 0.8 * fixture.noise.named("lead").walk(step_ms, t_ms) + bias;
        let total = outlook.total + 0.6 * fixture.noise.named("goals").walk(step_ms, t_ms);
        Self::of_means(
            f64::midpoint(total, lead).max(0.3),
            f64::midpoint(total, -lead).max(0.3),
        )
    }

    fn of_means(home: f64, away: f64) -> Self {
        let chances =
            |mean: f64| -> Vec<f64> { (0..=MOST_GOALS).map(|goals| poisson(mean, goals)).collect() };
        let (home_chances, away_chances) = (chances(home), chances(away));
        let chance_of = |lead: i32| -> f64 {
            // Both lists start at the fewest goals with which the lead is possible.
            let home_first = usize::try_from(lead).unwrap_or(0);
            let away_first = usize::try_from(-lead).unwrap_or(0);
            let pairs = home_chances
                .iter()
                .skip(home_first)
                .zip(away_chances.iter().skip(away_first));
            pairs.map(|(home, away)| home * away).sum()
        };
        let leads = (-MOST_GOALS..=MOST_GOALS)
            .map(|lead| (lead, chance_of(lead)))
            .collect();
        Self { home, away, leads }
    }

    /// Gives the fair probability of an outcome of a market. For lines with a refund it is the probability of the
    /// price at which neither side gains. The probabilities of a market add up to 1, those of `double_chance` to 2.
    pub(crate) fn probability(&self, market: Market, outcome: Outcome) -> f64 {
        let quarters = market.line.map_or(0, |line| line.0);
        match market.kind {
            Kind::H2h | Kind::DoubleChance => self.result(outcome),
            Kind::TotalsFt => over(self.home + self.away, quarters, outcome),
            Kind::TotalsH1 => over((self.home + self.away) * FIRST_HALF, quarters, outcome),
            Kind::Btts => {
                let yes = (1.0 - (-self.home).exp()) * (1.0 - (-self.away).exp());
                if outcome == Outcome::Yes { yes } else { 1.0 - yes }
            }
            Kind::Spreads => {
                let home = cover(
                    self.leads
                        .iter()
                        .map(|(lead, chance)| (4 * lead + quarters, *chance)),
                );
                if outcome == Outcome::Home {
                    home
                } else {
                    1.0 - home
                }
            }
        }
    }

    /// Gives the probability that the number of goals is odd.
    pub(crate) fn odd(&self) -> f64 {
        0.5 * (1.0 - (-2.0 * (self.home + self.away)).exp())
    }

    /// Gives the probability of one exact score.
    pub(crate) fn score(&self, home: i32, away: i32) -> f64 {
        poisson(self.home, home) * poisson(self.away, away)
    }

    fn result(&self, outcome: Outcome) -> f64 {
        let wins = |lead: i32| match outcome {
            Outcome::Home => lead > 0,
            Outcome::Draw => lead == 0,
            Outcome::Away => lead < 0,
            Outcome::HomeDraw => lead >= 0,
            Outcome::HomeAway => lead != 0,
            _ => lead <= 0,
        };
        self.leads
            .iter()
            .filter(|(lead, _)| wins(*lead))
            .map(|(_, chance)| chance)
            .sum()
    }
}

fn over(mean: f64, quarters: i32, outcome: Outcome) -> f64 {
    let over = cover((0..=MOST_GOALS).map(|goals| (4 * goals - quarters, poisson(mean, goals))));
    if outcome == Outcome::Over {
        over
    } else {
        1.0 - over
    }
}

/// Gives the fair probability of a side from its distances to the line, in quarters of a goal, and their chances.
/// A distance of one quarter wins or loses half of the stake, a distance of 0 gives it back.
fn cover(distances: impl Iterator<Item = (i32, f64)>) -> f64 {
    let (mut won, mut lost) = (0.0, 0.0);
    for (distance, chance) in distances {
        match distance {
            2.. => won += chance,
            1 => won += chance / 2.0,
            0 => {}
            -1 => lost += chance / 2.0,
            _ => lost += chance,
        }
    }
    won / (won + lost)
}

fn poisson(mean: f64, count: i32) -> f64 {
    (1..=count).fold((-mean).exp(), |chance, step| chance * mean / f64::from(step))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn probabilities_of_a_market_add_up(home in 0.3_f64..3.0, away in 0.3_f64..3.0, quarters in -8_i32..9) {
            let goals = Goals::of_means(home, away);
            for kind in Kind::ALL {
                let line = match kind {
                    Kind::TotalsFt | Kind::TotalsH1 => Some(Line(quarters.abs() + 2)),
                    Kind::Spreads => Some(Line(quarters)),
                    _ => None,
                };
                let sum: f64 =
                    kind.outcomes().iter().map(|outcome| goals.probability(Market { kind, line }, *outcome)).sum();
                let whole = if kind == Kind::DoubleChance { 2.0 } else { 1.0 };
                prop_assert!((sum - whole).abs() < 1e-4, "{kind:?} {sum}");
            }
        }

        #[test]
        fn a_higher_line_makes_over_less_likely(mean in 0.5_f64..4.0, quarters in 2_i32..14) {
            prop_assert!(over(mean, quarters, Outcome::Over) > over(mean, quarters + 1, Outcome::Over));
        }
    }
}
