//! Running other programs.

use crate::deadline;
use anyhow::{Context, Result, bail};
use std::fs::File;
use std::io::{IsTerminal as _, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

/// The top of the repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask lies in the repository")
}

/// A program at the top of the repository, without terminal input, and without the variables that `cargo run` set for
/// xtask itself: build scripts (ring's) would take them for a change and rebuild half of the workspace.
pub(crate) fn command(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root()).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(is_set_by_cargo_run) {
            command.env_remove(name);
        }
    }
    command
}

/// The cargo that runs xtask.
pub(crate) fn cargo() -> Command {
    command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Where the outputs of what runs are kept as well, and the name of the file for them.
static LOG: Mutex<Option<(PathBuf, String)>> = Mutex::new(None);

/// From now on keeps the output of what [`run`] runs, in this folder, under the name of a stage.
pub(crate) fn keep_output(folder: &Path, stage: &str) {
    let log = Some((folder.to_owned(), format!("stage-{stage}.log")));
    *LOG.lock().unwrap_or_else(PoisonError::into_inner) = log;
}

/// The folder where outputs are kept.
pub(crate) fn logs() -> Option<PathBuf> {
    let log = LOG.lock().unwrap_or_else(PoisonError::into_inner);
    log.as_ref().map(|(folder, _)| folder.clone())
}

/// Runs to the end with its output on ours.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let log = LOG.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let status = match log {
        Some((folder, file)) => run_kept(command, &folder.join(file))?,
        None => status_within(command, deadline::LONGEST)?,
    };
    if !status.success() {
        bail!("`{}` failed ({status})", shown(command));
    }
    Ok(())
}

/// Runs to the end, which has to come by the deadline, and gives how it ended.
pub(crate) fn status_within(command: &mut Command, limit: Duration) -> Result<ExitStatus> {
    let mut child = spawn(command)?;
    deadline::wait(&mut child, limit).with_context(|| format!("`{}`", shown(command)))
}

/// The exit code of what a task ran, as the task's own.
pub(crate) fn code(status: ExitStatus) -> ExitCode {
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    ExitCode::from(code.unwrap_or(1))
}

fn spawn(command: &mut Command) -> Result<Child> {
    command
        .spawn()
        .with_context(|| format!("cannot start `{}`", shown(command)))
}

/// The same, with a copy of its output at the end of a file.
fn run_kept(command: &mut Command, file: &Path) -> Result<ExitStatus> {
    let mut log = File::options().create(true).append(true).open(file)?;
    let (mut output, ours) = std::io::pipe()?;
    if std::io::stdout().is_terminal() {
        command.env("CARGO_TERM_COLOR", "always");
    }
    command.stdout(ours.try_clone()?).stderr(ours);
    let mut child = spawn(command)?;
    // Else we hold the pipe open ourselves.
    command.stdout(Stdio::inherit()).stderr(Stdio::inherit());
    let (done, copied) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = [0; 8_192];
        while let Ok(count @ 1..) = output.read(&mut bytes) {
            // Nobody may be reading ours.
            let _ = std::io::stdout().write_all(&bytes[..count]);
            let _ = std::io::stdout().flush();
            let _ = log.write_all(&bytes[..count]);
        }
        let _ = done.send(());
    });
    let status =
        deadline::wait(&mut child, deadline::LONGEST).with_context(|| format!("`{}`", shown(command)));
    // What it started and left running may hold the pipe for ever.
    let _ = copied.recv_timeout(Duration::from_secs(5));
    status
}

/// Takes this process's place (as `cargo run` did before), so that Ctrl-C, signals and the exit code are its own.
#[cfg(unix)]
pub(crate) fn become_it(command: &mut Command) -> Result<ExitCode> {
    use std::os::unix::process::CommandExt;
    Err(command.exec().into())
}

#[cfg(not(unix))]
pub(crate) fn become_it(command: &mut Command) -> Result<ExitCode> {
    Ok(code(command.status()?))
}

/// Runs to the end, which has to come by the deadline, and gives what it printed; its complaints become part of the error.
pub(crate) fn capture(command: &mut Command) -> Result<String> {
    let (mut output, ours) = std::io::pipe()?;
    let (mut complaints, theirs) = std::io::pipe()?;
    command.stdout(ours).stderr(theirs);
    let mut child = spawn(command)?;
    // Else we hold the pipes open ourselves.
    command.stdout(Stdio::inherit()).stderr(Stdio::inherit());
    let (mut printed, mut said) = (Vec::new(), Vec::new());
    let status = thread::scope(|scope| {
        scope.spawn(|| output.read_to_end(&mut printed));
        scope.spawn(|| complaints.read_to_end(&mut said));
        deadline::wait(&mut child, deadline::LONGEST).with_context(|| format!("`{}`", shown(command)))
    })?;
    if !status.success() {
        let said = String::from_utf8_lossy(&said);
        bail!("`{}` failed ({status}):\n{}", shown(command), said.trim_end());
    }
    Ok(String::from_utf8_lossy(&printed).into_owned())
}

/// The first of these programs that `PATH` has.
pub(crate) fn on_path(names: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    names.iter().find_map(|name| {
        let file = format!("{name}{}", std::env::consts::EXE_SUFFIX);
        folders
            .iter()
            .map(|folder| folder.join(&file))
            .find(|candidate| candidate.is_file())
    })
}

/// A variable that is set and not empty.
pub(crate) fn variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}

fn shown(command: &Command) -> String {
    let mut words = vec![Path::new(command.get_program()).file_name().map_or_else(
        || command.get_program().to_string_lossy(),
        |name| name.to_string_lossy(),
    )];
    words.extend(command.get_args().map(|word| word.to_string_lossy()));
    words.join(" ")
}

fn is_set_by_cargo_run(name: &str) -> bool {
    ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"]
        .iter()
        .any(|prefix| name.starts_with(prefix))
        || ["CARGO_CRATE_NAME", "CARGO_PRIMARY_PACKAGE", "OUT_DIR"].contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_the_person_are_passed_on() {
        assert!(is_set_by_cargo_run("CARGO_MANIFEST_DIR"));
        assert!(is_set_by_cargo_run("CARGO_PKG_NAME"));
        for kept in [
            "CARGO",
            "CARGO_HOME",
            "CARGO_TARGET_DIR",
            "CARGO_NET_OFFLINE",
            "PATH",
        ] {
            assert!(!is_set_by_cargo_run(kept), "{kept}");
        }
    }

    #[test]
    fn a_failure_carries_what_the_program_said() {
        let error = capture(cargo().arg("no-such-subcommand"))
            .unwrap_err()
            .to_string();
        assert!(error.contains("no-such-subcommand` failed"), "{error}");
        assert!(error.contains("no such command"), "{error}");
    }
}
