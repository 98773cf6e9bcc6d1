//! The clients that `docs/protocol.md` shows, run as they stand there, while gateways are killed.

use crate::harness::{Gateway, GatewayProcess, PATIENCE, World, odds_key};
use oddswire_gateway::trial::Trial;
use oddswire_protocol::{
    RunId,
    envelope::{MessageType, Received},
    progress::{ScrapeProgress, Status},
};
use std::{path::Path, process::Stdio, time::Duration};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

/// So many events are published, half of them while no gateway lives.
const ALL: u64 = 80;
/// With every so many events all gateways are killed, or one is started.
const EACH: u64 = 10;

/// A language of the page.
struct Language {
    /// What its block of code begins with.
    fence: &'static str,
    program: &'static str,
    file: &'static str,
    /// The line that keeps the cursor, and what it is without it.
    keeps: (&'static str, &'static str),
    /// What is done about an event that cannot be read, and what it is without it.
    leaves_out: (&'static str, &'static str),
}

const PYTHON: Language = Language {
    fence: "```python\n",
    program: "python3",
    file: "client.py",
    keeps: (
        "cursor, failures, fields = fields.get(\"id\", cursor), 0, {}",
        "failures, fields = 0, {}",
    ),
    leaves_out: ("except Exception as error:", "except SystemError as error:"),
};

const JAVASCRIPT: Language = Language {
    fence: "```js\n",
    program: "node",
    file: "client.mjs",
    keeps: ("cursor = field(\"id\") ?? cursor;", ""),
    leaves_out: (
        "console.error(\"left out:\", error.message);",
        "throw Object.assign(error, { final: true });",
    ),
};

impl Language {
    /// The client of the page in this language: the one block of code that holds a state.
    fn code(&self) -> String {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/protocol.md");
        let page = std::fs::read_to_string(page).unwrap();
        let mut blocks = page
            .split(self.fence)
            .skip(1)
            .map(|rest| rest.split("```").next().unwrap())
            .filter(|code| code.contains("held"));
        let code = blocks.next().expect("the page has a client");
        assert_eq!(blocks.next(), None, "one client of a language");
        code.to_owned()
    }

    fn without(&self, (part, instead): (&str, &str)) -> String {
        let code = self.code();
        assert_eq!(code.matches(part).count(), 1);
        code.replace(part, instead)
    }
}

/// A client that runs, and what it prints.
struct Running {
    lines: Lines<BufReader<ChildStdout>>,
    _child: Child,
    _folder: TempDir,
}

impl Running {
    fn start(language: &Language, code: &str, gateways: impl IntoIterator<Item = String>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(language.file);
        std::fs::write(&file, code).unwrap();
        let mut child = Command::new(language.program)
            .arg(file)
            .args(gateways)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let stdout = child.stdout.take().unwrap();
        Self {
            lines: BufReader::new(stdout).lines(),
            _child: child,
            _folder: folder,
        }
    }

    async fn next(&mut self) -> Received {
        // It comes back after up to 30 s, as the page asks.
        let line = timeout(PATIENCE * 4, self.lines.next_line())
            .await
            .expect("a line of the client");
        serde_json::from_str(&line.unwrap().expect("the client goes on")).unwrap()
    }

    async fn caught_up(&mut self) {
        while self.next().await.message_type != MessageType::CaughtUp {}
    }

    /// The numbers of the run's events up to the last.
    async fn sequences(mut self, run: &RunId) -> Vec<u64> {
        let mut seen = Vec::new();
        while seen.last() != Some(&ALL) {
            let message = self.next().await;
            if message.message_type == MessageType::ScrapeProgress {
                let image: ScrapeProgress = message.data().unwrap();
                if image.run_id == *run {
                    seen.push(image.seq);
                }
            }
        }
        seen
    }
}

