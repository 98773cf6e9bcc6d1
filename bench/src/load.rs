//! Publishing to a crowd at a pace, and what it cost the server.

use crate::{
    author::Author,
    clock::{now_ns, seconds},
    crowd::Crowd,
    figures::Histogram,
    host,
    nats::Nats,
};
use anyhow::Result;
use std::mem;

/// How fast events are published.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pace {
    /// The next when at most so many less one are on their way: 1 leaves nothing to batch, 64 does.
    Outstanding(u64),
    /// One in so many nanoseconds, whatever becomes of them; latency counts from when each was due.
    EveryNs(u64),
}

/// What a stretch of load showed.
#[derive(Debug)]
pub(crate) struct Measured {
    /// Events published.
    pub(crate) published: u64,
    /// Messages that came.
    pub(crate) delivered: u64,
    /// Microseconds of the server's CPU for each of them.
    pub(crate) us_each: f64,
    /// Percent of one core that the server used.
    pub(crate) server_percent: f64,
    /// Percent of one core that others used: neither the server nor the bench.
    pub(crate) foreign_percent: f64,
    /// Messages a second.
    pub(crate) per_s: f64,
    /// From published to read.
    pub(crate) latency: Histogram,
    /// Bytes on the wire for each message.
    pub(crate) bytes_each: f64,
    /// Messages in a read: how much the server puts together.
    pub(crate) each_read: f64,
    /// What must not be: messages lost, doubled, connections cut. Empty when all is well.
    pub(crate) faults: String,
    /// The server's memory at its highest.
    pub(crate) peak_kib: u64,
}

/// Who takes part.
#[derive(Debug)]
pub(crate) struct Load<'a> {
    /// The clients.
    pub(crate) crowd: &'a mut Crowd,
    /// The connection to publish on.
    pub(crate) nats: &'a mut Nats,
    /// Who writes.
    pub(crate) author: &'a mut Author,
    /// The server's process.
    pub(crate) server: u32,
    /// NATS's process.
    pub(crate) bus: u32,
    /// Messages that each event makes.
    pub(crate) each: u64,
    /// Whether every message must come: not so for clients that are conflated.
    pub(crate) whole: bool,
}

/// Without any message for so long, what has not come is lost.
const LOST_AFTER_S: f64 = 3.0;
/// Between two looks at the server's memory.
const LOOK_S: f64 = 0.5;

/// Nanoseconds: the time, and CPU used by the server, by all that belongs to the bench, and by everybody.
struct Reading {
    at: u64,
    server: u64,
    mine: u64,
    busy: u64,
}

impl Load<'_> {
    fn reading(&self) -> Reading {
        let server = host::cpu_ns(self.server);
        Reading {
            at: now_ns(),
            server,
            mine: server + host::cpu_ns(self.bus) + host::cpu_ns(std::process::id()),
            busy: host::busy_ns(),
        }
    }

    /// Publishes for some seconds, then waits for what is on its way.
    pub(crate) fn run(&mut self, pace: Pace, for_s: f64) -> Result<Measured> {
        let before = mem::take(&mut self.crowd.tally);
        let gone = self.crowd.gone();
        let begin = self.reading();
        let mut published = 0;
        let (mut seen, mut moved_ns) = (0, begin.at);
        let (mut looked_ns, mut peak_kib) = (begin.at, 0);
        loop {
            self.crowd.turn(self.author)?;
            let now = now_ns();
            let delivered = self.crowd.tally.delivered;
            if delivered != seen {
                (seen, moved_ns) = (delivered, now);
            }
            if seconds(looked_ns, now) > LOOK_S {
                (looked_ns, peak_kib) = (now, peak_kib.max(host::pss_kib(self.server)));
            }
            let is_over = seconds(begin.at, now) > for_s;
            if !is_over {
                self.publish(pace, begin.at, now, &mut published, delivered);
            }
            self.nats.flush()?;
            self.nats.read(|_| {})?;
            let is_lost = seconds(moved_ns, now) > LOST_AFTER_S;
            if is_over && (delivered >= published * self.each || is_lost) || is_lost && published > 0 {
                break;
            }
        }
        let end = self.reading();
        let tally = mem::take(&mut self.crowd.tally);
        self.crowd.tally.conflate_ms = before.conflate_ms;
        self.crowd.tally.deflated = before.deflated;
        let expected = published * self.each;
        let gone = self.crowd.gone() - gone;
        let wall_s = seconds(begin.at, moved_ns);
        let cpu_us = (end.server - begin.server) as f64 / 1e3;
        let others_ns = (end.busy - begin.busy).saturating_sub(end.mine - begin.mine);
        let delivered = tally.delivered.max(1) as f64;
        Ok(Measured {
            published,
            delivered: tally.delivered,
            us_each: cpu_us / delivered,
            server_percent: cpu_us / 1e4 / wall_s,
            foreign_percent: others_ns as f64 / 1e7 / seconds(begin.at, end.at),
            per_s: delivered / wall_s,
            bytes_each: tally.bytes as f64 / delivered,
            each_read: delivered / tally.reads.max(1) as f64,
            faults: self.faults(expected, gone, &tally),
            latency: tally.latency,
            peak_kib: peak_kib.max(host::pss_kib(self.server)),
        })
    }

    fn publish(&mut self, pace: Pace, begin_ns: u64, now_ns: u64, published: &mut u64, delivered: u64) {
        match pace {
            Pace::Outstanding(window) => {
                let done = delivered / self.each;
                while (*published).saturating_sub(done) < window {
                    self.author.odds(self.nats, now_ns);
                    *published += 1;
                }
            }
            Pace::EveryNs(interval_ns) => {
                while begin_ns + *published * interval_ns <= now_ns {
                    self.author.odds(self.nats, begin_ns + *published * interval_ns);
                    *published += 1;
                }
            }
        }
    }

    fn faults(&self, expected: u64, gone: u64, tally: &crate::crowd::Tally) -> String {
        let lost = expected.saturating_sub(tally.delivered);
        let found = [
            ("lost", if self.whole { lost } else { 0 }),
            ("missed", if self.whole { tally.missed } else { 0 }),
            ("doubled", tally.doubled),
            ("cut", gone),
        ];
        let told: Vec<String> = found
            .iter()
            .filter(|(_, count)| *count > 0)
            .map(|(what, count)| format!("{count} {what}"))
            .collect();
        told.join(", ")
    }
}
