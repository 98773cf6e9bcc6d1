use super::*;
use clap::{Args, FromArgMatches, Parser, Subcommand};
use std::io::Write as _;
use tempfile::NamedTempFile;

#[derive(Debug, Parser)]
#[command(name = "x")]
struct Cli {
    #[arg(long = "log", env = "ODDSWIRE_TEST_LOG", global = true)]
    log: Option<String>,
    #[arg(long, global = true)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Sub,
}

#[derive(Debug, Subcommand)]
enum Sub {
    Serve(Serve),
    Fetch(Fetch),
    Ask { url: String },
}

#[derive(Debug, Clone, PartialEq, Args)]
struct Serve {
    /// Bytes of the ring, at least 10.
    #[arg(long, env = "ODDSWIRE_TEST_RING", default_value_t = 100, value_parser = clap::value_parser!(u64).range(10..))]
    ring_bytes: u64,
    /// Who is let in.
    #[arg(long, env = "ODDSWIRE_TEST_ORIGIN", value_delimiter = ',')]
    origin: Vec<String>,
    /// A word that nobody may see.
    #[arg(long, env = "ODDSWIRE_TEST_SECRET", hide_env_values = true)]
    secret: Option<String>,
    /// Lets everybody in.
    #[arg(long, env = "ODDSWIRE_TEST_OPEN")]
    open: bool,
    #[arg(long, env = "ODDSWIRE_TEST_CERT", requires = "key")]
    cert: Option<PathBuf>,
    #[arg(long, env = "ODDSWIRE_TEST_KEY", requires = "cert")]
    key: Option<PathBuf>,
    #[arg(long, env = "ODDSWIRE_TEST_URL", default_value = "nats://here")]
    url: String,
}

#[derive(Debug, Args)]
struct Fetch {
    #[arg(long, env = "ODDSWIRE_TEST_URL", default_value = "nats://here")]
    url: String,
}

fn file(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

/// Resolves `x serve …` with these variables. What clap reads from the real environment is not there.
fn serve(
    text: &str,
    flags: &[&str],
    variables: &[(&str, &str)],
) -> Result<(Serve, Vec<Setting>), Vec<String>> {
    let file = file(text);
    let config = format!("--config={}", file.path().display());
    let words = ["x", "serve", &config].into_iter().chain(flags.iter().copied());
    let arguments: Vec<OsString> = words.map(OsString::from).collect();
    let lookup = |name: &str| {
        let found = variables.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    match resolve(&<Cli as clap::CommandFactory>::command(), &arguments, &lookup) {
        Ok(resolved) => {
            let matches = resolved.matches.subcommand_matches("serve").unwrap();
            Ok((Serve::from_arg_matches(matches).unwrap(), resolved.settings))
        }
        Err(Refused::Problems(problems)) => {
            let shown = file.path().display().to_string();
            Err(problems
                .iter()
                .map(|problem| problem.replace(&shown, "FILE"))
                .collect())
        }
        Err(Refused::Usage(error)) => Err(vec![error.to_string()]),
    }
}

fn origin<'s>(settings: &'s [Setting], key: &str) -> &'s Origin {
    &settings.iter().find(|setting| setting.key == key).unwrap().origin
}

#[test]
fn flags_go_over_the_file_and_the_commands_table_over_the_top() {
    let text = "url = \"nats://top\"\n[serve]\nring_bytes = 50\norigin = [\"a\", \"b\"]\nopen = true\n[fetch]\nurl = \"nats://other\"\n";
    let (options, settings) = serve(text, &[], &[]).unwrap();
    assert_eq!((options.ring_bytes, options.open), (50, true));
    assert_eq!(options.origin, ["a", "b"]);
    assert_eq!(options.url, "nats://top");
    assert!(matches!(origin(&settings, "ring_bytes"), Origin::File(_, 3)));
    assert_eq!(*origin(&settings, "secret"), Origin::Default);
    let (options, settings) = serve(text, &["--ring-bytes=70", "--origin=c"], &[]).unwrap();
    assert_eq!((options.ring_bytes, options.origin), (70, vec!["c".to_owned()]));
    assert_eq!(*origin(&settings, "ring_bytes"), Origin::Flag);
}

