//! `oddswire token`.

use anyhow::{Context, Result, anyhow, bail};
use clap::{Args, Subcommand};
use oddswire_gateway::auth::{Auth, AuthOptions, Mint, Scope, Wish, keygen, peek};
use oddswire_protocol::Topic;
use std::{
    fs::OpenOptions,
    io::{Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::ExitCode,
};

#[derive(Debug, Args)]
pub(crate) struct TokenOptions {
    #[command(subcommand)]
    command: TokenCommand,
}

#[derive(Debug, Subcommand)]
enum TokenCommand {
    /// Prints a token that holds from now on.
    Make(Make),
    /// Prints what a token says, what it allows, and why a gateway with these options would refuse it (then it ends
    /// with 1).
    Check(Box<Check>),
    /// Makes an Ed25519 key: PATH.pem to make tokens with, PATH.pub.pem for the gateway's --auth-key-file.
    Keygen {
        /// Where to, without the ends of the names.
        path: PathBuf,
    },
}

#[derive(Debug, Args)]
struct Make {
    /// A private key in PEM, or a secret.
    #[arg(long, value_name = "PATH")]
    key_file: PathBuf,
    /// Who it is for: `sub`.
    #[arg(long, default_value = "somebody", value_name = "TEXT")]
    subject: String,
    /// A topic that it allows; may be given several times.
    #[arg(long, value_name = "TOPIC")]
    topic: Vec<Topic>,
    /// What else it allows: read, runs:start, runs:cancel; may be given several times.
    #[arg(long, value_parser = Scope::ALL.map(Scope::as_str), value_name = "SCOPE")]
    scope: Vec<String>,
    /// How long it holds, such as 90s, 15m, 1h, 30d.
    #[arg(long, default_value = "1h", value_parser = parse_seconds, value_name = "TIME")]
    ttl: u64,
    /// `iss`.
    #[arg(long, default_value = "oddswire", value_name = "TEXT")]
    issuer: String,
    /// `aud`.
    #[arg(long, default_value = "oddswire", value_name = "TEXT")]
    audience: String,
    /// `kid`.
    #[arg(long, value_name = "TEXT")]
    key_id: Option<String>,
    /// The algorithm; that of the key, RS256 or HS256 unless given.
    #[arg(long, value_name = "NAME")]
    algorithm: Option<String>,
}

#[derive(Debug, Args)]
struct Check {
    /// The token; read from standard input when it is left out, so that no other user sees it.
    token: Option<String>,
    #[command(flatten)]
    auth: AuthOptions,
}

pub(crate) async fn run(options: TokenOptions) -> Result<ExitCode> {
    match options.command {
        TokenCommand::Make(wanted) => make(wanted),
        TokenCommand::Check(check) => check_token(*check).await,
        TokenCommand::Keygen { path } => make_key(&path),
    }
}

fn make(wanted: Make) -> Result<ExitCode> {
    let text = std::fs::read_to_string(&wanted.key_file)
        .with_context(|| format!("read {}", wanted.key_file.display()))?;
    let wish = Wish {
        issuer: wanted.issuer,
        audience: wanted.audience,
        subject: wanted.subject,
        topics: wanted.topic.iter().map(ToString::to_string).collect(),
        scopes: wanted.scope,
        ttl_s: wanted.ttl,
        key_id: wanted.key_id,
    };
    let token = Mint::new(&text, wanted.algorithm.as_deref()).and_then(|mint| mint.make(&wish));
    let token = token.with_context(|| format!("make a token with {}", wanted.key_file.display()))?;
    writeln!(std::io::stdout(), "{token}")?;
    Ok(ExitCode::SUCCESS)
}

async fn check_token(Check { token, auth }: Check) -> Result<ExitCode> {
    let token = if let Some(token) = token {
        token
    } else {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text)?;
        text.trim().to_owned()
    };
    let mut out = std::io::stdout();
    if let Some((header, claims)) = peek(&token) {
        writeln!(out, "header  {header}")?;
        writeln!(out, "claims  {}", serde_json::to_string_pretty(&claims)?)?;
    }
    if !auth.is_on() {
        bail!("not checked: name a key with --auth-key-file, --auth-secret-file or --auth-jwks-url");
    }
    let auth = Auth::new(&auth).map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        anyhow!("{}", lines.join("\n"))
    })?;
    match auth.check(&token).await {
        Ok(grant) => {
            let topics: Vec<String> = grant.topics().iter().map(ToString::to_string).collect();
            let scopes: Vec<&str> = grant.scopes().map(Scope::as_str).collect();
            writeln!(
                out,
                "good    for {}, until {}",
                grant.subject(),
                grant.expires_at()
            )?;
            writeln!(out, "topics  {}", topics.join(" "))?;
            writeln!(out, "scope   {}", scopes.join(" "))?;
            Ok(ExitCode::SUCCESS)
        }
        Err(refusal) => {
            writeln!(out, "refused {}: {refusal}", refusal.code().as_str())?;
            Ok(ExitCode::FAILURE)
        }
    }
}

fn make_key(path: &Path) -> Result<ExitCode> {
    let (private, public) = keygen()?;
    for (end, text, mode) in [("pem", private, 0o600), ("pub.pem", public, 0o644)] {
        let mut name = path.as_os_str().to_owned();
        name.push(".");
        name.push(end);
        let name = PathBuf::from(name);
        // What is there already may be in use.
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&name);
        let mut file = file.with_context(|| format!("write {}", name.display()))?;
        file.write_all(text.as_bytes())?;
        writeln!(std::io::stdout(), "{}", name.display())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn parse_seconds(text: &str) -> Result<u64, String> {
    let bad = || "expected a number and s, m, h or d, such as 1h".to_owned();
    let (number, unit) = text
        .split_at_checked(text.len().saturating_sub(1))
        .ok_or_else(bad)?;
    let number: u64 = number.parse().map_err(|_| bad())?;
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 24 * 3_600,
        _ => return Err(bad()),
    };
    number
        .checked_mul(unit)
        .filter(|seconds| *seconds > 0)
        .ok_or_else(bad)
}

#[cfg(test)]
mod tests {
    use super::parse_seconds;

    #[test]
    fn a_time_is_a_number_and_a_unit() {
        assert_eq!(parse_seconds("90s"), Ok(90));
        assert_eq!(parse_seconds("30d"), Ok(2_592_000));
        for bad in [
            "",
            "1",
            "h",
            "-1h",
            "1x",
            "0s",
            "1ü",
            "99999999999999999999d",
            "9999999999999999999d",
        ] {
            assert!(parse_seconds(bad).is_err(), "{bad}");
        }
    }
}
