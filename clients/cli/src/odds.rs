//! `oddswire odds`: the board now, as a table or as it came, and then what changes.

mod board;
mod changes;
mod margin;
mod picture;

use crate::{
    connection::{Clock, ConnectOptions, Error, Gateways},
    console::Console,
    image::OddsImage,
    stream::{Envelope, Happening, LeftOut, Stream, Wanted, lost},
    text::{TextLine, Tone},
};
use board::Board;
use clap::Args;
use oddswire_protocol::{MarketToken, SourceKey, SportKey, api::Sources};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::HashMap;
use tokio_util::sync::CancellationToken;

/// Which part of the board, and in which form.
#[derive(Debug, Clone, Args)]
pub struct OddsOptions {
    /// Through which gateways.
    #[command(flatten)]
    pub connect: ConnectOptions,
    /// Only this sport, such as soccer.
    #[arg(long, value_name = "SPORT")]
    pub sport: Option<SportKey>,
    /// Only events of this id, or with this in a team's name.
    #[arg(long, value_name = "TEXT")]
    pub event: Option<String>,
    /// Only this source.
    #[arg(long, value_name = "SOURCE")]
    pub source: Option<SourceKey>,
    /// Only this market, such as h2h-ft.
    #[arg(long, value_name = "MARKET")]
    pub market: Option<MarketToken>,
    /// Shows what is withdrawn too.
    #[arg(long)]
    pub withdrawn: bool,
    /// Goes on with what changes, until Ctrl-C.
    #[arg(long)]
    pub watch: bool,
    /// The image of a market a line, as its publisher wrote it: the data of odds_update.
    #[arg(long)]
    pub json: bool,
}

/// Markets that are asked for at once: as many as a gateway gives.
const PAGE: &str = "5000";

impl OddsOptions {
    /// The id of the one event, when that is surely what is meant.
    fn event_id(&self) -> Option<&str> {
        let is_uuid = |text: &&str| text.len() == 36 && text.bytes().filter(|b| *b == b'-').count() == 4;
        self.event.as_deref().filter(is_uuid)
    }

    fn query(&self) -> Vec<(&'static str, String)> {
        let mut query = vec![("limit", PAGE.to_owned())];
        let mut add = |name, value: Option<String>| query.extend(value.map(|value| (name, value)));
        add("sport", self.sport.as_ref().map(ToString::to_string));
        add("event_id", self.event_id().map(str::to_owned));
        add("source", self.source.as_ref().map(ToString::to_string));
        add("market", self.market.as_ref().map(ToString::to_string));
        query
    }

    fn topic(&self) -> String {
        let any = |value: Option<&str>| value.unwrap_or("*").to_owned();
        let tokens = [
            any(self.sport.as_ref().map(SportKey::as_str)),
            any(self.event_id()),
            any(self.source.as_ref().map(SourceKey::as_str)),
            any(self.market.as_ref().map(MarketToken::as_str)),
        ];
        let used = tokens
            .iter()
            .rposition(|token| token != "*")
            .map_or(0, |at| at + 1);
        let tokens = tokens[..used].iter().map(String::as_str);
        std::iter::once("odds_updates")
            .chain(tokens)
            .collect::<Vec<_>>()
            .join(".")
    }

    fn is_wanted(&self, image: &OddsImage) -> bool {
        let Some(text) = &self.event else {
            return true;
        };
        let (event, text) = (&image.event, text.to_lowercase());
        event.event_id.as_str() == text
            || [&event.home_team, &event.away_team]
                .iter()
                .any(|team| team.to_lowercase().contains(&text))
    }
}

#[derive(Debug, Deserialize)]
struct Part<'a> {
    cursor: String,
    #[serde(borrow)]
    markets: Vec<&'a RawValue>,
    #[serde(default, borrow)]
    confirmed: HashMap<SourceKey, &'a RawValue>,
    next_page: Option<String>,
}

/// Shows the board, and with `watch` what changes until `stop`; gives the process's exit status.
///
/// # Errors
/// When no gateway is there, one refuses, or nothing can be written.
pub async fn run(options: OddsOptions, mut console: Console, stop: CancellationToken) -> Result<u8, Error> {
    let gateways = Gateways::new(&options.connect)?;
    let (mut board, mut left_out) = (Board::default(), LeftOut::default());
    let (cursor, clock) = tokio::select! {
        read = read(&options, &gateways, &mut board, &mut console, &mut left_out) => read?,
        () = stop.cancelled() => return Ok(130),
    };
    if !options.json {
        // Who may not ask this sees the board all the same.
        if let Ok(Sources { sources }) = gateways.read_as("api/sources", &[]).await {
            let stale = sources
                .into_iter()
                .map(|source| (source.source, source.stale_after_ms));
            board.stale_after_ms.extend(stale);
        }
        let width = console.size().0;
        for line in picture::lines(&board, clock.now(), options.withdrawn, width, console.look) {
            console.line(&line)?;
        }
        if board.is_empty() {
            console.tell("nothing on the board is like that");
        }
    }
    console.out.flush()?;
    if options.watch {
        let view = (&mut board, &mut console, &mut left_out);
        watch(&options, gateways, cursor, view, stop).await?;
    }
    Ok(0)
}

