//! How the client port is guarded.

use super::{origin::Pattern, tls::TlsFiles};
use clap::Args;
use ipnet::IpNet;
use std::path::PathBuf;

/// Who may connect, and how.
#[derive(Debug, Clone, Default, Args)]
pub struct FrontOptions {
    /// The certificate chain of the client port, PEM. With it the port speaks TLS 1.2 and 1.3, HTTP/1.1 and HTTP/2. The
    /// file is looked at every 10 s and read again when it has changed.
    #[arg(long, env = "ODDSWIRE_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// Its private key, PEM: PKCS#8, PKCS#1 or SEC1.
    #[arg(long, env = "ODDSWIRE_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Origins whose pages may use this gateway besides its own: exact, such as `https://odds.example.org`, or with all
    /// names below one, `https://*.example.org`. Several are separated by commas.
    #[arg(
        long,
        env = "ODDSWIRE_ALLOW_ORIGIN",
        value_name = "ORIGIN",
        value_delimiter = ','
    )]
    pub allow_origin: Vec<Pattern>,
    /// Names by which a gateway may be called, besides localhost and addresses, where nobody needs a token or only this
    /// machine reaches it. Others are refused, for they may be names of a stranger's page that lead here.
    #[arg(long, env = "ODDSWIRE_ALLOW_HOST", value_name = "NAME", value_delimiter = ',')]
    pub allow_host: Vec<String>,
    /// Networks of proxies that are believed what they say of a client's address: X-Forwarded-For, Forwarded.
    #[arg(
        long,
        env = "ODDSWIRE_TRUST_PROXY",
        value_name = "CIDR",
        value_delimiter = ','
    )]
    pub trust_proxy: Vec<IpNet>,
    /// Proxies that a request passes before it is here, 1 to 10: the client's address is told by the first of them, and
    /// whatever a client tells itself lies beyond.
    #[arg(
        long,
        env = "ODDSWIRE_TRUST_PROXY_HOPS",
        default_value_t = 1,
        value_name = "N",
        value_parser = clap::value_parser!(u8).range(1..=10)
    )]
    pub trust_proxy_hops: u8,
}

impl FrontOptions {
    pub(super) fn tls_files(&self) -> Option<TlsFiles> {
        Some(TlsFiles {
            cert: self.tls_cert.clone()?,
            key: self.tls_key.clone()?,
        })
    }
}

/// What a gateway may hold in memory unless it is told otherwise: three quarters of a pod's limit of 1 GiB.
pub(super) const MEMORY_BYTES: u64 = 768 << 20;

