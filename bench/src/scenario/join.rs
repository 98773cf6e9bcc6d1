//! One client joins by a snapshot, and one comes back from before a long past: what each is sent until it is caught up.

use crate::{
    audience::{Share, Transport, Wanted},
    author::{ALL_ODDS, EVENTS},
    bench::{Bench, grouped},
    clock::{now_ns, seconds},
    crowd::{Crowd, GENTLY},
    report::short,
    server::Kind,
};
use anyhow::{Result, bail};

/// Images of each key that are published before: more than enough to tell the state from the history.
const IMAGES: u64 = 50;
const IMAGES_MAX: f64 = 1.1;
/// Events that are on their way at a time: few enough that nothing is lost.
const OUTSTANDING: u64 = 64;
const WITHIN_S: f64 = 120.0;

pub(super) fn run(bench: &mut Bench) -> Result<()> {
    let (mut join, mut bytes, mut back) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..bench.options.rounds() {
        let server = bench.server(Kind::Gateway, &[])?;
        let first = bench.author.next();
        let client = |since: &str| Wanted {
            transport: Transport::Ws,
            query: format!("topics={ALL_ODDS}&since={since}"),
            deflate: false,
            share: Share::ALL,
            first,
        };
        let mut follower = Crowd::new()?;
        follower.tally.cursors = Some(Vec::new());
        follower.open(
            server.address,
            vec![client("now")],
            1,
            WITHIN_S,
            &bench.author,
            || Ok(()),
        )?;
        let begun = now_ns();
        while follower.tally.delivered < EVENTS * IMAGES {
            let sent = (follower.tally.delivered + OUTSTANDING).min(EVENTS * IMAGES);
            while bench.author.next() < first + sent {
                bench.author.odds(&mut bench.nats, now_ns());
            }
            bench.nats.flush()?;
            bench.nats.read(|_| {})?;
            follower.turn(&bench.author)?;
            if seconds(begun, now_ns()) > WITHIN_S {
                bail!(
                    "only {} of {} events came",
                    follower.tally.delivered,
                    EVENTS * IMAGES
                );
            }
        }
        let Some(before) = follower
            .tally
            .cursors
            .as_ref()
            .and_then(|cursors| cursors.first())
            .cloned()
        else {
            bail!("the acknowledgement has no cursor");
        };
        let mut sent = Vec::new();
        for since in ["snapshot", &before] {
            let mut crowd = Crowd::new()?;
            let opening = crowd.open(
                server.address,
                vec![client(since)],
                GENTLY,
                WITHIN_S,
                &bench.author,
                || Ok(()),
            )?;
            if opening.failed > 0 {
                bail!("a client was not caught up within {WITHIN_S} s");
            }
            eprintln!(
                "  {} images in {} s",
                grouped(usize::try_from(crowd.tally.delivered).unwrap_or(usize::MAX)),
                short(opening.seconds)
            );
            sent.push((crowd.tally.delivered, crowd.tally.bytes));
        }
        join.push(sent[0].0 as f64 / EVENTS as f64);
        bytes.push(sent[0].1 as f64 / 1024.0);
        back.push(sent[1].0 as f64 / EVENTS as f64);
    }
    let keys = usize::try_from(EVENTS).unwrap_or(usize::MAX);
    let all = usize::try_from(EVENTS * IMAGES).unwrap_or(usize::MAX);
    let scenario = format!("join {} keys after {} images", grouped(keys), grouped(all));
    bench.rows(
        &scenario,
        [
            ("images a key, by a snapshot", join, Some(IMAGES_MAX)),
            (
                "images a key, by a cursor from before them",
                back,
                Some(IMAGES_MAX),
            ),
            ("KiB of the snapshot", bytes, None),
        ],
    );
    Ok(())
}
