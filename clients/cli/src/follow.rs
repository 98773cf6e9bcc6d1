//! `oddswire follow`: runs as they go, for a person or for a script.

pub(crate) mod bar;
mod exit;
mod runs;
mod view;

use crate::{
    connection::{Address, ConnectOptions, Error, Gateways},
    console::{Console, Kind},
    image::RunImage,
    stream::{Happening, Stream, Wanted, lost},
};
use clap::{Args, ValueEnum};
use oddswire_protocol::{BatchId, RunId, SourceKey, api::StartScrapes};
use runs::Runs;
use serde::Deserialize;
use std::time::Duration;
use tokio::time::interval;
use tokio_util::sync::CancellationToken;
use view::{Bars, Told, View};

/// What to follow, and how to show it.
#[derive(Debug, Clone, Args)]
#[command(after_help = exit::HELP)]
pub struct FollowOptions {
    /// Through which gateways.
    #[command(flatten)]
    pub connect: ConnectOptions,
    /// The run to follow to its end. Left out: what runs now and what begins, until Ctrl-C.
    #[arg(value_name = "RUN_ID")]
    pub run: Option<RunId>,
    /// Starts a run of each of these sources (none named: of each that is enabled) and follows them to their ends. A
    /// source that has a run already is followed in that one.
    #[arg(
        long,
        value_name = "SOURCE,…",
        num_args = 0..=1,
        default_missing_value = "",
        conflicts_with_all = ["run", "source"]
    )]
    pub start: Option<Sources>,
    /// Only runs of these sources.
    #[arg(long, value_name = "SOURCE,…", value_delimiter = ',', conflicts_with = "run")]
    pub source: Vec<SourceKey>,
    /// The form of the output; `auto` is bars on a terminal, lines on a dumb one, and JSON in a pipe or a file.
    #[arg(long = "format", value_name = "FORM", default_value = "auto")]
    pub form: Form,
    /// Ctrl-C cancels what is followed to its end, and waits for that; a second one leaves.
    #[arg(long)]
    pub cancel_on_interrupt: bool,
    /// Goes on with what begins when what was started is over.
    #[arg(skip)]
    pub stay: bool,
}

/// Sources, separated by commas; none: all that are enabled.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sources(Vec<SourceKey>);

impl std::str::FromStr for Sources {
    type Err = oddswire_protocol::id::IdError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let words = text.split(',').filter(|word| !word.is_empty());
        words.map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}

/// The form of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// Whatever suits what it goes to.
    Auto,
    /// Bars that move; drawn on a terminal only.
    Bars,
    /// A line for each phase and each end.
    Lines,
    /// An envelope a line, as the gateway sends it.
    Json,
}

impl FollowOptions {
    /// Starts everything, and then goes on with what begins: a line for each step.
    pub fn start_and_stay(gateways: Vec<Address>) -> Self {
        Self {
            connect: ConnectOptions {
                url: gateways,
                token: None,
            },
            run: None,
            start: Some(Sources::default()),
            source: Vec::new(),
            form: Form::Lines,
            cancel_on_interrupt: false,
            stay: true,
        }
    }

    fn view(&self, kind: Kind) -> View {
        match (self.form, kind) {
            (Form::Json, _) | (Form::Auto, Kind::Other) => View::Json,
            (Form::Auto | Form::Bars, Kind::Terminal) => View::Bars(Bars::default()),
            _ => View::Lines(Told::default()),
        }
    }

    fn wanted(&self) -> Wanted {
        if let Some(run) = &self.run {
            return Wanted {
                path: format!("api/scrapes/{run}/events"),
                topics: None,
                since: "snapshot".into(),
            };
        }
        let sources = match &self.start {
            Some(Sources(started)) if !self.stay => started,
            _ => &self.source,
        };
        let topics: Vec<String> = sources
            .iter()
            .map(|key| format!("scrape_progress.{key}"))
            .collect();
        Wanted {
            path: "api/events".into(),
            topics: Some(if topics.is_empty() {
                "scrape_progress".into()
            } else {
                topics.join(",")
            }),
            // What is started begins after that.
            since: if self.start.is_some() { "now" } else { "snapshot" }.into(),
        }
    }
}

/// How often a picture is drawn at most.
const FRAME: Duration = Duration::from_millis(100);

/// Follows runs, to their ends or until `stop`; gives the process's exit status.
///
/// # Errors
/// When no gateway is there at the beginning, one refuses, or nothing can be written.
pub async fn run(options: FollowOptions, console: Console, stop: CancellationToken) -> Result<u8, Error> {
    let gateways = Gateways::new(&options.connect)?;
    let mut follower = Follower {
        runs: Runs::new(options.run.is_none() && options.start.is_none() || options.stay),
        view: options.view(console.kind),
        is_started: options.start.is_none(),
        console,
        gateways,
        options,
    };
    if let Some(run) = follower.options.run.clone() {
        follower.runs.expect(run.clone());
        if let Some(image) = follower.image(&run).await? {
            follower.show(&[image]);
        }
    }
    let code = follower.follow(stop).await;
    follower.view.close(&mut follower.console)?;
    code
}

struct Follower {
    options: FollowOptions,
    gateways: Gateways,
    console: Console,
    view: View,
    runs: Runs,
    /// Whether what is to be started was.
    is_started: bool,
}

