use super::*;
use hyper::http::header::HeaderName;

struct Door {
    front: Front,
    visitor: Visitor,
}

fn door(change: impl FnOnce(&mut FrontOptions, &mut LimitOptions)) -> Door {
    door_at("127.0.0.1:8080", "127.0.0.1:50000", change)
}

fn door_at(listen: &str, peer: &str, change: impl FnOnce(&mut FrontOptions, &mut LimitOptions)) -> Door {
    door_with(false, listen, peer, change)
}

fn door_with(
    needs_tokens: bool,
    listen: &str,
    peer: &str,
    change: impl FnOnce(&mut FrontOptions, &mut LimitOptions),
) -> Door {
    let (mut options, mut limits) = (FrontOptions::default(), LimitOptions::default());
    change(&mut options, &mut limits);
    let listen = listen.parse().unwrap();
    let front = Front::new(&options, &limits, needs_tokens, listen, Arc::default()).unwrap();
    let visitor = front.arrive(peer.parse().unwrap()).unwrap();
    Door { front, visitor }
}

impl Door {
    fn judge(&self, method: &Method, target: &str, headers: &[(&str, &str)]) -> Judged {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        let uri = target.parse().unwrap();
        let asked = Asked {
            method,
            version: Version::HTTP_11,
            uri: &uri,
            headers: &map,
        };
        self.front.judge(&self.visitor, asked)
    }

    fn ask(&self, method: Method, target: &str, headers: &[(&str, &str)]) -> Result<Entry, Refused> {
        self.judge(&method, target, headers).entry
    }

    fn get(&self, target: &str, headers: &[(&str, &str)]) -> Result<Entry, Refused> {
        self.ask(Method::GET, target, headers)
    }
}

const HERE: (&str, &str) = ("host", "127.0.0.1:8080");
const EVIL: (&str, &str) = ("origin", "https://evil.example");

#[tokio::test]
async fn pages_of_foreign_origins_open_no_streams_and_change_nothing() {
    let door = door(|_, _| {});
    for path in ["/api/ws", "/api/events", "/api/scrapes/x/events"] {
        assert_eq!(
            door.get(path, &[HERE, EVIL]).unwrap_err(),
            Refused::Origin,
            "{path}"
        );
        assert_eq!(
            door.get(path, &[HERE, ("origin", "null")]).unwrap_err(),
            Refused::Origin
        );
        door.get(path, &[HERE]).unwrap();
        door.get(path, &[HERE, ("origin", "http://127.0.0.1:8080")])
            .unwrap();
    }
    let post = |headers: &[(&str, &str)]| door.ask(Method::POST, "/api/scrapes", headers);
    assert_eq!(post(&[HERE, EVIL]).unwrap_err(), Refused::Origin);
    post(&[HERE]).unwrap();
    // It may ask, and cannot read the answer.
    assert!(
        door.judge(&Method::GET, "/api/odds", &[HERE, EVIL])
            .cors
            .is_none()
    );
}

#[tokio::test]
async fn an_allowed_origin_may_read_and_change() {
    let door = door(|options, _| options.allow_origin = vec!["https://*.example.org".parse().unwrap()]);
    let page = ("origin", "https://odds.example.org");
    let judged = door.judge(&Method::POST, "/api/scrapes", &[HERE, page]);
    assert!(judged.entry.is_ok());
    assert_eq!(judged.cors.unwrap(), "https://odds.example.org");
    let method = ("access-control-request-method", "POST");
    assert!(
        door.ask(Method::OPTIONS, "/api/scrapes", &[HERE, page, method])
            .unwrap()
            .is_preflight
    );
    assert_eq!(
        door.ask(Method::OPTIONS, "/api/scrapes", &[HERE, EVIL, method])
            .unwrap_err(),
        Refused::Origin
    );
}

#[tokio::test]
async fn a_name_that_somebody_pointed_here_is_refused() {
    let rebound = [
        ("host", "evil.example:8080"),
        ("origin", "http://evil.example:8080"),
    ];
    let local = door(|options, _| options.allow_host = vec!["odds.lan".into()]);
    assert_eq!(
        local.ask(Method::POST, "/api/scrapes", &rebound).unwrap_err(),
        Refused::Host
    );
    assert_eq!(local.get("/api/odds", &rebound[..1]).unwrap_err(), Refused::Host);
    local.get("/api/odds", &[("host", "odds.lan:8080")]).unwrap();
    let twice = [("host", "localhost"), ("host", "evil.example")];
    for bad in [&[][..], &twice, &[("host", "localhost/..")]] {
        assert_eq!(
            local.get("/api/odds", bad).unwrap_err(),
            Refused::BadHost,
            "{bad:?}"
        );
    }
    // Where a token is needed, a page that comes by such a name has none. A port that others can reach has names that this
    // gateway cannot know.
    door_with(true, "0.0.0.0:8080", "192.0.2.1:5000", |_, _| {})
        .get("/api/odds", &[("host", "odds.example.org")])
        .unwrap();
}

