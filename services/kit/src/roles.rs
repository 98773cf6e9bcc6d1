//! Who may do what on the bus: the permissions of each role, written once, for the server's configuration and the docs.

mod accounts;

pub use accounts::{HOME_ACCOUNT, accounts_conf};

use nkeys::KeyPair;
use oddswire_protocol::{
    Feed, Subjects,
    stream::{GATEWAY_RECORDS, JOBS_CONSUMER, StreamNames},
};
use std::{
    fmt::Write as _,
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

/// A kind of process, with one nkey.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Creates streams and changes them where that loses nothing: the deploy step.
    Provision,
    /// Takes jobs; publishes runs and odds.
    Scraper,
    /// Reads for clients; asks for runs and cancels them.
    Gateway,
    /// Another service that reads odds and runs.
    Reader,
    /// A person who looks after the bus: backup, restore, repair.
    Operator,
}

/// What a role may do. Everything else is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permissions {
    /// Subjects that it may publish to.
    pub publish: Vec<String>,
    /// Subjects that it may subscribe to.
    pub subscribe: Vec<String>,
    /// Whether it may answer a request that came in: once, within five seconds.
    pub answers: bool,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Provision,
        Self::Scraper,
        Self::Gateway,
        Self::Reader,
        Self::Operator,
    ];

    /// Its name: of its key file, and in the prefix of its replies, `_INBOX_<name>`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Provision => "provision",
            Self::Scraper => "scraper",
            Self::Gateway => "gateway",
            Self::Reader => "reader",
            Self::Operator => "operator",
        }
    }

    /// What it may do under these subjects.
    pub fn permissions(self, subjects: &Subjects) -> Permissions {
        let names = StreamNames::of(subjects);
        let (publish, mut subscribe) = match self {
            Self::Provision => (provision(&names), Vec::new()),
            Self::Scraper => scraper(subjects, &names),
            Self::Gateway => gateway(subjects, &names),
            Self::Reader => (
                reads(&[&names.runs, &names.runs_last, &names.odds, &names.history]),
                Feed::ALL.map(|feed| subjects.live_all(feed)).into(),
            ),
            Self::Operator => (
                vec![
                    "$JS.API.>".into(),
                    "$JS.SNAPSHOT.>".into(),
                    // That ODDS was put back from a backup.
                    subjects.feed_filter("odds.term.*"),
                ],
                vec!["$JS.EVENT.>".into()],
            ),
        };
        subscribe.push(format!("_INBOX_{}.>", self.name()));
        Permissions {
            publish,
            subscribe,
            answers: self == Self::Scraper,
        }
    }
}

/// Reading a stream: by any replica, by its leader, and what state it is in.
fn reads(streams: &[&str]) -> Vec<String> {
    let of = |stream: &&str| {
        ["DIRECT.GET", "STREAM.MSG.GET", "STREAM.INFO"].map(|verb| format!("$JS.API.{verb}.{stream}"))
    };
    streams.iter().flat_map(of).collect()
}

fn provision(names: &StreamNames) -> Vec<String> {
    let (control, gateway) = (names.control_stream(), names.gateway_stream());
    let all = [
        &names.runs,
        &names.runs_last,
        &names.odds,
        &names.history,
        &names.jobs,
        &control,
        &gateway,
    ];
    let of = |stream: &String| {
        ["STREAM.INFO", "STREAM.CREATE", "STREAM.UPDATE"].map(|verb| format!("$JS.API.{verb}.{stream}"))
    };
    let mut publish: Vec<String> = all.into_iter().flat_map(of).collect();
    publish.push(format!("$JS.API.CONSUMER.CREATE.{}.{JOBS_CONSUMER}", names.jobs));
    publish.push(format!("$JS.API.CONSUMER.INFO.{}.{JOBS_CONSUMER}", names.jobs));
    publish
}

fn scraper(subjects: &Subjects, names: &StreamNames) -> (Vec<String>, Vec<String>) {
    let (jobs, control, gateway) = (&names.jobs, names.control_stream(), names.gateway_stream());
    let mut publish: Vec<String> = Feed::ALL.map(|feed| subjects.feed_all(feed)).into();
    publish.push(subjects.job_all());
    publish.extend(["source.*", "worker.*", "failed.*", "misses.*"].map(|key| names.record_subject(key)));
    publish.extend(reads(&[&names.runs, &names.odds, jobs, &control, &gateway]));
    publish.extend([
        format!("$JS.API.STREAM.MSG.DELETE.{jobs}"),
        format!("$JS.API.CONSUMER.INFO.{jobs}.{JOBS_CONSUMER}"),
        format!("$JS.API.CONSUMER.MSG.NEXT.{jobs}.{JOBS_CONSUMER}"),
        format!("$JS.ACK.{jobs}.{JOBS_CONSUMER}.>"),
        // The same with a domain and an account, as later servers write it.
        format!("$JS.ACK.*.*.{jobs}.{JOBS_CONSUMER}.>"),
    ]);
    let subscribe = vec![
        control_all(subjects),
        format!("$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.{jobs}.{JOBS_CONSUMER}"),
    ];
    (publish, subscribe)
}

