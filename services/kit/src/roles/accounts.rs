//! An account for each role.
//!
//! JetStream sends the answer of a request to whatever subject the request names for it, with the server's rights: in one
//! account whoever may ask anything can have it answer into a feed. Between accounts the server puts a subject of its own
//! in that place and brings the answer back to the account that asked. So the streams live in an account that no service
//! connects to, and each role's account imports what that role may do, subject by subject.

use super::{Permissions, PublicKeys, Role, user};
use oddswire_protocol::Subjects;
use std::fmt::Write as _;

/// The account of the streams, and of the operator.
pub const HOME_ACCOUNT: &str = "ODDSWIRE";

/// JetStream's API, but for Direct Gets.
const API: &str = "$JS.API.";
const DIRECT_GET: &str = "$JS.API.DIRECT.GET.";
const NEXT: &str = "$JS.API.CONSUMER.MSG.NEXT.";
/// Where a role's account has what it imports of [`API`].
const IMPORTED_API: &str = "$ODDSWIRE.JS.API.";

/// Where whatever is sent, in a role's account, to a subject that the account hears of another one goes: nowhere. Else
/// the server's answers could be had there, and be taken for what the subject is for.
const NOWHERE: &str = "$ODDSWIRE.NOWHERE.";

/// The account of a role.
fn account(role: Role) -> String {
    match role {
        Role::Operator => HOME_ACCOUNT.into(),
        _ => format!("{HOME_ACCOUNT}_{}", role.name().to_uppercase()),
    }
}

/// What a role takes from other accounts.
struct Imports {
    role: Role,
    may: Permissions,
}

/// Under which subject a role's account sends on what its processes send to `subject`.
///
/// An account without JetStream has the server answer `$JS.API.>` by itself that JetStream is off, so what is sent there
/// has to leave under another subject.
fn local(subject: &str) -> Option<String> {
    let rest = subject.strip_prefix(API)?;
    (!subject.starts_with(DIRECT_GET)).then(|| format!("{IMPORTED_API}{rest}"))
}

impl Imports {
    /// The role's permissions as the server asks for them: by the subjects under which messages leave.
    fn locally(&self) -> Permissions {
        let leave = |subject: &String| local(subject).unwrap_or_else(|| subject.clone());
        Permissions {
            publish: self.may.publish.iter().map(leave).collect(),
            ..self.may.clone()
        }
    }

    /// Subjects that it sends to in the home account.
    fn services<'a>(&'a self, control: &'a str) -> impl Iterator<Item = &'a String> {
        self.may.publish.iter().filter(move |subject| *subject != control)
    }

    /// Subjects that it hears of the home account.
    fn streams<'a>(&'a self, control: &'a str) -> impl Iterator<Item = &'a String> {
        let own = move |subject: &&String| !subject.starts_with("_INBOX_") && *subject != control;
        self.may.subscribe.iter().filter(own)
    }
}

/// The `accounts` block of a nats-server's configuration.
pub fn accounts_conf(keys: PublicKeys<'_>, subjects: &Subjects) -> String {
    let key_of = |role| {
        let found = keys.iter().find(|(known, _)| *known == role);
        found.map(|(_, key)| key.as_str()).unwrap_or_default()
    };
    let control = super::control_all(subjects);
    let apart: Vec<Imports> = Role::ALL
        .into_iter()
        .filter(|role| *role != Role::Operator)
        .map(|role| Imports {
            role,
            may: role.permissions(subjects),
        })
        .collect();
    let operator = user(
        Role::Operator,
        key_of(Role::Operator),
        &Role::Operator.permissions(subjects),
    );
    let mut text = format!(
        "accounts {{\n  # The streams, and who looks after them. No service connects to it.\n  {HOME_ACCOUNT} {{\n    jetstream: \
         enabled\n    users: [\n{operator}    ]\n    exports: [\n{}    ]\n  }}\n",
        exports(&apart, &control)
    );
    for imports in &apart {
        let role = imports.role;
        let own = user(role, key_of(role), &imports.locally());
        // Writing to a string cannot fail.
        let _ = write!(text, "  {} {{\n    users: [\n{own}    ]\n", account(role));
        if role == Role::Scraper {
            let _ = writeln!(
                text,
                "    exports: [\n      {{service: \"{control}\", accounts: [{}]}}\n    ]",
                account(Role::Gateway)
            );
        }
        text += &of_home(imports, &control);
        text += "  }\n";
    }
    text + "}\n"
}

