//! `oddswire top`: runs, sources, workers and gateways on one screen.

mod gateway;
mod picture;
mod rates;
mod screen;
mod snapshot;
mod state;

use crate::{
    connection::{Address, ConnectOptions, Error, Gateways},
    console::{Console, Kind},
    stream::{Happening, Stream, Wanted, lost},
};
use clap::Args;
use crossterm::event::{Event, EventStream, KeyCode, KeyEventKind, KeyModifiers};
use futures_util::StreamExt as _;
use rates::Rates;
use screen::Screen;
use snapshot::Snapshot;
use state::State;
use std::time::Duration;
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, interval, sleep},
};
use tokio_util::sync::CancellationToken;

/// What to look at.
#[derive(Debug, Clone, Args)]
pub struct TopOptions {
    /// Through which gateways.
    #[command(flatten)]
    pub connect: ConnectOptions,
    /// The operations port of a gateway, such as http://127.0.0.1:8081, to show its clients; may be given several
    /// times.
    #[arg(long, env = "ODDSWIRE_OPS", value_name = "URL", value_delimiter = ',')]
    pub ops: Vec<Address>,
    /// Prints one picture and ends. So it is without a terminal.
    #[arg(long)]
    pub once: bool,
    /// One picture as JSON: the gateway's own answers, put together.
    #[arg(long)]
    pub json: bool,
}

/// How often it is asked what is not streamed.
const ASK_EVERY: Duration = Duration::from_secs(2);
/// How often the picture is drawn.
const FRAME: Duration = Duration::from_millis(250);

/// Shows the picture until `stop`, or once; gives the process's exit status.
///
/// # Errors
/// When no gateway is there at the beginning, one refuses, or nothing can be written.
pub async fn run(options: TopOptions, mut console: Console, stop: CancellationToken) -> Result<u8, Error> {
    let gateways = Gateways::new(&options.connect)?;
    if options.json {
        let picture = snapshot::as_json(&gateways, &options.ops).await?;
        writeln!(console.out, "{picture}")?;
        return Ok(0);
    }
    let first = Snapshot::take(&gateways, &options.ops).await?;
    let mut state = State::new(first);
    if options.once || console.kind != Kind::Terminal {
        let (width, look) = (console.size().0, console.look);
        for line in picture::lines(&state, None, state.now(), width, look) {
            console.line(&line)?;
        }
        console.out.flush()?;
        return Ok(0);
    }
    let mut screen = Screen::open()?;
    let ended = watch(&options, gateways, &mut state, &mut screen, &mut console, stop).await;
    // What is said of an error is not to vanish with the screen.
    drop(screen);
    ended.map(|()| 0)
}

async fn watch(
    options: &TopOptions,
    gateways: Gateways,
    state: &mut State,
    screen: &mut Screen,
    console: &mut Console,
    stop: CancellationToken,
) -> Result<(), Error> {
    let wanted = |topics: &str, since: &str| Wanted {
        path: "api/events".into(),
        topics: Some(topics.into()),
        since: since.into(),
    };
    let mut runs = Stream::open(gateways.clone(), wanted("scrape_progress", "snapshot"));
    let mut odds = Stream::open(gateways.clone(), wanted("odds_updates", "now"));
    let mut asking = JoinSet::new();
    let (sender, mut snapshots) = mpsc::channel(1);
    asking.spawn(ask(gateways, options.ops.clone(), sender));
    let mut rates = Rates::new(Instant::now());
    let mut frames = interval(FRAME);
    frames.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut keys = EventStream::new();
    loop {
        tokio::select! {
            happening = runs.next() => take(happening, state, &mut rates)?,
            happening = odds.next() => take(happening, state, &mut rates)?,
            Some(snapshot) = snapshots.recv() => state.renew(snapshot),
            key = keys.next() => match key {
                Some(Ok(key)) if !leaves(&key) => {}
                Some(Err(error)) => return Err(error.into()),
                _ => return Ok(()),
            },
            _ = frames.tick() => {
                rates.turn(Instant::now());
                let (width, look) = (console.size().0, console.look);
                let lines = picture::lines(state, Some(&rates), state.now(), width, look);
                screen.draw(console, lines)?;
            }
            () = stop.cancelled() => return Ok(()),
        }
    }
}

fn leaves(event: &Event) -> bool {
    let Event::Key(key) = event else {
        return false;
    };
    let is_control_c = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
    key.kind == KeyEventKind::Press && (is_control_c || matches!(key.code, KeyCode::Char('q') | KeyCode::Esc))
}

fn take(happening: Happening, state: &mut State, rates: &mut Rates) -> Result<(), Error> {
    match happening {
        Happening::Message(event) => {
            rates.count(&event);
            state.take(&event);
        }
        Happening::Lost { why, wait, next } => state.trouble = Some(lost(&why, wait, &next)),
        Happening::Failed(error) => return Err(error),
        Happening::Over => {}
    }
    Ok(())
}

/// Asks for what is not streamed, again and again.
async fn ask(gateways: Gateways, ops: Vec<Address>, sender: mpsc::Sender<Result<Snapshot, Error>>) {
    loop {
        sleep(ASK_EVERY).await;
        let snapshot = Snapshot::take(&gateways, &ops).await;
        if sender.send(snapshot).await.is_err() {
            return;
        }
    }
}
