//! `oddswire follow` and `oddswire odds` against real gateways and real runs.

mod pty;

use crate::{
    auth::token,
    harness::{GatewayProcess, PATIENCE, Sse, World, until},
    truth::Pair,
};
use clap::{Args, Command};
use oddswire_cli::{
    Console, Error, Kind, Look,
    follow::{self, FollowOptions},
    odds::{self, OddsOptions},
    top::{self, TopOptions},
};
use oddswire_protocol::{
    envelope::{MessageType, Received},
    progress::ScrapeProgress,
};
use serde_json::Value;
use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;

/// What a command wrote.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Written {
    fn lines(&self) -> Vec<String> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        text.lines().map(str::to_owned).collect()
    }
}

/// A command that runs, with its output in a pipe.
pub(crate) struct Piped {
    out: Written,
    aside: Written,
    stop: CancellationToken,
    task: JoinSet<Result<u8, Error>>,
}

impl Piped {
    pub(crate) fn start<F: Future<Output = Result<u8, Error>> + Send + 'static>(
        run: impl FnOnce(Console, CancellationToken) -> F,
    ) -> Self {
        let (out, aside, stop) = (Written::default(), Written::default(), CancellationToken::new());
        let console = Console {
            out: Box::new(out.clone()),
            aside: Box::new(aside.clone()),
            kind: Kind::Other,
            look: Look {
                colours: false,
                unicode: true,
            },
        };
        let mut task = JoinSet::new();
        task.spawn(run(console, stop.clone()));
        Self {
            out,
            aside,
            stop,
            task,
        }
    }

    pub(crate) fn follow(urls: &[&str], words: &[&str]) -> Self {
        let options: FollowOptions = options(urls, words);
        Self::start(|console, stop| follow::run(options, console, stop))
    }

    pub(crate) fn odds(urls: &[&str], words: &[&str]) -> Self {
        let options: OddsOptions = options(urls, words);
        Self::start(|console, stop| odds::run(options, console, stop))
    }

    /// What it told a person besides.
    pub(crate) fn told(&self) -> Vec<String> {
        self.aside.lines()
    }

    pub(crate) async fn ended(&mut self) -> Result<u8, Error> {
        self.ended_within(PATIENCE).await
    }

    /// The same, for a command that does a lot.
    pub(crate) async fn ended_within(&mut self, patience: Duration) -> Result<u8, Error> {
        let ended = timeout(patience, self.task.join_next()).await;
        ended.expect("the command ends").unwrap().unwrap()
    }

    /// What it wrote.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.out.lines()
    }

    pub(crate) async fn code(&mut self) -> u8 {
        let code = self.ended().await;
        code.unwrap_or_else(|error| panic!("{error}; {:?}", self.aside.lines()))
    }

    /// The runs of which it told.
    fn runs(&self) -> Vec<ScrapeProgress> {
        let messages = self.out.lines();
        let messages = messages
            .iter()
            .map(|line| serde_json::from_str::<Received>(line).unwrap());
        messages.map(|message| message.data().unwrap()).collect()
    }
}

/// What a command line says.
pub(crate) fn options<T: Args>(urls: &[&str], words: &[&str]) -> T {
    let urls: Vec<String> = urls.iter().map(|url| format!("--url={url}")).collect();
    let words = urls.iter().map(String::as_str).chain(words.iter().copied());
    let command = T::augment_args(Command::new("command").no_binary_name(true));
    T::from_arg_matches(&command.get_matches_from(words)).unwrap()
}

async fn fault(pair: &Pair, json: &str) {
    pair.control("faults", json).await;
}

/// The events of a run, as a stream has them.
async fn whole_run(stream: &mut Sse) -> Vec<String> {
    let mut texts = Vec::new();
    loop {
        let event = stream.next_event().await;
        if event.event != MessageType::ScrapeProgress.as_str() {
            continue;
        }
        let progress: ScrapeProgress = event.message().data().unwrap();
        texts.push(event.data);
        if progress.status.is_terminal() {
            return texts;
        }
    }
}

#[tokio::test]
async fn what_follow_writes_into_a_pipe_is_every_event_of_the_run_as_the_gateway_sends_it() {
    let pair = Pair::new().await;
    let mut stream = pair.gateway.sse("topics=scrape_progress.alpha&since=now").await;
    stream.until(MessageType::CaughtUp).await;
    let mut follow = Piped::follow(&[&pair.gateway.url("")], &["--start", "alpha"]);
    let sent = whole_run(&mut stream).await;
    assert_eq!(follow.code().await, 0);
    assert_eq!(follow.out.lines(), sent);
    let runs = follow.runs();
    assert_eq!(runs[0].seq, 1, "from its first event on");
    assert!(runs.last().unwrap().status.is_terminal());
    assert_eq!(follow.aside.lines(), [""; 0]);
    // The same run once more: it is over, and its last image says how it went.
    let run = runs[0].run_id.to_string();
    let mut again = Piped::follow(&[&pair.gateway.url("")], &[&run]);
    assert_eq!(again.code().await, 0);
    assert_eq!(again.out.lines(), sent[sent.len() - 1..]);
}

