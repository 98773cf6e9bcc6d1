//! One check's way to the gateway: requests, streams, and a log of both.

use super::{
    check::{Log, Miss, skip},
    events::Events,
    judge::{answer::Answer, message::Message},
    socket::Socket,
};
use crate::connection::{Address, ConnectOptions, Error, in_full, successful};
use oddswire_kit::secret::Secret;
use reqwest::{Client, Method, Response, Url, header::HeaderMap, redirect};
use serde_json::Value;
use std::{sync::Arc, time::Duration};
use tokio::{sync::OnceCell, time::timeout};

/// The gateway that is checked, and what is known of it.
#[derive(Debug)]
pub(crate) struct Target {
    http: Client,
    /// Without HTTP/2, for what is upgraded.
    pub(crate) http1: Client,
    pub(crate) address: Address,
    /// Gateways that should continue its cursors.
    pub(crate) others: Vec<Address>,
    pub(crate) ops: Option<Address>,
    token: Option<Secret>,
    /// Time for one answer.
    pub(crate) wait: Duration,
    /// The source of which runs may be started.
    pub(crate) start: Option<String>,
    pub(crate) known: Known,
    /// What was seen of the runs that were started.
    pub(crate) record: OnceCell<Result<super::runs::Record, Miss>>,
}

/// What its first acknowledgement said.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    /// Everything that may be asked for.
    pub(crate) topics: Vec<String>,
    pub(crate) heartbeat_ms: u64,
    /// Whether it asks for tokens.
    pub(crate) is_guarded: bool,
    /// Whether it has its bus.
    pub(crate) has_bus: bool,
}

/// Of two streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    WebSocket,
    Events,
}

impl Transport {
    pub(crate) const BOTH: [Self; 2] = [Self::WebSocket, Self::Events];

    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::WebSocket => "api/ws",
            Self::Events => "api/events",
        }
    }
}

impl Target {
    /// Looks who is there.
    ///
    /// # Errors
    /// When nobody answers, or the gateway does not let this client in at all.
    pub(crate) async fn meet(options: &ConnectOptions, wait: Duration) -> Result<Self, Error> {
        let client = || {
            Client::builder()
                .connect_timeout(wait)
                .redirect(redirect::Policy::none())
                .no_gzip()
                .no_brotli()
                .user_agent(concat!("oddswire-conformance/", env!("CARGO_PKG_VERSION")))
        };
        let unable = |error: reqwest::Error| Error::Client(in_full(&error));
        let (address, others) = options
            .url
            .split_first()
            .ok_or_else(|| Error::Client("no address".into()))?;
        let mut target = Self {
            http: client().build().map_err(unable)?,
            http1: client().http1_only().build().map_err(unable)?,
            address: address.clone(),
            others: others.to_vec(),
            ops: None,
            token: options.token.clone(),
            wait,
            start: None,
            known: Known {
                topics: Vec::new(),
                heartbeat_ms: 20_000,
                is_guarded: false,
                has_bus: true,
            },
            record: OnceCell::new(),
        };
        target.look().await?;
        Ok(target)
    }

    async fn look(&mut self) -> Result<(), Error> {
        let url = self.address.join(Transport::Events.path());
        let request = self.admit(self.http.get(url)).send();
        let unreachable = |why: String| Error::Unreachable(format!("{}: {why}", self.address));
        let answer = match timeout(self.wait, request).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Err(unreachable(in_full(&error))),
            Err(_) => return Err(unreachable("no answer in time".into())),
        };
        if answer.status() == 401 {
            successful(&self.address, answer).await?;
            return Ok(());
        }
        if answer.status().is_success() {
            let mut events = Events::new(answer, Arc::default(), self.wait);
            // What is wrong with it, the checks find out.
            if let Ok(Some(ack)) = events.try_message().await {
                let topics = ack.data()["topics"].as_array().into_iter().flatten();
                self.known.topics = topics
                    .filter_map(|topic| topic.as_str().map(str::to_owned))
                    .collect();
                self.known.has_bus = !is_unavailable(&ack);
                self.known.heartbeat_ms = ack.data()["heartbeat_ms"].as_u64().unwrap_or(20_000);
            }
        }
        if self.token.is_some() {
            let bare = self
                .http
                .get(self.address.join("api/sources"))
                .timeout(self.wait)
                .send();
            self.known.is_guarded = bare.await.is_ok_and(|answer| answer.status() == 401);
        }
        Ok(())
    }

    /// The request with the token, if there is one.
    pub(crate) fn admit(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        match &self.token {
            Some(token) => request.bearer_auth(token.expose()),
            None => request,
        }
    }
}

