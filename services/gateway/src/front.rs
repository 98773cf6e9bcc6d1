//! The front of the client port: who may come in, from where, and how many. It decides, and knows no sockets but for
//! TLS.
//!
//! Every limit has an answer of its own and is counted. What is counted is given back when the last holder of a
//! visitor is gone: a connection's task, a request, a stream.

mod address;
mod answers;
mod authority;
mod backlog;
mod memory;
mod options;
mod origin;
mod rates;
mod refusals;
mod relay;
mod shares;
mod tls;

pub use options::{FrontOptions, LimitOptions};
pub use origin::{BadPattern, Pattern};
pub use tls::TlsError;

pub(crate) use answers::Answer;
use backlog::Backlogs;
pub(crate) use backlog::{Backlog, Held, PIECE_BYTES};
pub(crate) use memory::PROCESS_BYTES;
pub(crate) use rates::Bucket;
pub(crate) use refusals::Refusals;
pub use refusals::Refused;
pub(crate) use relay::{pair, relay};
pub(crate) use tls::Tls;

use crate::{metrics::Metrics, progress::SharedProgress, trial::Trial};
use address::{client_of, is_trusted, key_of};
use answers::Answers;
use authority::Destination;
use hyper::{
    HeaderMap, Method, Version,
    http::{
        HeaderName, Uri,
        header::{ACCESS_CONTROL_REQUEST_METHOD, HOST, HeaderValue, ORIGIN},
    },
};
use ipnet::IpNet;
use memory::Wish;
use oddswire_kit::descriptors;
use origin::{Whose, is_local_name, whose};
use prometheus_client::metrics::gauge::Gauge;
use rates::{NoSeat, Rates, Seat, Seats};
use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio_util::sync::CancellationToken;

/// The longest target of a request.
pub(crate) const TARGET_BYTES_MAX: usize = 8 * 1024;
/// After so many requests an HTTP/1.1 connection is closed, so that a balancer can move its client.
pub(crate) const REQUESTS_PER_CONNECTION: u32 = 1_000;
/// Descriptors that are no clients': the bus, the log, files, and connections that are being refused.
const DESCRIPTORS_KEPT: u64 = 256;
/// What a client with TLS takes: its socket, and a pair.
const DESCRIPTORS_TLS: u64 = 3;

/// The rules in force.
#[derive(Debug)]
struct Rules {
    origins: Vec<Pattern>,
    hosts: Vec<String>,
    trusted: Vec<IpNet>,
    proxy_hops: usize,
    /// Whether clients need tokens. Without them a name is all that a page has to come by.
    needs_tokens: bool,
    limits: LimitOptions,
    connections: usize,
}

impl Rules {
    fn new(options: &FrontOptions, limits: &LimitOptions, needs_tokens: bool) -> Self {
        let each = if options.tls_cert.is_some() {
            DESCRIPTORS_TLS
        } else {
            1
        };
        let possible = descriptors::raise().saturating_sub(DESCRIPTORS_KEPT).max(1) / each;
        let connections = match limits.connections_max {
            0 => usize::try_from(possible).unwrap_or(usize::MAX),
            wanted => usize::try_from(wanted).unwrap_or(usize::MAX),
        };
        Self {
            origins: options.allow_origin.clone(),
            hosts: options.allow_host.clone(),
            trusted: options.trust_proxy.clone(),
            proxy_hops: usize::from(options.trust_proxy_hops.max(1)),
            needs_tokens,
            limits: limits.clone(),
            connections,
        }
    }
}

/// The front.
#[derive(Debug)]
pub struct Front {
    rules: RwLock<Arc<Rules>>,
    /// Whether the port is this machine's alone, so that pages could only come to it by a trick with names.
    is_local: bool,
    tls: Option<Tls>,
    seats: Arc<Seats>,
    handshakes: Mutex<Bucket>,
    tries: Mutex<Rates>,
    requests: Mutex<Rates>,
    refusals: Refusals,
    answers: Arc<Answers>,
    trial: Trial,
    metrics: Arc<Metrics>,
}

