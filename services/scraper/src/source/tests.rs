//! Definitions that load, and what is said about those that do not.

use super::*;
use std::sync::Arc;

/// A small definition of a source with one listing and event pages, at `${URL}`. `more` stands in `[source]`; unless
/// it holds limits, there are none to speak of.
pub(crate) fn text(more: &str) -> String {
    let hurry = "limits = { requests_per_second = 1000, burst = 1000, concurrency = 8 }";
    let more = match more {
        "" => hurry.to_owned(),
        _ if more.contains("limits") => more.to_owned(),
        _ => format!("{more}\n{hurry}"),
    };
    format!(
        r#"version = 1
[source]
key = "test"
title = "Test"
base_url = "${{URL}}"
sport = "soccer"
retry = {{ base = "1ms", max = "10ms" }}
{more}
[[step]]
id = "list"
request = {{ url = "/list" }}
each = "$.events[*]"
vars = {{ id = "$.id" }}
[[step]]
id = "event"
for_each = "list"
request = {{ url = "/event/{{{{id}}}}" }}
missing_on = [404]
each = "$.events[*]"
[step.event]
external_id = {{ path = "$.id", prefix = "mc:match:", optional = true }}
home_team = "$.home"
away_team = "$.away"
league = "$.league"
country = {{ path = "$.country", optional = true }}
commence_time = "$.start"
[[step.market]]
each = "$.markets[*]"
id = "$.id"
line = "$.line"
open_when = {{ path = "$.open", equals = true }}
updated_at = {{ path = "$.at", epoch = "s" }}
[step.market.outcome]
each = "$.outcomes[*]"
id = "$.id"
label = "$.label"
price = "$.price"
[expect]
max_missing_required = "50%"
[markets.1]
key = "h2h"
outcomes = {{ "1" = "home", "x" = "draw", "2" = "away" }}
[markets.2]
key = "totals"
period = "h1"
line = true
outcomes = {{ "o" = "over", "u" = "under" }}
"#
    )
}

/// The definition of [`text`].
pub(crate) fn source(url: &str, more: &str) -> Source {
    parse_at(url, &text(more)).unwrap()
}

/// A definition whose `${URL}` is `url`, as a rule on this machine: unless the text says otherwise the source may
/// reach private addresses, and nobody asks for robots.txt.
pub(crate) fn parse_at(url: &str, text: &str) -> Result<Source, Vec<LoadError>> {
    let lookup = |name: &str| (name == "URL").then(|| url.to_owned());
    let mut source = Source::parse(Path::new("sources/test.toml"), text, &lookup)?;
    source.allow_private |= !text.contains("allow_private");
    source.obey_robots &= text.contains("robots");
    Ok(source)
}

/// What is wrong with [`text`] when one part of it is replaced.
fn problems(from: &str, to: &str) -> Vec<String> {
    let good = text("");
    assert!(good.contains(from), "{from}");
    let found = parse_at("http://example.org", &good.replace(from, to))
        .err()
        .unwrap_or_default();
    found.iter().map(ToString::to_string).collect()
}

#[test]
fn what_a_file_does_not_say_is_the_documented_default() {
    let source = source("https://example.org/base/", "# no limits");
    assert_eq!(source.base_url.as_str(), "https://example.org/base");
    assert_eq!(source.timetable, None);
    assert_eq!(source.stale_after, Duration::from_secs(90));
    assert!(source.enabled);
    assert_eq!(source.withdraw_after, 2);
    assert_eq!(source.limits, Limits::default());
    assert_eq!(source.retry.attempts, 4);
    let source = self::source("https://example.org", "interval = \"40s\"\nenabled = false");
    assert_eq!(source.timetable, Some(Timetable::Every(Duration::from_secs(40))));
    assert_eq!(source.stale_after, Duration::from_secs(120));
    assert!(!source.enabled);
}

#[test]
fn a_definition_is_known_by_its_text() {
    let hash = |more| source("http://example.org", more).definition_hash().to_owned();
    assert_eq!(hash(""), hash(""));
    assert_ne!(hash(""), hash("enabled = true"));
}

