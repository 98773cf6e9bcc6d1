//! `oddswire source …` on a site of a shape that the demo does not have, by a file that was made with these commands
//! alone.

#![expect(
    clippy::unwrap_used,
    reason = "a panic is how a test fails, in its helper functions too"
)]

use clap::Parser as _;
use oddswire_scraper::{
    source::Source,
    workbench::{self, Error, Output, SourceOptions},
};
use std::path::{Path, PathBuf};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");

#[derive(clap::Parser)]
struct Cli {
    #[command(flatten)]
    options: SourceOptions,
}

/// Serves the files of a folder, and nothing else. Gone when it is dropped.
struct StaticSite {
    url: String,
    _tasks: JoinSet<()>,
}

impl StaticSite {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream));
            }
        });
        Self { url, _tasks: tasks }
    }
}

async fn serve(mut stream: TcpStream) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut head).await.unwrap() == 0 {
            return;
        }
    }
    let head = String::from_utf8(head).unwrap();
    let path = head.split(' ').nth(1).unwrap().trim_start_matches('/');
    let file = Path::new(FIXTURES).join("echo").join(path);
    let kind = if path == "leagues.csv" {
        "text/csv"
    } else {
        "text/html"
    };
    let (status, body) = match std::fs::read(file) {
        Ok(body) => ("200 OK", body),
        Err(_) => ("404 Not Found", Vec::new()),
    };
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-type: {kind}\r\nset-cookie: session=hunter2\r\n\
        content-length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&body).await.unwrap();
}

/// What a command ended with and wrote: its result, and what it said aside.
struct Ran {
    code: Result<u8, Error>,
    out: String,
    aside: String,
}

/// Runs `oddswire source` with these arguments. `${ECHO_URL}` is `url`, and `${ECHO_TOKEN}` a secret.
async fn source(url: &str, arguments: &[&str]) -> Ran {
    let arguments = std::iter::once("oddswire source").chain(arguments.iter().copied());
    let cli = Cli::try_parse_from(arguments).unwrap();
    let lookup = |name: &str| match name {
        "ECHO_URL" => Some(url.to_owned()),
        "ECHO_TOKEN" => Some("swordfish".to_owned()),
        _ => None,
    };
    let (mut out, mut aside) = (Vec::new(), Vec::new());
    let output = Output {
        out: &mut out,
        aside: &mut aside,
    };
    let code = workbench::run(cli.options, &lookup, output, CancellationToken::new()).await;
    Ran {
        code,
        out: String::from_utf8(out).unwrap(),
        aside: String::from_utf8(aside).unwrap(),
    }
}

/// The fixture's file without its manners, which would only make the test slow, and with changes.
fn echo(dir: &Path, changes: &[(&str, &str)]) -> PathBuf {
    let fixtures = Path::new(FIXTURES).join("sources");
    let mut text = std::fs::read_to_string(fixtures.join("echo.toml")).unwrap();
    let hurry = "[source.limits]\nrequests_per_second = 1000\n[source.retry]\nattempts = 1\n\n# 1. id";
    let hurry = [("# 1. id", hurry)];
    for (from, to) in hurry.iter().chain(changes) {
        assert!(text.contains(from), "{from}");
        text = text.replacen(from, to, 1);
    }
    std::fs::create_dir_all(dir.join("maps")).unwrap();
    std::fs::copy(fixtures.join("maps/german.toml"), dir.join("maps/german.toml")).unwrap();
    let file = dir.join("echo.toml");
    std::fs::write(&file, text).unwrap();
    file
}

const READ: &str = "\
step                   pages    rows  bad rows      bytes
leagues                    1       2         0         72
games                      3       3         0       2130

3 events with 5 quotes.

market                quotes    open
h2h ft                     3       2
totals ft                  2       2
";

const EVENTS: &[&str] = &[
    // Summer and winter: 20:45 in Berlin is 18:45 in July.
    "Adler Nord - Blau-Weiss (Mittelland, Bundesliga), 2027-07-05T18:45:00.000Z\n  \
    h2h ft: away 4.2, draw 3.4, home 1.85\n  totals ft 2.5: over 1.9, under 1.95\n",
    "Concordia - Dynamo Süd (Mittelland, Bundesliga), 2026-11-23T17:30:00.000Z\n  \
    h2h ft: away 3.6 (suspended), draw - (suspended), home 2.1 (suspended)\n",
    "Eintracht - Fortuna (Mittelland, Bundesliga), 2026-11-24T14:30:00.000Z\n  \
    h2h ft: away 1.02, draw 11, home 1001.5\n  totals ft 3: over 2, under 1.75\n",
];