/// Messages after which a stream is too long to be looked at.
const MESSAGES_MAX: usize = 50_000;

/// One check's way to the gateway.
#[derive(Debug, Clone)]
pub(crate) struct Probe {
    pub(crate) target: Arc<Target>,
    pub(crate) log: Arc<Log>,
}

impl Probe {
    /// Goes on only when this topic may be asked for.
    pub(crate) fn needs_topic(&self, topic: &str) -> Result<(), Miss> {
        let topics = &self.target.known.topics;
        if topics.is_empty() || topics.iter().any(|granted| granted == topic) {
            return Ok(());
        }
        skip(format!("the token does not allow {topic}"))
    }

    /// Time in which something comes on every stream that lives: 2.5 heartbeats.
    pub(crate) fn silence(&self) -> Duration {
        let heartbeats = Duration::from_millis(self.target.known.heartbeat_ms.saturating_mul(5) / 2);
        heartbeats.max(self.target.wait)
    }

    /// The address of a path with a query, at the gateway that is checked.
    pub(crate) fn url(&self, path: &str) -> Url {
        Self::url_at(&self.target.address, path)
    }

    fn url_at(address: &Address, path: &str) -> Url {
        let (path, query) = path
            .split_once('?')
            .map_or((path, None), |(path, query)| (path, Some(query)));
        let mut url = address.join(path);
        url.set_query(query);
        url
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Answer, Miss> {
        self.ask(Method::GET, path, &[], "").await
    }

    /// The JSON of an answer that has to be a success.
    pub(crate) async fn read(&self, path: &str) -> Result<Value, Miss> {
        let answer = self.get(path).await?;
        answer.judgeable()?;
        Ok(answer.json_of(200)?)
    }

    pub(crate) async fn ask(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Result<Answer, Miss> {
        let request = self.target.http.request(method.clone(), self.url(path));
        self.send(
            self.target.admit(request),
            &format!("{method} /{path}"),
            headers,
            body,
        )
        .await
    }

    /// The same without a token, or with another.
    pub(crate) async fn ask_bare(&self, path: &str, headers: &[(&str, &str)]) -> Result<Answer, Miss> {
        let request = self.target.http.get(self.url(path));
        self.send(request, &format!("GET /{path}"), headers, "").await
    }

    /// Asks the operations port.
    pub(crate) async fn ask_ops(&self, path: &str) -> Result<Answer, Miss> {
        let Some(ops) = &self.target.ops else {
            return skip("needs --ops URL");
        };
        let request = self.target.http.get(ops.join(path));
        self.send(request, &format!("GET {ops}/{path}"), &[], "").await
    }

    async fn send(
        &self,
        mut request: reqwest::RequestBuilder,
        line: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Result<Answer, Miss> {
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if !body.is_empty() {
            request = request.body(body.to_owned());
        }
        self.log.sent(&told(line, headers, body));
        let answered = async {
            let mut answer = request.send().await?;
            let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
            let mut bytes = Vec::new();
            // A stream never ends; what an answer of this size says is looked at by nobody.
            while let Some(piece) = answer.chunk().await? {
                bytes.extend_from_slice(&piece);
                if bytes.len() > 64 << 20 || is_stream(&headers) {
                    break;
                }
            }
            Ok(Answer {
                status,
                headers,
                body: String::from_utf8_lossy(&bytes).into_owned(),
            })
        };
        let answer = within(self.target.wait, answered).await?;
        self.log.came(&answer.told());
        Ok(answer)
    }

    /// Opens a stream; `query` without its `?`.
    pub(crate) async fn stream(&self, transport: Transport, query: &str) -> Result<Stream, Miss> {
        match transport {
            Transport::WebSocket => Ok(Stream::Socket(self.socket(query).await?)),
            Transport::Events => Ok(Stream::Events(self.events(query, &[]).await?)),
        }
    }

    pub(crate) async fn socket(&self, query: &str) -> Result<Socket, Miss> {
        let opened = Socket::open(self, &self.target.address, query, &[]).await?;
        Ok(opened.0)
    }

    pub(crate) async fn socket_at(&self, address: &Address, query: &str) -> Result<Socket, Miss> {
        let opened = Socket::open(self, address, query, &[]).await?;
        Ok(opened.0)
    }

    pub(crate) async fn events(&self, query: &str, headers: &[(&str, &str)]) -> Result<Events, Miss> {
        let path = format!("{}?{query}", Transport::Events.path());
        self.events_of(path.trim_end_matches('?'), headers).await
    }

    /// The events at an address that has some.
    pub(crate) async fn events_of(&self, path: &str, headers: &[(&str, &str)]) -> Result<Events, Miss> {
        let answer = self.open(path, headers).await?;
        if answer.status() == 200 {
            return Ok(Events::new(answer, Arc::clone(&self.log), self.target.wait));
        }
        let answer = self.whole(answer).await?;
        answer.judgeable()?;
        Err(Miss::Failed(format!(
            "the status is {} in place of 200",
            answer.status
        )))
    }

    /// The head of an answer whose body may never end.
    pub(crate) async fn open(&self, path: &str, headers: &[(&str, &str)]) -> Result<Response, Miss> {
        let mut request = self.target.admit(self.target.http.get(self.url(path)));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.log.sent(&told(&format!("GET /{path}"), headers, ""));
        let answer = within(self.target.wait, request.send()).await?;
        self.log
            .came(&format!("{} {}", answer.status(), head(answer.headers())));
        Ok(answer)
    }

    pub(crate) async fn whole(&self, answer: Response) -> Result<Answer, Miss> {
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let body = within(self.target.wait, answer.text()).await?;
        let answer = Answer {
            status,
            headers,
            body,
        };
        self.log.came(&answer.told());
        Ok(answer)
    }
}

/// Whether nothing is caught up before the gateway's bus is back.
pub(crate) fn is_unavailable(ack: &Message) -> bool {
    ack.kind() == "connection_ack" && ack.data()["resume"]["verdict"] == "unavailable"
}

fn is_stream(headers: &HeaderMap) -> bool {
    let kind = headers.get("content-type").and_then(|kind| kind.to_str().ok());
    kind.is_some_and(|kind| kind.starts_with("text/event-stream"))
}

fn told(line: &str, headers: &[(&str, &str)], body: &str) -> String {
    let mut told = line.to_owned();
    for (name, value) in headers {
        // A token is no business of a log.
        let value = if *name == "authorization" { "…" } else { value };
        told.extend([" ", *name, ": ", value]);
    }
    if !body.is_empty() {
        told.push(' ');
        told.push_str(body);
    }
    told
}

/// Headers as a line.
pub(crate) fn head(headers: &HeaderMap) -> String {
    let lines = headers
        .iter()
        .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())));
    lines.collect::<Vec<_>>().join(" · ")
}

