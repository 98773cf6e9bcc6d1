//! What robots.txt allows (RFC 9309), remembered for each host.

use super::Error;
use robotxt::{AccessResult, Robots};
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::{sync::Mutex, time::Instant};

/// Bytes that are read of it; those after them are not looked at. One more than is parsed, so that the parser sees
/// that a line was cut.
pub(super) const MAX_BYTES: usize = robotxt::BYTE_LIMIT + 1;
/// So long it is believed.
const TTL: Duration = Duration::from_secs(60 * 60);
/// So long an older one is believed while a newer one cannot be had.
const STALE_TTL: Duration = Duration::from_secs(24 * 60 * 60);
/// So long it is not asked for again after it could not be had.
const RETRY_AFTER: Duration = Duration::from_secs(60);
/// Longer delays than that are taken for mistakes, and for this.
const MAX_CRAWL_DELAY: Duration = Duration::from_secs(60 * 60);

/// What is known of a host's robots.txt, by the name that we ask under.
#[derive(Debug, Default)]
pub(super) struct RobotsTxt {
    known: Mutex<HashMap<String, Known>>,
}

#[derive(Debug, Clone)]
struct Known {
    /// The error when it could not be had, so that nothing is allowed.
    rules: Result<Arc<Robots>, Error>,
    read_at: Instant,
    /// When it is asked for again.
    until: Instant,
}

/// What came of asking for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// A file.
    File(Vec<u8>),
    /// There is none.
    Absent,
    /// Nobody knows whether there is one.
    Unreachable(Error),
}

impl Answer {
    /// What an error means here: a status of the client's fault or a redirect that is not followed say that there is
    /// none, everything else that nobody knows.
    pub(super) fn of(error: Error) -> Self {
        match error.http_status() {
            Some(300..=399 | 400..=428 | 430..=499) => Self::Absent,
            _ => Self::Unreachable(error),
        }
    }
}

impl RobotsTxt {
    /// The rules for `agent`. Only one request for them is under way at a time, and none while they are fresh.
    ///
    /// # Errors
    /// Why nobody knows them.
    ///
    /// # Cancel safety
    /// Dropping it drops the request; the next one asks anew.
    pub(super) async fn rules(
        &self,
        agent: &str,
        ask: impl Future<Output = Answer>,
    ) -> Result<Arc<Robots>, Error> {
        let mut known = self.known.lock().await;
        if let Some(known) = known.get(agent).filter(|known| known.until > Instant::now()) {
            return known.rules.clone();
        }
        let before = known.get(agent).cloned();
        let answer = ask.await;
        let now = Instant::now();
        let rules = match answer {
            Answer::File(text) => Ok(Robots::parse(&text, agent)),
            Answer::Absent => Ok(Robots::from_access(AccessResult::Unavailable, agent)),
            Answer::Unreachable(error) => Err(error),
        };
        let fresh = match (rules, before) {
            (Ok(rules), _) => Known {
                rules: Ok(Arc::new(rules)),
                read_at: now,
                until: now + TTL,
            },
            (Err(_), Some(before)) if before.rules.is_ok() && now - before.read_at < STALE_TTL => Known {
                until: now + RETRY_AFTER,
                ..before
            },
            (Err(error), _) => Known {
                rules: Err(error),
                read_at: now,
                until: now + RETRY_AFTER,
            },
        };
        let rules = fresh.rules.clone();
        known.insert(agent.to_owned(), fresh);
        rules
    }

    /// The longest delay that one of the rules asks for.
    pub(super) async fn crawl_delay(&self) -> Duration {
        let known = self.known.lock().await;
        let delays = known
            .values()
            .filter_map(|known| known.rules.as_ref().ok()?.crawl_delay());
        delays.max().unwrap_or_default().min(MAX_CRAWL_DELAY)
    }
}