/// What a client gets of a run's events while the gateways that it knows die.
async fn through_deaths(language: &Language, code: &str) -> Vec<u64> {
    let world = World::new().await;
    let args = ["--heartbeat-ms=1000".to_owned()];
    let mut gateways = [0, 1].map(|_| GatewayProcess::start(&world.nats_url(), &args));
    for gateway in &gateways {
        gateway.wait_ready().await;
    }
    let addresses = gateways
        .iter()
        .map(|gateway| format!("http://{}", gateway.address()));
    let mut client = Running::start(language, code, addresses);
    client.caught_up().await;
    let run = RunId::new();
    let publish = async {
        for seq in 1..=ALL {
            let status = if seq == ALL {
                Status::Completed
            } else {
                Status::Running
            };
            world.run_event("alpha", &run, seq, status).await;
            let turn = usize::try_from(seq / EACH).unwrap();
            if seq % EACH == 0 && turn % 2 == 1 {
                for gateway in &mut gateways {
                    gateway.kill().await;
                }
            } else if seq % EACH == 0 {
                // Another one each time: who was on the first goes on at the second.
                let gateway = &mut gateways[turn / 2 % 2];
                gateway.restart();
                gateway.wait_ready().await;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::join!(client.sequences(&run), publish).0
}

async fn misses_nothing(language: &Language) {
    let seen = through_deaths(language, &language.code()).await;
    assert_eq!(seen, (1..=ALL).collect::<Vec<_>>());
}

/// With a snapshot in the place of the cursor it has the newest image of the run, and not those between.
async fn misses_events_without_its_cursor(language: &Language) {
    let seen = through_deaths(language, &language.without(language.keeps)).await;
    assert_ne!(seen, (1..=ALL).collect::<Vec<_>>());
}

#[tokio::test]
async fn the_python_client_of_the_protocol_page_misses_nothing() {
    misses_nothing(&PYTHON).await;
}

#[tokio::test]
async fn control_the_python_client_without_its_cursor_misses_events() {
    misses_events_without_its_cursor(&PYTHON).await;
}

#[tokio::test]
async fn the_javascript_client_of_the_protocol_page_misses_nothing() {
    misses_nothing(&JAVASCRIPT).await;
}

#[tokio::test]
async fn control_the_javascript_client_without_its_cursor_misses_events() {
    misses_events_without_its_cursor(&JAVASCRIPT).await;
}

/// Whether a client goes on when a gateway of another make has shown it what is no event.
async fn goes_on_past_what_it_cannot_read(language: &Language, code: &str) -> bool {
    let world = World::new().await;
    let unchecked = Trial {
        no_quarantine: true,
        ..Trial::default()
    };
    let gateway = Gateway::start_on_trial(&world.nats_url(), unchecked, |_| {}).await;
    world
        .event(&odds_key("bad", "alpha"), "bad", Vec::new(), b"{}")
        .await;
    let mut client = Running::start(language, code, [gateway.url("")]);
    loop {
        let line = timeout(PATIENCE, client.lines.next_line()).await;
        let Some(line) = line.expect("a line of the client, or its end").unwrap() else {
            return false;
        };
        let message: Received = serde_json::from_str(&line).unwrap();
        match message.message_type {
            MessageType::CaughtUp => {
                world.run_event("alpha", &RunId::new(), 1, Status::Running).await;
            }
            MessageType::ScrapeProgress => return true,
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clients_of_the_protocol_page_go_on_past_an_event_that_they_cannot_read() {
    for language in [PYTHON, JAVASCRIPT] {
        assert!(
            goes_on_past_what_it_cannot_read(&language, &language.code()).await,
            "{}",
            language.program
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn control_a_client_that_does_not_leave_it_out_ends() {
    for language in [PYTHON, JAVASCRIPT] {
        let code = language.without(language.leaves_out);
        assert!(
            !goes_on_past_what_it_cannot_read(&language, &code).await,
            "{}",
            language.program
        );
    }
}