#[tokio::test]
async fn a_file_made_with_the_commands_reads_a_site_of_another_shape() {
    let site = StaticSite::start().await;
    let dir = tempfile::tempdir().unwrap();
    let file = echo(dir.path(), &[]);
    let file = file.to_str().unwrap();
    let checked = source(&site.url, &["check", file]).await;
    assert_eq!(checked.code.unwrap(), 0);
    assert!(
        checked
            .out
            .contains("echo: Echo (fixture): leagues → games; 2 markets mapped"),
        "{}",
        checked.out
    );
    let tested = source(&site.url, &["test", file]).await;
    assert_eq!(tested.code.unwrap(), 0, "{}", tested.out);
    for part in EVENTS.iter().chain(&[READ]) {
        assert!(tested.out.contains(part), "{part}\n{}", tested.out);
    }
    assert!(
        tested
            .out
            .contains("market \"Ecken\": the file does not have it, 1 time"),
        "{}",
        tested.out
    );
    assert!(
        tested.out.ends_with("\nGood: everything was read.\n"),
        "{}",
        tested.out
    );
}

#[tokio::test]
async fn recorded_pages_give_the_same_rows_without_the_site_and_hold_no_secret() {
    let site = StaticSite::start().await;
    let dir = tempfile::tempdir().unwrap();
    let secret = "[source.http]\nheaders = { authorization = \"Bearer ${ECHO_TOKEN}\" }\n\n[source.limits]";
    let file = echo(dir.path(), &[("[source.limits]", secret)]);
    let (file, pages) = (file.to_str().unwrap(), dir.path().join("pages"));
    let folder = pages.to_str().unwrap();
    let recorded = source(&site.url, &["record", file, "--out", folder]).await;
    assert_eq!(recorded.code.unwrap(), 0, "{}", recorded.out);
    assert!(recorded.out.contains("4 pages are in"), "{}", recorded.out);
    drop(site);

    let gone = "http://127.0.0.1:9";
    let tested = source(gone, &["test", file, "--from", folder]).await;
    assert_eq!(tested.code.unwrap(), 0, "{}", tested.out);
    for part in EVENTS.iter().chain(&[READ]) {
        assert!(tested.out.contains(part), "{part}\n{}", tested.out);
    }
    let mut files = 0;
    for entry in std::fs::read_dir(&pages).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        assert!(!text.contains("swordfish") && !text.contains("hunter2"), "{text}");
        files += 1;
    }
    assert_eq!(files, 5);
    // A folder with something in it is never written to.
    let again = source(gone, &["record", file, "--out", folder]).await;
    assert!(
        again
            .code
            .unwrap_err()
            .to_string()
            .contains("the folder is not empty")
    );
}

#[tokio::test]
async fn answers_that_were_failures_are_recorded_and_fail_again_offline() {
    let site = StaticSite::start().await;
    let dir = tempfile::tempdir().unwrap();
    // Pages of games that are not there, of which the site says 404.
    let file = echo(dir.path(), &[("{{league_id}}", "{{league_id}}-gone")]);
    let (file, pages) = (file.to_str().unwrap(), dir.path().join("pages"));
    let folder = pages.to_str().unwrap();
    let recorded = source(&site.url, &["record", file, "--out", folder]).await;
    assert_eq!(recorded.code.unwrap(), 1, "{}", recorded.out);
    drop(site);
    let list = std::fs::read_to_string(pages.join("pages.json")).unwrap();
    assert_eq!(list.matches("\"status\": 404").count(), 2, "{list}");
    let tested = source("http://127.0.0.1:9", &["test", file, "--from", folder]).await;
    assert_eq!(tested.code.unwrap(), 1);
    assert!(
        tested.out.contains("answered 404") && !tested.out.contains("not recorded"),
        "{}",
        tested.out
    );
}

#[tokio::test]
async fn one_page_is_shown_as_the_scraper_sees_it() {
    let site = StaticSite::start().await;
    let dir = tempfile::tempdir().unwrap();
    let file = echo(dir.path(), &[]);
    let file = file.to_str().unwrap();
    let fetched = source(&site.url, &["fetch", file, "--step", "leagues"]).await;
    assert_eq!(fetched.code.unwrap(), 0);
    assert!(
        fetched.out.starts_with("id;league;country;events\n10;Bundesliga"),
        "{}",
        fetched.out
    );
    assert!(
        fetched.aside.contains("status  200\ntime    ")
            && fetched.aside.contains("type    text/csv\nrows    2\n"),
        "{}",
        fetched.aside
    );

    let blank = source(&site.url, &["fetch", file, "--step", "games"])
        .await
        .code
        .unwrap_err();
    assert!(
        blank.is_configuration() && blank.to_string().ends_with("--var league_id=…"),
        "{blank}"
    );
    // `/league/../1.html` would be another page.
    let climbs = ["fetch", file, "--step", "games", "--var", "league_id=.."];
    let climbs = source(&site.url, &climbs).await.code.unwrap_err();
    assert!(climbs.to_string().contains("means another page"), "{climbs}");
    let unknown = source(&site.url, &["fetch", file, "--step", "odds"])
        .await
        .code
        .unwrap_err();
    assert!(
        unknown.to_string().contains("the file has leagues, games"),
        "{unknown}"
    );

    let out = dir.path().join("page.html");
    let arguments = [
        "fetch",
        file,
        "--step",
        "games",
        "--var",
        "league_id=10",
        "--out",
        out.to_str().unwrap(),
    ];
    let fetched = source(&site.url, &arguments).await;
    assert!(std::fs::read_to_string(&out).unwrap().contains("__DATA__") && fetched.out.is_empty());
    let gone = source(
        &site.url,
        &["fetch", file, "--step", "games", "--var", "league_id=99"],
    )
    .await;
    assert_eq!(gone.code.unwrap(), 1);
    assert!(gone.aside.contains("status  404"), "{}", gone.aside);
}