/// The name that robots.txt knows us by: the letters, `-` and `_` that the user agent begins with.
pub(super) fn product_token(user_agent: &str) -> String {
    let end = user_agent.find(|c: char| !(c.is_ascii_alphabetic() || c == '-' || c == '_'));
    user_agent[..end.unwrap_or(user_agent.len())].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn allows(text: &str, agent: &str, path: &str) -> bool {
        Robots::parse(text.as_bytes(), agent).is_allowed(path)
    }

    #[test]
    fn the_example_of_rfc_9309_5_1_is_read_as_it_says() {
        let text = "User-Agent: *\nDisallow: *.gif$\nDisallow: /example/\nAllow: /publications/\n\n\
                    User-Agent: foobot\nDisallow:/\nAllow:/example/page.html\nAllow:/example/allowed.gif\n\n\
                    User-Agent: barbot\nUser-Agent: bazbot\nDisallow: /example/page.html\n\n\
                    User-Agent: quxbot\n";
        assert!(allows(text, "oddswire", "/publications/x"));
        assert!(!allows(text, "oddswire", "/example/x") && !allows(text, "oddswire", "/a.gif"));
        assert!(allows(text, "oddswire", "/a.gif?x"));
        assert!(allows(text, "foobot", "/example/page.html") && !allows(text, "foobot", "/x"));
        assert!(allows(text, "FooBot", "/example/allowed.gif"));
        assert!(!allows(text, "bazbot", "/example/page.html") && allows(text, "barbot", "/example/x"));
        assert!(allows(text, "quxbot", "/example/x"));
    }

    #[test]
    fn the_longest_match_of_rfc_9309_5_2_wins_and_allow_wins_a_tie() {
        let text = "User-Agent: foobot\nAllow: /example/page/\nDisallow: /example/page/disallowed.gif\n";
        assert!(allows(text, "foobot", "/example/page/x"));
        assert!(!allows(text, "foobot", "/example/page/disallowed.gif"));
        assert!(allows("User-agent: *\nDisallow: /a\nAllow: /a", "x", "/a"));
    }

    #[test]
    fn groups_are_merged_and_texts_compared_as_rfc_9309_2_2_says() {
        let text = "\u{feff}user-agent: a # us\ndisallow: /one\n\nuser-agent: b\ndisallow: /two\n\
                    sitemap: https://x.invalid/s\nuser-agent: a\ndisallow: /three\n";
        for path in ["/one", "/three"] {
            assert!(!allows(text, "a", path) && allows(text, "b", path), "{path}");
        }
        let encoded = "user-agent: *\ndisallow: /foo/bar/\u{30c4}\ndisallow: /q/%62az\n";
        assert!(!allows(encoded, "x", "/foo/bar/%E3%83%84"));
        assert!(!allows(encoded, "x", "/q/baz"));
        assert!(allows("<html>\n<p>disallow nothing</p>", "x", "/"));
    }

    #[test]
    fn rules_past_500_kib_are_not_read() {
        let padding = "#\n".repeat(robotxt::BYTE_LIMIT / 2);
        let text = format!("user-agent: *\ndisallow: /in\n{padding}disallow: /out\n");
        assert!(!allows(&text, "x", "/in") && allows(&text, "x", "/out"));
    }

    #[test]
    fn the_name_is_the_first_word_of_the_user_agent() {
        assert_eq!(product_token("oddswire/0.1 (+https://x.invalid)"), "oddswire");
        assert_eq!(product_token("My-Bot"), "My-Bot");
        assert_eq!(product_token(""), "");
    }

    #[test]
    fn what_a_status_says_about_the_file() {
        let status = |status| {
            Answer::of(Error::Status {
                place: String::new(),
                status,
                retry_after: None,
            })
        };
        assert_eq!(status(404), Answer::Absent);
        assert_eq!(status(302), Answer::Absent);
        assert!(matches!(status(503), Answer::Unreachable(_)));
        let limited = Error::RateLimited {
            place: String::new(),
            retry_after: None,
        };
        assert!(matches!(Answer::of(limited), Answer::Unreachable(_)));
    }

    struct Host {
        robots_txt: RobotsTxt,
        asked: AtomicUsize,
    }

    impl Host {
        fn new() -> Self {
            Self {
                robots_txt: RobotsTxt::default(),
                asked: AtomicUsize::new(0),
            }
        }

        /// What is allowed when the host would answer this, and whether it was asked.
        async fn look(&self, answer: Answer) -> (Option<bool>, bool) {
            let before = self.asked.load(Ordering::SeqCst);
            let ask = async {
                self.asked.fetch_add(1, Ordering::SeqCst);
                answer
            };
            let rules = self.robots_txt.rules("x", ask).await;
            let asked = self.asked.load(Ordering::SeqCst) > before;
            (rules.ok().map(|rules| rules.is_allowed("/a")), asked)
        }
    }

    fn unreachable() -> Answer {
        Answer::Unreachable(Error::OtherHost)
    }

    fn file(text: &str) -> Answer {
        Answer::File(text.as_bytes().to_vec())
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_asked_for_once_an_hour() {
        let host = Host::new();
        let forbids = file("user-agent: *\ndisallow: /a\ncrawl-delay: 2.5");
        assert_eq!(host.look(forbids).await, (Some(false), true));
        assert_eq!(host.robots_txt.crawl_delay().await, Duration::from_millis(2_500));
        tokio::time::advance(TTL / 2).await;
        assert_eq!(host.look(Answer::Absent).await, (Some(false), false));
        tokio::time::advance(TTL / 2).await;
        assert_eq!(host.look(Answer::Absent).await, (Some(true), true));
        assert_eq!(host.robots_txt.crawl_delay().await, Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn while_nobody_knows_it_nothing_is_allowed_and_a_minute_later_it_is_asked_for_again() {
        let host = Host::new();
        assert_eq!(host.look(unreachable()).await, (None, true));
        assert_eq!(host.look(Answer::Absent).await, (None, false));
        tokio::time::advance(RETRY_AFTER).await;
        assert_eq!(host.look(Answer::Absent).await, (Some(true), true));
    }

    #[tokio::test(start_paused = true)]
    async fn an_older_one_counts_for_a_day_while_a_newer_one_cannot_be_had() {
        let host = Host::new();
        assert_eq!(host.look(file("")).await, (Some(true), true));
        tokio::time::advance(TTL).await;
        assert_eq!(host.look(unreachable()).await, (Some(true), true));
        assert_eq!(host.look(unreachable()).await, (Some(true), false));
        tokio::time::advance(STALE_TTL).await;
        assert_eq!(host.look(unreachable()).await, (None, true));
    }
}
