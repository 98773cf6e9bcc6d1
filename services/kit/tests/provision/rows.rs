//! The table: a field, what the server has, what it should have, and what comes of it.

use Outcome::{Mended, New, Refused, Stays, Unseen};
use oddswire_protocol::stream::{Discard, Retention, StreamSpec};

/// What comes of a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Shown under this name; `--apply` mends it and keeps every message.
    Mended(&'static str),
    /// Shown under this name; `--apply` leaves everything as it is.
    Stays(&'static str),
    /// Shown under this name; the server does not take it.
    Refused(&'static str),
    /// Another stream, which is created beside.
    New,
    /// Of no weight: not shown.
    Unseen,
}

pub(crate) type Change = fn(&mut StreamSpec);

/// The field, what the server has, what it should have, and what comes of it.
pub(crate) type Row = (&'static str, Change, Change, Outcome);

/// Every field: a new one does not compile until it stands here, and then fails until it has a row.
pub(crate) fn fields(spec: &StreamSpec) -> Vec<&'static str> {
    macro_rules! names {
        ($($field:ident),*) => {{
            let StreamSpec { $($field: _),* } = spec;
            vec![$(stringify!($field)),*]
        }};
    }
    names!(
        name,
        description,
        subjects,
        copy_of,
        retention,
        discard,
        discard_new_per_subject,
        max_age_s,
        max_bytes,
        max_msgs_per_subject,
        max_msg_bytes,
        duplicate_window_s,
        republish,
        allow_direct,
        allow_msg_ttl,
        allow_batches,
        allow_rollup,
        deny_delete,
        deny_purge,
        replicas
    )
}

const AS_IT_IS: Change = |_| {};

pub(crate) const ROWS: &[Row] = &[
    (
        "name",
        |s| s.name.push_str("_OLD"),
        |s| s.subjects = vec!["other".into()],
        New,
    ),
    ("description", |s| s.description = "old".into(), AS_IT_IS, Unseen),
    (
        "subjects",
        AS_IT_IS,
        |s| s.subjects.push("more".into()),
        Mended("subjects"),
    ),
    (
        "subjects",
        |s| s.subjects.push("less".into()),
        AS_IT_IS,
        Stays("subjects"),
    ),
    (
        "copy_of",
        |s| copy(s, "OLD"),
        |s| copy(s, "NEW"),
        Stays("sources"),
    ),
    (
        "retention",
        |s| s.retention = Retention::WorkQueue,
        AS_IT_IS,
        Stays("retention"),
    ),
    (
        "retention",
        AS_IT_IS,
        |s| s.retention = Retention::WorkQueue,
        Stays("retention"),
    ),
    (
        "discard",
        |s| s.discard = Discard::New,
        AS_IT_IS,
        Mended("discard"),
    ),
    (
        "discard",
        AS_IT_IS,
        |s| s.discard = Discard::New,
        Mended("discard"),
    ),
    (
        "discard_new_per_subject",
        locked,
        |s| one_each(s, true),
        Mended("discard new per subject"),
    ),
    (
        "discard_new_per_subject",
        |s| one_each(s, true),
        locked,
        Mended("discard new per subject"),
    ),
    (
        "max_age_s",
        |s| s.max_age_s = 3_600,
        |s| s.max_age_s = 7_200,
        Mended("max age"),
    ),
    ("max_age_s", |s| s.max_age_s = 3_600, AS_IT_IS, Mended("max age")),
    (
        "max_age_s",
        |s| s.max_age_s = 7_200,
        |s| s.max_age_s = 3_600,
        Stays("max age"),
    ),
    ("max_age_s", AS_IT_IS, |s| s.max_age_s = 3_600, Stays("max age")),
    (
        "max_bytes",
        |s| s.max_bytes = 1 << 20,
        |s| s.max_bytes = 2 << 20,
        Mended("max bytes"),
    ),
    (
        "max_bytes",
        |s| s.max_bytes = 1 << 20,
        AS_IT_IS,
        Mended("max bytes"),
    ),
    (
        "max_bytes",
        |s| s.max_bytes = 2 << 20,
        |s| s.max_bytes = 1 << 20,
        Stays("max bytes"),
    ),
    (
        "max_bytes",
        AS_IT_IS,
        |s| s.max_bytes = 1 << 20,
        Stays("max bytes"),
    ),
    (
        "max_msgs_per_subject",
        |s| s.max_msgs_per_subject = 5,
        AS_IT_IS,
        Mended("max messages per subject"),
    ),
    (
        "max_msgs_per_subject",
        AS_IT_IS,
        |s| s.max_msgs_per_subject = 1,
        Stays("max messages per subject"),
    ),
    (
        "max_msg_bytes",
        |s| s.max_msg_bytes = 1_024,
        AS_IT_IS,
        Mended("max message size"),
    ),
    (
        "max_msg_bytes",
        AS_IT_IS,
        |s| s.max_msg_bytes = 1_024,
        Mended("max message size"),
    ),
    (
        "duplicate_window_s",
        |s| s.duplicate_window_s = 60,
        AS_IT_IS,
        Mended("duplicate window"),
    ),
    (
        "duplicate_window_s",
        AS_IT_IS,
        |s| s.duplicate_window_s = 60,
        Mended("duplicate window"),
    ),
    ("republish", AS_IT_IS, |s| live(s, "live"), Mended("republish")),
    ("republish", |s| live(s, "live"), AS_IT_IS, Mended("republish")),
    (
        "republish",
        |s| live(s, "old"),
        |s| live(s, "live"),
        Mended("republish"),
    ),
    (
        "allow_direct",
        |s| s.allow_direct = false,
        AS_IT_IS,
        Mended("direct reads"),
    ),
    (
        "allow_direct",
        AS_IT_IS,
        |s| s.allow_direct = false,
        Mended("direct reads"),
    ),
    (
        "allow_msg_ttl",
        AS_IT_IS,
        |s| s.allow_msg_ttl = true,
        Mended("message TTL"),
    ),
    (
        "allow_msg_ttl",
        |s| s.allow_msg_ttl = true,
        AS_IT_IS,
        Stays("message TTL"),
    ),
    (
        "allow_batches",
        AS_IT_IS,
        |s| s.allow_batches = true,
        Mended("batches"),
    ),
    (
        "allow_batches",
        |s| s.allow_batches = true,
        AS_IT_IS,
        Mended("batches"),
    ),
    (
        "allow_rollup",
        AS_IT_IS,
        |s| s.allow_rollup = true,
        Mended("rollup"),
    ),
    (
        "allow_rollup",
        |s| s.allow_rollup = true,
        AS_IT_IS,
        Mended("rollup"),
    ),
    (
        "deny_delete",
        AS_IT_IS,
        |s| s.deny_delete = true,
        Mended("deny delete"),
    ),
    (
        "deny_delete",
        |s| s.deny_delete = true,
        AS_IT_IS,
        Stays("deny delete"),
    ),
    (
        "deny_purge",
        AS_IT_IS,
        |s| s.deny_purge = true,
        Mended("deny purge"),
    ),
    (
        "deny_purge",
        |s| s.deny_purge = true,
        AS_IT_IS,
        Stays("deny purge"),
    ),
    // Of one server alone.
    ("replicas", AS_IT_IS, |s| s.replicas = 3, Refused("replicas")),
];

/// On three nodes.
pub(crate) const ROWS_OF_THREE: &[Row] = &[
    ("replicas", AS_IT_IS, |s| s.replicas = 3, Mended("replicas")),
    ("replicas", |s| s.replicas = 3, AS_IT_IS, Stays("replicas")),
];

pub(crate) fn copy(spec: &mut StreamSpec, of: &str) {
    spec.subjects.clear();
    spec.copy_of = Some(of.into());
}

pub(crate) fn one_each(spec: &mut StreamSpec, refuses: bool) {
    spec.discard = Discard::New;
    spec.max_msgs_per_subject = 1;
    spec.discard_new_per_subject = refuses;
}

pub(crate) fn locked(spec: &mut StreamSpec) {
    one_each(spec, false);
}

pub(crate) fn live(spec: &mut StreamSpec, to: &str) {
    let own = spec.subjects[0].clone();
    spec.republish = Some((own, format!("{to}.{}.>", spec.name)));
}
