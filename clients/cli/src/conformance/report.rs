//! What is told of each check: lines for a person, or an object a line.

use super::check::{Check, Group, Judged, Miss};
use crate::{
    console::Console,
    text::{TextLine, Tone},
};
use serde_json::{Value, json};
use std::{
    io::{self, Write as _},
    time::Duration,
};

/// A check that is over.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) check: Check,
    pub(crate) judged: Judged,
    pub(crate) elapsed: Duration,
    pub(crate) sent: Vec<String>,
    pub(crate) came: Vec<String>,
}

impl Done {
    fn result(&self) -> &'static str {
        match self.judged {
            Ok(()) => "ok",
            Err(Miss::Failed(_)) => "failed",
            Err(Miss::Skipped(_)) => "skipped",
        }
    }

    fn as_json(&self) -> Value {
        let mut object = json!({
            "group": self.check.group.as_str(),
            "check": self.check.name,
            "result": self.result(),
            "elapsed_ms": u64::try_from(self.elapsed.as_millis()).unwrap_or(u64::MAX),
            "contract": self.check.says,
        });
        match &self.judged {
            Ok(()) => {}
            Err(Miss::Skipped(reason)) => object["reason"] = json!(reason),
            Err(Miss::Failed(complaint)) => {
                object["reason"] = json!(complaint);
                object["sent"] = json!(self.sent);
                object["came"] = json!(self.came);
            }
        }
        object
    }

    fn lines(&self) -> Vec<TextLine> {
        let (word, tone) = match self.judged {
            Ok(()) => ("ok", Tone::Good),
            Err(Miss::Failed(_)) => ("FAILED", Tone::Bad),
            Err(Miss::Skipped(_)) => ("skipped", Tone::Dim),
        };
        let mut head = TextLine::new()
            .with(Tone::Plain, "  ")
            .with_padded(tone, word, 9)
            .with(Tone::Plain, self.check.name);
        if let Err(Miss::Skipped(reason)) = &self.judged {
            head = head.with(Tone::Dim, &format!(": {reason}"));
        }
        let mut lines = vec![head];
        let mut add = |word: &str, text: &str| {
            let line = TextLine::of(Tone::Plain, "           ").with_padded(Tone::Dim, word, 10);
            lines.push(line.with(Tone::Plain, text));
        };
        if let Err(Miss::Failed(complaint)) = &self.judged {
            add("why", complaint);
            self.sent.iter().for_each(|line| add("sent", line));
            self.came.iter().for_each(|line| add("came", line));
            add("contract", self.check.says);
        }
        lines
    }
}

/// Tells of checks as they end.
#[derive(Debug)]
pub(crate) struct Report {
    console: Console,
    is_json: bool,
    group: Option<Group>,
    /// ok, failed, skipped.
    counts: [usize; 3],
}

impl Report {
    pub(crate) fn new(console: Console, is_json: bool) -> Self {
        Self {
            console,
            is_json,
            group: None,
            counts: [0; 3],
        }
    }

    pub(crate) fn add(&mut self, done: &Done) -> io::Result<()> {
        let at = match done.judged {
            Ok(()) => 0,
            Err(Miss::Failed(_)) => 1,
            Err(Miss::Skipped(_)) => 2,
        };
        self.counts[at] += 1;
        if self.is_json {
            writeln!(self.console.out, "{}", done.as_json())?;
            return self.console.out.flush();
        }
        self.begin(done.check.group)?;
        for line in done.lines() {
            self.write(&line)?;
        }
        self.console.out.flush()
    }

    /// What a check looks at, in place of what came of it.
    pub(crate) fn list(&mut self, check: &Check) -> io::Result<()> {
        if self.is_json {
            let (group, name, says) = (check.group.as_str(), check.name, check.says);
            let line = json!({"group": group, "check": name, "contract": says});
            return writeln!(self.console.out, "{line}");
        }
        self.begin(check.group)?;
        let line = TextLine::of(Tone::Plain, "  ").with_padded(Tone::Plain, check.name, 24);
        self.write(&line.with(Tone::Dim, check.says))
    }

    /// The sum of it, and the exit status.
    pub(crate) fn end(&mut self, elapsed: Duration) -> io::Result<u8> {
        let [ok, failed, skipped] = self.counts;
        let sum = ok + failed + skipped;
        let seconds = elapsed.as_secs_f64();
        let line = format!("{sum} checks in {seconds:.1} s: {ok} ok, {failed} failed, {skipped} skipped");
        if self.is_json {
            self.console.tell(&line);
        } else {
            let tone = if failed > 0 { Tone::Bad } else { Tone::Good };
            self.write(&TextLine::of(tone, &line))?;
            self.console.out.flush()?;
        }
        Ok(u8::from(failed > 0))
    }

    fn begin(&mut self, group: Group) -> io::Result<()> {
        if self.group == Some(group) {
            return Ok(());
        }
        self.group = Some(group);
        self.write(&TextLine::of(Tone::Bold, group.as_str()))
    }

    fn write(&mut self, line: &TextLine) -> io::Result<()> {
        writeln!(self.console.out, "{}", line.rendered(self.console.look))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::Look;

    fn done(judged: Judged) -> Done {
        Done {
            check: super::super::checks()[0],
            judged,
            elapsed: Duration::from_millis(12),
            sent: vec!["GET /api/odds".into()],
            came: vec!["500\u{1b}[2J".into()],
        }
    }

    #[test]
    fn a_failure_says_what_was_sent_what_came_and_what_the_contract_says() {
        let look = Look {
            colours: false,
            unicode: true,
        };
        let failed = done(Err(Miss::Failed("the status is 500".into())));
        let lines: Vec<String> = failed.lines().iter().map(|line| line.rendered(look)).collect();
        assert_eq!(lines[0], "  FAILED   websocket-handshake");
        assert_eq!(lines[1], "           why       the status is 500");
        assert_eq!(lines[2], "           sent      GET /api/odds");
        assert_eq!(
            lines[3], "           came      500 [2J",
            "nothing commands the terminal"
        );
        assert!(lines[4].contains(failed.check.says));
        let object = failed.as_json();
        assert_eq!(
            (object["result"].as_str(), object["sent"].is_array()),
            (Some("failed"), true)
        );
        let skipped = done(Err(Miss::Skipped("needs --ops URL".into())));
        assert!(skipped.lines()[0].rendered(look).ends_with(": needs --ops URL"));
        assert_eq!(skipped.as_json()["reason"], "needs --ops URL");
        assert_eq!(done(Ok(())).lines().len(), 1);
    }
}
