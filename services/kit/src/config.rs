//! Configuration: flags over environment over a TOML file over the defaults that are compiled in.
//!
//! A command's clap arguments are the one definition of its options. What the file says is checked by them, each value
//! by itself so that everything wrong is told at once, and then takes the place of flags that nobody gave. So there is
//! one parser, one set of ranges, and one text of help for all ways.
//!
//! An option is an argument with a long name and a variable. `--ring-bytes` is `ODDSWIRE_RING_BYTES` in the environment
//! and `ring_bytes` in the file: at the top for all commands that have it, or in the table of one command, `[gateway]`.
//! An argument whose value help hides is a secret: it may come from a file that `…_FILE` names, and is never shown.

mod file;
mod render;

pub use render::{example, print};

use crate::{env, nearest::nearest};
use clap::{Arg, ArgAction, ArgMatches, Command, parser::ValueSource};
use file::{Entry, File};
use std::{
    collections::BTreeMap,
    ffi::OsString,
    fmt, fs,
    path::{Path, PathBuf},
};

/// The flag that names the file, and its variable.
const FLAG: &str = "--config";
const VARIABLE: &str = "ODDSWIRE_CONFIG";
/// How our variables begin.
const PREFIX: &str = "ODDSWIRE_";
/// Variables that begin so and are no options of a command: of the image, the tests and the tools.
const OTHERS: [&str; 10] = [
    VARIABLE,
    "ODDSWIRE_NATS_SERVER",
    "ODDSWIRE_BIN",
    "ODDSWIRE_COMMIT",
    "ODDSWIRE_IMAGE",
    "ODDSWIRE_NOFILE",
    "ODDSWIRE_PORT",
    "ODDSWIRE_CHAOS_SECONDS",
    "ODDSWIRE_CHAOS_SEED",
    "ODDSWIRE_TEST_LOGS",
];

/// Gives the value of an environment variable.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// What a command was told, and by whom.
#[derive(Debug)]
pub struct Resolved {
    /// For the command's own types.
    pub matches: ArgMatches,
    /// Its options, in the order of its help.
    pub settings: Vec<Setting>,
}

/// One option, as it is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Its name in the file.
    pub key: String,
    /// Its values, none when it is not given and has no default.
    pub values: Vec<String>,
    /// Whether nobody may see it.
    pub is_secret: bool,
    /// Who said so.
    pub origin: Origin,
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Compiled in.
    Default,
    /// This file, at this line.
    File(PathBuf, usize),
    /// The file that a `…_FILE` names.
    SecretFile(PathBuf),
    /// This variable.
    Environment(String),
    /// The command line.
    Flag,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(file, line) => write!(f, "{}:{line}", file.display()),
            Self::SecretFile(file) => write!(f, "the content of {}", file.display()),
            Self::Environment(variable) => f.write_str(variable),
            Self::Flag => f.write_str("command line"),
        }
    }
}

/// Why a command is not carried out.
#[derive(Debug)]
pub enum Refused {
    /// What clap says: help, the version, or what is wrong with the command line alone.
    Usage(Box<clap::Error>),
    /// Everything that is wrong, a sentence each.
    Problems(Vec<String>),
}

