//! What shells and `man` know of the command line, written from the same definition that parses it.

use crate::connection::Error;
use clap::{Args, Command};
use clap_complete::Shell;
use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

/// For which shell.
#[derive(Debug, Clone, Args)]
pub struct CompletionsOptions {
    /// The shell that is to know the command line.
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

/// Where manual pages go.
#[derive(Debug, Clone, Args)]
pub struct ManOptions {
    /// The folder, made when it is not there; `man -M` takes the one above a `man1`.
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
}

/// Writes the completions of a command.
///
/// # Errors
/// When `out` does not take them.
pub fn completions(
    options: &CompletionsOptions,
    mut command: Command,
    out: &mut dyn Write,
) -> Result<(), Error> {
    let name = command.get_name().to_owned();
    // It panics where it cannot write, so it writes to memory.
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut command, name, &mut script);
    out.write_all(&script)?;
    out.flush()?;
    Ok(())
}

/// Writes a manual page for a command and for each command below it, and gives their paths.
///
/// # Errors
/// When the folder or a page cannot be written.
pub fn manual(options: &ManOptions, mut command: Command) -> Result<Vec<PathBuf>, Error> {
    fs::create_dir_all(&options.dir)?;
    // Each subcommand gets the name by which it is called, and the options of all commands.
    command = command.disable_help_subcommand(true);
    command.build();
    let mut pages = Vec::new();
    write_page(&command, &options.dir, &mut pages)?;
    Ok(pages)
}

fn write_page(command: &Command, dir: &Path, pages: &mut Vec<PathBuf>) -> Result<(), Error> {
    let page = clap_mangen::Man::new(command.clone());
    let path = dir.join(page.get_filename());
    let mut text = Vec::new();
    page.render(&mut text)?;
    fs::write(&path, text)?;
    pages.push(path);
    let below = command.get_subcommands().filter(|sub| !sub.is_hide_set());
    below.into_iter().try_for_each(|sub| write_page(sub, dir, pages))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Arg;

    fn command() -> Command {
        let url = Arg::new("url").long("url").env("ODDSWIRE_URL").help("Where.");
        let keys = Command::new("keys").about("Makes keys.");
        Command::new("oddswire")
            .about("Odds.")
            .subcommand(Command::new("follow").about("Follows.").arg(url))
            .subcommand(Command::new("provision").subcommand(keys))
            .subcommand(Command::new("secret").hide(true))
    }

    #[test]
    fn every_command_has_a_page_with_its_variables_but_a_hidden_one() {
        let dir = tempfile::tempdir().unwrap();
        let options = ManOptions {
            dir: dir.path().join("man1"),
        };
        let pages = manual(&options, command()).unwrap();
        let names: Vec<&str> = pages
            .iter()
            .map(|page| page.file_name().unwrap().to_str().unwrap())
            .collect();
        assert_eq!(
            names,
            [
                "oddswire.1",
                "oddswire-follow.1",
                "oddswire-provision.1",
                "oddswire-provision-keys.1"
            ]
        );
        let page = fs::read_to_string(&pages[1]).unwrap();
        assert!(
            page.contains("ODDSWIRE_URL") && page.contains("Follows."),
            "{page}"
        );
    }

    #[test]
    fn each_shell_learns_the_commands() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let mut script = Vec::new();
            completions(&CompletionsOptions { shell }, command(), &mut script).unwrap();
            let script = String::from_utf8(script).unwrap();
            for word in ["oddswire", "follow", "keys", "url"] {
                assert!(script.contains(word), "{shell}: {word}");
            }
        }
    }
}
