//! `oddswire provision`.

use anyhow::{Context, Result};
use clap::{Args, Subcommand, ValueEnum};
use oddswire_kit::{
    bus::{Bus, BusOptions},
    provision::{Finding, provision},
    restore,
    roles::{self, KeyLayout, Separation},
};
use oddswire_protocol::{
    Subjects,
    stream::{Sizing, jobs_consumer, streams},
};
use std::{path::PathBuf, process::ExitCode};

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct ProvisionOptions {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    bus: BusOptions,
    /// Brings what differs to what it should be, where that loses nothing.
    #[arg(long)]
    apply: bool,
    /// How much the streams may hold, and how many copies there are.
    #[arg(long, env = "ODDSWIRE_SIZING", default_value = "single")]
    sizing: SizingName,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Makes an nkey for each role, and the users.conf that a nats-server includes. Keys that are there stay.
    Keys {
        /// Where `<role>.nk` (secret, readable by its owner alone) and users.conf (no secret) go.
        dir: PathBuf,
        /// Each into a folder of its own, `<role>/<role>.nk` and `users/users.conf`: for a volume each.
        #[arg(long)]
        apart: bool,
        /// Keeps the roles apart by permissions alone, as it was before each had an account: for a bus whose streams
        /// have not moved to an account yet (docs/nats.md).
        #[arg(long)]
        one_account: bool,
        /// The first token of every subject.
        #[arg(long, env = "ODDSWIRE_PREFIX", default_value = Subjects::DEFAULT_PREFIX, value_name = "TOKEN")]
        prefix: String,
    },
    /// After streams were put back from a backup, before the scrapers start: looks whether they fit together, and marks
    /// that ODDS goes on in another history. Ends with 1, and marks nothing, where they do not fit, or where that cannot be
    /// told.
    Restored {
        #[command(flatten)]
        bus: Box<BusOptions>,
    },
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

/// After the streams were put back: whether they fit together, and that ODDS goes on in another history.
async fn restored(options: &BusOptions) -> Result<ExitCode> {
    let bus = Bus::connect(options, "oddswire-provision", "operator").await?;
    let strays = match restore::strays(&bus).await {
        Ok(strays) => strays,
        Err(error) => return Err(explained(&bus, options, error).await).context("look at the streams"),
    };
    for stray in &strays {
        say(stray);
    }
    if !strays.is_empty() {
        return Ok(ExitCode::FAILURE);
    }
    if let Err(error) = bus.begin_term().await {
        return Err(explained(&bus, options, error).await).context("mark the new term of ODDS");
    }
    say(&"the streams fit together; cursors of what was lost are told gap from now on");
    Ok(ExitCode::SUCCESS)
}

/// The same error, or why there is no connection, or what the server refused; with the address.
async fn explained(
    bus: &Bus,
    options: &BusOptions,
    error: impl std::error::Error + Send + Sync + 'static,
) -> anyhow::Error {
    let why = if bus.is_connected() {
        bus.refusals().check().err()
    } else {
        bus.why_not_connected().await
    };
    let error = why.map_or(anyhow::Error::new(error), anyhow::Error::msg);
    error.context(format!("at {}", options.address()))
}

/// Ends with 0 when everything is as it should be, with 1 when something differs.
pub(crate) async fn run(options: ProvisionOptions) -> Result<ExitCode> {
    if let Some(Command::Restored { bus }) = &options.command {
        return restored(bus).await;
    }
    if let Some(Command::Keys {
        dir,
        apart,
        one_account,
        prefix,
    }) = options.command
    {
        let subjects = Subjects::new(&prefix).context("--prefix must be 1 to 64 of a-z, 0-9, _ and -")?;
        let layout = if apart {
            KeyLayout::Apart
        } else {
            KeyLayout::Together
        };
        let separation = if one_account {
            Separation::Permissions
        } else {
            Separation::Accounts
        };
        let keys = roles::write_keys(&dir, layout, &subjects, separation)
            .with_context(|| format!("keys in {}", dir.display()))?;
        for (role, key) in keys {
            say(&format!("{}: {key}", role.name()));
        }
        return Ok(ExitCode::SUCCESS);
    }
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
    let findings = match provision(&bus, &specs, &consumer, options.apply).await {
        Ok(findings) => findings,
        Err(error) => return Err(explained(&bus, &options.bus, error).await),
    };
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
fn say(finding: &dyn std::fmt::Display) {
    println!("{finding}");
}
