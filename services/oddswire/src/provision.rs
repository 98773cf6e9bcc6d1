//! `oddswire provision`.

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use oddswire_kit::{
    bus::{Bus, BusOptions},
    provision::{Finding, provision},
};
use oddswire_protocol::stream::{Sizing, jobs_consumer, streams};
use std::process::ExitCode;

#[derive(Debug, Args)]
pub(crate) struct ProvisionOptions {
    #[command(flatten)]
    bus: BusOptions,
    /// Brings what differs to what it should be, where that loses nothing.
    #[arg(long)]
    apply: bool,
    /// How much the streams may hold, and how many copies there are.
    #[arg(long, env = "ODDSWIRE_SIZING", default_value = "single")]
    sizing: SizingName,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum SizingName {
    /// One machine for development: 256 MiB a stream, one copy.
    Single,
    /// One server in production: 8 GiB of runs and of history, 4 GiB of odds, one copy.
    Large,
    /// A cluster of three: as large, three copies.
    Cluster,
}

/// Ends with 0 when everything is as it should be, with 1 when something differs.
pub(crate) async fn run(options: ProvisionOptions) -> Result<ExitCode> {
    let sizing = match options.sizing {
        SizingName::Single => Sizing::DEV,
        SizingName::Large => Sizing {
            replicas: 1,
            ..Sizing::PRODUCTION
        },
        SizingName::Cluster => Sizing::PRODUCTION,
    };
    let bus = Bus::connect(&options.bus, "oddswire-provision", "provision").await?;
    let specs = streams(bus.subjects(), &sizing);
    let consumer = jobs_consumer(bus.subjects(), &sizing);
    let findings = provision(&bus, &specs, &consumer, options.apply)
        .await
        .with_context(|| format!("at {}", options.bus.address()))?;
    let mut code = ExitCode::SUCCESS;
    for finding in &findings {
        say(finding);
        if matches!(finding, Finding::Differs { .. }) {
            code = ExitCode::FAILURE;
        }
    }
    Ok(code)
}

#[expect(clippy::print_stdout, reason = "this is what the command is asked for")]
fn say(finding: &Finding) {
    println!("{finding}");
}