/// Reads all pages. Gives the cursor from which a stream goes on, and the gateway's clock.
async fn read(
    options: &OddsOptions,
    gateways: &Gateways,
    board: &mut Board,
    console: &mut Console,
    left_out: &mut LeftOut,
) -> Result<(String, Clock), Error> {
    let mut query = options.query();
    let mut first = None;
    loop {
        let answer = gateways.read("api/odds", &query).await?;
        let part: Part<'_> = answer.understood()?;
        for raw in part.markets {
            let read = left_out.unless("an image of the board", serde_json::from_str(raw.get()));
            if let Some(image) = read.filter(|image| options.is_wanted(image)) {
                if options.json {
                    writeln!(console.out, "{}", raw.get())?;
                }
                board.put(image);
            }
        }
        for (source, raw) in part.confirmed {
            let read = left_out.unless("what was confirmed", serde_json::from_str(raw.get()));
            board.confirmed.extend(read.map(|confirmed| (source, confirmed)));
        }
        if let Some(news) = left_out.news() {
            console.tell(&news);
        }
        // The stream goes on from the first page.
        let first = first.get_or_insert((part.cursor, answer.clock));
        match part.next_page {
            Some(next) => {
                query.retain(|(name, _)| *name != "page");
                query.push(("page", next));
            }
            None => return Ok(first.clone()),
        }
    }
}

async fn watch(
    options: &OddsOptions,
    gateways: Gateways,
    cursor: String,
    (board, console, left_out): (&mut Board, &mut Console, &mut LeftOut),
    stop: CancellationToken,
) -> Result<(), Error> {
    let wanted = Wanted {
        path: "api/events".into(),
        topics: Some(options.topic()),
        since: cursor,
    };
    let mut stream = Stream::open(gateways, wanted);
    loop {
        let mut happening = tokio::select! {
            happening = stream.next() => Some(happening),
            () = stop.cancelled() => return Ok(()),
        };
        while let Some(next) = happening {
            match next {
                Happening::Message(event) => {
                    if let Some(envelope) = Envelope::of(&event) {
                        changed(options, &envelope, board, console, left_out)?;
                    }
                }
                Happening::Lost { why, wait, next } => {
                    console.tell(&lost(&why, wait, &next));
                }
                Happening::Failed(error) => return Err(error),
                Happening::Over => return Ok(()),
            }
            happening = stream.try_next();
        }
        console.out.flush()?;
    }
}

/// Shows what an event changes.
fn changed(
    options: &OddsOptions,
    envelope: &Envelope<'_>,
    board: &mut Board,
    console: &mut Console,
    left_out: &mut LeftOut,
) -> Result<(), Error> {
    if envelope.message_type != "odds_update" {
        return Ok(());
    }
    let read = envelope.read_event::<OddsImage>(left_out);
    if let Some(news) = left_out.news() {
        console.tell(&news);
    }
    let Some(image) = read.filter(|image| options.is_wanted(image)) else {
        return Ok(());
    };
    // The same image may come again after a cut.
    if board.get(&image) == Some(&image) {
        return Ok(());
    }
    if options.json {
        writeln!(console.out, "{}", envelope.data.get())?;
    } else {
        let time = envelope.timestamp.to_string();
        let time = time.get(11..19).unwrap_or_default();
        for change in changes::between(board.get(&image), &image) {
            let line = TextLine::of(Tone::Dim, &format!("{time}  "));
            console.line(&line.and(change))?;
        }
    }
    board.put(image);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        odds: OddsOptions,
    }

    #[test]
    fn a_topic_is_no_longer_than_what_is_asked_for() {
        let topic = |words: &[&str]| {
            let words = ["odds"].iter().chain(words);
            Cli::parse_from(words).odds.topic()
        };
        assert_eq!(topic(&[]), "odds_updates");
        assert_eq!(topic(&["--sport=soccer"]), "odds_updates.soccer");
        assert_eq!(topic(&["--source=alpha"]), "odds_updates.*.*.alpha");
        assert_eq!(topic(&["--market=h2h-ft"]), "odds_updates.*.*.*.h2h-ft");
        // A part of a name is looked for here.
        assert_eq!(topic(&["--event=united"]), "odds_updates");
        let id = "ce3dc1f4-fed7-5660-9b3e-9c44259ab12b";
        assert_eq!(topic(&["--event", id]), format!("odds_updates.*.{id}"));
    }
}