/// What the home account hands out, and to whom.
fn exports(apart: &[Imports], control: &str) -> String {
    let mut all: Vec<(String, Vec<String>)> = Vec::new();
    let mut note = |export: String, role: Role| {
        let account = account(role);
        match all.iter_mut().find(|(known, _)| *known == export) {
            Some((_, accounts)) => accounts.push(account),
            None => all.push((export, vec![account])),
        }
    };
    for imports in apart {
        for subject in imports.services(control) {
            // A Direct Get has many answers, and a pull has them one after another.
            let many = subject.starts_with(DIRECT_GET) || subject.starts_with(NEXT);
            let many = if many { ", response_type: stream" } else { "" };
            note(format!("service: \"{subject}\"{many}"), imports.role);
        }
        for subject in imports.streams(control) {
            note(format!("stream: \"{subject}\""), imports.role);
        }
    }
    let line = |(export, accounts): (String, Vec<String>)| {
        format!("      {{{export}, accounts: [{}]}}\n", accounts.join(", "))
    };
    all.into_iter().map(line).collect()
}

/// What a role's account takes of the home account, under the same subjects.
fn of_home(imports: &Imports, control: &str) -> String {
    let (mut text, mut mappings) = (String::from("    imports: [\n"), String::new());
    for subject in imports.services(control) {
        let local = local(subject);
        let to = local
            .as_ref()
            .map(|local| format!(", to: \"{local}\""))
            .unwrap_or_default();
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "      {{service: {{account: {HOME_ACCOUNT}, subject: \"{subject}\"}}{to}}}"
        );
        if let Some(local) = local {
            let _ = writeln!(mappings, "      \"{subject}\": \"{local}\"");
        }
    }
    if imports.may.publish.iter().any(|subject| subject == control) {
        let scraper = account(Role::Scraper);
        let _ = writeln!(
            text,
            "      {{service: {{account: {scraper}, subject: \"{control}\"}}}}"
        );
    }
    for subject in imports.streams(control) {
        let _ = writeln!(
            text,
            "      {{stream: {{account: {HOME_ACCOUNT}, subject: \"{subject}\"}}}}"
        );
        let _ = writeln!(
            mappings,
            "      \"{subject}\": \"{NOWHERE}{}\"",
            numbered(subject)
        );
    }
    text += "    ]\n";
    if mappings.is_empty() {
        text
    } else {
        format!("{text}    mappings: {{\n{mappings}    }}\n")
    }
}

/// A pattern as the target of a mapping: its wildcards are told by their places.
fn numbered(pattern: &str) -> String {
    let mut place = 0;
    let token = |token: &str| {
        if token == "*" {
            place += 1;
            return format!("{{{{wildcard({place})}}}}");
        }
        token.to_owned()
    };
    pattern.split('.').map(token).collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A role's account takes what the role may do, and no pattern that reaches further.
    #[test]
    fn an_account_imports_its_roles_permissions_and_no_more() {
        let keys: Vec<(Role, String)> = Role::ALL.map(|role| (role, format!("U{}", role.name()))).into();
        let subjects = Subjects::default();
        let conf = accounts_conf(&keys, &subjects);
        for role in Role::ALL.into_iter().filter(|role| *role != Role::Operator) {
            let name = format!("  {} {{", account(role));
            let block = conf.split(&name).nth(1).unwrap().split("\n  }\n").next().unwrap();
            let imported: Vec<&str> = block
                .lines()
                .filter(|line| line.contains("account: "))
                .map(|line| {
                    line.split("subject: \"")
                        .nth(1)
                        .unwrap()
                        .split('"')
                        .next()
                        .unwrap()
                })
                .collect();
            let may = role.permissions(&subjects);
            let own = |subject: &&String| !subject.starts_with("_INBOX_");
            let mut allowed: Vec<&String> = may
                .publish
                .iter()
                .chain(may.subscribe.iter().filter(own))
                .collect();
            if role == Role::Scraper {
                allowed.retain(|subject| **subject != super::super::control_all(&subjects));
            }
            assert_eq!(imported.len(), allowed.len(), "{role:?}");
            assert!(
                imported
                    .iter()
                    .all(|one| allowed.iter().any(|known| known == one)),
                "{role:?}"
            );
        }
        assert_eq!(conf.matches("jetstream").count(), 1);
    }
}
