//! A read of the log on three nodes: any of them answers, and one that is behind runs dry too early. Only the leader
//! can tell that a read is complete.
//!
//! A follower is paused while images are stored without it. Then clients come back, and it goes on: when their reads
//! reach it, it still has to make up what it missed. The control: without the leader's word the same rounds end with
//! clients that lack an image, and are told that they are caught up.

use crate::harness::{Connection, Gateway, Quote, Transport, World, options, within};
use futures_util::StreamExt;
use oddswire_gateway::trial::Trial;
use oddswire_kit::{bus::Bus, nats_server::NatsServer};
use oddswire_protocol::{Cursor, EventId, Feed, odds::OddsUpdate, server::Verdict};

/// What the follower has to make up before it knows the image that is asked for.
const BACKLOG: usize = 300;
/// More events than the gateway's ring holds.
const RING: usize = 100;
const RING_BYTES: u64 = 32 << 10;
/// Each of them reads, and any node may be the one that answers.
const CLIENTS: usize = 8;
/// Prices of the event that is asked for, by turns: whoever misses one is left with the other, or with none.
const PRICES: [&str; 2] = ["1.5", "1.6"];
/// With the leader's word: so many that some client is bound to be answered by the follower too early.
const ROUNDS: usize = 12;
/// Without it: rounds after which the control gives up. About two of three find something.
const ROUNDS_OF_CONTROL: usize = 40;
const OTHER: Quote = Quote {
    event: "other",
    source: "alpha",
    price: "2.5",
};

struct Stage {
    world: World,
    /// The node that is made to fall behind.
    follower: usize,
    gateway: Gateway,
    /// Keeps the feed active.
    _resident: Connection,
}

impl Stage {
    async fn new(trial: Trial) -> Self {
        let mut world = World::cluster().await;
        let leader = world.leader_of("ODDS").await;
        let (follower, third) = ((leader + 1) % 3, (leader + 2) % 3);
        // Nothing but reads that it is given to answer has to do with the follower.
        let apart = format!("{},{}", world.node(leader).url(), world.node(third).url());
        world.bus = Bus::connect(&options(&apart), "test", "test").await.unwrap();
        let gateway = Gateway::start_on_trial(&apart, trial, |options| options.ring_bytes = RING_BYTES).await;
        gateway.wait_ready().await;
        let resident = Connection::open(Transport::Ws, &gateway.address, "odds_updates.nothing", "now").await;
        Self {
            world,
            follower,
            gateway,
            _resident: resident,
        }
    }

    fn follower(&self) -> &NatsServer {
        self.world.node(self.follower)
    }

    async fn others(&self, count: usize) {
        let events = futures_util::stream::iter(0..count).map(|_| self.world.odds_event(&OTHER));
        events.buffer_unordered(RING).for_each(async |_| {}).await;
    }

    /// How far the gateway has come.
    async fn tail(&self) -> Cursor {
        let mut probe = Box::pin(Connection::open(
            Transport::Ws,
            &self.gateway.address,
            "odds_updates.nothing",
            "now",
        ))
        .await;
        probe.acknowledged().await.cursor
    }

    /// Clients come back when the event has this new price. Tells how many lack it when they are told that they are
    /// caught up.
    async fn round(&self, price: &'static str) -> usize {
        let since = self.tail().await;
        self.follower().pause();
        self.others(BACKLOG).await;
        let wanted = Quote {
            event: "wanted",
            source: "alpha",
            price,
        };
        let seq = self.world.odds_event(&wanted).await.seq;
        self.others(RING).await;
        // The gateway has come past it, and does not have it in its ring any more.
        let past = seq + RING as u64;
        within("the gateway to come past it", async {
            while Box::pin(self.tail()).await.position(Feed::Odds).unwrap().seq < past {}
        })
        .await;
        let topic = format!("odds_updates.soccer.{}", EventId::of("wanted"));
        let mut clients = Vec::new();
        for _ in 0..CLIENTS {
            let mut client =
                Connection::open(Transport::Ws, &self.gateway.address, &topic, &since.to_string()).await;
            assert_eq!(client.acknowledged().await.resume.verdict, Verdict::Replayed);
            clients.push(client);
        }
        self.follower().unpause();
        let mut lacking = 0;
        for mut client in clients {
            let (events, _) = client.until_caught_up().await;
            let last = events.last().map(|event| event.data::<OddsUpdate>().unwrap());
            let got = last.and_then(|update| update.market.quotes[0].outcomes[0].price);
            lacking += usize::from(got != Some(price.parse().unwrap()));
        }
        lacking
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_that_a_follower_answers_while_it_is_behind_is_complete() {
    let stage = Stage::new(Trial::default()).await;
    for price in PRICES.into_iter().cycle().take(ROUNDS) {
        assert_eq!(
            Box::pin(stage.round(price)).await,
            0,
            "clients are caught up without {price}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_without_settling_a_follower_that_is_behind_loses_an_image() {
    let stage = Stage::new(Trial {
        no_settling: true,
        ..Trial::default()
    })
    .await;
    for price in PRICES.into_iter().cycle().take(ROUNDS_OF_CONTROL) {
        if Box::pin(stage.round(price)).await > 0 {
            return;
        }
    }
    panic!("no read was cut short by a follower that was behind: the test proves nothing");
}