#[tokio::test]
async fn without_tokens_names_are_looked_at_wherever_a_request_comes_from() {
    let named = |options: &mut FrontOptions| {
        options.allow_host = vec!["odds.lan".into()];
        options.trust_proxy = vec!["172.30.250.2/32".parse().unwrap()];
    };
    for peer in ["127.0.0.1:1", "192.168.1.7:1", "172.30.250.2:1"] {
        let door = door_at("0.0.0.0:8080", peer, |options, _| named(options));
        for good in ["192.168.1.5:8080", "localhost", "odds.lan:8080", "[::1]:8080"] {
            door.get("/api/odds", &[("host", good)]).unwrap();
        }
        let post = |headers: &[(&str, &str)]| door.ask(Method::POST, "/api/scrapes", headers);
        let rebound = ("host", "evil.example:8080");
        assert_eq!(post(&[rebound]).unwrap_err(), Refused::Host, "{peer}");
        // A page may set this one, and a balancer may pass it on.
        for more in ["localhost", "odds.lan"] {
            let both = [rebound, ("x-forwarded-host", more)];
            assert_eq!(post(&both).unwrap_err(), Refused::Host, "{peer}");
        }
    }
}

#[tokio::test]
async fn a_trusted_proxy_tells_host_and_client() {
    let door = door_with(true, "127.0.0.1:8080", "127.0.0.1:50000", |options, limits| {
        options.trust_proxy = vec!["127.0.0.0/8".parse().unwrap()];
        limits.connections_per_address = 1;
    });
    let asked = [
        ("host", "backend"),
        ("x-forwarded-host", "odds.example.org"),
        ("origin", "https://odds.example.org"),
        ("x-forwarded-for", "203.0.113.1"),
    ];
    let first = door.get("/api/ws", &asked).unwrap();
    assert_eq!(first.visitor.address.to_string(), "203.0.113.1");
    assert_eq!(door.get("/api/ws", &asked).unwrap_err(), Refused::AddressFull);
    let other = [("host", "backend"), ("x-forwarded-for", "203.0.113.2")];
    let _second = door.get("/api/ws", &other).unwrap();
    drop(first);
    door.get("/api/ws", &asked).unwrap();
}

#[tokio::test]
async fn a_client_in_a_network_of_proxies_has_its_limit_and_spends_no_other() {
    let door = door(|options, limits| {
        options.trust_proxy = vec!["127.0.0.0/8".parse().unwrap(), "192.168.0.0/16".parse().unwrap()];
        limits.requests_per_s = 1;
    });
    let ask = |told: &str| door.get("/api/odds", &[HERE, ("x-forwarded-for", told)]);
    assert!(ask("203.0.113.1, 192.168.1.7").is_ok() && ask("203.0.113.2, 192.168.1.7").is_ok());
    assert_eq!(ask("203.0.113.3, 192.168.1.7").unwrap_err(), Refused::Requests);
    ask("203.0.113.3").unwrap();
    // What the proxy asks for itself, such as whether the gateway lives.
    for _ in 0..5 {
        door.get("/api/odds", &[HERE]).unwrap();
    }
}

#[tokio::test]
async fn nobody_else_is_believed_about_the_client() {
    let door = door(|_, limits| limits.requests_per_s = 1);
    let ask = |n: u32| {
        door.get(
            "/api/odds",
            &[HERE, ("x-forwarded-for", &format!("203.0.113.{n}"))],
        )
    };
    assert!(ask(1).is_ok() && ask(2).is_ok());
    assert_eq!(ask(3).unwrap_err(), Refused::Requests);
}

