//! How a gateway is configured.

use crate::auth::{AuthOptions, Problem};
use crate::front::{FrontOptions, LimitOptions, PROCESS_BYTES};
use crate::http::Page;
use clap::Args;
use oddswire_kit::bus::BusOptions;
use std::{net::SocketAddr, path::PathBuf};

/// What is left for clients at least.
const CLIENTS_BYTES_MIN: u64 = 32 << 20;

/// A gateway's configuration.
#[derive(Debug, Clone, Args)]
pub struct GatewayOptions {
    /// The bus.
    #[command(flatten)]
    pub bus: BusOptions,
    /// Who may do what.
    #[command(flatten)]
    pub auth: AuthOptions,
    /// Where clients connect.
    #[arg(
        long,
        env = "ODDSWIRE_LISTEN",
        default_value = "127.0.0.1:8080",
        value_name = "ADDRESS"
    )]
    pub listen: SocketAddr,
    /// Who may connect, and how.
    #[command(flatten)]
    pub front: FrontOptions,
    /// How much clients may take.
    #[command(flatten)]
    pub limits: LimitOptions,
    /// Where operators look: /livez, /readyz, /metrics.
    #[arg(
        long,
        env = "ODDSWIRE_OPS_LISTEN",
        default_value = "127.0.0.1:8081",
        value_name = "ADDRESS"
    )]
    pub ops_listen: SocketAddr,
    /// A folder with a page to serve at / in place of the one in this binary: what `npm run build` makes.
    #[arg(
        long,
        env = "ODDSWIRE_UI_DIR",
        value_name = "FOLDER",
        conflicts_with = "no_ui"
    )]
    pub ui_dir: Option<PathBuf>,
    /// Serve no page at /, only the API.
    #[arg(long, env = "ODDSWIRE_NO_UI")]
    pub no_ui: bool,
    /// Milliseconds between heartbeats to each client, 1000 to 60000.
    #[arg(long, env = "ODDSWIRE_HEARTBEAT_MS", default_value_t = 20_000, value_name = "MS",
          value_parser = clap::value_parser!(u64).range(1_000..=60_000))]
    pub heartbeat_ms: u64,
    /// Milliseconds that a feed is still listened to after its last client left, 0 to 600000.
    #[arg(long, env = "ODDSWIRE_LINGER_MS", default_value_t = 20_000, value_name = "MS",
          value_parser = clap::value_parser!(u64).range(0..=600_000))]
    pub linger_ms: u64,
    /// Bytes of recent events kept in memory for clients that come back or are slow, at least 1 MiB.
    #[arg(long, env = "ODDSWIRE_RING_BYTES", default_value_t = 64 << 20, value_name = "BYTES",
          value_parser = clap::value_parser!(u64).range(1 << 20..))]
    pub ring_bytes: u64,
    /// Milliseconds after which a client is closed that takes no bytes, or answers no ping, 1000 to 600000.
    #[arg(long, env = "ODDSWIRE_PATIENCE_MS", default_value_t = 60_000, value_name = "MS",
          value_parser = clap::value_parser!(u64).range(1_000..=600_000))]
    pub patience_ms: u64,
    /// Bytes that may wait for one slow client, 64 KiB at least, before odds are conflated for it.
    #[arg(long, env = "ODDSWIRE_CLIENT_BYTES", default_value_t = 1 << 20, value_name = "BYTES",
          value_parser = clap::value_parser!(u64).range(64 << 10..))]
    pub client_bytes: u64,
    /// Threads that write to clients, 1 to 64; 0 is one for each core.
    #[arg(long, env = "ODDSWIRE_SHARDS", default_value_t = 0, value_name = "N",
          value_parser = clap::value_parser!(u8).range(0..=64))]
    pub shards: u8,
    /// Milliseconds after which a connection is asked to come back, 0 for never; each gets 80 to 100 percent of it.
    #[arg(long, env = "ODDSWIRE_LIFETIME_MS", default_value_t = 0, value_name = "MS",
          value_parser = clap::value_parser!(u64).range(0..))]
    pub lifetime_ms: u64,
    /// Topics that a connection may have, 1 to 1000.
    #[arg(long, env = "ODDSWIRE_TOPICS_MAX", default_value_t = 100, value_name = "N",
          value_parser = clap::value_parser!(u16).range(1..=1_000))]
    pub topics_max: u16,
    /// Bytes in one message of a client, 1024 to 1048576.
    #[arg(long, env = "ODDSWIRE_MESSAGE_BYTES_MAX", default_value_t = 64 << 10, value_name = "BYTES",
          value_parser = clap::value_parser!(u32).range(1 << 10..=1 << 20))]
    pub message_bytes_max: u32,
    /// Messages of a client a second, 1 to 1000; twice as many may come at once.
    #[arg(long, env = "ODDSWIRE_MESSAGES_PER_S", default_value_t = 20, value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub messages_per_s: u32,
    /// Milliseconds after a stop signal in which new clients are still taken, while balancers notice that this gateway is
    /// not ready any more, 0 to 600000.
    #[arg(
        long,
        env = "ODDSWIRE_DRAIN_DELAY_MS",
        default_value_t = 5_000,
        value_name = "MS",
        value_parser = clap::value_parser!(u64).range(0..=600_000)
    )]
    pub drain_delay_ms: u64,
    /// Milliseconds from a stop signal to the end, at most, 0 to 600000. Clients are closed one by one in what the drain
    /// delay leaves of it.
    #[arg(long, env = "ODDSWIRE_GRACE_MS", default_value_t = 25_000, value_name = "MS",
          value_parser = clap::value_parser!(u64).range(0..=600_000))]
    pub grace_ms: u64,
}

