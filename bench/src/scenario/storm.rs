//! All clients connect at once.

use crate::{
    audience::Audience,
    bench::{Bench, grouped},
    crowd::Crowd,
    report::short,
    server::Kind,
};
use anyhow::Result;

const WITHIN_S: f64 = 60.0;

pub(super) fn run(bench: &mut Bench) -> Result<()> {
    let clients = bench.options.many();
    let (mut all, mut granted, mut failed) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..bench.options.rounds() {
        let server = bench.server(Kind::Gateway, &[])?;
        let mut crowd = Crowd::new()?;
        let first = bench.author.next();
        let wanted = (0..clients).map(|at| Audience::Ws.client(at, first)).collect();
        let opening = crowd.open(
            server.address,
            wanted,
            clients,
            WITHIN_S,
            &bench.author,
            || Ok(()),
        )?;
        all.push(opening.seconds);
        granted.push(crowd.tally.granting.ms(0.99) / 1e3);
        failed.push(opening.failed as f64);
        eprintln!("  all in {} s, {} failed", short(opening.seconds), opening.failed);
    }
    let scenario = format!("connect storm, {} clients", grouped(clients));
    bench.rows(
        &scenario,
        [
            ("seconds until all are caught up", all, None),
            ("seconds to connection_ack, p99", granted, None),
            ("refused or cut", failed, Some(0.0)),
        ],
    );
    Ok(())
}