#[tokio::test]
async fn connections_are_counted_in_all_and_for_each_address() {
    let door = door(|_, limits| {
        limits.connections_max = 3;
        limits.connections_per_address = 2;
    });
    let arrive = |peer: &str| door.front.arrive(peer.parse().unwrap());
    let second = arrive("127.0.0.1:2").unwrap();
    assert_eq!(arrive("127.0.0.1:3").unwrap_err(), Refused::AddressFull);
    let _third = arrive("[2001:db8::1]:1").unwrap();
    assert_eq!(arrive("192.0.2.1:1").unwrap_err(), Refused::Full);
    drop(second);
    arrive("192.0.2.1:1").unwrap();
    assert_eq!(door.front.seats.open.get(), 2);
}

#[tokio::test]
async fn streams_that_share_a_connection_count_each() {
    let mut door = door(|_, limits| limits.connections_max = 3);
    door.visitor = door.visitor.clone().shared();
    let _streams = [
        door.get("/api/events", &[HERE]).unwrap(),
        door.get("/api/events", &[HERE]).unwrap(),
    ];
    assert_eq!(door.get("/api/events", &[HERE]).unwrap_err(), Refused::Full);
    door.get("/api/odds", &[HERE]).unwrap();
}

#[tokio::test(start_paused = true)]
async fn good_streams_are_opened_so_often_a_second() {
    let door = door(|_, limits| limits.handshakes_per_s = 5);
    let opened = |door: &Door| (0..20).filter(|_| door.front.open_stream().is_ok()).count();
    assert_eq!(opened(&door), 5);
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(opened(&door), 5);
    let limits = LimitOptions {
        handshakes_per_s: 0,
        ..LimitOptions::default()
    };
    door.front.reload(&FrontOptions::default(), &limits, false);
    assert_eq!(opened(&door), 20);
}

fn other_address(door: &Door) -> Visitor {
    door.front.arrive("[2001:db8::1]:1".parse().unwrap()).unwrap()
}

/// How many of a hundred good handshakes of another address succeed while one floods with bad ones.
fn good_beside_a_flood(door: &mut Door) -> usize {
    let flood = door.visitor.clone();
    let other = other_address(door);
    let mut good = 0;
    for _ in 0..100 {
        door.visitor = flood.clone();
        for _ in 0..100 {
            // Nobody opens the stream: the handshake was none, or the token was bad.
            drop(door.get("/api/ws", &[HERE]));
        }
        door.visitor = other.clone();
        let is_tried = door.get("/api/ws", &[HERE]).is_ok();
        good += usize::from(is_tried && door.front.open_stream().is_ok());
    }
    good
}

#[tokio::test(start_paused = true)]
async fn what_one_address_tries_in_vain_costs_no_other_a_stream() {
    let mut door = door(|_, _| {});
    assert_eq!(good_beside_a_flood(&mut door), 100);
    assert_eq!(door.get("/api/ws", &[HERE]).err(), None);
    door.visitor = door.front.arrive("127.0.0.1:9".parse().unwrap()).unwrap();
    let refused = door.get("/api/ws", &[HERE]).unwrap_err();
    assert_eq!(refused, Refused::AddressHandshakes, "its own budget is spent");
}

/// The control: counted for all and before anybody looked, the flood takes everything.
#[tokio::test(start_paused = true)]
async fn without_shares_a_flood_takes_the_streams_of_all() {
    let mut door = door(|_, _| {});
    door.front = door.front.on_trial(Trial {
        no_shares: true,
        ..Trial::default()
    });
    assert!(good_beside_a_flood(&mut door) < 50);
}

#[tokio::test(start_paused = true)]
async fn a_network_of_ipv6_is_one_address_and_a_client_of_a_trusted_proxy_has_its_own() {
    let mut door = door(|options, limits| {
        options.trust_proxy = vec!["127.0.0.0/8".parse().unwrap()];
        limits.handshakes_per_address = 1;
    });
    let tried = |door: &Door, headers: &[(&str, &str)]| {
        (0..20).filter(|_| door.get("/api/ws", headers).is_ok()).count()
    };
    assert_eq!(tried(&door, &[HERE, ("x-forwarded-for", "2001:db8::1")]), 5);
    assert_eq!(tried(&door, &[HERE, ("x-forwarded-for", "2001:db8::2")]), 0);
    assert_eq!(tried(&door, &[HERE, ("x-forwarded-for", "2001:db8:0:1::2")]), 5);
    assert_eq!(tried(&door, &[HERE]), 20, "the proxy itself has no limit");
    door.visitor = other_address(&door);
    assert_eq!(tried(&door, &[]), 0, "the same network without the proxy");
}