/// Reads what a command was told. `arguments` begin with the program's name.
///
/// # Errors
/// [`Refused`].
pub fn resolve(command: &Command, arguments: &[OsString], lookup: Lookup<'_>) -> Result<Resolved, Refused> {
    let mut problems = Vec::new();
    let sub = subcommand(command, arguments);
    let file = match path(arguments, lookup).map(|path| File::read(&path)) {
        None => None,
        Some(Ok(file)) => Some(file),
        Some(Err(found)) => {
            problems.extend(found);
            None
        }
    };
    let entries = file.iter().flat_map(|file| &file.entries);
    problems.extend(entries.filter_map(|entry| check_entry(command, entry)));
    let Some(sub) = sub else {
        let matches = command.clone().try_get_matches_from(arguments);
        return match matches {
            Ok(matches) if problems.is_empty() => Ok(Resolved {
                matches,
                settings: Vec::new(),
            }),
            Ok(_) => Err(Refused::Problems(problems)),
            Err(error) => Err(Refused::Usage(Box::new(error))),
        };
    };
    let options = options(command, sub);
    problems.extend(options.iter().filter_map(|option| check_variable(option, lookup)));
    let mut more = More::default();
    for option in &options {
        if let Err(problem) = more.add(option, arguments, sub, file.as_ref(), lookup) {
            problems.push(problem);
        }
    }
    let whole = arguments.iter().cloned().chain(more.arguments);
    let matches = match command.clone().try_get_matches_from(whole) {
        Ok(matches) => matches,
        Err(error) if problems.is_empty() || !error.use_stderr() => {
            return Err(Refused::Usage(Box::new(error)));
        }
        Err(error) => {
            // One that is told already is told better.
            let said = error.to_string();
            if !problems.iter().any(|problem| said.contains(reason(problem))) {
                problems.push(first_line(&error));
            }
            return Err(Refused::Problems(problems));
        }
    };
    if !problems.is_empty() {
        return Err(Refused::Problems(problems));
    }
    let settings = options
        .iter()
        .map(|option| setting(option, &matches, sub, &more.origins))
        .collect();
    Ok(Resolved { matches, settings })
}

/// Variables that begin with our prefix and mean nothing, with the one that may be meant.
pub fn strange_variables(command: &Command) -> Vec<String> {
    let known: Vec<String> = command
        .get_subcommands()
        .flat_map(|sub| options(command, sub))
        .filter_map(|option| variable_of(&option))
        .flat_map(|name| [format!("{name}_FILE"), name])
        .chain(OTHERS.map(str::to_owned))
        .collect();
    env::names()
        .into_iter()
        .filter(|name| name.starts_with(PREFIX) && !known.contains(name))
        .map(|name| match nearest(&name, known.iter().map(String::as_str)) {
            Some(near) => format!("{name} is no option; {near} is"),
            None => format!("{name} is no option"),
        })
        .collect()
}

/// What comes from the file, as flags behind those that were given.
#[derive(Debug, Default)]
struct More {
    arguments: Vec<OsString>,
    origins: BTreeMap<String, Origin>,
}

impl More {
    /// Adds what the file, or a file that is named, says of an option, unless somebody with more right did.
    fn add(
        &mut self,
        option: &Arg,
        arguments: &[OsString],
        sub: &Command,
        file: Option<&File>,
        lookup: Lookup<'_>,
    ) -> Result<(), String> {
        let key = key_of(option);
        let by_person =
            is_flagged(option, arguments) || variable_of(option).is_some_and(|name| lookup(&name).is_some());
        let entry = file.and_then(|file| file.find(sub.get_name(), &key));
        if let Some(path) = secret_file(option, sub, file, lookup) {
            if by_person || entry.is_some() {
                return Err(format!(
                    "{key} is given twice: itself, and as a file by {key}_file"
                ));
            }
            self.push(option, &[read_secret(&key, &path)?]);
            self.origins.insert(key, Origin::SecretFile(path));
            return Ok(());
        }
        if let (false, Some(entry), Some(file)) = (by_person, entry, file) {
            self.push(option, &entry.values);
            self.origins
                .insert(key, Origin::File(file.path.clone(), entry.line));
        }
        Ok(())
    }

    fn push(&mut self, option: &Arg, values: &[String]) {
        self.arguments.extend(as_flag(option, values));
    }
}

/// A value as a flag; nothing for a switch that is off.
fn as_flag(option: &Arg, values: &[String]) -> Option<OsString> {
    let long = option.get_long()?;
    if is_switch(option) {
        return (values.first().map(String::as_str) == Some("true")).then(|| format!("--{long}").into());
    }
    Some(format!("--{long}={}", values.join(",")).into())
}

/// Whether the command line has the option.
fn is_flagged(option: &Arg, arguments: &[OsString]) -> bool {
    let words = arguments
        .iter()
        .filter_map(|word| word.to_str()?.strip_prefix("--"));
    let mut names = words.map(|word| word.split_once('=').map_or(word, |(name, _)| name));
    names.any(|name| Some(name) == option.get_long())
}

