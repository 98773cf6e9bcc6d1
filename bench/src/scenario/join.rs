//! One client joins by a snapshot, and one comes back from before a long past: what each is sent until it is caught up.

use crate::{
    audience::{Share, Transport, Wanted},
    author::{ALL_ODDS, EVENTS},
    bench::{Bench, grouped},
    clock::{now_ns, seconds},
    crowd::{Crowd, GENTLY},
    report::short,
    server::{Kind, Server},
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
        let (_follower, before) = make_past(bench, &server)?;
        let by_snapshot = caught_up(bench, &server, "snapshot")?;
        let by_cursor = caught_up(bench, &server, &before)?;
        join.push(by_snapshot.0 / EVENTS as f64);
        bytes.push(by_snapshot.1 / 1024.0);
        back.push(by_cursor.0 / EVENTS as f64);
    }
    let [keys, all] = [EVENTS, EVENTS * IMAGES].map(|count| usize::try_from(count).unwrap_or(usize::MAX));
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

fn client(since: &str, first: u64) -> Wanted {
    Wanted {
        transport: Transport::Ws,
        query: format!("topics={ALL_ODDS}&since={since}"),
        deflate: false,
        share: Share::ALL,
        first,
    }
}

/// Publishes all images while somebody listens, so that the ring holds them: the one who listens, and the cursor from
/// before them.
fn make_past(bench: &mut Bench, server: &Server) -> Result<(Crowd, String)> {
    let first = bench.author.next();
    let mut follower = Crowd::new()?;
    follower.tally.cursors = Some(Vec::new());
    let wanted = vec![client("now", first)];
    let opening = follower.open(server.address, wanted, 1, WITHIN_S, &bench.author, || Ok(()))?;
    if opening.failed > 0 {
        bail!("the client that listens meanwhile could not connect");
    }
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
    let cursors = follower.tally.cursors.take().unwrap_or_default();
    let Some(before) = cursors.into_iter().next() else {
        bail!("the acknowledgement has no cursor");
    };
    Ok((follower, before))
}

/// The images, and the bytes, that a client is sent until it is caught up.
fn caught_up(bench: &Bench, server: &Server, since: &str) -> Result<(f64, f64)> {
    let mut crowd = Crowd::new()?;
    let wanted = vec![client(since, bench.author.next())];
    let opening = crowd.open(server.address, wanted, GENTLY, WITHIN_S, &bench.author, || Ok(()))?;
    if opening.failed > 0 {
        bail!("a client was not caught up within {WITHIN_S} s");
    }
    let images = crowd.tally.delivered as f64;
    eprintln!("  {} images in {} s", short(images), short(opening.seconds));
    Ok((images, crowd.tally.bytes as f64))
}