/// Looks whether the certificate, if one is named, can be used.
///
/// # Errors
/// Why not.
pub fn check(options: &FrontOptions) -> Result<(), TlsError> {
    options.tls_files().map(Tls::new).transpose().map(|_| ())
}

/// A connection, or one stream on it: where it comes from, and the seats that it takes.
#[derive(Debug, Clone)]
pub(crate) struct Visitor {
    peer: IpAddr,
    /// Who it is as far as limits go.
    pub(crate) address: IpAddr,
    /// Whether requests share the connection.
    is_shared: bool,
    /// Whether a browser says that a page of the host that was asked sends this. A cookie, which comes along whoever
    /// makes the browser send it, counts only then.
    pub(crate) is_own_page: bool,
    /// The address that it is limited by; none for a proxy that is trusted.
    counted: Option<IpAddr>,
    requests: Arc<AtomicU32>,
    backlogs: Arc<Backlogs>,
    _seat: Arc<Seat>,
    /// What this stream takes besides.
    stream: Option<Arc<Seat>>,
    /// What the client takes, where somebody else holds its socket.
    relay: Option<SharedProgress>,
}

impl Visitor {
    /// The same on a connection that carries many requests at once.
    pub(crate) fn shared(mut self) -> Self {
        self.is_shared = true;
        self
    }

    /// The same behind a relay, which sees what the client takes.
    pub(crate) fn relayed(mut self, progress: SharedProgress) -> Self {
        self.relay = Some(progress);
        self
    }

    /// Whether its relay sees it take bytes, but not all that was written to it.
    pub(crate) fn is_slow_at_relay(&self, patience: Duration) -> bool {
        let relay = self.relay.as_ref();
        relay.is_some_and(|progress| progress.lock().is_slow(patience))
    }

    /// Waits until no answer was under way on the connection for as long as this.
    pub(crate) async fn idle_for(&self, limit: Duration) {
        self.backlogs.idle_for(limit).await;
    }
}

/// A request, as far as the front looks at it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) method: &'a Method,
    pub(crate) version: Version,
    pub(crate) uri: &'a Uri,
    pub(crate) headers: &'a HeaderMap,
}

/// What was decided about a request.
#[derive(Debug)]
pub(crate) struct Judged {
    pub(crate) entry: Result<Entry, Refused>,
    /// The origin that may read the answer, be it a refusal.
    pub(crate) cors: Option<HeaderValue>,
    /// Whether the connection ends with it.
    pub(crate) is_last: bool,
}

/// A request that may go on.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) visitor: Visitor,
    /// Whether a browser asks whether a page that is allowed may ask.
    pub(crate) is_preflight: bool,
}

impl Front {
    /// A front for `listen`; `needs_tokens` says whether clients have to bring tokens.
    ///
    /// # Errors
    /// When the certificate cannot be used.
    pub fn new(
        options: &FrontOptions,
        limits: &LimitOptions,
        needs_tokens: bool,
        listen: SocketAddr,
        metrics: Arc<Metrics>,
    ) -> Result<Self, TlsError> {
        let rules = Arc::new(Rules::new(options, limits, needs_tokens));
        Ok(Self {
            is_local: listen.ip().to_canonical().is_loopback(),
            tls: options.tls_files().map(Tls::new).transpose()?,
            seats: Arc::new(Seats::new(metrics.connections.clone())),
            handshakes: Mutex::new(Bucket::new(f64::from(limits.handshakes_per_s))),
            tries: Mutex::default(),
            requests: Mutex::default(),
            refusals: Refusals::default(),
            answers: Arc::default(),
            trial: Trial::default(),
            rules: RwLock::new(rules),
            metrics,
        })
    }

    /// Puts other origins, names, proxies and limits in force, for whoever comes from now on. TLS is not switched on or
    /// off by it; its files are read again when they change.
    pub fn reload(&self, options: &FrontOptions, limits: &LimitOptions, needs_tokens: bool) {
        let rules = Arc::new(Rules::new(options, limits, needs_tokens));
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = rules;
    }

    /// Where the bytes are counted that wait for clients.
    pub(crate) fn waiting(&self) -> &Gauge {
        &self.metrics.queue_bytes
    }