/// What of [`text`] is replaced by what, and what is said about it then.
const SLIPS: &[(&str, &str, &str)] = &[
    (
        "$.events[*]\"\nvars",
        "$.a[\"\nvars",
        "12: step \"list\": each: must find one array or object and end in [*]",
    ),
    (
        "\"$.home\"",
        "\"$.a[\"",
        "22: step \"event\": event: home_team: bad JSONPath \"$.a[\": at position",
    ),
    (
        "title =",
        "titel =",
        "4: [source]: unknown key \"titel\" (did you mean title?)",
    ),
    ("title = \"Test\"", "", "2: [source]: title is missing"),
    (
        "[expect]",
        "[expects]",
        "38: file: unknown key \"expects\" (did you mean expect?)",
    ),
    (
        "key = \"test\"",
        "key = \"Test\"",
        "3: [source]: key: must be 1 to 64 of",
    ),
    (
        "{{id}}",
        "{{ids}}",
        "17: step \"event\": request: url: unknown variable \"ids\" (known here: id)",
    ),
    (
        "url = \"/list\"",
        "url = \"list\"",
        "11: step \"list\": request: url: must begin with /",
    ),
    (
        "for_each = \"list\"",
        "for_each = \"lists\"",
        "16: step \"event\": for_each: must be the step before, \"list\"",
    ),
    (
        "id = \"list\"",
        "id = \"list\"\nfor_each = \"x\"",
        "11: step \"list\": for_each: the first step has none",
    ),
    (
        "missing_on = [404]",
        "missing_on = [200]",
        "18: step \"event\": missing_on: must be from 400 to 599",
    ),
    (
        "equals = true }",
        "}",
        "31: step \"event\": market: open_when: equals or matches is missing",
    ),
    (
        "epoch = \"s\"",
        "epoch = \"d\"",
        "32: step \"event\": market: updated_at: epoch: \"d\" is no unit",
    ),
    (
        "epoch = \"s\"",
        "format = \"%H:%M\"",
        "32: step \"event\": market: updated_at: timezone is missing",
    ),
    (
        "line = true",
        "line = 1",
        "46: [markets.\"2\"]: line: must be true or false, not a number",
    ),
    (
        "\"h1\"",
        "\"h-1\"",
        "43: [markets.\"2\"]: key and period must make one token",
    ),
    (
        "\"50%\"",
        "\"half\"",
        "39: [expect]: max_missing_required: \"half\" is no share",
    ),
    (
        "version = 1",
        "version = 2",
        "1: file: version: must be from 1 to 1",
    ),
    ("\"${URL}\"", "\"${NO}\"", "5: [source]: base_url: NO is not set"),
    (
        "\"${URL}\"",
        "\"ftp://a\"",
        "5: [source]: base_url: \"ftp://a\" must begin with http://",
    ),
    (
        "\"${URL}\"",
        "\"ftp://me:hush@a\"",
        "5: [source]: base_url: \"…@a\" must begin with http://",
    ),
    (
        "\"${URL}\"",
        "\"http//me:hush@a\"",
        "5: [source]: base_url: \"…@a\" is no URL",
    ),
    (
        "= \"over\"",
        "= \"ovr\"",
        "47: [markets.\"2\"]: outcomes: o: \"ovr\" is no outcome of totals (did you mean over?)",
    ),
    (
        "[markets.1]",
        "[markets]\ninclude = \"../m.toml\"\n[markets.1]",
        "41: [markets]: include: \"../m.toml\" must be a path below the folder of this file",
    ),
    (
        "[markets.1]",
        "[markets]\ninclude = [\"no.toml\"]\n[markets.1]",
        "41: [markets]: include: sources/no.toml: No such file",
    ),
    (
        "id = \"list\"",
        "id = \"list\"\npaginate = { kind = \"offset\", until = \"empty\" }",
        "9: step \"list\": paginate: the request does not use {{offset}}",
    ),
    (
        "id = \"list\"",
        "id = \"list\"\npaginate = { kind = \"next\" }",
        "11: step \"list\": paginate: kind: \"next\" is no kind: write \"page\"",
    ),
    (
        "id = \"list\"",
        "id = \"list\"\nformat = \"xml\"",
        "11: step \"list\": format: \"xml\" is no format",
    ),
    (
        "id = \"list\"",
        "id = \"list\"\ncsv = { delimiter = \";\" }",
        "9: step \"list\": csv stands only beside format",
    ),
    (
        "id = \"list\"",
        "id = \"list\"\nembedded = {}",
        "11: step \"list\": embedded: css, path or regex is missing",
    ),
    (
        "vars = { id = \"$.id\" }",
        "vars = { cursor = \"$.id\" }",
        "13: step \"list\": vars: cursor: must be 1 to 32 of a-z, 0-9 and _, and none of page",
    ),
    (
        "\"$.country\", optional",
        "\"$.country\", transforms = [\"round\"], optional",
        "25: step \"event\": event: country: transforms: unknown transform \"round\" (known: trim",
    ),
    (
        "\"$.country\", optional",
        "\"$.country\", transforms = [{ scale = \"1,5\" }], optional",
        "25: step \"event\": event: country: transforms: scale: \"1,5\" is no decimal number",
    ),
    (
        "epoch = \"s\"",
        "format = \"%H:%M\", timezone = \"Berlin\"",
        "32: step \"event\": market: updated_at: timezone: \"Berlin\" is no time zone",
    ),
    (
        "title = \"Test\"",
        "title = \"Test\"\nhttp = { headers = { authorization = \"${file:no-token}\" } }",
        "5: [source.http.headers]: authorization: there is no file no-token, or it is empty",
    ),
    (
        "\"1ms\"",
        "\"1\"",
        "7: [source.retry]: base: \"1\" is no duration",
    ),
];

