//! Where the gateways are, and requests to whichever of them answers.

use bytes::{Bytes, BytesMut};
use clap::Args;
use oddswire_kit::secret::Secret;
use oddswire_protocol::{Timestamp, problem::Problem};
use reqwest::{RequestBuilder, Response, StatusCode, Url, header::DATE};
use serde::{Deserialize, de::DeserializeOwned};
use std::{
    error::Error as _,
    fmt,
    str::FromStr,
    time::{Duration, UNIX_EPOCH},
};

/// Which gateways a command speaks to.
#[derive(Debug, Clone, Args)]
pub struct ConnectOptions {
    /// A gateway, such as `https://odds.example`. Given several times (in the environment: separated by commas), the
    /// others take over when one is gone.
    #[arg(
        long,
        env = "ODDSWIRE_URL",
        default_value = "http://127.0.0.1:8080",
        value_name = "URL",
        value_delimiter = ',',
        help_heading = "Gateway"
    )]
    pub url: Vec<Address>,
    /// A token, where gateways ask for one; better given in a file that ODDSWIRE_TOKEN_FILE names.
    #[arg(
        long,
        env = "ODDSWIRE_TOKEN",
        hide_env_values = true,
        value_name = "TOKEN",
        help_heading = "Gateway"
    )]
    pub token: Option<Secret>,
}

/// The address of a gateway: http or https, with a path that requests are put behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address(Url);

/// A text is no [`Address`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// No URL at all.
    #[error("no address like http://127.0.0.1:8080: {0}")]
    Syntax(String),
    /// One that cannot be a gateway's.
    #[error("must be http:// or https://, without user, query and fragment")]
    Kind,
}

impl FromStr for Address {
    type Err = AddressError;
    fn from_str(text: &str) -> Result<Self, AddressError> {
        let mut url = Url::parse(text).map_err(|error| AddressError::Syntax(error.to_string()))?;
        let plain = matches!(url.scheme(), "http" | "https")
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none();
        if !plain {
            return Err(AddressError::Kind);
        }
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        Ok(Self(url))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

impl Address {
    /// The address of a path below it, such as `api/odds`.
    pub(crate) fn join(&self, path: &str) -> Url {
        let mut url = self.0.clone();
        url.set_path(&format!("{}{path}", self.0.path()));
        url
    }
}

/// Why a command ended before its work was done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody is there: each address with its reason.
    #[error("no gateway answers: {0}")]
    Unreachable(String),
    /// A gateway says no, and will say so again.
    #[error("{address} refuses: {detail} ({code})")]
    Refused {
        /// Which one.
        address: String,
        /// The HTTP status.
        status: u16,
        /// The stable word of its problem document, else of the status.
        code: String,
        /// Its sentence for a person.
        detail: String,
        /// What else it says.
        members: serde_json::Map<String, serde_json::Value>,
    },
    /// An answer that is not what the protocol says: this is no gateway, or one of another age.
    #[error("{address} answers what is not understood: {detail}")]
    Strange {
        /// Which one.
        address: String,
        /// What is wrong with it.
        detail: String,
    },
    /// The client itself could not be made, as without certificates to trust.
    #[error("cannot speak HTTP: {0}")]
    Client(String),
    /// Standard output, the terminal, or a file cannot be written.
    #[error("cannot write")]
    Output(#[from] std::io::Error),
}

impl Error {
    /// What a process ends with: 69 when nobody answers (sysexits.h's EX_UNAVAILABLE), 141 when nobody reads what it
    /// writes any more (what a shell says of SIGPIPE), else 1.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Unreachable(_) => 69,
            Self::Output(error) if error.kind() == std::io::ErrorKind::BrokenPipe => 141,
            _ => 1,
        }
    }

    /// Whether nobody is left to be told.
    pub fn is_silent(&self) -> bool {
        self.exit_code() == 141
    }
}

/// Time for a connection to come about.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// Time for an answer that is no stream.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);
/// Time for what is shown only if it is there.
const LOOK_WITHIN: Duration = Duration::from_secs(2);

/// Gateways, any of which will do.
#[derive(Debug, Clone)]
pub(crate) struct Gateways {
    http: reqwest::Client,
    addresses: Vec<Address>,
    token: Option<Secret>,
}

