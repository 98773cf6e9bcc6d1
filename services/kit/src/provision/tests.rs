use super::*;
use oddswire_protocol::{
    Subjects,
    stream::{Sizing, streams},
};

fn runs(sizing: &Sizing) -> Config {
    config(&streams(&Subjects::default(), sizing)[0], Config::default())
}

#[test]
fn a_stream_does_not_differ_from_its_own_specification() {
    for spec in streams(&Subjects::default(), &Sizing::DEV) {
        let config = config(&spec, Config::default());
        assert_eq!(compare(&config, &config), []);
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
        (raised.len(), raised[0].setting, raised[0].stays),
        (1, "max bytes", false)
    );
    assert!(compare(&large, &small)[0].stays);
    let unlimited = Config {
        max_bytes: -1,
        ..small.clone()
    };
    assert!(compare(&unlimited, &small)[0].stays);
    assert!(!compare(&small, &unlimited)[0].stays);
}

#[test]
fn what_the_descriptor_does_not_state_stays_as_the_operator_made_it() {
    let spec = &streams(&Subjects::default(), &Sizing::DEV)[0];
    let placed = Config {
        compression: Some(async_nats::jetstream::stream::Compression::S2),
        ..Config::default()
    };
    assert_eq!(config(spec, placed.clone()).compression, placed.compression);
}
