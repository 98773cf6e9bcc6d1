//! Configuration as text: what is in force, and what there is.

use super::{Setting, is_switch, key_of, options, takes_several, variable_of};
use clap::{Arg, Command};
use std::fmt::Write as _;

/// What a command was told, as a file that says the same, with a word about where each value came from. Secrets, and
/// passwords in addresses, are masked.
pub fn print(command: &str, settings: &[Setting]) -> String {
    let mut out = format!(
        "# What `oddswire {command}` is told: flags over environment over file over defaults.\n[{command}]\n"
    );
    for setting in settings {
        let origin = &setting.origin;
        // Writing to a string cannot fail.
        let _ = match setting.values.as_slice() {
            [] => writeln!(out, "# {} is not given", setting.key),
            _ if setting.is_secret => writeln!(out, "{} = \"***\" # {origin}", setting.key),
            [value] => writeln!(out, "{} = {} # {origin}", setting.key, literal(&masked(value))),
            values => {
                let values: Vec<String> = values.iter().map(|value| literal(&masked(value))).collect();
                writeln!(out, "{} = [{}] # {origin}", setting.key, values.join(", "))
            }
        };
    }
    out
}

/// All options of these commands, commented out, each with its help, its variable and its default.
pub fn example(command: &Command, names: &[&str]) -> String {
    let mut out = String::from(
        "# Everything that can be configured, with its default. `oddswire gateway --config FILE` reads such a file, and\n\
         # `oddswire check --config FILE` tells what is wrong with it. Flags go over the environment, the environment over\n\
         # this file. Options that several commands have may stand at the top, for all of them.\n",
    );
    for name in names {
        let Some(sub) = command.find_subcommand(name) else {
            continue;
        };
        let _ = writeln!(out, "\n[{name}]");
        for option in options(command, sub) {
            let _ = writeln!(out, "\n{}", described(&option));
        }
    }
    out
}

fn described(option: &Arg) -> String {
    let help = option.get_help().map(ToString::to_string).unwrap_or_default();
    let mut text = String::new();
    for line in wrapped(&help, 116) {
        let _ = writeln!(text, "# {line}");
    }
    let (key, variable) = (key_of(option), variable_of(option).unwrap_or_default());
    let file = if option.is_hide_env_values_set() {
        format!("; or {key}_file, {variable}_FILE: a file that holds it")
    } else {
        String::new()
    };
    let _ = writeln!(text, "# Variable: {variable}{file}");
    let defaults: Vec<String> = option
        .get_default_values()
        .iter()
        .map(|value| literal(&value.to_string_lossy()))
        .collect();
    let value = match defaults.as_slice() {
        _ if is_switch(option) => "false".to_owned(),
        // Drawn at random, or read off the machine.
        _ if option.get_long() == Some("worker-id") => "\"…\"".to_owned(),
        [one] if !takes_several(option) => one.clone(),
        [] if !takes_several(option) => "…".to_owned(),
        several => format!("[{}]", several.join(", ")),
    };
    let _ = write!(text, "#{key} = {value}");
    text
}

fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("there is one");
        if !line.is_empty() && line.chars().count() + word.chars().count() + 1 > width {
            lines.push(word.to_owned());
        } else {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

/// A value as TOML.
fn literal(value: &str) -> String {
    let is_number = !value.is_empty()
        && value.parse::<f64>().is_ok()
        && value.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if is_number || ["true", "false"].contains(&value) {
        return value.to_owned();
    }
    toml::Value::from(value).to_string()
}

/// Without the user and password of an address.
fn masked(value: &str) -> String {
    let parts = value.split(',').map(|part| match part.split_once("://") {
        Some((scheme, rest)) if rest.split('/').next().is_some_and(|host| host.contains('@')) => {
            let host = rest.split_once('@').map_or(rest, |(_, host)| host);
            format!("{scheme}://***@{host}")
        }
        _ => part.to_owned(),
    });
    parts.collect::<Vec<_>>().join(",")
}
