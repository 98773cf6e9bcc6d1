//! The spans that processes export: one trace over all of them, at a collector that is there, or not.
#![expect(
    clippy::unwrap_used,
    reason = "a panic is how a test fails, in its helper functions too"
)]

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    trace::v1::{Span, span::SpanKind},
};
use prost::Message as _;
use std::{
    collections::BTreeSet,
    net::TcpListener as StdListener,
    process::Stdio,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    process::{Child, Command},
    task::JoinSet,
    time::{sleep, timeout},
};

/// Whatever is waited for comes within this time.
const PATIENCE: Duration = Duration::from_secs(60);
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";
/// The same caller's, who does not want it to be kept.
const UNKEPT: &str = "5bf92f3577b34da6a3ce929d0e0e4737";

async fn until(what: &str, mut ask: impl AsyncFnMut() -> bool) {
    let asked = async {
        while !ask().await {
            sleep(Duration::from_millis(50)).await;
        }
    };
    assert!(
        timeout(PATIENCE, asked).await.is_ok(),
        "waited in vain for {what}"
    );
}

/// What came, each span with the name of its service.
type Taken = Arc<Mutex<Vec<(String, Span)>>>;

/// Takes spans over HTTP, as a collector does.
async fn collect(listener: TcpListener, taken: Taken) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(take_all(stream, Arc::clone(&taken)));
    }
}

async fn take_all(stream: TcpStream, taken: Taken) {
    let mut stream = BufReader::new(stream);
    loop {
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
                return;
            }
            if line == "\r\n" {
                break;
            }
            head.push(line.trim().to_lowercase());
        }
        assert_eq!(head[0], "post /v1/traces http/1.1");
        assert!(
            head.contains(&"content-type: application/x-protobuf".to_owned()),
            "{head:?}"
        );
        let length = head.iter().find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.unwrap().parse().unwrap()];
        stream.read_exact(&mut body).await.unwrap();
        let request = ExportTraceServiceRequest::decode(body.as_slice()).unwrap();
        for resource in request.resource_spans {
            let service = format!("{:?}", resource.resource);
            let names = ["oddswire-gateway", "oddswire-scraper"];
            let name = names.into_iter().find(|name| service.contains(name)).unwrap();
            let spans = resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
            let mut taken = taken.lock().unwrap();
            taken.extend(spans.map(|span| (name.to_owned(), span)));
        }
        let answer = "HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n";
        stream.write_all(answer.as_bytes()).await.unwrap();
    }
}

/// One at a time: two that begin at the same moment would both find the demo site's usual port free.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Everything on this machine, a process each.
struct Dev {
    _alone: tokio::sync::MutexGuard<'static, ()>,
    child: Child,
    url: String,
    said: Arc<Mutex<String>>,
    listening: JoinSet<()>,
}