impl Gateways {
    pub(crate) fn new(options: &ConnectOptions) -> Result<Self, Error> {
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_WITHIN)
            .user_agent(concat!("oddswire/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| Error::Client(in_full(&error)))?;
        Ok(Self {
            http,
            addresses: options.url.clone(),
            token: options.token.clone(),
        })
    }

    pub(crate) fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// A request to one of them.
    pub(crate) fn get(&self, address: &Address, path: &str, query: &[(&str, String)]) -> RequestBuilder {
        self.admit(self.http.get(address.join(path)).query(query))
    }

    fn admit(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.token {
            Some(token) => request.bearer_auth(token.expose()),
            None => request,
        }
    }

    /// An answer from whichever is there.
    ///
    /// # Errors
    /// When nobody answers, or one refuses.
    pub(crate) async fn read(&self, path: &str, query: &[(&str, String)]) -> Result<Answer, Error> {
        self.ask(|address| self.get(address, path, query)).await
    }

    /// The same, understood.
    pub(crate) async fn read_as<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<T, Error> {
        self.read(path, query).await?.understood()
    }

    /// Sends a command. It goes to a second gateway only when it surely did not come to the first.
    pub(crate) async fn post_as<T: DeserializeOwned>(&self, path: &str, body: String) -> Result<T, Error> {
        self.post(path, body).await?.understood()
    }

    /// The same; a refusal of this code is an answer as well, whose members tell.
    pub(crate) async fn post_or<T: DeserializeOwned>(
        &self,
        path: &str,
        body: String,
        code: &str,
    ) -> Result<T, Error> {
        match self.post(path, body).await {
            Err(Error::Refused {
                address,
                code: said,
                members,
                ..
            }) if said == code => serde_json::from_value(members.into()).map_err(|error| Error::Strange {
                address,
                detail: error.to_string(),
            }),
            answer => answer?.understood(),
        }
    }

    /// Whether an address that asks for no token answers with success, and what it says.
    pub(crate) async fn look(&self, address: &Address, path: &str) -> Option<(bool, String)> {
        let request = self.http.get(address.join(path)).timeout(LOOK_WITHIN);
        let answer = request.send().await.ok()?;
        let is_success = answer.status().is_success();
        let bytes = body(answer, ANSWER_BYTES_MAX).await.unwrap_or_default();
        Some((is_success, String::from_utf8_lossy(&bytes).into_owned()))
    }

    async fn post(&self, path: &str, body: String) -> Result<Answer, Error> {
        self.ask(|address| self.admit(self.http.post(address.join(path)).body(body.clone())))
            .await
    }

    async fn ask(&self, request: impl Fn(&Address) -> RequestBuilder) -> Result<Answer, Error> {
        let mut reasons = Vec::new();
        for address in &self.addresses {
            match request(address).timeout(ANSWER_WITHIN).send().await {
                Ok(answer) => {
                    let answer = successful(address, answer).await?;
                    let clock = Clock::of(&answer);
                    let bytes = body(answer, ANSWER_BYTES_MAX)
                        .await
                        .map_err(|why| Error::Unreachable(format!("{address}: {why}")))?;
                    return Ok(Answer {
                        address: address.to_string(),
                        clock,
                        bytes,
                    });
                }
                Err(error) => {
                    reasons.push(format!("{address}: {}", in_full(&error)));
                    if !error.is_connect() {
                        break;
                    }
                }
            }
        }
        Err(Error::Unreachable(reasons.join("; ")))
    }
}

/// What a gateway answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) address: String,
    pub(crate) clock: Clock,
    bytes: Bytes,
}

impl Answer {
    pub(crate) fn understood<'a, T: Deserialize<'a>>(&'a self) -> Result<T, Error> {
        serde_json::from_slice(&self.bytes).map_err(|error| self.strange(&error))
    }

    pub(crate) fn strange(&self, error: &serde_json::Error) -> Error {
        Error::Strange {
            address: self.address.clone(),
            detail: error.to_string(),
        }
    }
}

/// How a gateway's clock differs from this machine's, which nobody knows.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Clock {
    ahead_ms: i64,
}

impl Clock {
    /// By the answer's `Date`, which has whole seconds: less than that is no difference.
    fn of(answer: &Response) -> Self {
        let date = answer.headers().get(DATE).and_then(|date| date.to_str().ok());
        let date = date.and_then(|date| httpdate::parse_http_date(date).ok());
        let ms = date.and_then(|date| date.duration_since(UNIX_EPOCH).ok());
        let ahead_ms = ms.map_or(0, |ms| {
            i64::try_from(ms.as_millis()).unwrap_or(i64::MAX) - Timestamp::now().unix_ms()
        });
        Self {
            ahead_ms: if ahead_ms.abs() <= 2_000 { 0 } else { ahead_ms },
        }
    }

