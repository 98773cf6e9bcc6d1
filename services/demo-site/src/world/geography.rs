//! Invented countries, leagues and team names.

/// An invented country.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Country {
    pub(crate) name: &'static str,
    pub(crate) code: &'static str,
    pub(crate) slug: &'static str,
}

/// An invented league. Its name alone does not identify it: two countries have a "Premier League".
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct League {
    /// The position in [`LEAGUES`]; each book derives its own league id from it.
    pub(crate) number: u32,
    pub(crate) name: &'static str,
    pub(crate) slug: &'static str,
    pub(crate) country: &'static Country,
}

const VELORIA: Country = Country {
    name: "Veloria",
    code: "VLR",
    slug: "veloria",
};
const BRINMARK: Country = Country {
    name: "Brinmark",
    code: "BRK",
    slug: "brinmark",
};
const SUNDALIA: Country = Country {
    name: "Sundalia",
    code: "SDL",
    slug: "sundalia",
};
const KESTOVIA: Country = Country {
    name: "Kestovia",
    code: "KST",
    slug: "kestovia",
};
const NORHAVEN: Country = Country {
    name: "Norhaven",
    code: "NRH",
    slug: "norhaven",
};

/// Every league of the world.
pub(crate) static LEAGUES: [League; 6] = [
    League {
        number: 0,
        name: "Premier League",
        slug: "premier-league",
        country: &VELORIA,
    },
    League {
        number: 1,
        name: "Premier League",
        slug: "premier-league",
        country: &BRINMARK,
    },
    League {
        number: 2,
        name: "Liga Dorada",
        slug: "liga-dorada",
        country: &SUNDALIA,
    },
    League {
        number: 3,
        name: "First Division",
        slug: "first-division",
        country: &KESTOVIA,
    },
    League {
        number: 4,
        name: "Second Division",
        slug: "second-division",
        country: &KESTOVIA,
    },
    League {
        number: 5,
        name: "Fjordserie",
        slug: "fjordserie",
        country: &NORHAVEN,
    },
];

const FRONT: [&str; 24] = [
    "Brask", "Velk", "Ostr", "Quil", "Zarn", "Thessa", "Mirr", "Kolv", "Yund", "Harpa", "Drev", "Lisk",
    "Pello", "Nuvo", "Orrin", "Talv", "Eskar", "Wexa", "Jarro", "Fyrn", "Svell", "Umbra", "Grell", "Ruvo",
];
const BACK: [&str; 24] = [
    "mere", "wick", "stad", "haven", "dale", "mont", "gate", "holm", "vik", "borg", "lund", "crest", "moor",
    "tor", "ness", "bury", "åsen", "röd", "leigh", "marsh", "combe", "fell", "quay", "strand",
];
const CLUB: [&str; 10] = [
    "United",
    "Rovers",
    "Athletic",
    "FC",
    "City",
    "Wanderers",
    "& District",
    "Sporting",
    "Town",
    "Old Boys'",
];

/// How many different team names there are.
pub(crate) const TEAM_NAMES: u64 = 24 * 24 * 10;

/// Gives an invented team name. Numbers that differ modulo [`TEAM_NAMES`] give different names.
pub(crate) fn team_name(number: u64) -> String {
    // 1733 is prime and shares no factor with the number of names, so this is a permutation.
    let mixed = number % TEAM_NAMES * 1_733 % TEAM_NAMES;
    let part = |divisor: u64, modulus: u64| usize::try_from(mixed / divisor % modulus).unwrap_or(0);
    format!(
        "{}{} {}",
        FRONT[part(10, 24)],
        BACK[part(240, 24)],
        CLUB[part(1, 10)]
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn team_names_are_distinct() {
        let names: BTreeSet<_> = (0..TEAM_NAMES).map(team_name).collect();
        assert_eq!(names.len(), 5_760);
    }

    #[test]
    fn two_countries_share_a_league_name() {
        let same: Vec<_> = LEAGUES
            .iter()
            .filter(|league| league.name == "Premier League")
            .collect();
        assert_eq!(same.len(), 2);
        assert_ne!(same[0].country, same[1].country);
    }

    #[test]
    fn leagues_are_numbered_by_position() {
        assert!(
            (0..)
                .zip(&LEAGUES)
                .all(|(position, league)| league.number == position)
        );
    }
}
