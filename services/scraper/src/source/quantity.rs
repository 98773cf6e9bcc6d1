//! Quantities as texts: `"10s"`, `"8MiB"`, `"2%"`, and values from elsewhere: `"${NAME:-default}"`,
//! `"${file:PATH}"`.

use super::surroundings::Surroundings;
use std::time::Duration;

/// Reads a whole number of `ms`, `s`, `m` or `h`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no duration: write a whole number and ms, s, m or h, as in \"10s\"");
    let (number, unit) = split(text).ok_or_else(wrong)?;
    let ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(wrong()),
    };
    number
        .checked_mul(ms)
        .map(Duration::from_millis)
        .ok_or_else(wrong)
}

/// Reads a whole number of `B`, `KiB` or `MiB` as bytes.
pub(super) fn size(text: &str) -> Result<usize, String> {
    let wrong = || format!("{text:?} is no size: write a whole number and B, KiB or MiB, as in \"8MiB\"");
    let (number, unit) = split(text).ok_or_else(wrong)?;
    let bytes = match unit {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        _ => return Err(wrong()),
    };
    number
        .checked_mul(bytes)
        .and_then(|bytes| usize::try_from(bytes).ok())
        .ok_or_else(wrong)
}

/// Reads a percentage from 0 to 100 as a share from 0 to 1.
pub(super) fn share(text: &str) -> Result<f64, String> {
    text.strip_suffix('%')
        .and_then(|number| number.parse::<f64>().ok())
        .filter(|percent| (0.0..=100.0).contains(percent))
        .map(|percent| percent / 100.0)
        .ok_or_else(|| format!("{text:?} is no share: write a number from 0 to 100 and %, as in \"2%\""))
}

/// Puts values in the place of each `${NAME}`, `${file:PATH}` and the same with `:-default`, where the default may have such
/// places itself. An empty value counts as none.
pub(super) fn substituted(text: &str, around: &Surroundings<'_>) -> Result<String, String> {
    let mut rest = text;
    let mut whole = String::new();
    while let Some((before, after)) = rest.split_once("${") {
        let end = closing(after).ok_or_else(|| format!("{text:?} has ${{ without }}"))?;
        let (inside, behind) = (&after[..end], &after[end + 1..]);
        let (name, default) = match inside.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inside, None),
        };
        let value = match (around.value(name)?, default) {
            (None, Some(default)) => Some(substituted(default, around)?),
            (value, _) => value,
        };
        let value = value.ok_or_else(|| match name.strip_prefix("file:") {
            Some(path) => {
                format!("there is no file {path}, or it is empty; paths begin at the folder of this file")
            }
            None => format!("{name} is not set; set it or give a default, as in ${{{name}:-default}}"),
        })?;
        whole.push_str(before);
        whole.push_str(&value);
        rest = behind;
    }
    whole.push_str(rest);
    Ok(whole)
}

/// Where the `}` stands that ends what a `${` before `text` began.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 1;
    for (at, letter) in text.char_indices() {
        match letter {
            '{' if text[..at].ends_with('$') => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

fn split(text: &str) -> Option<(u64, &str)> {
    let unit = text.find(|c: char| !c.is_ascii_digit())?;
    Some((text[..unit].parse().ok()?, &text[unit..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn quantities_need_a_number_and_a_known_unit() {
        assert_eq!(duration("250ms").unwrap(), Duration::from_millis(250));
        assert_eq!(duration("2m").unwrap(), Duration::from_secs(120));
        assert_eq!(size("8MiB").unwrap(), 8 << 20);
        assert!((share("2.5%").unwrap() - 0.025).abs() < 1e-12);
        for bad in ["", "10", "s", "1.5s", "-1s", "10 s", "18446744073709551615h"] {
            assert!(duration(bad).is_err(), "{bad}");
            assert!(size(bad).is_err(), "{bad}");
        }
        for bad in ["", "2", "101%", "-1%", "NaN%", "%"] {
            assert!(share(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn values_come_from_the_lookup_then_from_the_default() {
        let lookup = |name: &str| match name {
            "HOST" => Some("example.org".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        let around = Surroundings::new(Path::new("a.toml"), &lookup);
        let get = |text| substituted(text, &around);
        assert_eq!(get("http://${HOST:-a}/x").unwrap(), "http://example.org/x");
        assert_eq!(get("${NO:-http://b}/${EMPTY:-c}").unwrap(), "http://b/c");
        assert_eq!(
            get("${NO:-http://${NEITHER:-b}:${PORT:-1}}/c").unwrap(),
            "http://b:1/c"
        );
        assert_eq!(get("${NO:-http://${HOST:-b}}/c").unwrap(), "http://example.org/c");
        assert_eq!(get("${HOST:-http://${NO}}/c").unwrap(), "example.org/c");
        assert!(get("${NO:-${HOST}").is_err());
        assert_eq!(get("plain $ text").unwrap(), "plain $ text");
        assert!(get("${NO}").unwrap_err().contains("NO is not set"));
        assert!(get("${HOST").is_err());
    }

    #[test]
    fn a_secret_may_stand_in_a_file_and_its_path_begins_at_the_source_file() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("token"), "hunter2\n").unwrap();
        std::fs::write(dir.path().join("blank"), "\n").unwrap();
        let file = dir.path().join("a.toml");
        let around = Surroundings::new(&file, &|_| None);
        assert_eq!(
            substituted("Bearer ${file:token}", &around).unwrap(),
            "Bearer hunter2"
        );
        assert_eq!(substituted("${file:no:-none}", &around).unwrap(), "none");
        for missing in ["${file:no}", "${file:blank}"] {
            let told = substituted(missing, &around).unwrap_err();
            assert!(told.contains("there is no file"), "{told}");
        }
        assert_eq!(around.into_read().len(), 4);
    }
}
