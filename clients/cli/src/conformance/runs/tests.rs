use super::*;
use serde_json::json;

fn message(kind: &str, data: Value) -> Message {
    Message::made(kind, &data)
}

fn progress(seq: u64, status: &str, changed: u64) -> Message {
    let phase = if status == "running" { "scraping" } else { status };
    message(
        "scrape_progress",
        json!({"run_id": "r", "seq": seq, "attempt": 1, "status": status, "phase": phase, "current": seq,
            "events_count": seq, "changed_count": changed}),
    )
}

fn odds(run_id: &str) -> Message {
    message("odds_update", json!({"run_id": run_id, "source": "alpha"}))
}

fn refs(messages: &[Message]) -> Vec<&Message> {
    messages.iter().collect()
}

#[test]
fn every_event_of_a_run_comes_once_and_in_order() {
    let judge = |seqs: &[u64]| {
        let run: Vec<Message> = seqs.iter().map(|seq| progress(*seq, "running", 0)).collect();
        judge_seq(&refs(&run), 1)
    };
    assert_eq!(judge(&[1, 2, 3]), Ok(()));
    for bad in [&[2, 3][..], &[1, 3], &[1, 2, 2], &[1, 3, 2], &[]] {
        assert!(judge(bad).is_err(), "{bad:?}");
    }
    let texts = |count: usize| vec!["a".to_owned(); count];
    assert_eq!(judge_same(&texts(2), &texts(2)), Ok(()));
    assert!(judge_same(&texts(2), &texts(1)).is_err());
    assert!(judge_same(&texts(1), &["b".to_owned()]).is_err());
}

#[test]
fn progress_never_falls_inside_a_phase_and_an_attempt() {
    let image = |attempt: u64, phase: &str, current: u64| json!({"attempt": attempt, "phase": phase, "current": current, "events_count": 0, "changed_count": 0});
    let judge = |images: &[Value]| judge_progress(&images.iter().collect::<Vec<_>>());
    let begun = image(1, "scraping", 5);
    assert_eq!(judge(&[begun.clone(), image(1, "storing", 0)]), Ok(()));
    assert_eq!(judge(&[begun.clone(), image(2, "discovering", 0)]), Ok(()));
    assert_eq!(judge(&[begun.clone(), image(1, "failed", 0)]), Ok(()));
    assert!(judge(&[begun.clone(), image(1, "scraping", 4)]).is_err());
    assert!(judge(&[begun, image(1, "discovering", 9)]).is_err());
    assert_eq!(judge_pace(&[0, 5_100, 10_200]), Ok(()));
    assert!(judge_pace(&[0, 16_000]).is_err());
    assert!(judge_pace(&[5, 4]).is_err());
}

#[test]
fn a_run_ends_once_and_last() {
    let judge = |all: &[Message]| judge_one_end(&refs(all));
    let (running, ended) = (progress(1, "running", 0), progress(2, "completed", 0));
    assert_eq!(judge(&[running.clone(), ended.clone()]), Ok(()));
    assert!(judge(std::slice::from_ref(&running)).is_err());
    assert!(judge(&[ended.clone(), ended.clone()]).is_err());
    assert!(judge(&[ended, running]).is_err());
}

#[test]
fn all_odds_of_a_run_come_before_its_end_and_are_counted() {
    let confirmed = || message("odds_confirmed", json!({"run_id": "r"}));
    let judge = |all: &[Message]| judge_odds_before_end(all, "r");
    assert_eq!(
        judge(&[
            odds("r"),
            odds("other"),
            confirmed(),
            progress(1, "completed", 1),
            odds("other")
        ]),
        Ok(())
    );
    assert!(judge(&[progress(1, "completed", 1), odds("r")]).is_err());
    assert!(judge(&[confirmed(), odds("r"), progress(1, "completed", 1)]).is_err());
    assert!(judge(&[odds("r"), progress(1, "completed", 2)]).is_err());
}

#[test]
fn the_board_has_what_was_streamed_last() {
    let image = event::tests::image();
    let mut other = image.clone();
    other["market"]["quotes"][0]["outcomes"][0]["price"] = json!(9);
    let streamed = HashMap::from([(key(&image), &image)]);
    let judge = |board: &[Value]| judge_board(board, &streamed, "r1");
    assert_eq!(judge(std::slice::from_ref(&image)), Ok(()));
    assert!(judge(std::slice::from_ref(&other)).is_err());
    assert!(judge(&[]).is_err());
    other["run_id"] = json!("later");
    assert_eq!(judge(&[other]), Ok(()));
}

#[test]
fn a_run_that_is_cancelled_says_so_at_its_end() {
    let cancelled = |answer: &str, end: &str| Cancelled {
        run_id: "r".into(),
        answer: json!({"run_id": "r", "status": answer}),
        own: vec![progress(1, end, 0)],
        again: Value::Null,
        image: Value::Null,
    };
    assert_eq!(judge_cancel(&cancelled("cancelling", "cancelled")), Ok(()));
    assert_eq!(judge_cancel(&cancelled("completed", "completed")), Ok(()));
    assert!(judge_cancel(&cancelled("cancelling", "completed")).is_err());
    assert!(judge_cancel(&cancelled("completed", "cancelled")).is_err());
}