    /// How many connections there may be, and how many descriptors the process has.
    pub fn room(&self) -> (usize, u64) {
        (self.rules().connections, descriptors::raise())
    }

    /// Keeps the certificate fresh.
    pub async fn keep_fresh(&self, stop: CancellationToken) {
        match &self.tls {
            Some(tls) => tls.keep_fresh(stop).await,
            None => stop.cancelled().await,
        }
    }

    pub(crate) fn tls(&self) -> Option<&Tls> {
        self.tls.as_ref()
    }

    fn rules(&self) -> Arc<Rules> {
        Arc::clone(&self.rules.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// How long a handshake, a head and the silence before it may take.
    pub(crate) fn head_within(&self) -> Duration {
        Duration::from_millis(self.rules().limits.head_ms)
    }

    /// How long a body may take.
    pub(crate) fn body_within(&self) -> Duration {
        Duration::from_millis(self.rules().limits.body_ms)
    }

    pub(crate) fn h2_streams_max(&self) -> u32 {
        self.rules().limits.h2_streams_max
    }

    pub(crate) fn pings_per_s(&self) -> u32 {
        self.rules().limits.pings_per_s
    }

    /// How many bytes a second are read of one connection; 0: as many as come.
    pub(crate) fn read_bytes_per_s(&self) -> u32 {
        self.rules().limits.read_bytes_per_s
    }

    /// Whether a connection is a trusted proxy's, and so that of many clients.
    pub(crate) fn is_by_proxy(&self, visitor: &Visitor) -> bool {
        is_trusted(visitor.peer, &self.rules().trusted)
    }

    /// Counts somebody who was refused.
    pub(crate) fn count(&self, refused: Refused) -> Refused {
        self.metrics.refuse(refused);
        refused
    }

    /// Takes a connection in.
    pub(crate) fn arrive(&self, peer: SocketAddr) -> Result<Visitor, Refused> {
        let rules = self.rules();
        let peer = peer.ip().to_canonical();
        let counted = (!is_trusted(peer, &rules.trusted)).then_some(key_of(peer));
        let address = counted.map(|address| (address, rules.limits.connections_per_address));
        let seat = self.seat(Some(rules.connections), address)?;
        self.room_for(&rules, Wish::Connection)?;
        Ok(Visitor {
            peer,
            address: key_of(peer),
            is_shared: false,
            is_own_page: false,
            counted,
            requests: Arc::default(),
            backlogs: Arc::default(),
            _seat: Arc::new(seat),
            stream: None,
            relay: None,
        })
    }

    fn seat(&self, max: Option<usize>, address: Option<(IpAddr, u32)>) -> Result<Seat, Refused> {
        self.seats.take(max, address).map_err(|none| {
            self.count(match none {
                NoSeat::Full => Refused::Full,
                NoSeat::AddressFull => Refused::AddressFull,
            })
        })
    }

    /// Judges a request. It is spent from what its address may ask for, whatever becomes of it.
    pub(crate) fn judge(&self, visitor: &Visitor, asked: Asked<'_>) -> Judged {
        let rules = self.rules();
        let is_by_proxy = is_trusted(visitor.peer, &rules.trusted);
        let asked_for = Destination::of(asked, is_by_proxy);
        let host = asked_for.as_ref().ok().and_then(Destination::host);
        let origin = asked.headers.get(ORIGIN);
        let whose = origin.map(|origin| whose(origin.to_str().unwrap_or_default(), host, &rules.origins));
        let told = client_of(visitor.peer, asked.headers, &rules.trusted, rules.proxy_hops);
        let client = told.unwrap_or(visitor.peer);
        let mut asking = visitor.clone();
        asking.address = key_of(client);
        // Only what a proxy asks for itself has no limit, such as its health checks.
        asking.counted = (!is_by_proxy || told.is_some()).then_some(asking.address);
        asking.is_own_page = is_own_page(asked, whose);
        let judged = self
            .spend(&rules, &asking, asked)
            .and_then(|()| self.judge_by(&rules, asking, asked, asked_for, whose));
        if let Err(refused) = judged {
            self.tell(refused, client, Some(asked));
        }
        let cors = origin.filter(|_| whose == Some(Whose::Allowed)).cloned();
        Judged {
            entry: judged.map(|visitor| Entry {
                visitor,
                is_preflight: cors.is_some() && is_preflight(asked),
            }),
            cors,
            is_last: visitor.requests.fetch_add(1, Relaxed) + 1 >= REQUESTS_PER_CONNECTION,
        }
    }

    /// Logs that somebody was refused, and why; seldom, however many come. Never a query: it may have a ticket in it.
    pub(crate) fn tell(&self, refused: Refused, client: IpAddr, asked: Option<Asked<'_>>) {
        let Some(left_out) = self.refusals.due(refused.word()) else {
            return;
        };
        let header = |name: HeaderName| asked.and_then(|asked| asked.headers.get(name)).map(shown);
        let path = asked.map(|asked| asked.uri.path().chars().take(SHOWN_CHARS_MAX).collect::<String>());
        tracing::info!(
            reason = refused.word(),
            %client,
            path,
            host = header(HOST),
            origin = header(ORIGIN),
            left_out,
            "a client was refused; {}",
            refused.advice()
        );
    }

    fn judge_by(
        &self,
        rules: &Rules,
        mut visitor: Visitor,
        asked: Asked<'_>,
        asked_for: Result<Destination, Refused>,
        whose: Option<Whose>,
    ) -> Result<Visitor, Refused> {
        let asked_for = asked_for.map_err(|refused| self.count(refused))?;
        if asked
            .uri
            .path_and_query()
            .is_some_and(|target| target.as_str().len() > TARGET_BYTES_MAX)
        {
            return Err(self.count(Refused::Target));
        }
        let is_by_proxy = is_trusted(visitor.peer, &rules.trusted);
        let checks_names = !rules.needs_tokens || (self.is_local && !is_by_proxy);
        if checks_names && !asked_for.all(|name| is_local_name(name, &rules.hosts)) {
            return Err(self.count(Refused::Host));
        }
        let is_stream = is_stream(asked.uri.path());
        let changes = !matches!(*asked.method, Method::GET | Method::HEAD);
        if whose == Some(Whose::Foreign) && (is_stream || changes) {
            return Err(self.count(Refused::Origin));
        }
        if !is_stream {
            return Ok(visitor);
        }
        self.room_for(rules, Wish::Stream)?;
        let max = visitor.is_shared.then_some(rules.connections);
        let address = visitor
            .counted
            .filter(|_| visitor.is_shared || is_by_proxy)
            .map(|address| (address, rules.limits.connections_per_address));
        if max.is_some() || address.is_some() {
            visitor.stream = Some(Arc::new(self.seat(max, address)?));
        }
        Ok(visitor)
    }
}

/// What is shown of a text that a client wrote.
const SHOWN_CHARS_MAX: usize = 200;

fn shown(value: &HeaderValue) -> String {
    let text = String::from_utf8_lossy(value.as_bytes());
    text.chars().take(SHOWN_CHARS_MAX).collect()
}

/// Whether a browser says that a page of the host that was asked sends this. It leaves `Origin` out of simple requests to
/// the page's own host, and says so in another header.
fn is_own_page(asked: Asked<'_>, whose: Option<Whose>) -> bool {
    let by_site = || {
        let site = asked.headers.get("sec-fetch-site");
        site.is_some_and(|site| site == "same-origin")
    };
    whose.map_or_else(by_site, |whose| whose == Whose::Own)
}

fn is_preflight(asked: Asked<'_>) -> bool {
    *asked.method == Method::OPTIONS
        && asked.headers.contains_key(ORIGIN)
        && asked.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// Whether what is at a path goes on until somebody hangs up.
fn is_stream(path: &str) -> bool {
    let of_run = || {
        path.strip_prefix("/api/scrapes/")
            .is_some_and(|rest| rest.ends_with("/events"))
    };
    matches!(path, "/api/ws" | "/api/events") || of_run()
}

#[cfg(test)]
mod tests;
