//! `oddswire source retire`.

use super::{Error, Output};
use crate::run::{NotRetired, retire};
use clap::Args;
use oddswire_kit::bus::{Bus, BusOptions};
use oddswire_protocol::SourceKey;
use tokio_util::sync::CancellationToken;

#[derive(Debug, Clone, Args)]
pub(super) struct RetireOptions {
    /// The source: its `key`, as it stood in its file.
    key: SourceKey,
    #[command(flatten, next_help_heading = "Bus")]
    bus: BusOptions,
}

pub(super) async fn run(
    options: RetireOptions,
    output: &mut Output<'_>,
    stop: &CancellationToken,
) -> Result<u8, Error> {
    let key = &options.key;
    let bus = Bus::connect(&options.bus, "oddswire source retire", "scraper").await?;
    writeln!(output.aside, "{key}: withdrawing what it offered")?;
    match retire(&bus, key, stop).await {
        Ok(retired) => {
            let markets = retired.markets;
            writeln!(
                output.out,
                "{key}: retired. {markets} markets withdrawn; they vanish in a week, and it is not listed any more"
            )?;
            Ok(0)
        }
        Err(NotRetired::Stopped) => Err(Error::Stopped),
        Err(error) => {
            let why = if bus.is_connected() {
                bus.refusals().check().err()
            } else {
                bus.why_not_connected().await
            };
            Err(Error::Retire(why.unwrap_or_else(|| error.to_string())))
        }
    }
}