impl Dev {
    async fn start(collector: &str) -> Self {
        oddswire_kit::tls::install_provider();
        let alone = ALONE.lock().await;
        let port = oddswire_kit::ports::free(3).unwrap();
        let sources = concat!(env!("CARGO_MANIFEST_DIR"), "/../../sources");
        let mut child = Command::new(env!("CARGO_BIN_EXE_oddswire"))
            .args(["dev", "--port", &port.to_string(), "--sources", sources])
            .args(["--parts-log", "info"])
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", collector)
            .env("OTEL_BSP_SCHEDULE_DELAY", "200")
            .env("OTEL_BSP_MAX_QUEUE_SIZE", "65536")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let said = Arc::<Mutex<String>>::default();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut listening = JoinSet::new();
        let heard = Arc::clone(&said);
        listening.spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                let mut heard = heard.lock().unwrap();
                heard.push_str(&line);
                heard.push('\n');
            }
        });
        let url = format!("http://127.0.0.1:{port}");
        let ready = format!("http://127.0.0.1:{}/readyz", port + 1);
        until("the gateway", async || {
            let ended = child.try_wait().unwrap();
            assert!(ended.is_none(), "{ended:?}: {}", said.lock().unwrap());
            reqwest::get(&ready)
                .await
                .is_ok_and(|answer| answer.status().is_success())
        })
        .await;
        Self {
            _alone: alone,
            child,
            url,
            said,
            listening,
        }
    }

    /// Starts a run of a source, as soon as it has none.
    async fn run(&self, source: &str, traceparent: &str) {
        until("the source to be free", async || {
            let asked = reqwest::Client::new()
                .post(format!("{}/api/scrapes", self.url))
                .header("content-type", "application/json")
                .header("traceparent", traceparent)
                .body(format!(r#"{{"sources":["{source}"]}}"#));
            asked.send().await.unwrap().status() == 202
        })
        .await;
    }

    /// Stops all of it in order, and tells what it said.
    async fn stop(mut self) -> String {
        let pid = i32::try_from(self.child.id().unwrap()).unwrap();
        kill(Pid::from_raw(pid), Signal::SIGTERM).unwrap();
        let ended = timeout(PATIENCE, self.child.wait()).await.unwrap().unwrap();
        while self.listening.join_next().await.is_some() {}
        let said = self.said.lock().unwrap().clone();
        assert!(ended.success(), "{ended}: {said}");
        said
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

/// Each event is published within the run, and each that the gateway got was got within its publication.
fn reach_the_gateway(spans: &[(String, Span)], run: &Span) {
    let named =
        |name: &str| -> Vec<&(String, Span)> { spans.iter().filter(|(_, span)| span.name == name).collect() };
    for kind in ["scrape_progress", "odds_update"] {
        let (published, received) = (
            named(&format!("publish {kind}")),
            named(&format!("receive {kind}")),
        );
        assert!(!published.is_empty() && !received.is_empty(), "{kind}");
        assert!(
            published
                .iter()
                .all(|(service, span)| service == "oddswire-scraper" && span.parent_span_id == run.span_id)
        );
        let ids: BTreeSet<&[u8]> = published
            .iter()
            .map(|(_, span)| span.span_id.as_slice())
            .collect();
        assert_eq!(ids.len(), published.len());
        for (service, span) in received {
            assert_eq!(service, "oddswire-gateway");
            assert!(ids.contains(span.parent_span_id.as_slice()), "{span:?}");
        }
    }
}

#[tokio::test]
async fn one_trace_goes_from_the_request_over_the_worker_and_the_bus_to_the_gateway() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let collector = format!("http://{}", listener.local_addr().unwrap());
    let taken = Taken::default();
    let mut collecting = JoinSet::new();
    collecting.spawn(collect(listener, Arc::clone(&taken)));
    let dev = Dev::start(&collector).await;
    // Somebody who wants odds: without him the gateway does not listen to them.
    let _client = reqwest::get(format!("{}/api/events", dev.url)).await.unwrap();
    dev.run("alpha", &format!("00-{UNKEPT}-{CALLER}-00")).await;
    let of_trace = |id: &str| -> Vec<(String, Span)> {
        let taken = taken.lock().unwrap();
        let found = taken.iter().filter(|(_, span)| hex(&span.trace_id) == id);
        found.cloned().collect()
    };
    let mut trace = String::new();
    // A run in which no price has changed publishes none.
    for number in 1_u32.. {
        trace = format!("{number:032x}");
        dev.run("alpha", &format!("00-{trace}-{CALLER}-01")).await;
        until("the run to be over", async || {
            of_trace(&trace).iter().any(|(_, span)| span.name == "run")
        })
        .await;
        let spans = of_trace(&trace);
        if spans.iter().any(|(_, span)| span.name == "publish odds_update") {
            break;
        }
    }
    dev.stop().await;

    let spans = of_trace(&trace);
    let named =
        |name: &str| -> Vec<&(String, Span)> { spans.iter().filter(|(_, span)| span.name == name).collect() };
    let within = |span: &Span| {
        let found = spans
            .iter()
            .find(|(_, other)| other.span_id == span.parent_span_id);
        found.expect("the span that it is within")
    };
    let [run] = named("run")[..] else {
        panic!("one run: {spans:?}");
    };
    // Not those that were told that the source is busy.
    let job = within(&run.1);
    let request = within(&job.1);
    let chain = [request, job, run].map(|(service, span)| (service.as_str(), span.name.as_str()));
    assert_eq!(
        chain,
        [
            ("oddswire-gateway", "POST /api/scrapes"),
            ("oddswire-gateway", "publish job"),
            ("oddswire-scraper", "run")
        ]
    );
    assert_eq!(hex(&request.1.parent_span_id), CALLER);
    assert_eq!(request.1.kind(), SpanKind::Server);
    reach_the_gateway(&spans, &run.1);
    assert!(
        spans
            .iter()
            .all(|(_, span)| span.end_time_unix_nano >= span.start_time_unix_nano)
    );
    // Control: the caller who wanted nothing kept had a run as well.
    assert_eq!(of_trace(UNKEPT), []);
}

#[tokio::test]
async fn a_collector_that_is_away_holds_nothing_up() {
    // Nobody listens there.
    let gone = StdListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let dev = Dev::start(&format!("http://{gone}")).await;
    let mut events = reqwest::get(format!("{}/api/events", dev.url)).await.unwrap();
    dev.run("alpha", &format!("00-{TRACE}-{CALLER}-01")).await;
    let mut text = String::new();
    until("the end of the run", async || {
        text += &String::from_utf8_lossy(&events.chunk().await.unwrap().unwrap());
        text.contains(r#""status":"completed""#) && text.contains("odds_update")
    })
    .await;
    let away = "the collector takes no spans";
    until("both to have tried", async || {
        dev.said.lock().unwrap().matches(away).count() == 2
    })
    .await;
    let said = dev.stop().await;
    // Once each, however many batches were lost.
    assert_eq!(said.matches(away).count(), 2, "{said}");
}