fn is_switch(option: &Arg) -> bool {
    matches!(option.get_action(), ArgAction::SetTrue)
}

fn takes_several(option: &Arg) -> bool {
    option.get_value_delimiter().is_some()
}

/// The subcommand that is asked for, where it has options.
fn subcommand<'a>(command: &'a Command, arguments: &[OsString]) -> Option<&'a Command> {
    words_of(arguments)
        .find_map(|word| command.find_subcommand(word))
        .filter(|sub| !options(command, sub).is_empty())
        // One that goes on to commands of its own takes no options behind these.
        .filter(|sub| !words_of(arguments).any(|word| sub.find_subcommand(word).is_some()))
}

fn words_of(arguments: &[OsString]) -> impl Iterator<Item = &str> {
    arguments.iter().skip(1).filter_map(|word| word.to_str())
}

/// The options of a subcommand, those of all commands among them.
fn options(command: &Command, sub: &Command) -> Vec<Arg> {
    let mut options: Vec<Arg> = sub
        .get_arguments()
        .filter(|argument| is_option(argument))
        .cloned()
        .collect();
    if options.is_empty() {
        return options;
    }
    let global = command
        .get_arguments()
        .filter(|argument| argument.is_global_set() && is_option(argument));
    options.extend(global.cloned());
    options
}

fn is_option(argument: &Arg) -> bool {
    argument.get_long().is_some_and(|long| long != &FLAG[2..]) && argument.get_env().is_some()
}

fn key_of(option: &Arg) -> String {
    option.get_long().unwrap_or_default().replace('-', "_")
}

fn variable_of(option: &Arg) -> Option<String> {
    option.get_env()?.to_str().map(str::to_owned)
}

fn values_of<'m>(matches: &'m ArgMatches, sub: &Command) -> &'m ArgMatches {
    matches.subcommand_matches(sub.get_name()).unwrap_or(matches)
}

/// Where the configuration file is, if there is one.
fn path(arguments: &[OsString], lookup: Lookup<'_>) -> Option<PathBuf> {
    let mut words = arguments.iter().filter_map(|word| word.to_str());
    while let Some(word) = words.next() {
        if word == FLAG {
            return words.next().map(PathBuf::from);
        }
        if let Some(path) = word.strip_prefix(FLAG).and_then(|rest| rest.strip_prefix('=')) {
            return Some(path.into());
        }
    }
    lookup(VARIABLE)
        .filter(|path| !path.is_empty())
        .map(PathBuf::from)
}

/// What is wrong with a line of the file.
fn check_entry(command: &Command, entry: &Entry) -> Option<String> {
    let at = &entry.at;
    let subs: Vec<&Command> = command
        .get_subcommands()
        .filter(|sub| !options(command, sub).is_empty())
        .collect();
    let meant: Vec<Arg> = match &entry.section {
        None => subs.iter().flat_map(|sub| options(command, sub)).collect(),
        Some(section) => {
            let Some(sub) = subs.iter().find(|sub| sub.get_name() == section) else {
                let near = nearest(section, subs.iter().map(|sub| sub.get_name()));
                return Some(unknown(at, &format!("table [{section}]"), near));
            };
            options(command, sub)
        }
    };
    let keys: Vec<String> = meant.iter().map(key_of).collect();
    let Some(option) = meant.iter().find(|option| key_of(option) == entry.key) else {
        // A secret may be named by a file.
        let of_secret = |option: &&Arg| {
            option.is_hide_env_values_set() && entry.key == format!("{}_file", key_of(option))
        };
        if meant.iter().any(|option| of_secret(&option)) {
            return None;
        }
        let near = nearest(&entry.key, keys.iter().map(String::as_str));
        return Some(unknown(at, &format!("key {}", entry.key), near));
    };
    if entry.values.len() != 1 && !takes_several(option) {
        return Some(format!("{at}: {} takes one value, not a list", entry.key));
    }
    if is_switch(option) && !["true", "false"].contains(&entry.values[0].as_str()) {
        return Some(format!("{at}: {} must be true or false", entry.key));
    }
    check_value(option, &entry.values).map(|what| format!("{at}: {}: {what}", entry.key))
}