#[tokio::test]
async fn a_file_that_does_not_fit_the_site_is_told_in_plain_words_and_ends_with_1() {
    let site = StaticSite::start().await;
    for (from, to, told) in [
        (
            "\"$.games[*]\"",
            "\"$.matches[*]\"",
            "step \"games\": /league/10/1.html: the layout changed: $.matches is not there",
        ),
        (
            "min_events = 1",
            "min_events = 9",
            "3 events, though at least 9 are expected",
        ),
        (
            "min_rows = 1",
            "min_rows = 3",
            "step \"leagues\": 2 rows, though at least 3 are expected",
        ),
        (
            "[\"$.next\"]",
            "[\"$.total\"]",
            "the layout changed: $.total is not there",
        ),
        (
            "script#__DATA__",
            "script#data",
            "what embedded asks for is not there",
        ),
        (
            "equals = \"ok\"",
            "equals = \"OK\"",
            "the site reports an error: \"ok\"",
        ),
        ("\"$.home\"", "\"$.host\"", "no row has home_team"),
        ("\"/leagues.csv\"", "\"/league.csv\"", "/league.csv answered 404"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let file = echo(dir.path(), &[(from, to)]);
        let tested = source(&site.url, &["test", file.to_str().unwrap(), "--limit", "2"]).await;
        assert!(tested.out.contains(told), "{told}\n{}", tested.out);
        assert!(tested.out.contains("\nNot usable: "), "{}", tested.out);
        assert_eq!(tested.code.unwrap(), 1, "{told}");
    }
}

#[tokio::test]
async fn a_sample_asks_for_a_few_pages_only() {
    let site = StaticSite::start().await;
    let dir = tempfile::tempdir().unwrap();
    let file = echo(dir.path(), &[]);
    let tested = source(
        &site.url,
        &["test", file.to_str().unwrap(), "--pages", "1", "--limit", "1"],
    )
    .await;
    assert_eq!(tested.code.unwrap(), 0);
    for part in [
        "games                      2 ",
        "… and 2 more events",
        "Good, as far as the sample goes.",
    ] {
        assert!(tested.out.contains(part), "{part}\n{}", tested.out);
    }
}

#[tokio::test]
async fn everything_that_is_wrong_with_a_folder_is_told_at_once() {
    let dir = tempfile::tempdir().unwrap();
    echo(dir.path(), &[("title = ", "titel = "), ("\"home\"", "\"hom\"")]);
    std::fs::write(
        dir.path().join("maps/german.toml"),
        "[markets.OU]\nkey = \"totals\"\n",
    )
    .unwrap();
    std::fs::write(dir.path().join("fox.toml"), "version = 2\n").unwrap();
    let checked = source("http://127.0.0.1:9", &["check", dir.path().to_str().unwrap()]).await;
    assert_eq!(checked.code.unwrap(), 64);
    for told in [
        "echo.toml:8: [source]: unknown key \"titel\" (did you mean title?)",
        "\"hom\" is no outcome of h2h (did you mean home?)",
        "maps/german.toml:1: [markets.\"OU\"]: outcomes is missing",
        "fox.toml:1: file: version: must be from 1 to 1",
        "problems in 3 files.",
    ] {
        assert!(checked.out.contains(told), "{told}\n{}", checked.out);
    }
}

/// What stands in the first block of `lang` of the docs page.
fn first_block(lang: &str) -> String {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/sources.md");
    let page = std::fs::read_to_string(page).unwrap();
    let (_, rest) = page.split_once(&format!("```{lang}\n")).unwrap();
    rest.split_once("```").unwrap().0.to_owned()
}

#[test]
fn the_file_that_the_docs_begin_with_is_a_whole_one() {
    let text = first_block("toml");
    let source = Source::parse(Path::new("docs/sources.md"), &text, &|_| None).unwrap();
    assert_eq!(source.key.as_str(), "example");
    // And each line of it is needed, or else it would not be the smallest.
    for line in text.lines().filter(|line| line.contains(" = ")) {
        let less = text.replacen(&format!("{line}\n"), "", 1);
        let bad = Source::parse(Path::new("docs/sources.md"), &less, &|_| None).is_err();
        assert!(
            bad || line.starts_with("each = \"$.events"),
            "{line} is not needed"
        );
    }
}

#[test]
fn the_output_that_the_docs_show_is_the_one_that_comes() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/sources.md");
    let page = std::fs::read_to_string(page).unwrap();
    assert!(
        page.contains(READ) && page.contains(EVENTS[1]),
        "docs/sources.md shows another output"
    );
}