#[test]
fn each_problem_names_its_line_its_key_and_a_way_out() {
    for (from, to, expected) in SLIPS {
        let found = problems(from, to);
        let expected = format!("sources/test.toml:{expected}");
        // A slip in a key that must be there makes two: one is unknown, the other is missing.
        let told = found.iter().any(|problem| problem.starts_with(&expected));
        assert!(told && found.len() <= 2, "{expected}\n{found:#?}");
    }
}

#[test]
fn all_problems_of_a_file_are_told_at_once() {
    let found = problems(
        "title = \"Test\"",
        "interval = \"soon\"\nwithdraw_after = 0\nhttp = { max_body = \"1\", max_bdy = \"1KiB\" }",
    );
    assert_eq!(found.len(), 5, "{found:#?}");
}

#[test]
fn a_file_that_is_no_toml_is_told_for_its_syntax() {
    let found = problems("title = \"Test\"", "title = \"Test");
    assert!(
        found[0].starts_with("sources/test.toml:4: not TOML: "),
        "{found:?}"
    );
}

#[test]
fn secrets_of_headers_are_never_shown() {
    let lookup = |name: &str| match name {
        "URL" => Some("http://example.org".to_owned()),
        "TOKEN" => Some("hunter2".to_owned()),
        _ => None,
    };
    let text = text("http = { headers = { authorization = \"Bearer ${TOKEN}\" } }");
    let source = Source::parse(Path::new("a.toml"), &text, &lookup).unwrap();
    assert_eq!(source.http.headers["authorization"], "Bearer hunter2");
    assert!(!format!("{source:?}").contains("hunter2"));
}