    pub(crate) fn now(self) -> Timestamp {
        Timestamp::now().plus_ms(self.ahead_ms)
    }
}

/// The answer, unless it is a refusal.
pub(crate) async fn successful(address: &Address, answer: Response) -> Result<Response, Error> {
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    let body = body(answer, PROBLEM_BYTES_MAX).await.unwrap_or_default();
    Err(refused(address, status, &body))
}

/// Bytes of an answer above which it is none of a gateway: the largest page of the board has some 5 MiB.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// The same of a problem document.
const PROBLEM_BYTES_MAX: usize = 64 << 10;

/// The body of an answer, which must have an end within so many bytes; or why it cannot be had.
async fn body(mut answer: Response, max: usize) -> Result<Bytes, String> {
    let mut bytes = BytesMut::new();
    while let Some(piece) = answer.chunk().await.map_err(|error| in_full(&error))? {
        if bytes.len() + piece.len() > max {
            return Err(format!(
                "the answer has more than {max} bytes: is that a gateway?"
            ));
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes.freeze())
}

fn refused(address: &Address, status: StatusCode, body: &[u8]) -> Error {
    let (code, detail, members) = match serde_json::from_slice::<Problem>(body) {
        Ok(problem) => (problem.code, problem.detail, problem.members),
        Err(_) => (
            status.as_u16().to_string(),
            status.canonical_reason().unwrap_or("no success").to_owned(),
            serde_json::Map::new(),
        ),
    };
    Error::Refused {
        address: address.to_string(),
        status: status.as_u16(),
        code,
        detail,
        members,
    }
}

/// What an error says, and what is behind it: reqwest's own sentence is without the reason.
pub(crate) fn in_full(error: &reqwest::Error) -> String {
    let mut last = None;
    let mut source = error.source();
    while let Some(inner) = source {
        last = Some(inner.to_string());
        source = inner.source();
    }
    match last {
        Some(reason) => reason,
        None if error.is_timeout() => "no answer in time".to_owned(),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};

    #[test]
    fn requests_go_below_the_path_of_an_address() {
        for (address, url) in [
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080/api/odds"),
            ("https://example.test/odds", "https://example.test/odds/api/odds"),
            ("https://example.test/odds/", "https://example.test/odds/api/odds"),
        ] {
            let address: Address = address.parse().unwrap();
            assert_eq!(address.join("api/odds").as_str(), url);
        }
    }

    #[test]
    fn what_is_no_gateways_address_is_refused_before_anything_is_sent() {
        for text in [
            "127.0.0.1:8080",
            "nats://127.0.0.1:4222",
            "http://ann:secret@example.test",
            "http://example.test/?a=b",
            "",
        ] {
            assert!(text.parse::<Address>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_refusal_says_what_the_problem_document_says() {
        let problem = Problem::new(401, "token_expired", "expired", "The token's time is over.");
        let body = serde_json::to_vec(&problem).unwrap();
        let address = "http://g.test".parse().unwrap();
        let error = refused(&address, StatusCode::UNAUTHORIZED, &body);
        assert_eq!(
            error.to_string(),
            "http://g.test refuses: The token's time is over. (token_expired)"
        );
        let error = refused(&address, StatusCode::BAD_GATEWAY, b"<html>");
        assert_eq!(error.to_string(), "http://g.test refuses: Bad Gateway (502)");
    }

    #[tokio::test]
    async fn an_answer_without_end_is_given_up() {
        oddswire_kit::tls::install_provider();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            // An answer before the request is a fault of its own.
            let _ = stream.read(&mut [0; 4096]).unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
            // Until the client hangs up.
            while stream.write_all(&[b' '; 8192]).is_ok() {}
        });
        let answer = reqwest::get(format!("http://{address}/")).await.unwrap();
        let why = body(answer, 1 << 20).await.unwrap_err();
        assert!(why.contains("more than 1048576 bytes"), "{why}");
        tokio::task::spawn_blocking(move || server.join().unwrap())
            .await
            .unwrap();
    }
}
