//! What must hold of the Dockerfile and of what is kept out of it.

use super::Faults;
use super::services::is_plain_user;

/// Its faults, `members` being the folders of the workspace's packages.
pub(super) fn check(text: &str, members: &[String]) -> Faults {
    let lines = instructions(text);
    let mut faults = Faults::new();
    let mut need = |holds: bool, what: &str| {
        if !holds {
            faults.push(format!("Dockerfile: {what}"));
        }
    };
    let final_stage = lines
        .iter()
        .rposition(|(word, _)| word == "FROM")
        .map_or(&[][..], |at| &lines[at..]);
    let last = |wanted: &str| {
        final_stage
            .iter()
            .rev()
            .find(|(word, _)| word == wanted)
            .map_or("", |(_, rest)| rest)
    };
    need(
        is_plain_user(last("USER")),
        "the last stage has no USER other than root",
    );
    need(
        is_exec_form(last("ENTRYPOINT")),
        "the last stage has no ENTRYPOINT in exec form: [\"/path\", …]",
    );
    need(
        !text.to_lowercase().contains("# syntax="),
        "a syntax line would fetch a frontend",
    );
    need(
        !text.contains("<<"),
        "here-documents are not known to older builders",
    );
    for image in images(&lines) {
        need(is_pinned(&image), &format!("FROM {image} names no version"));
    }
    for member in members {
        let copied = lines.iter().any(|(word, rest)| {
            word == "COPY" && rest.split_whitespace().next() == Some(&format!("{member}/Cargo.toml"))
        });
        need(
            copied,
            &format!("the layer of dependencies lacks COPY {member}/Cargo.toml {member}/"),
        );
    }
    faults
}

/// Faults of `.dockerignore`.
pub(super) fn check_ignore(text: &str) -> Faults {
    ["target", "node_modules", ".git"]
        .iter()
        .filter(|name| {
            !text
                .lines()
                .any(|line| line.trim().trim_start_matches("**/").trim_end_matches('/') == **name)
        })
        .map(|name| format!(".dockerignore lacks {name}"))
        .collect()
}

/// Whether an image has a tag or digest that says which one it is.
pub(super) fn is_pinned(image: &str) -> bool {
    let name = image.rsplit('/').next().unwrap_or_default();
    name.split_once([':', '@'])
        .is_some_and(|(name, tag)| !name.is_empty() && !tag.is_empty() && tag != "latest")
}

/// Instruction and rest, with continued lines joined and comments left out.
fn instructions(text: &str) -> Vec<(String, String)> {
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .collect();
    let joined = lines.join("\n").replace("\\\n", " ");
    joined
        .lines()
        .filter_map(|line| line.trim().split_once(char::is_whitespace))
        .map(|(word, rest)| (word.to_uppercase(), rest.trim().to_owned()))
        .collect()
}

/// What the stages are built from, with arguments replaced by their defaults and earlier stages left out.
fn images(lines: &[(String, String)]) -> Vec<String> {
    let arguments: Vec<(&str, &str)> = lines
        .iter()
        .filter(|(word, _)| word == "ARG")
        .filter_map(|(_, rest)| rest.split_once('='))
        .collect();
    let mut stages = Vec::new();
    let mut images = Vec::new();
    for (_, rest) in lines.iter().filter(|(word, _)| word == "FROM") {
        let words: Vec<&str> = rest
            .split_whitespace()
            .filter(|word| !word.starts_with("--"))
            .collect();
        let Some(image) = words.first() else { continue };
        let resolved = arguments
            .iter()
            .fold((*image).to_owned(), |image, (name, value)| {
                image.replace(&format!("${{{name}}}"), value)
            });
        if !stages.contains(image) {
            images.push(resolved);
        }
        stages.extend(words.get(2));
    }
    images
}

fn is_exec_form(rest: &str) -> bool {
    serde_json::from_str::<Vec<String>>(rest)
        .is_ok_and(|words| words.first().is_some_and(|program| program.starts_with('/')))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOUND: &str = "ARG BASE=debian:bookworm-slim\nFROM rust:1.95 AS build\nCOPY protocol/Cargo.toml protocol/\n\
        RUN a \\\n  && b\nFROM ${BASE}\nCOPY --from=build /a /a\nUSER 65532:65532\nENTRYPOINT [\"/a\"]\n";

    fn faults(text: &str) -> Faults {
        check(text, &["protocol".to_owned()])
    }

    #[test]
    fn a_sound_file_has_no_fault() {
        assert_eq!(faults(SOUND), Faults::new());
        assert_eq!(
            faults(&format!(
                "{SOUND}FROM build AS again\nUSER app\nENTRYPOINT [\"/a\"]\n"
            )),
            Faults::new()
        );
    }

    #[test]
    fn each_broken_rule_is_caught() {
        for (from, to) in [
            ("USER 65532:65532", "USER root"),
            ("USER 65532:65532\n", ""),
            ("ENTRYPOINT [\"/a\"]", "ENTRYPOINT /a"),
            ("debian:bookworm-slim", "debian"),
            ("rust:1.95", "rust:latest"),
            ("ARG BASE", "# syntax=docker/dockerfile:1\nARG BASE"),
            ("RUN a \\\n  && b", "RUN <<EOF\na\nEOF"),
            ("COPY protocol/Cargo.toml protocol/", "COPY . ."),
        ] {
            assert_eq!(faults(&SOUND.replace(from, to)).len(), 1, "{to}");
        }
    }

    #[test]
    fn a_user_of_an_earlier_stage_does_not_count() {
        let text = SOUND
            .replace("USER 65532:65532\n", "")
            .replace("RUN a", "USER app\nRUN a");
        assert_eq!(faults(&text).len(), 1);
    }

    #[test]
    fn what_is_not_ignored_is_caught() {
        assert!(check_ignore(".git\n**/target\n**/node_modules\n").is_empty());
        assert_eq!(
            check_ignore(".git\n/dist\n"),
            [".dockerignore lacks target", ".dockerignore lacks node_modules"]
        );
    }

    #[test]
    fn an_image_is_pinned_by_tag_or_digest() {
        for pinned in ["nats:2.12-alpine", "registry:5000/a/nats:2", "nats@sha256:0a"] {
            assert!(is_pinned(pinned), "{pinned}");
        }
        for loose in ["nats", "nats:latest", "registry:5000/nats", "nats:", ""] {
            assert!(!is_pinned(loose), "{loose}");
        }
    }
}