fn gateway(subjects: &Subjects, names: &StreamNames) -> (Vec<String>, Vec<String>) {
    let (jobs, control, gateway) = (&names.jobs, names.control_stream(), names.gateway_stream());
    let mut publish = vec![
        subjects.job_all(),
        control_all(subjects),
        // The end of a run that was cancelled before any scraper had it.
        subjects.feed_all(Feed::Run),
        format!("$JS.API.STREAM.MSG.DELETE.{jobs}"),
    ];
    publish.extend(GATEWAY_RECORDS.map(|word| names.record_subject(&format!("{word}.*"))));
    publish.extend(reads(&[
        &names.runs,
        &names.runs_last,
        &names.odds,
        &names.history,
        jobs,
        &control,
        &gateway,
    ]));
    (publish, Feed::ALL.map(|feed| subjects.live_all(feed)).into())
}

fn control_all(subjects: &Subjects) -> String {
    format!("{}.ctl.run.*", subjects.prefix())
}

/// The public key of each role.
pub type PublicKeys<'a> = &'a [(Role, String)];

/// How the server keeps the roles apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Separation {
    /// Each role in an account of its own: what the server answers stays in the account of who asked.
    Accounts,
    /// All in the global account, apart by permissions alone, as Oddswire had it before accounts: whoever may ask
    /// JetStream anything can have it answer to any subject. For a bus that has not gone over yet.
    Permissions,
}

/// What a nats-server's configuration includes.
pub fn users_conf(keys: PublicKeys<'_>, subjects: &Subjects, separation: Separation) -> String {
    const HEAD: &str = "# Made by `oddswire provision keys`. Holds no secret.\n";
    if separation == Separation::Accounts {
        return format!("{HEAD}{}", accounts_conf(keys, subjects));
    }
    let mut text = format!("{HEAD}authorization {{\n  users: [\n");
    for (role, key) in keys {
        text += &user(*role, key, &role.permissions(subjects));
    }
    text + "  ]\n}\n"
}

/// A user of the configuration.
fn user(role: Role, key: &str, may: &Permissions) -> String {
    let quoted = |list: &[String]| {
        let lines: Vec<String> = list.iter().map(|s| format!("          \"{s}\"\n")).collect();
        lines.concat()
    };
    let answers = if may.answers {
        "        allow_responses: {max: 1, expires: \"5s\"}\n"
    } else {
        ""
    };
    format!(
        "    # {}\n    {{\n      nkey: {key}\n      permissions: {{\n        publish: {{allow: [\n{}        ]}}\n        \
         subscribe: {{allow: [\n{}        ]}}\n{answers}      }}\n    }}\n",
        role.name(),
        quoted(&may.publish),
        quoted(&may.subscribe)
    )
}

/// The permissions as a Markdown table, for the docs.
pub fn table(subjects: &Subjects) -> String {
    let list = |subjects: &[String]| {
        let quoted: Vec<String> = subjects.iter().map(|s| format!("`{s}`")).collect();
        quoted.join("<br>")
    };
    let mut text = String::from("| role | may publish to | may subscribe to |\n|---|---|---|\n");
    for role in Role::ALL {
        let may = role.permissions(subjects);
        let answers = if may.answers {
            "<br>the reply of a request that came in, once, within 5 s"
        } else {
            ""
        };
        let _ = writeln!(
            text,
            "| {} | {}{answers} | {} |",
            role.name(),
            list(&may.publish),
            list(&may.subscribe)
        );
    }
    text
}

/// Where the keys of a folder lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyLayout {
    /// All side by side: `<role>.nk` and `users.conf`.
    Together,
    /// Each in a folder of its own, `<role>/<role>.nk` and `users/users.conf`, so that a volume for each can be handed
    /// to whom it is for, and to nobody else.
    Apart,
}