impl GatewayOptions {
    /// Which page is served.
    pub(crate) fn page(&self) -> Page {
        match &self.ui_dir {
            _ if self.no_ui => Page::Off,
            Some(folder) => Page::Folder(folder.clone()),
            None => Page::Compiled,
        }
    }

    /// Options that cannot be meant together.
    pub(crate) fn contradictions(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut must = |holds: bool, option, what: String| {
            if !holds {
                problems.push(Problem { option, what });
            }
        };
        must(
            self.listen != self.ops_listen || self.listen.port() == 0,
            "--ops-listen",
            format!(
                "{} is where clients connect: give operators a port of their own",
                self.listen
            ),
        );
        must(
            self.ui_dir
                .as_ref()
                .is_none_or(|folder| folder.join("index.html").is_file()),
            "--ui-dir",
            "there is no index.html in this folder: name the one that the page was built into".to_owned(),
        );
        let needed = (PROCESS_BYTES + CLIENTS_BYTES_MIN).saturating_add(self.ring_bytes);
        must(
            self.limits.memory_bytes == 0 || self.limits.memory_bytes >= needed,
            "--memory-bytes",
            format!(
                "{} bytes are too few: without clients this gateway holds {} and its ring {} (--ring-bytes), and clients \
                 need {} at least; give it {needed}",
                self.limits.memory_bytes, PROCESS_BYTES, self.ring_bytes, CLIENTS_BYTES_MIN
            ),
        );
        must(
            self.grace_ms >= self.drain_delay_ms,
            "--grace-ms",
            format!(
                "{} ms end before the drain delay of {} ms does: every client would be cut off",
                self.grace_ms, self.drain_delay_ms
            ),
        );
        problems
    }

    /// That everybody is let in.
    pub(crate) fn unguarded(&self) -> Problem {
        let what = format!(
            "{} can be reached from other machines, and nobody would be asked for a token: name a key \
             (--auth-key-file, --auth-secret-file or --auth-jwks-url, see docs/auth.md), listen on 127.0.0.1, or say \
             --insecure-no-auth",
            self.listen
        );
        Problem {
            option: "--listen",
            what,
        }
    }
}