/// How much clients may take. 0 switches a limit off, where it says so.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct LimitOptions {
    /// Connections in all; 0 is as many as there are descriptors for: all but 256 of them, a third of that with TLS.
    #[arg(long, env = "ODDSWIRE_CONNECTIONS_MAX", default_value_t = 0, value_name = "N")]
    pub connections_max: u32,
    /// Connections from one address (IPv6: one /64), 0 for no limit. Addresses of trusted proxies have none.
    #[arg(
        long,
        env = "ODDSWIRE_CONNECTIONS_PER_ADDRESS",
        default_value_t = 1_000,
        value_name = "N"
    )]
    pub connections_per_address: u32,
    /// Bytes that this process may hold in memory: the ring, connections, what waits for clients, answers under way; 0 for
    /// no limit. Near to it answers from the bus are refused first, then new streams, then new connections. Give a
    /// container a third more.
    #[arg(
        long,
        env = "ODDSWIRE_MEMORY_BYTES",
        default_value_t = MEMORY_BYTES,
        value_name = "BYTES"
    )]
    pub memory_bytes: u64,
    /// Tries a second to open a stream from one address (IPv6: one /64), good or bad, 0 for no limit; five times as many
    /// may come at once.
    #[arg(
        long,
        env = "ODDSWIRE_HANDSHAKES_PER_ADDRESS",
        default_value_t = 200,
        value_name = "N"
    )]
    pub handshakes_per_address: u32,
    /// Streams that are opened a second, over all clients, 0 for no limit; one second's worth may come at once. Only those
    /// count whose request and token are good.
    #[arg(
        long,
        env = "ODDSWIRE_HANDSHAKES_PER_S",
        default_value_t = 2_000,
        value_name = "N"
    )]
    pub handshakes_per_s: u32,
    /// Requests a second from one address (IPv6: one /64), 0 for no limit; twice as many may come at once.
    #[arg(
        long,
        env = "ODDSWIRE_REQUESTS_PER_S",
        default_value_t = 100,
        value_name = "N"
    )]
    pub requests_per_s: u32,
    /// Milliseconds that a TLS handshake, and the head of a request, may take, and that a connection may be silent
    /// between two requests, 100 to 120000.
    #[arg(long, env = "ODDSWIRE_HEAD_MS", default_value_t = 10_000, value_name = "MS",
          value_parser = clap::value_parser!(u64).range(100..=120_000))]
    pub head_ms: u64,
    /// Milliseconds that the body of a request may take, 100 to 120000.
    #[arg(long, env = "ODDSWIRE_BODY_MS", default_value_t = 10_000, value_name = "MS",
          value_parser = clap::value_parser!(u64).range(100..=120_000))]
    pub body_ms: u64,
    /// Requests that may be under way on one HTTP/2 connection, 1 to 1000.
    #[arg(long, env = "ODDSWIRE_H2_STREAMS_MAX", default_value_t = 100, value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub h2_streams_max: u32,
    /// Pings and pongs of a WebSocket a second, 1 to 1000; twice as many may come at once. A client that sends more is
    /// closed with 1008.
    #[arg(long, env = "ODDSWIRE_PINGS_PER_S", default_value_t = 20, value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub pings_per_s: u32,
    /// Bytes a second that are read of one connection, 4096 to 16777216, or 0 for no limit; twice as many may come at
    /// once. Nobody is refused for it: whoever sends more waits. Connections of trusted proxies have no limit, their
    /// clients' WebSockets have it.
    #[arg(long, env = "ODDSWIRE_READ_BYTES_PER_S", default_value_t = 131_072, value_name = "BYTES",
          value_parser = read_bytes_per_s)]
    pub read_bytes_per_s: u32,
}

fn read_bytes_per_s(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(bytes @ (0 | 4_096..=16_777_216)) => Ok(bytes),
        _ => Err("expected 4096 to 16777216, or 0 for no limit".into()),
    }
}

impl Default for LimitOptions {
    fn default() -> Self {
        Self {
            connections_max: 0,
            connections_per_address: 1_000,
            memory_bytes: MEMORY_BYTES,
            handshakes_per_address: 200,
            handshakes_per_s: 2_000,
            requests_per_s: 100,
            head_ms: 10_000,
            body_ms: 10_000,
            h2_streams_max: 100,
            pings_per_s: 20,
            read_bytes_per_s: 131_072,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        front: FrontOptions,
        #[command(flatten)]
        limits: LimitOptions,
    }

    #[test]
    fn defaults_are_the_same_with_and_without_a_command_line() {
        let cli = Cli::parse_from(["gateway"]);
        assert_eq!(cli.limits, LimitOptions::default());
        assert!(cli.front.tls_files().is_none());
    }

    #[test]
    fn what_is_no_origin_and_no_network_is_refused_with_a_sentence() {
        for (bad, says) in [
            ("--allow-origin=*", "* would be everybody"),
            ("--allow-origin=odds.example.org", "https://"),
            ("--trust-proxy=10.0.0.0/40", "invalid"),
            ("--tls-cert=a.pem", "--tls-key"),
        ] {
            let error = Cli::try_parse_from(["gateway", bad]).unwrap_err().to_string();
            assert!(error.contains(says), "{bad}: {error}");
        }
    }
}