#[test]
fn market_maps_are_shared_by_files_and_the_file_itself_wins() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.toml");
    let map =
        |id: &str, yes: &str| format!("[markets.{id}]\nkey = \"btts\"\noutcomes = {{ \"1\" = \"{yes}\" }}\n");
    std::fs::write(dir.path().join("m.map"), map("1", "yes") + &map("include", "no")).unwrap();
    std::fs::write(dir.path().join("n.map"), map("8", "yes")).unwrap();
    let lookup = |_: &str| Some("http://example.org".to_owned());
    let parse = |include: &str| {
        let include = format!("[markets]\ninclude = {include}\n[markets.1]");
        Source::parse(&file, &text("").replace("[markets.1]", &include), &lookup)
    };
    let source = parse("[\"m.map\", \"n.map\"]").unwrap();
    let keys: Vec<_> = source.markets.keys().map(String::as_str).collect();
    assert_eq!(keys, ["1", "2", "8", "include"]);
    assert_eq!(source.markets["1"].key.as_str(), "h2h");
    let twice = parse("[\"n.map\", \"n.map\"]").unwrap_err();
    assert!(
        twice[0]
            .to_string()
            .contains("has market \"8\", which a file before has too"),
        "{twice:?}"
    );
    // A mistake in an included file is told with its own name and line.
    std::fs::write(dir.path().join("n.map"), map("8", "ja")).unwrap();
    let wrong = parse("\"n.map\"").unwrap_err();
    assert!(
        wrong[0]
            .to_string()
            .contains("n.map:3: [markets.\"8\"]: outcomes: 1: \"ja\""),
        "{wrong:?}"
    );
}

#[test]
fn a_folder_is_taken_whole_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    let lookup = |_: &str| Some("http://example.org".to_owned());
    write("b.toml", &text(""));
    write("a.toml", &text("").replace("\"test\"", "\"zulu\""));
    write("notes.txt", "no source");
    let keys = |sources: Vec<Arc<Source>>| sources.iter().map(|s| s.key.to_string()).collect::<Vec<_>>();
    assert_eq!(keys(load_dir(dir.path(), &lookup).unwrap()), ["test", "zulu"]);

    write("c.toml", &text(""));
    write("d.toml", "version = 1");
    let found = load_dir(dir.path(), &lookup).unwrap_err();
    assert!(
        matches!(&found[0], LoadError::Duplicate { key, .. } if key == "test"),
        "{found:?}"
    );
    assert!(
        found
            .iter()
            .any(|problem| problem.to_string().contains("d.toml:1: file: source is missing"))
    );
    assert!(matches!(
        load_dir(&dir.path().join("no"), &lookup).unwrap_err()[..],
        [LoadError::Unreadable { .. }]
    ));
}

mod hostile {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_text_makes_the_loader_panic(text in ".{0,400}") {
            let _ = parse_at("http://example.org", &text);
        }

        #[test]
        fn no_cut_and_no_changed_letter_makes_the_loader_panic(at in 0_usize..1_300, put in "[\\[\\]{}\"'=.$*#a-z\\n]{0,3}") {
            let mut bad = text("");
            if bad.is_char_boundary(at) && at < bad.len() {
                bad.replace_range(at..=at, &put);
            }
            let _ = parse_at("http://example.org", &bad);
        }
    }
}

#[test]
fn a_timetable_is_an_interval_or_an_expression_and_never_both() {
    let with = |lines: &str| parse_at("https://example.org", &text(lines));
    let source = with("cron = \"0 9 * * *\"\ncron_zone = \"Europe/Berlin\"\nstale_after = \"26h\"").unwrap();
    let timetable = source.timetable.unwrap();
    assert_eq!(timetable.cron().unwrap(), "0 9 * * * (Europe/Berlin)");
    for (lines, told) in [
        (
            "cron = \"0 9 * * *\"\ninterval = \"10s\"\nstale_after = \"1h\"",
            "exclude each other",
        ),
        ("cron = \"0 9 * * *\"", "needs stale_after"),
        ("cron_zone = \"UTC\"", "says nothing without cron"),
        (
            "cron = \"every day\"\nstale_after = \"1h\"",
            "is no cron expression",
        ),
        (
            "cron = \"0 9 * * *\"\ncron_zone = \"Mars\"\nstale_after = \"1h\"",
            "is no time zone",
        ),
    ] {
        let found = with(lines).unwrap_err();
        assert!(
            found.iter().any(|error| error.to_string().contains(told)),
            "{lines}: {found:?}"
        );
    }
}
