//! The same on a real terminal, which must be as it was when they end.

use super::fault;
use crate::{harness::within, truth::Pair};
use nix::{
    pty::{Winsize, openpty},
    sys::termios::{LocalFlags, tcgetattr},
};
use std::{
    fs::File,
    io::{Read, Write},
    os::fd::OwnedFd,
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex},
};
use tokio::{
    process::{Child, Command},
    task::{JoinHandle, spawn_blocking},
};

/// A command with a terminal of 80 by 24.
struct Terminal {
    keys: File,
    master: OwnedFd,
    screen: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
    child: Child,
}

impl Terminal {
    fn run(words: &[&str]) -> Self {
        let size = Winsize {
            ws_row: 24,
            ws_col: 80,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let pty = openpty(&size, None).unwrap();
        let end = |fd: &OwnedFd| Stdio::from(fd.try_clone().unwrap());
        // A session of its own, whose terminal this is: Ctrl-C comes from it, and no other terminal is found.
        let child = Command::new("setsid")
            .args(["--ctty", "--wait", env!("CARGO_BIN_EXE_terminal-client")])
            .args(words)
            .env("TERM", "xterm-256color")
            .env("LC_ALL", "C.UTF-8")
            .env_remove("NO_COLOR")
            .stdin(end(&pty.slave))
            .stdout(end(&pty.slave))
            .stderr(end(&pty.slave))
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let screen = Arc::new(Mutex::new(Vec::new()));
        let mut output = File::from(pty.master.try_clone().unwrap());
        let shown = Arc::clone(&screen);
        let reader = spawn_blocking(move || {
            let mut bytes = [0; 4_096];
            // The error at the end says that nobody has the other side any more.
            while let Ok(count @ 1..) = output.read(&mut bytes) {
                shown.lock().unwrap().extend_from_slice(&bytes[..count]);
            }
        });
        Self {
            keys: File::from(pty.master.try_clone().unwrap()),
            master: pty.master,
            screen,
            reader,
            child,
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.screen.lock().unwrap()).into_owned()
    }

    async fn shows(&self, text: &str) {
        let shown = crate::harness::until(text, async || self.text().contains(text));
        shown.await;
    }

    fn press(&mut self, keys: &[u8]) {
        self.keys.write_all(keys).unwrap();
    }

    /// Whether keys are echoed and lines are edited, as a shell expects it.
    fn is_cooked(&self) -> bool {
        let flags = tcgetattr(&self.master).unwrap().local_flags;
        flags.contains(LocalFlags::ECHO | LocalFlags::ICANON | LocalFlags::ISIG)
    }

    /// Everything that it wrote, once it has ended.
    async fn ended(mut self) -> (ExitStatus, String) {
        let status = within("the command to end", self.child.wait()).await.unwrap();
        within("the end of its output", self.reader).await.unwrap();
        let text = String::from_utf8_lossy(&self.screen.lock().unwrap()).into_owned();
        (status, text)
    }
}

#[tokio::test]
async fn follow_draws_bars_over_themselves_and_leaves_the_result() {
    let pair = Pair::new().await;
    fault(&pair, r#"{"book":"alpha","fault":{"kind":"latency","ms":100}}"#).await;
    let terminal = Terminal::run(&["follow", "--url", &pair.gateway.url(""), "--start", "alpha"]);
    terminal.shows("━").await;
    assert!(terminal.is_cooked(), "it needs nothing but to move the cursor");
    let (status, text) = terminal.ended().await;
    assert_eq!(status.code(), Some(0), "{text}");
    assert!(text.contains("scraping"));
    assert!(text.contains("\u{1b}[2A"), "two lines are drawn over: {text:?}");
    let last = text.rsplit("\u{1b}[2A").next().unwrap();
    assert!(last.contains("complete") && !last.contains("Ctrl-C"), "{last:?}");
    assert!(!text.contains("\u{1b}[?25l"), "the cursor was never hidden");
}

#[tokio::test]
async fn ctrl_c_on_a_terminal_leaves_follow_and_says_that_the_run_goes_on() {
    let pair = Pair::new().await;
    fault(&pair, r#"{"book":"alpha","fault":{"kind":"latency","ms":300}}"#).await;
    let mut terminal = Terminal::run(&["follow", "--url", &pair.gateway.url(""), "--start", "alpha"]);
    terminal.shows("scraping").await;
    terminal.press(&[3]);
    let (status, text) = terminal.ended().await;
    assert_eq!(status.code(), Some(130), "{text}");
    assert!(text.contains("the run goes on: oddswire follow "), "{text}");
}

#[tokio::test]
async fn top_gives_the_terminal_back_as_it_was() {
    let pair = Pair::new().await;
    for leaving in [&b"q"[..], &[3]] {
        let mut terminal = Terminal::run(&["top", "--url", &pair.gateway.url("")]);
        terminal.shows("SOURCES").await;
        assert!(!terminal.is_cooked(), "keys are taken one by one");
        terminal.press(leaving);
        let master = terminal.master.try_clone().unwrap();
        let (status, text) = terminal.ended().await;
        assert_eq!(status.code(), Some(0), "{text}");
        let flags = tcgetattr(&master).unwrap().local_flags;
        assert!(flags.contains(LocalFlags::ECHO | LocalFlags::ICANON), "{flags:?}");
        for (taken, given_back) in [("\u{1b}[?1049h", "\u{1b}[?1049l"), ("\u{1b}[?25l", "\u{1b}[?25h")] {
            let at = |code: &str| text.rfind(code).unwrap_or_else(|| panic!("{code:?} in {text:?}"));
            assert!(at(taken) < at(given_back));
        }
    }
}
