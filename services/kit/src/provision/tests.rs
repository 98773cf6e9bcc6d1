use super::*;
use oddswire_protocol::{
    Subjects,
    stream::{Sizing, streams},
};

fn runs(sizing: &Sizing) -> Config {
    config(&streams(&Subjects::default(), sizing)[0])
}

#[test]
fn a_stream_does_not_differ_from_its_own_specification() {
    for spec in streams(&Subjects::default(), &Sizing::DEV) {
        assert_eq!(compare(&config(&spec), &config(&spec)), []);
    }
}

#[test]
fn raising_a_limit_loses_nothing_and_lowering_it_does() {
    let small = runs(&Sizing {
        runs_bytes: 1 << 20,
        ..Sizing::DEV
    });
    let large = runs(&Sizing {
        runs_bytes: 1 << 30,
        ..Sizing::DEV
    });
    let raised = compare(&small, &large);
    assert_eq!(
        (raised.len(), raised[0].setting, raised[0].loses),
        (1, "max bytes", false)
    );
    assert!(compare(&large, &small)[0].loses);
    let unlimited = Config {
        max_bytes: -1,
        ..small.clone()
    };
    assert!(compare(&unlimited, &small)[0].loses);
    assert!(!compare(&small, &unlimited)[0].loses);
}

/// A change of the one setting named, and whether `--apply` refuses it.
type Change = (&'static str, fn(&mut Config), bool);

const CHANGES: &[Change] = &[
    ("subjects", |c| c.subjects.push("more".into()), true),
    (
        "sources",
        |c| {
            c.sources = Some(vec![Source {
                name: "X".into(),
                ..Source::default()
            }]);
        },
        true,
    ),
    ("retention", |c| c.retention = RetentionPolicy::Interest, true),
    ("storage", |c| c.storage = StorageType::Memory, true),
    ("deny delete", |c| c.deny_delete = !c.deny_delete, true),
    ("deny purge", |c| c.deny_purge = !c.deny_purge, true),
    ("max age", |c| c.max_age /= 2, true),
    ("max bytes", |c| c.max_bytes /= 2, true),
    (
        "max messages per subject",
        |c| c.max_messages_per_subject = 1,
        true,
    ),
    ("max message size", |c| c.max_message_size *= 2, false),
    ("discard", |c| c.discard = DiscardPolicy::New, false),
    (
        "discard new per subject",
        |c| c.discard_new_per_subject = true,
        false,
    ),
    ("duplicate window", |c| c.duplicate_window *= 2, false),
    ("republish", |c| c.republish = None, false),
    ("direct reads", |c| c.allow_direct = false, false),
    ("message TTL", |c| c.allow_message_ttl = true, false),
    ("batches", |c| c.allow_atomic_publish = true, false),
    ("rollup", |c| c.allow_rollup = true, false),
    ("replicas", |c| c.num_replicas = 3, false),
];

#[test]
fn each_setting_that_differs_is_named_and_what_would_lose_messages_is_not_applied() {
    let settings: Vec<_> = SETTINGS.iter().map(|(name, ..)| *name).collect();
    let changed: Vec<_> = CHANGES.iter().map(|(name, ..)| *name).collect();
    assert_eq!(changed, settings, "every setting has a case");
    let found = runs(&Sizing::DEV);
    for (name, change, loses) in CHANGES {
        let mut wanted = found.clone();
        change(&mut wanted);
        let differences = compare(&found, &wanted);
        let seen: Vec<_> = differences.iter().map(|d| (d.setting, d.loses)).collect();
        assert_eq!(seen, [(*name, *loses)]);
    }
}
