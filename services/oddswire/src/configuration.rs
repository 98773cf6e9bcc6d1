//! `oddswire print-config`, `oddswire check`, and the configuration read again under a running gateway.

use crate::{Cli, Command};
use anyhow::Result;
use clap::{Args, CommandFactory, FromArgMatches};
use oddswire_gateway::{Change, GatewayOptions};
use oddswire_kit::{
    config::{self, Refused, Resolved, Setting},
    env, shutdown,
};
use std::{ffi::OsString, process::ExitCode};
use tokio::sync::mpsc;

/// Commands that a file configures, in the order of the example.
const CONFIGURED: [&str; 5] = ["gateway", "scraper", "provision", "demo-site", "dev"];

#[derive(Debug, Args)]
pub(crate) struct PrintConfig {
    /// The command whose configuration is meant, then its own flags.
    #[arg(value_name = "COMMAND", default_value = "gateway", value_parser = CONFIGURED)]
    command: String,
    /// Flags of that command.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "FLAGS")]
    flags: Vec<OsString>,
    /// Prints everything that can be configured, as a file to begin with.
    #[arg(long)]
    example: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Check {
    /// The commands whose configuration is looked at.
    #[arg(value_name = "COMMAND", default_values = ["gateway", "scraper"], value_parser = ["gateway", "scraper"])]
    commands: Vec<String>,
}

/// Reads the command line with everything behind it.
///
/// # Errors
/// [`Refused`].
pub(crate) fn read(arguments: &[OsString]) -> Result<(Cli, Vec<Setting>), Refused> {
    let command = Cli::command();
    let Resolved { matches, settings } = config::resolve(&command, arguments, &env::lookup)?;
    let cli = Cli::from_arg_matches(&matches)
        .map_err(|error| Refused::Usage(Box::new(error.format(&mut Cli::command()))))?;
    Ok((cli, settings))
}

/// The same for another command than the one that was called, with the configuration file of the call.
fn read_as(command: &str, flags: &[OsString]) -> Result<(Cli, Vec<Setting>), Refused> {
    let mut arguments = vec!["oddswire".into()];
    let called = env::arguments();
    let mut words = called.iter();
    while let Some(word) = words.next() {
        if word == "--config" {
            arguments.extend([word.clone()]);
            arguments.extend(words.next().cloned());
        } else if word.to_string_lossy().starts_with("--config=") {
            arguments.push(word.clone());
        }
    }
    arguments.push(command.into());
    arguments.extend(flags.iter().cloned());
    read(&arguments)
}

#[expect(clippy::print_stdout, reason = "this is what the command is asked for")]
pub(crate) fn print(options: &PrintConfig) -> Result<ExitCode> {
    if options.example {
        print!("{}", config::example(&Cli::command(), &CONFIGURED));
        return Ok(ExitCode::SUCCESS);
    }
    match read_as(&options.command, &options.flags) {
        Ok((_, settings)) => {
            print!("{}", config::print(&options.command, &settings));
            Ok(ExitCode::SUCCESS)
        }
        Err(refused) => Ok(crate::refuse(&refused)),
    }
}

#[expect(clippy::print_stdout, reason = "this is what the command is asked for")]
pub(crate) fn check(options: &Check) -> Result<ExitCode> {
    let mut problems = Vec::new();
    for command in &options.commands {
        match read_as(command, &[]) {
            Ok((cli, _)) => problems.extend(
                of_command(&cli.command)
                    .into_iter()
                    .map(|what| format!("{command}: {what}")),
            ),
            Err(Refused::Problems(found)) => problems.extend(found),
            Err(refused @ Refused::Usage(_)) => return Ok(crate::refuse(&refused)),
        }
    }
    problems.extend(config::strange_variables(&Cli::command()));
    // What two commands share is told once.
    let mut told = std::collections::BTreeSet::new();
    problems.retain(|problem| told.insert(problem.clone()));
    if problems.is_empty() {
        println!("The configuration is fine: {}.", options.commands.join(", "));
        return Ok(ExitCode::SUCCESS);
    }
    Ok(crate::refuse(&Refused::Problems(problems)))
}

/// What a command itself has against its configuration.
fn of_command(command: &Command) -> Vec<String> {
    match command {
        Command::Gateway(options) => oddswire_gateway::check(options),
        Command::Scraper(options) => match oddswire_scraper::source::load_dir(&options.sources, &env::lookup)
        {
            Ok(_) => Vec::new(),
            Err(problems) => problems.iter().map(ToString::to_string).collect(),
        },
        _ => Vec::new(),
    }
}

/// Reads the configuration again at each SIGHUP, and hands on what came of it, until nobody wants it any more.
///
/// # Errors
/// When the signal cannot be listened to.
pub(crate) async fn follow(changes: mpsc::Sender<Change>) -> std::io::Result<()> {
    let mut before = read(&env::arguments())
        .map(|(_, settings)| settings)
        .unwrap_or_default();
    loop {
        shutdown::hangup().await?;
        let change = match read(&env::arguments()) {
            Ok((cli, settings)) => match cli.command {
                Command::Gateway(options) => {
                    let later = needing_a_restart(&before, &settings);
                    before = settings;
                    Change::Options(options, later)
                }
                _ => return Ok(()),
            },
            Err(Refused::Problems(problems)) => Change::Wrong(problems),
            Err(Refused::Usage(error)) => Change::Wrong(vec![error.to_string()]),
        };
        if changes.send(change).await.is_err() {
            return Ok(());
        }
    }
}

/// Options that differ and take effect only after a restart.
fn needing_a_restart(before: &[Setting], now: &[Setting]) -> Vec<String> {
    let same = |setting: &Setting| {
        before
            .iter()
            .any(|other| other.key == setting.key && other.values == setting.values)
    };
    now.iter()
        .filter(|setting| !GatewayOptions::is_reloadable(&setting.key) && !same(setting))
        .map(|setting| setting.key.clone())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_that_the_repository_has_is_the_one_that_the_options_make() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/oddswire.example.toml");
        let kept = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            kept == config::example(&Cli::command(), &CONFIGURED),
            "write it anew: cargo run -- print-config --example > deploy/oddswire.example.toml"
        );
    }

    #[test]
    fn every_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_only_a_restart_changes_is_named() {
        let of = |words: &[&str]| {
            let words: Vec<OsString> = ["oddswire", "gateway"]
                .iter()
                .chain(words)
                .map(OsString::from)
                .collect();
            read(&words).unwrap().1
        };
        let later = needing_a_restart(
            &of(&[]),
            &of(&["--topics-max=5", "--ring-bytes=2097152", "--listen=127.0.0.1:1"]),
        );
        assert_eq!(later, ["listen", "ring_bytes"]);
    }
}