fn unknown(at: &str, what: &str, near: Option<&str>) -> String {
    match near {
        Some(near) => format!("{at}: unknown {what}: did you mean {near}?"),
        None => format!("{at}: unknown {what}"),
    }
}

fn check_variable(option: &Arg, lookup: Lookup<'_>) -> Option<String> {
    let name = variable_of(option)?;
    let value = lookup(&name)?;
    if is_switch(option) {
        return None;
    }
    check_value(option, &[value]).map(|what| format!("{name}: {what}"))
}

/// What the option's own parser says against a value.
fn check_value(option: &Arg, values: &[String]) -> Option<String> {
    if is_switch(option) {
        return None;
    }
    let mut alone = Arg::new("value")
        .long("value")
        .action(option.get_action().clone())
        .value_parser(option.get_value_parser().clone());
    if let Some(delimiter) = option.get_value_delimiter() {
        alone = alone.value_delimiter(delimiter);
    }
    let command = Command::new("option").no_binary_name(true).arg(alone);
    let error = command
        .try_get_matches_from([format!("--value={}", values.join(","))])
        .err()?;
    if option.is_hide_env_values_set() {
        // clap quotes the value.
        return Some("is not what it must be".to_owned());
    }
    let text = error.render().to_string();
    let (_, reason) = text.split_once("<value>'").unwrap_or(("", &text));
    let reason = reason.lines().map(|line| line.trim_start_matches(':').trim());
    Some(
        reason
            .into_iter()
            .find(|line| !line.is_empty())
            .unwrap_or_default()
            .to_owned(),
    )
}

fn first_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let line = text.lines().next().unwrap_or_default();
    line.trim_start_matches("error: ").to_owned()
}

/// What a problem says behind its place.
fn reason(problem: &str) -> &str {
    problem.rsplit_once(": ").map_or(problem, |(_, reason)| reason)
}

/// The file with a secret, where one is named and is no option of its own.
fn secret_file(option: &Arg, sub: &Command, file: Option<&File>, lookup: Lookup<'_>) -> Option<PathBuf> {
    let key = format!("{}_file", key_of(option));
    let own = sub.get_arguments().any(|argument| key_of(argument) == key);
    if !option.is_hide_env_values_set() || own {
        return None;
    }
    let by_variable = lookup(&format!("{}_FILE", variable_of(option)?)).filter(|path| !path.is_empty());
    let by_file = || file?.find(sub.get_name(), &key)?.values.first().cloned();
    by_variable.or_else(by_file).map(PathBuf::from)
}

/// A secret without the line end behind it.
fn read_secret(key: &str, path: &Path) -> Result<String, String> {
    let shown = path.display();
    let text = fs::read_to_string(path).map_err(|error| format!("{key}: cannot read {shown}: {error}"))?;
    let secret = text.trim_end_matches(['\r', '\n']);
    if secret.is_empty() {
        return Err(format!("{key}: {shown} is empty"));
    }
    Ok(secret.to_owned())
}

fn setting(option: &Arg, matches: &ArgMatches, sub: &Command, origins: &BTreeMap<String, Origin>) -> Setting {
    let key = key_of(option);
    let (matches, id) = (values_of(matches, sub), option.get_id().as_str());
    let values: Vec<String> = if is_switch(option) {
        vec![matches.get_flag(id).to_string()]
    } else {
        let raw = matches.get_raw(id).into_iter().flatten();
        raw.map(|value| value.to_string_lossy().into_owned()).collect()
    };
    let origin = origins
        .get(&key)
        .cloned()
        .unwrap_or_else(|| match matches.value_source(id) {
            Some(ValueSource::EnvVariable) => Origin::Environment(variable_of(option).unwrap_or_default()),
            Some(ValueSource::CommandLine) => Origin::Flag,
            _ => Origin::Default,
        });
    Setting {
        key,
        values,
        is_secret: option.is_hide_env_values_set(),
        origin,
    }
}

#[cfg(test)]
mod tests;