#[tokio::test]
async fn the_exit_status_tells_how_a_run_ended() {
    let pair = Pair::new().await;
    let url = pair.gateway.url("");
    for book in [
        r#"{"book":"charlie","fault":{"kind":"block_page"}}"#,
        r#"{"book":"bravo","fault":{"kind":"layout_drift"}}"#,
        r#"{"book":"alpha","fault":{"kind":"truncated_json"},"path_contains":"/alpha/api/events/","count":1}"#,
    ] {
        fault(&pair, book).await;
    }
    for (source, code) in [("alpha", 3), ("charlie", 7), ("bravo", 8), ("", 8), ("delta", 6)] {
        if source == "delta" {
            // The last: a host that answers so is left alone for a while, with all that are on it.
            fault(
                &pair,
                r#"{"book":"delta","fault":{"kind":"server_error","status":503}}"#,
            )
            .await;
        }
        // Without a name it is a batch of all, whose status is that of the worst.
        let mut follow = Piped::follow(&[&url], &["--start", source]);
        let ended = follow.code().await;
        let runs = follow.runs();
        assert_eq!(ended, code, "{source}: {:?}", runs.last());
    }
}

#[tokio::test]
async fn ctrl_c_leaves_the_run_to_go_on_or_cancels_it_when_told_to() {
    let pair = Pair::new().await;
    let url = pair.gateway.url("");
    fault(&pair, r#"{"book":"alpha","fault":{"kind":"latency","ms":300}}"#).await;
    let mut follow = Piped::follow(&[&url], &["--start", "alpha"]);
    until("an event", async || !follow.out.lines().is_empty()).await;
    follow.stop.cancel();
    assert_eq!(follow.code().await, 130);
    let run = follow.runs()[0].run_id.to_string();
    let told = follow.aside.lines();
    assert_eq!(
        told,
        [format!("oddswire: left; the run goes on: oddswire follow {run}")]
    );
    // It does; who starts it now follows that one, and may end it.
    let mut follow = Piped::follow(&[&url], &["--start", "alpha", "--cancel-on-interrupt"]);
    until("an event", async || !follow.out.lines().is_empty()).await;
    assert!(follow.aside.lines()[0].contains(&format!("alpha runs already: following {run}")));
    follow.stop.cancel();
    assert_eq!(follow.code().await, 5, "{:?}", follow.aside.lines());
    assert_eq!(follow.runs().last().unwrap().status.as_str(), "cancelled");
}

#[tokio::test]
async fn a_gateway_that_dies_costs_follow_no_event_and_gives_none_twice() {
    let pair = Pair::new().await;
    fault(&pair, r#"{"book":"alpha","fault":{"kind":"latency","ms":150}}"#).await;
    let mut first = GatewayProcess::start(&pair.world.nats_url(), &[]);
    first.wait_ready().await;
    let urls = [format!("http://{}", first.address()), pair.gateway.url("")];
    let mut follow = Piped::follow(&[&urls[0], &urls[1]], &["--start", "alpha"]);
    until("the run to scrape", async || follow.out.lines().len() > 4).await;
    first.kill().await;
    assert_eq!(follow.code().await, 0, "{:?}", follow.aside.lines());
    let runs = follow.runs();
    let seqs: Vec<u64> = runs.iter().map(|run| run.seq).collect();
    let all: Vec<u64> = (1..=seqs.len() as u64).collect();
    assert_eq!(seqs, all);
    assert!(runs.last().unwrap().status.is_terminal());
    let told = follow.aside.lines();
    assert!(
        told.len() == 1 && told[0].contains(&format!("asking {} in", urls[1])),
        "{told:?}"
    );
}

#[tokio::test]
async fn what_cannot_be_followed_is_told_with_a_status_of_its_own() {
    let world = World::new().await;
    let gateway = world.guarded().await;
    gateway.wait_ready().await;
    let url = gateway.url("");
    let refused = Piped::follow(&[&url], &[]).ended().await.unwrap_err();
    assert_eq!(refused.exit_code(), 1);
    assert!(refused.to_string().contains("token_missing"), "{refused}");
    let by = format!("--token={}", token(&["scrape_progress"], "read"));
    let unknown = "01a20573-908c-7531-ab98-0a77d68efeef";
    let unknown = Piped::follow(&[&url], &[&by, unknown]).ended().await.unwrap_err();
    assert_eq!(unknown.exit_code(), 1);
    assert!(unknown.to_string().contains("unknown_run"), "{unknown}");
    // With a token there is nothing to complain of; it is left, and nobody waited for anything.
    let mut follow = Piped::follow(&[&url], &[&by]);
    follow.stop.cancel();
    assert_eq!(follow.code().await, 0);
    let nobody = Piped::follow(&["http://127.0.0.1:9"], &[])
        .ended()
        .await
        .unwrap_err();
    assert_eq!(nobody.exit_code(), 69, "{nobody}");
}

#[tokio::test]
async fn odds_are_the_gateways_board_byte_for_byte_and_then_what_changes() {
    let pair = Pair::new().await;
    let url = pair.gateway.url("");
    assert_eq!(Piped::follow(&[&url], &["--start"]).code().await, 0);
    let answer = reqwest::get(pair.gateway.url("/api/odds?limit=5000"))
        .await
        .unwrap();
    let answer = answer.text().await.unwrap();
    let board: OddsOptions = options(&[&url], &["--json", "--watch"]);
    let mut watch = Piped::start(|console, stop| odds::run(board, console, stop));
    let count = serde_json::from_str::<Value>(&answer).unwrap()["markets"]
        .as_array()
        .unwrap()
        .len();
    until("the board", async || watch.out.lines().len() == count).await;
    assert!(count > 50, "{count}");
    assert!(answer.contains(&format!("\"markets\":[{}]", watch.out.lines().join(","))));
    // Then what a run changes, no more and no less.
    let mut stream = pair.gateway.sse("topics=odds_updates&since=now").await;
    stream.until(MessageType::CaughtUp).await;
    pair.advance(30).await;
    assert_eq!(Piped::follow(&[&url], &["--start", "alpha"]).code().await, 0);
    let (changed, _) = stream.until(MessageType::OddsConfirmed).await;
    assert!(!changed.is_empty());
    until("the changes", async || {
        watch.out.lines().len() == count + changed.len()
    })
    .await;
    for (line, event) in watch.out.lines()[count..].iter().zip(&changed) {
        assert_eq!(line, event.message().data.get());
    }
    watch.stop.cancel();
    assert_eq!(watch.code().await, 0);
    // As a table, with the prices to the letter.
    let table: OddsOptions = options(&[&url], &["--source", "alpha", "--market", "h2h-ft"]);
    let mut table = Piped::start(|console, stop| odds::run(table, console, stop));
    assert_eq!(table.code().await, 0);
    let image: Value = serde_json::from_str(
        watch
            .out
            .lines()
            .iter()
            .rfind(|line| line.contains("\"source\":\"alpha\"") && line.contains("\"h2h\""))
            .unwrap(),
    )
    .unwrap();
    let home = image["event"]["home_team"].as_str().unwrap();
    let price = image["market"]["quotes"][0]["outcomes"][0]["price"].to_string();
    let lines = table.out.lines();
    let at = lines.iter().position(|line| line.starts_with(home)).unwrap();
    assert!(lines[at + 2].contains(&price), "{price}: {}", lines[at + 2]);
}

#[tokio::test]
async fn top_in_a_pipe_is_one_picture_of_sources_workers_and_gateways() {
    let pair = Pair::new().await;
    let url = pair.gateway.url("");
    assert_eq!(Piped::follow(&[&url], &["--start", "bravo"]).code().await, 0);
    let picture: TopOptions = options(&[&url], &["--ops", &pair.gateway.ops]);
    let mut picture = Piped::start(|console, stop| top::run(picture, console, stop));
    assert_eq!(picture.code().await, 0);
    let lines = picture.out.lines();
    let has = |words: [&str; 2]| {
        lines
            .iter()
            .any(|line| words.iter().all(|word| line.contains(word)))
    };
    for words in [
        ["bravo", "ok"],
        ["alpha", "unknown"],
        ["test-1", "0/4"],
        [pair.gateway.ops.as_str(), "ready"],
    ] {
        assert!(has(words), "{words:?} in\n{}", lines.join("\n"));
    }
    let json: TopOptions = options(&[&url], &["--json"]);
    let mut json = Piped::start(|console, stop| top::run(json, console, stop));
    assert_eq!(json.code().await, 0);
    let json: Value = serde_json::from_str(&json.out.lines().join("\n")).unwrap();
    assert_eq!(json["sources"].as_array().unwrap().len(), 4);
    assert_eq!(json["runs"][0]["outcome"], "complete");
}