#[test]
fn everything_that_is_wrong_is_told_at_once_with_its_place_and_the_near_name() {
    let text = "logg = \"info\"\n[serve]\nring_byte = 50\nring_bytes = 5\nopen = \"yes\"\nurl = [\"a\", \"b\"]\norigin = { a = 1 }\n[servee]\nx = 1\n";
    let problems = serve(text, &[], &[]).unwrap_err();
    assert_eq!(
        problems,
        ["FILE:7: [serve]: origin must be a text, a number, true, false, or a list of these"]
    );
    let problems = serve(
        &text.replace("origin = { a = 1 }", ""),
        &[],
        &[("ODDSWIRE_TEST_RING", "x")],
    )
    .unwrap_err();
    let expected = [
        "FILE:1: unknown key logg: did you mean log?",
        "FILE:3: [serve]: unknown key ring_byte: did you mean ring_bytes?",
        "FILE:4: [serve]: ring_bytes: 5 is not in 10..18446744073709551615",
        "FILE:5: [serve]: open must be true or false",
        "FILE:6: [serve]: url takes one value, not a list",
        "FILE:9: [servee]: unknown table [servee]: did you mean serve?",
        "ODDSWIRE_TEST_RING: invalid digit found in string",
    ];
    let mut problems = problems;
    problems.sort();
    assert_eq!(problems, expected);
}

#[test]
fn what_belongs_together_is_asked_for_whoever_says_it() {
    let problems = serve("[serve]\ncert = \"a.pem\"\n", &[], &[]).unwrap_err();
    assert!(problems[0].contains("--key"), "{problems:?}");
    assert!(serve("[serve]\ncert = \"a.pem\"\n", &["--key=b.pem"], &[]).is_ok());
}

#[test]
fn a_secret_comes_from_a_file_too_and_is_never_shown() {
    let secret = file("hush\n");
    let path = secret.path().to_str().unwrap();
    let by_variable = [("ODDSWIRE_TEST_SECRET_FILE", path)];
    let (options, settings) = serve("", &[], &by_variable).unwrap();
    assert_eq!(options.secret.as_deref(), Some("hush"));
    let printed = print("serve", &settings);
    assert!(
        printed.contains("secret = \"***\" # the content of") && !printed.contains("hush"),
        "{printed}"
    );
    let (options, _) = serve(&format!("[serve]\nsecret_file = {path:?}\n"), &[], &[]).unwrap();
    assert_eq!(options.secret.as_deref(), Some("hush"));
    for (text, flags) in [("[serve]\nsecret = \"a\"\n", &[][..]), ("", &["--secret=a"])] {
        let problems = serve(text, flags, &by_variable).unwrap_err();
        assert!(problems[0].contains("secret is given twice"), "{problems:?}");
    }
    let empty = file("\n");
    let problems = serve(
        "",
        &[],
        &[("ODDSWIRE_TEST_SECRET_FILE", empty.path().to_str().unwrap())],
    )
    .unwrap_err();
    assert!(problems[0].ends_with("is empty"), "{problems:?}");
}

#[test]
fn what_is_printed_is_a_file_that_says_the_same() {
    let text = "[serve]\nring_bytes = 50\norigin = [\"a\", \"b\"]\nurl = \"nats://me:hush@there\"\n";
    let (options, settings) = serve(text, &[], &[]).unwrap();
    let printed = print("serve", &settings);
    assert!(printed.contains("url = \"nats://***@there\" # "), "{printed}");
    let (again, _) = serve(&printed.replace("***", "me:hush"), &[], &[]).unwrap();
    assert_eq!(again, options);
}

#[test]
fn the_example_says_nothing_until_a_line_of_it_is_used() {
    let text = example(&<Cli as clap::CommandFactory>::command(), &["serve", "fetch"]);
    for line in [
        "# Bytes of the ring, at least 10",
        "# Variable: ODDSWIRE_TEST_RING",
        "#ring_bytes = 100",
        "#origin = []",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    let (options, _) = serve(&text, &[], &[]).unwrap();
    assert_eq!(options, serve("", &[], &[]).unwrap().0);
    let used = text
        .replace("#ring_bytes = 100", "ring_bytes = 200")
        .replace("#open = false", "open = true");
    let (options, _) = serve(&used, &[], &[]).unwrap();
    assert_eq!((options.ring_bytes, options.open), (200, true));
}

#[test]
fn what_clap_says_by_itself_is_left_to_it() {
    let command = <Cli as clap::CommandFactory>::command();
    let none = |_: &str| None;
    for words in [
        &["x", "--help"][..],
        &["x"],
        &["x", "serve", "--nonsense"],
        &["x", "ask"],
    ] {
        let arguments: Vec<OsString> = words.iter().map(OsString::from).collect();
        assert!(
            matches!(resolve(&command, &arguments, &none), Err(Refused::Usage(_))),
            "{words:?}"
        );
    }
    let arguments: Vec<OsString> = ["x", "ask", "url"].map(OsString::from).into();
    assert!(resolve(&command, &arguments, &none).is_ok());
}
