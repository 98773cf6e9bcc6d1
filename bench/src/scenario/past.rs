//! A gateway with a small ring, a past that is longer than it, and the cursor after each event of that past.

use crate::{
    audience::{Share, Transport, Wanted},
    author::{ONE_SOURCE, RUNS, SOURCES, run_topic},
    bench::Bench,
    clock::{now_ns, seconds},
    crowd::{Crowd, GENTLY},
    server::{Kind, Server},
};
use anyhow::{Result, bail};

/// The past.
#[derive(Debug)]
pub(super) struct Past {
    /// One client that listens all the time, so that the gateway keeps its ring.
    _recorder: Crowd,
    /// The gateway.
    pub(super) server: Server,
    /// The cursor before event number `first`, and after each from there on.
    cursors: Vec<String>,
    first: u64,
    /// The number of the oldest event after which a client can go on without a read of the log, to within a step.
    pub(super) floor: u64,
}

/// The smallest ring that a gateway takes.
const RING_BYTES: &str = "1048576";
/// More than it holds, by more than [`BELOW`].
const EVENTS: u64 = 8_000;
/// How far below the ring's floor the log is read from.
const BELOW: u64 = 1_000;
const STEP: u64 = 100;
const WITHIN_S: f64 = 30.0;

impl Past {
    /// Makes it.
    pub(super) fn new(bench: &mut Bench) -> Result<Self> {
        let server = bench.server(Kind::Gateway, &["--ring-bytes", RING_BYTES])?;
        let mut recorder = Crowd::new()?;
        recorder.tally.cursors = Some(Vec::new());
        let first = bench.author.next();
        let wanted = Wanted {
            transport: Transport::Ws,
            query: "topics=scrape_progress&since=now".into(),
            deflate: false,
            share: Share::ALL,
            first,
        };
        recorder.open(
            server.address,
            vec![wanted],
            1,
            WITHIN_S,
            &bench.author,
            || Ok(()),
        )?;
        let begun = now_ns();
        while recorder.tally.delivered < EVENTS {
            // Few enough on their way that nothing is lost, and many enough that it does not take long.
            while bench.author.next() < (first + recorder.tally.delivered + 64).min(first + EVENTS) {
                bench.author.run(&mut bench.nats);
            }
            bench.nats.flush()?;
            recorder.turn(&bench.author)?;
            if seconds(begun, now_ns()) > WITHIN_S {
                bail!("only {} of {EVENTS} events came", recorder.tally.delivered);
            }
        }
        let cursors = recorder.tally.cursors.take().unwrap_or_default();
        if cursors.len() as u64 != EVENTS + 1 {
            bail!("{} cursors came with {EVENTS} events", cursors.len());
        }
        let mut past = Self {
            _recorder: recorder,
            server,
            cursors,
            first,
            floor: first,
        };
        past.find_floor(bench)?;
        Ok(past)
    }

    /// Goes back step by step until a client that comes back has the log read. Every step is further back than any
    /// before, so nothing that was read for one can serve the next.
    fn find_floor(&mut self, bench: &mut Bench) -> Result<()> {
        let end = self.first + EVENTS;
        let mut at = end - STEP;
        while at > self.first + BELOW {
            let (_, reads) = self.come_back(bench, at, at / STEP)?;
            if reads > 0 {
                break;
            }
            at -= STEP;
        }
        self.floor = at + STEP;
        if at <= self.first + BELOW {
            bail!("the ring holds all of the past: nothing is read from the log");
        }
        eprintln!("  the ring holds {} events", end - self.floor);
        Ok(())
    }

    /// The oldest event from which the scenarios read the log.
    pub(super) fn below(&self) -> u64 {
        self.floor - STEP - BELOW
    }

    /// The number after the newest event.
    pub(super) fn end(&self) -> u64 {
        self.first + EVENTS
    }

    /// A client of the one source that has seen everything before event `at`.
    pub(super) fn client(&self, at: u64) -> Wanted {
        self.follower(at, ONE_SOURCE, Share::one_in(SOURCES, 0))
    }

    /// A client of one run that has seen everything before event `at`. Nothing that is read for a client of another run
    /// serves it.
    fn single(&self, at: u64, run: u64) -> Wanted {
        let run = run % RUNS;
        let share = Share::one_in(SOURCES * RUNS, SOURCES * run);
        self.follower(at, &run_topic(run), share)
    }

    fn follower(&self, at: u64, topic: &str, share: Share) -> Wanted {
        let cursor = usize::try_from(at - self.first).unwrap_or(usize::MAX);
        Wanted {
            transport: Transport::Ws,
            query: format!("topics={topic}&since={}", self.cursors[cursor]),
            deflate: false,
            share,
            first: share.first_from(at),
        }
    }

    /// Has one client of a run come back that has seen everything before event `at`: the milliseconds from its attempt
    /// to connect to `caught_up`, and the reads of the log that it took.
    pub(super) fn come_back(&self, bench: &mut Bench, at: u64, run: u64) -> Result<(f64, u64)> {
        let mut crowd = Crowd::new()?;
        let mut reads = 0;
        let nats = &mut bench.nats;
        nats.read(|_| {})?;
        let opening = crowd.open(
            self.server.address,
            vec![self.single(at, run)],
            GENTLY,
            WITHIN_S,
            &bench.author,
            || nats.read(|_| reads += 1),
        )?;
        if opening.failed > 0 || crowd.behind(self.end()) > 0 || crowd.tally.missed > 0 {
            bail!("a client that came back did not get everything after {at}");
        }
        Ok((crowd.tally.readying.ms(0.5), reads))
    }
}
