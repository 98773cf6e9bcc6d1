//! What the scenarios share: the bus, the one who writes, and how a server is filled with clients.

use crate::{
    audience::Audience,
    author::Author,
    crowd::{Crowd, GENTLY, Opening},
    host,
    load::{Load, Measured, Pace},
    nats::Nats,
    options::RunOptions,
    report::{Row, short},
    server::{self, Kind, Server},
    world::World,
};
use anyhow::{Result, bail};
use std::path::PathBuf;

/// The bench.
#[derive(Debug)]
pub(crate) struct Bench {
    /// What was asked for.
    pub(crate) options: RunOptions,
    /// The bus.
    pub(crate) world: World,
    /// The connection to publish on.
    pub(crate) nats: Nats,
    /// Who writes.
    pub(crate) author: Author,
    /// The program of the gateway.
    pub(crate) gateway: PathBuf,
    /// What was found.
    pub(crate) rows: Vec<Row>,
}

/// A server with clients.
#[derive(Debug)]
pub(crate) struct Session {
    /// The clients; dropped first, so that the server sees them go.
    pub(crate) crowd: Crowd,
    /// The server.
    pub(crate) server: Server,
    /// Who the clients are.
    audience: Audience,
    /// How opening went.
    pub(crate) opening: Opening,
    /// KiB of the server's memory for each of them, while nothing happens.
    pub(crate) idle_kib: f64,
}

/// Above this share of a core used by others, a round does not count.
pub(crate) const FOREIGN_MAX_PERCENT: f64 = 10.0;
const OPEN_WITHIN_S: f64 = 60.0;

impl Bench {
    /// Starts the bus.
    pub(crate) fn start(options: RunOptions) -> Result<Self> {
        let gateway = match &options.gateway {
            Some(path) => path.clone(),
            None => server::default_gateway()?,
        };
        if !gateway.is_file() {
            bail!(
                "{} is not there: build it, or name another with --gateway",
                gateway.display()
            );
        }
        let files = host::raise_files()?;
        let wanted = options.many() as u64 + 100;
        if files < wanted {
            bail!(
                "{wanted} files have to be open at a time, and {files} may be: raise `ulimit -Hn`, or use --clients"
            );
        }
        host::pin(host::LOAD_CORE)?;
        let world = World::start()?;
        Ok(Self {
            nats: world.connect()?,
            author: Author::new()?,
            options,
            world,
            gateway,
            rows: Vec::new(),
        })
    }

    /// Starts a server.
    pub(crate) fn server(&self, kind: Kind, further: &[&str]) -> Result<Server> {
        Server::start(kind, &self.gateway, &self.world, further)
    }

    /// Starts a server and fills it.
    pub(crate) fn session(&self, kind: Kind, audience: Audience, clients: usize) -> Result<Session> {
        let server = self.server(kind, &[])?;
        let mut crowd = Crowd::new()?;
        let empty_kib = host::pss_kib(server.pid());
        let wanted = (0..clients)
            .map(|at| audience.client(at, self.author.next()))
            .collect();
        let opening = crowd.open(
            server.address,
            wanted,
            GENTLY,
            OPEN_WITHIN_S,
            &self.author,
            || Ok(()),
        )?;
        if opening.failed > 0 {
            bail!("{} of {clients} clients could not connect", opening.failed);
        }
        let full_kib = host::pss_kib(server.pid());
        Ok(Session {
            idle_kib: full_kib.saturating_sub(empty_kib) as f64 / clients as f64,
            crowd,
            server,
            audience,
            opening,
        })
    }

    /// Puts a session under load.
    pub(crate) fn load(&mut self, session: &mut Session, pace: Pace, for_s: f64) -> Result<Measured> {
        self.load_without(session, 0, pace, for_s)
    }

    /// The same when so many of its clients do not read.
    pub(crate) fn load_without(
        &mut self,
        session: &mut Session,
        stalled: u64,
        pace: Pace,
        for_s: f64,
    ) -> Result<Measured> {
        let readers = session.crowd.len() as u64 - stalled;
        let is_conflated = session.crowd.tally.conflate_ms > 0;
        let measured = Load {
            each: session.audience.each(readers).max(1),
            whole: !is_conflated && session.crowd.tally.deflated == 0,
            crowd: &mut session.crowd,
            nats: &mut self.nats,
            author: &mut self.author,
            server: session.server.pid(),
            bus: self.world.pid(),
        }
        .run(pace, for_s)?;
        Ok(measured)
    }

    /// Puts a figure into the table, unless there is none.
    pub(crate) fn row(&mut self, row: Row) {
        if !row.rounds.is_empty() || !row.note.is_empty() {
            self.rows.push(row);
        }
    }

    /// Puts the figures of a scenario into the table, each with what it must not be above.
    pub(crate) fn rows(
        &mut self,
        scenario: &str,
        figures: impl IntoIterator<Item = (&'static str, Vec<f64>, Option<f64>)>,
    ) {
        for (figure, rounds, target) in figures {
            self.row(Row {
                scenario: scenario.to_owned(),
                figure,
                rounds,
                target,
                note: String::new(),
            });
        }
    }
}

/// A line of progress.
pub(crate) fn tell(name: &str, measured: &Measured) {
    let faults = if measured.faults.is_empty() {
        String::new()
    } else {
        format!("; {}", measured.faults)
    };
    eprintln!(
        "  {name}: {} µs each, {} messages/s, p50 {} ms, p99 {} ms, {} bytes each, {} a read, server {}%, foreign {}%, peak {} MiB{faults}",
        short(measured.us_each),
        short(measured.per_s),
        short(measured.latency.ms(0.5)),
        short(measured.latency.ms(0.99)),
        short(measured.bytes_each),
        short(measured.each_read),
        short(measured.server_percent),
        short(measured.foreign_percent),
        measured.peak_kib >> 10,
    );
}

/// A number with commas, as people read it.
pub(crate) fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_in_threes() {
        assert_eq!(
            [0, 999, 1_000, 10_000, 1_234_567].map(grouped),
            ["0", "999", "1,000", "10,000", "1,234,567"]
        );
    }
}
