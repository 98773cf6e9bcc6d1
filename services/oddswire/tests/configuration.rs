//! The program itself with configuration files: wrong ones, and ones that change while clients are connected.
#![expect(
    clippy::unwrap_used,
    reason = "a panic is how a test fails, in its helper functions too"
)]

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

/// Whatever is waited for comes within this time.
const PATIENCE: Duration = Duration::from_secs(30);

fn oddswire(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oddswire"));
    command.args(arguments).stdin(Stdio::null());
    command
}

fn said(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    // The stage `secrets` of `cargo xtask test` looks there.
    if let Some(folder) = oddswire_kit::env::lookup("ODDSWIRE_TEST_LOGS") {
        let file = fs::File::options()
            .create(true)
            .append(true)
            .open(Path::new(&folder).join("oddswire-configuration.log"));
        let all = [&output.stdout, said.as_bytes()].concat();
        file.unwrap().write_all(&all).unwrap();
    }
    said
}

#[test]
fn a_wrong_file_is_told_whole_and_nothing_starts() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("oddswire.toml");
    fs::write(&file, "[gateway]\nheartbeat_ms = 5\nlistne = \"127.0.0.1:1\"\n").unwrap();
    let file = file.to_str().unwrap();
    for command in [&["gateway", "--config", file][..], &["check", "--config", file]] {
        let output = oddswire(command).output().unwrap();
        let text = said(&output);
        assert_eq!(output.status.code(), Some(64), "{text}");
        for part in [
            "2: [gateway]: heartbeat_ms: 5 is not in 1000..=60000",
            "3: [gateway]: unknown key listne: did you mean listen?",
        ] {
            assert!(text.contains(part), "{text}");
        }
    }
}

#[test]
fn a_dangerous_configuration_is_refused_with_what_to_do() {
    for (flags, told) in [
        (&["--listen=0.0.0.0:0"][..], "--insecure-no-auth"),
        (&["--grace-ms=100"], "before the drain delay"),
        (&["--ring-bytes=18446744073709551615"], "--memory-bytes"),
        (
            &["--listen=127.0.0.1:1", "--ops-listen=127.0.0.1:1"],
            "a port of their own",
        ),
    ] {
        let words: Vec<&str> = ["gateway"].iter().chain(flags).copied().collect();
        let output = oddswire(&words).output().unwrap();
        assert_eq!(output.status.code(), Some(64), "{flags:?}");
        assert!(said(&output).contains(told), "{flags:?}: {}", said(&output));
    }
}

#[test]
fn a_misspelt_variable_is_told_with_the_one_that_is_meant() {
    let output = oddswire(&["check"]).env("ODDSWIRE_LISTN", "x").output().unwrap();
    assert!(
        said(&output).contains("ODDSWIRE_LISTN is no option; ODDSWIRE_LISTEN is"),
        "{}",
        said(&output)
    );
}

#[test]
fn no_secret_is_printed_wherever_it_came_from() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    fs::write(&file, "planted-secret-from-a-file\n").unwrap();
    let output = oddswire(&[
        "print-config",
        "gateway",
        "--auth-secret=planted-secret-from-a-flag",
    ])
    .env("ODDSWIRE_NATS_PASSWORD_FILE", &file)
    .env("ODDSWIRE_NATS_TOKEN", "planted-secret-from-a-variable")
    .env(
        "ODDSWIRE_NATS_URL",
        "nats://me:planted-secret-from-an-address@127.0.0.1",
    )
    .output()
    .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &said(&output);
    assert!(output.status.success(), "{text}");
    assert!(
        text.contains("nats_token = \"***\" # ODDSWIRE_NATS_TOKEN"),
        "{text}"
    );
    assert!(!text.contains("planted-secret"), "{text}");
}

/// A gateway without a bus: what it grants it grants all the same.
struct Gateway {
    child: Child,
    port: u16,
    log: BufReader<std::process::ChildStderr>,
}

impl Gateway {
    fn start(config: &Path) -> Self {
        let mut child = oddswire(&[
            "gateway",
            "--config",
            config.to_str().unwrap(),
            "--log-format=json",
        ])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        let mut gateway = Self { child, port: 0, log };
        let line = gateway.logged("\"listen\":");
        let (_, address) = line.split_once("\"listen\":\"127.0.0.1:").unwrap();
        gateway.port = address.split('"').next().unwrap().parse().unwrap();
        gateway
    }

    /// The next line of the log that has this in it.
    fn logged(&mut self, part: &str) -> String {
        loop {
            let mut line = String::new();
            assert_ne!(
                self.log.read_line(&mut line).unwrap(),
                0,
                "the gateway ended before it said {part}"
            );
            if line.contains(part) {
                return line;
            }
        }
    }

    fn reload(&mut self, told: &str) {
        let id = i32::try_from(self.child.id()).unwrap();
        kill(Pid::from_raw(id), Signal::SIGHUP).unwrap();
        self.logged(told);
    }

    fn stream(&self) -> BufReader<TcpStream> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
            .write_all(b"GET /api/events HTTP/1.1\r\nhost: localhost\r\n\r\n")
            .unwrap();
        BufReader::new(stream)
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads on until a line has this in it.
fn read_until(stream: &mut BufReader<TcpStream>, part: &str) -> String {
    loop {
        let mut line = String::new();
        assert_ne!(
            stream.read_line(&mut line).unwrap(),
            0,
            "the stream ended before {part}"
        );
        if line.contains(part) {
            return line;
        }
    }
}

#[test]
fn a_hangup_puts_new_limits_in_force_for_new_connections_and_a_wrong_file_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("oddswire.toml");
    let (port, ops) = (
        oddswire_kit::ports::free(1).unwrap(),
        oddswire_kit::ports::free(1).unwrap(),
    );
    let write = |more: &str| {
        let text = format!(
            "nats_url = \"nats://127.0.0.1:1\"\n[gateway]\nlisten = \"127.0.0.1:{port}\"\nops_listen = \"127.0.0.1:{ops}\"\nheartbeat_ms = 1000\n{more}"
        );
        fs::write(&file, text).unwrap();
    };
    write("topics_max = 7\n");
    let mut gateway = Gateway::start(&file);
    let mut before = gateway.stream();
    assert!(read_until(&mut before, "\"type\":\"connection_ack\"").contains("\"topics\":7"));

    write("topics_max = 3\nring_bytes = 2097152\n");
    gateway.reload("these take effect only after a restart");
    assert!(read_until(&mut gateway.stream(), "\"type\":\"connection_ack\"").contains("\"topics\":3"));

    write("topics_max = 0\n");
    gateway.reload("what was in force stays");
    assert!(read_until(&mut gateway.stream(), "\"type\":\"connection_ack\"").contains("\"topics\":3"));
    // Who was connected noticed nothing.
    read_until(&mut before, "heartbeat");

    let mut metrics = TcpStream::connect(("127.0.0.1", ops)).unwrap();
    metrics
        .write_all(b"GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        .unwrap();
    let mut text = String::new();
    metrics.read_to_string(&mut text).unwrap();
    for outcome in ["Good", "Refused"] {
        let line = format!("config_reloads_total{{outcome=\"{outcome}\"}} 1");
        assert!(text.contains(&line), "{line}: {text}");
    }
}