/// What reqwest gives, in time.
pub(crate) async fn within<T>(
    wait: Duration,
    future: impl Future<Output = Result<T, reqwest::Error>>,
) -> Result<T, Miss> {
    match timeout(wait, future).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(Miss::Failed(in_full(&error))),
        Err(_) => Err(Miss::Failed(format!("nothing came within {} s", wait.as_secs()))),
    }
}

/// A stream over either transport.
#[derive(Debug)]
pub(crate) enum Stream {
    Socket(Socket),
    Events(Events),
}

impl Stream {
    pub(crate) async fn message(&mut self) -> Result<Message, Miss> {
        match self {
            Self::Socket(socket) => socket.message().await,
            Self::Events(events) => events.message().await,
        }
    }

    pub(crate) async fn message_within(&mut self, wait: Duration) -> Result<Message, Miss> {
        match self {
            Self::Socket(socket) => socket.message_within(wait).await,
            Self::Events(events) => events.message_within(wait).await,
        }
    }

    /// Everything up to and with the next message of this type.
    pub(crate) async fn until(&mut self, kind: &str) -> Result<Vec<Message>, Miss> {
        let mut all = Vec::new();
        loop {
            let message = self.message().await?;
            let is_it = message.kind() == kind;
            if kind == "caught_up" && is_unavailable(&message) {
                return skip("its bus is down: the verdict is unavailable");
            }
            all.push(message);
            if is_it {
                return Ok(all);
            }
            if all.len() == MESSAGES_MAX {
                return skip(format!(
                    "{MESSAGES_MAX} messages came before {kind}: too many to be looked at"
                ));
            }
        }
    }
}