impl Follower {
    async fn follow(&mut self, stop: CancellationToken) -> Result<u8, Error> {
        let mut stream = Stream::open(self.gateways.clone(), self.options.wanted());
        let mut frames = interval(FRAME);
        frames.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut is_stopping = false;
        loop {
            tokio::select! {
                happening = stream.next() => {
                    let mut happening = Some(happening);
                    while let Some(next) = happening {
                        if let Some(code) = self.take(next).await? {
                            return Ok(code);
                        }
                        happening = stream.try_next();
                    }
                }
                _ = frames.tick() => self.view.draw(&mut self.console)?,
                () = stop.cancelled(), if !is_stopping => {
                    is_stopping = true;
                    if let Some(code) = self.interrupted().await {
                        return Ok(code);
                    }
                }
                _ = tokio::signal::ctrl_c(), if is_stopping => return Ok(self.leave()),
            }
        }
    }

    /// Deals with what came; the exit status when that was the end.
    async fn take(&mut self, happening: Happening) -> Result<Option<u8>, Error> {
        match happening {
            Happening::Message(event) => {
                self.runs.notice(&event);
                let news = self.runs.news(&event);
                while let Some(trouble) = self.runs.trouble() {
                    self.view.note(&trouble, &mut self.console);
                }
                if let Some(run) = news {
                    self.view.run(&event.data, &run, &mut self.console)?;
                }
                if event.event == "caught_up" && !std::mem::replace(&mut self.is_started, true) {
                    self.start().await?;
                }
                if self.runs.may_have_missed() {
                    self.look_up().await?;
                }
            }
            Happening::Lost { why, wait, next } => {
                self.view.note(&lost(&why, wait, &next), &mut self.console);
            }
            Happening::Over => {
                // The end was there before this command was.
                self.look_up().await?;
                return Ok(Some(self.runs.code().unwrap_or(1)));
            }
            Happening::Failed(error) => return Err(error),
        }
        Ok(self.runs.code())
    }

    async fn start(&mut self) -> Result<(), Error> {
        #[derive(Deserialize)]
        struct Run {
            run_id: Option<RunId>,
            source: SourceKey,
        }
        #[derive(Deserialize)]
        struct Begun {
            batch_id: Option<BatchId>,
            #[serde(default)]
            runs: Vec<Run>,
            #[serde(default)]
            busy: Vec<Run>,
            workers: Option<usize>,
        }
        let Some(Sources(sources)) = &self.options.start else {
            return Ok(());
        };
        let body = StartScrapes {
            sources: (!sources.is_empty()).then(|| sources.iter().map(ToString::to_string).collect()),
            retry_of: None,
        };
        let body = serde_json::to_string(&body).unwrap_or_default();
        // When all are busy the answer is a refusal with the same list.
        let begun: Begun = self.gateways.post_or("api/scrapes", body, "busy").await?;
        let batch = begun.batch_id.unwrap_or_default();
        let mut runs = Vec::new();
        for (run, is_busy) in begun
            .runs
            .into_iter()
            .map(|run| (run, false))
            .chain(begun.busy.into_iter().map(|run| (run, true)))
        {
            let source = run.source;
            let Some(run_id) = run.run_id else {
                let note = format!("{source} had a run that is over by now: nothing was started");
                self.view.note(&note, &mut self.console);
                continue;
            };
            if is_busy && !self.options.stay {
                let note = format!("{source} runs already: following {run_id}");
                self.view.note(&note, &mut self.console);
            }
            runs.push(RunImage::queued(run_id, batch.clone(), source));
        }
        if begun.workers == Some(0) {
            let note = "no worker is alive: the runs wait for one";
            self.view.note(note, &mut self.console);
        }
        for run in &runs {
            self.runs.expect(run.run_id.clone());
        }
        self.show(&runs);
        Ok(())
    }

    /// Shows runs that are waited for, before there is an event of them.
    fn show(&mut self, runs: &[RunImage]) {
        let open = runs.iter().filter(|run| !run.status.is_terminal());
        let open: Vec<RunImage> = open.cloned().collect();
        self.view.expect(&open, &mut self.console);
    }

    /// The run as it is now; none for one who may see its events alone.
    async fn image(&self, run: &RunId) -> Result<Option<RunImage>, Error> {
        match self.gateways.read_as(&format!("api/scrapes/{run}"), &[]).await {
            Err(Error::Refused { status: 403, .. }) => Ok(None),
            image => image.map(Some),
        }
    }

    /// Asks for runs whose end may have gone by unseen.
    async fn look_up(&mut self) -> Result<(), Error> {
        for run in self.runs.open() {
            let Some(image) = self.image(&run).await? else {
                continue;
            };
            if !image.status.is_terminal() || !self.runs.end(&image) {
                continue;
            }
            if let View::Json = self.view {
                let word = bar::how(&image);
                self.console.tell(&format!("run {run} ended unseen: {word}"));
            } else {
                self.view.run("", &image, &mut self.console)?;
            }
        }
        Ok(())
    }

    /// What Ctrl-C does: leaves, or cancels and waits.
    async fn interrupted(&mut self) -> Option<u8> {
        let open = self.runs.open();
        if !self.options.cancel_on_interrupt || open.is_empty() {
            return Some(self.leave());
        }
        for run in open {
            let path = format!("api/scrapes/{run}/cancel");
            let sent: Result<serde_json::Value, Error> = self.gateways.post_as(&path, String::new()).await;
            let note = match sent {
                Ok(_) => format!("asked to cancel {run}; waiting for its end, Ctrl-C leaves"),
                Err(error) => format!("{run} goes on: {error}"),
            };
            self.view.note(&note, &mut self.console);
        }
        None
    }

    /// The exit status of one who leaves before the end.
    fn leave(&mut self) -> u8 {
        let open = self.runs.open();
        for run in &open {
            let note = format!("left; the run goes on: oddswire follow {run}");
            self.view.note(&note, &mut self.console);
        }
        if self.options.stay || open.is_empty() {
            0
        } else {
            exit::INTERRUPTED
        }
    }
}