#[tokio::test]
async fn as_memory_runs_out_answers_are_refused_first_then_streams_then_connections() {
    let door = door(|_, limits| limits.memory_bytes = 800 << 20);
    let granted = |held_mib: i64| {
        door.front.waiting().set(held_mib << 20);
        [
            door.front.begin_answer(Some(&door.visitor)).is_ok(),
            door.get("/api/events", &[HERE]).is_ok(),
            door.front.arrive("192.0.2.1:1".parse().unwrap()).is_ok(),
        ]
    };
    let process = i64::try_from(PROCESS_BYTES >> 20).unwrap();
    assert_eq!(granted(0), [true, true, true]);
    assert_eq!(granted(601 - process), [false, true, true]);
    assert_eq!(granted(701 - process), [false, false, true]);
    assert_eq!(granted(801 - process), [false, false, false]);
    assert_eq!(granted(0), [true, true, true], "room again");
    let (held, most) = door.front.memory();
    assert!(held >= PROCESS_BYTES && most == 800 << 20);
}

#[tokio::test]
async fn answers_are_refused_by_address_before_all_of_them_are_taken() {
    let door = door(|_, _| {});
    let begun = |visitor: &Visitor| {
        let begin = || door.front.begin_answer(Some(visitor));
        (0..1_000).map_while(|_| begin().ok()).collect::<Vec<_>>()
    };
    let first = begun(&door.visitor);
    let refused = door.front.begin_answer(Some(&door.visitor)).unwrap_err();
    assert_eq!(refused, Refused::Answers);
    let second = begun(&other_address(&door));
    let beside = door
        .front
        .arrive("[2001:db8:0:ffff::1]:1".parse().unwrap())
        .unwrap();
    let refused = door.front.begin_answer(Some(&beside)).unwrap_err();
    assert_eq!(refused, Refused::Answers, "another network of the same customer");
    assert!(
        second.len() > first.len() / 2,
        "{} and {}",
        first.len(),
        second.len()
    );
}

#[tokio::test]
async fn a_long_target_is_refused_and_an_old_connection_ends() {
    let door = door(|_, limits| limits.requests_per_s = 0);
    let long = format!("/api/odds?sport={}", "x".repeat(TARGET_BYTES_MAX));
    assert_eq!(door.get(&long, &[HERE]).unwrap_err(), Refused::Target);
    let asked = 1
        + (1..REQUESTS_PER_CONNECTION - 1)
            .filter(|_| !door.judge(&Method::GET, "/api/odds", &[HERE]).is_last)
            .count();
    assert_eq!(asked, REQUESTS_PER_CONNECTION as usize - 1);
    assert!(
        door.judge(&Method::GET, "/api/odds", &[]).is_last,
        "a refused one counts"
    );
}

/// A target, headers, and why they are refused.
type Bad = (&'static str, &'static [(&'static str, &'static str)], Refused);

/// Requests that are refused for what they are.
const BAD: [Bad; 6] = [
    ("/", &[], Refused::BadHost),
    ("/api/odds", &[HERE, HERE], Refused::BadHost),
    ("/api/odds", &[("host", "evil.example")], Refused::Host),
    ("/api/events", &[], Refused::BadHost),
    ("/api/ws", &[("host", "evil.example")], Refused::Host),
    ("/api/ws", &[HERE, EVIL], Refused::Origin),
];

/// How many of a thousand are looked at, and refused for what they are.
fn looked_at(target: &str, headers: &[(&str, &str)], why: Refused, limits: (u32, u32)) -> usize {
    let door = door(|_, options| {
        options.requests_per_s = limits.0;
        options.handshakes_per_address = limits.1;
    });
    let refused = (0..1_000).map(|_| door.get(target, headers).unwrap_err());
    refused.filter(|refused| *refused == why).count()
}

#[tokio::test(start_paused = true)]
async fn whatever_is_refused_is_spent_by_its_address() {
    for (target, headers, why) in BAD {
        let count = looked_at(target, headers, why, (10, 4));
        assert_eq!(count, 20, "{target} {headers:?}");
    }
}

/// The control: where nothing is spent, all of them are looked at.
#[tokio::test(start_paused = true)]
async fn control_without_budgets_whatever_is_refused_is_looked_at() {
    for (target, headers, why) in BAD {
        assert_eq!(
            looked_at(target, headers, why, (0, 0)),
            1_000,
            "{target} {headers:?}"
        );
    }
}