impl KeyLayout {
    fn folder(self, dir: &Path, name: &str) -> PathBuf {
        match self {
            Self::Together => dir.to_owned(),
            Self::Apart => dir.join(name),
        }
    }
}

/// Makes the key of each role that has none below `dir`, `<role>.nk`, readable by its owner alone, and writes
/// `users.conf` anew. Gives the public keys.
///
/// # Errors
/// When a file cannot be read or written, or is no seed.
pub fn write_keys(
    dir: &Path,
    layout: KeyLayout,
    subjects: &Subjects,
    separation: Separation,
) -> io::Result<Vec<(Role, String)>> {
    let mut keys = Vec::new();
    for role in Role::ALL {
        let folder = layout.folder(dir, role.name());
        let file = folder.join(format!("{}.nk", role.name()));
        let bad = || io::Error::other(format!("{} holds no nkey seed", file.display()));
        let pair = match fs::read_to_string(&file) {
            Ok(seed) => KeyPair::from_seed(seed.trim()).map_err(|_| bad())?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let pair = KeyPair::new_user();
                let seed = pair.seed().map_err(|_| bad())?;
                fs::create_dir_all(folder)?;
                write_whole(&file, 0o600, &seed)?;
                pair
            }
            Err(error) => return Err(error),
        };
        keys.push((role, pair.public_key()));
    }
    let users = layout.folder(dir, "users");
    fs::create_dir_all(&users)?;
    write_whole(
        &users.join("users.conf"),
        0o644,
        &users_conf(&keys, subjects, separation),
    )?;
    Ok(keys)
}

/// Writes a file so that nobody ever reads half of it, and a process that is killed leaves none.
fn write_whole(file: &Path, mode: u32, text: &str) -> io::Result<()> {
    let unfinished = file.with_extension("new");
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(mode);
    options.open(&unfinished)?.write_all(text.as_bytes())?;
    fs::rename(unfinished, file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn keys_are_made_once_and_only_their_owner_reads_them() {
        for layout in [KeyLayout::Together, KeyLayout::Apart] {
            let dir = tempfile::tempdir().unwrap();
            let first = write_keys(dir.path(), layout, &Subjects::default(), Separation::Accounts).unwrap();
            let again = write_keys(dir.path(), layout, &Subjects::default(), Separation::Accounts).unwrap();
            assert_eq!(first, again);
            let conf = layout.folder(dir.path(), "users").join("users.conf");
            assert_eq!(fs::metadata(&conf).unwrap().permissions().mode() & 0o777, 0o644);
            let conf = fs::read_to_string(conf).unwrap();
            for (role, key) in &first {
                let file = layout
                    .folder(dir.path(), role.name())
                    .join(format!("{}.nk", role.name()));
                assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
                let seed = fs::read_to_string(file).unwrap();
                assert!(conf.contains(key.as_str()) && !conf.contains(&seed));
            }
        }
    }

    #[test]
    fn keys_apart_share_no_folder() {
        let dir = tempfile::tempdir().unwrap();
        write_keys(
            dir.path(),
            KeyLayout::Apart,
            &Subjects::default(),
            Separation::Accounts,
        )
        .unwrap();
        let folders: Vec<_> = fs::read_dir(dir.path()).unwrap().collect();
        assert_eq!(folders.len(), Role::ALL.len() + 1);
        for folder in folders {
            let folder = folder.unwrap().path();
            assert!(folder.is_dir());
            assert_eq!(fs::read_dir(folder).unwrap().count(), 1);
        }
    }

    #[test]
    fn a_key_that_was_half_written_by_a_process_that_died_is_made_anew() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("gateway.new"), "SU").unwrap();
        let keys = write_keys(
            dir.path(),
            KeyLayout::Together,
            &Subjects::default(),
            Separation::Accounts,
        );
        assert_eq!(keys.unwrap().len(), Role::ALL.len());
    }

    #[test]
    fn another_prefix_shares_no_subject_with_the_default_one() {
        let (one, other) = (Subjects::default(), Subjects::new("test").unwrap());
        for role in Role::ALL.into_iter().filter(|role| *role != Role::Operator) {
            let (one, other) = (role.permissions(&one), role.permissions(&other));
            assert!(one.publish.iter().all(|s| !other.publish.contains(s)), "{role:?}");
        }
    }

    #[test]
    fn the_docs_show_what_the_server_is_told() {
        let docs = include_str!("../../../docs/nats.md");
        let table = table(&Subjects::default());
        assert!(docs.contains(&table), "docs/nats.md must hold:\n{table}");
    }
}
