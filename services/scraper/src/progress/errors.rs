//! What went wrong in a run, grouped by kind: a thousand time-outs are one line with a count.

use crate::walk::Fault;
use oddswire_protocol::{
    Timestamp,
    progress::{ErrorGroup, ErrorType},
};

/// Groups at most, so that an image stays far below the size of a message.
const GROUPS_MAX: usize = 40;
/// Bytes of a message at most.
const MESSAGE_MAX_BYTES: usize = 300;

/// A fault that is not the walk's.
pub(crate) fn fault(error_type: ErrorType, message: impl Into<String>, recoverable: bool) -> Fault {
    Fault {
        error_type,
        message: message.into(),
        recoverable,
        http_status: None,
        retry_in_ms: None,
    }
}

/// The groups, in the order of their first fault.
#[derive(Debug, Default)]
pub(super) struct Errors {
    groups: Vec<ErrorGroup>,
    last: Option<ErrorGroup>,
}

impl Errors {
    /// Goes on with the groups of an attempt before.
    pub(super) fn carried(groups: Vec<ErrorGroup>, last: Option<ErrorGroup>) -> Self {
        Self { groups, last }
    }

    /// Counts a fault in its group: same kind, same status, same hope. A group tells the message of its last fault.
    pub(super) fn add(&mut self, fault: Fault, at: Timestamp) {
        let alike = |group: &&mut ErrorGroup| {
            group.error_type == fault.error_type
                && group.http_status == fault.http_status
                && group.recoverable == fault.recoverable
        };
        let (message, retry_in_ms) = (clip(fault.message), fault.retry_in_ms);
        let group = if let Some(group) = self.groups.iter_mut().find(alike) {
            group.count += 1;
            group.last_at = at;
            group.message = message;
            group.retry_in_ms = retry_in_ms;
            group.clone()
        } else {
            let group = ErrorGroup {
                error_type: fault.error_type,
                message,
                recoverable: fault.recoverable,
                http_status: fault.http_status,
                retry_in_ms,
                count: 1,
                first_at: at,
                last_at: at,
            };
            if self.groups.len() < GROUPS_MAX {
                self.groups.push(group.clone());
            }
            group
        };
        self.last = Some(group);
    }

    pub(super) fn groups(&self) -> Vec<ErrorGroup> {
        self.groups.clone()
    }

    pub(super) fn last(&self) -> Option<ErrorGroup> {
        self.last.clone()
    }
}

fn clip(mut message: String) -> String {
    if message.len() > MESSAGE_MAX_BYTES {
        let room = MESSAGE_MAX_BYTES - '…'.len_utf8();
        let end = (0..=room).rev().find(|at| message.is_char_boundary(*at));
        message.truncate(end.unwrap_or(0));
        message.push('…');
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_unix_ms(ms).unwrap()
    }

    #[test]
    fn faults_of_a_kind_are_one_group_with_a_count_and_the_last_message() {
        let mut errors = Errors::default();
        errors.add(fault(ErrorType::Timeout, "/a did not answer.", true), at(1));
        errors.add(fault(ErrorType::Timeout, "/b did not answer.", true), at(5));
        errors.add(fault(ErrorType::Parse, "Not JSON.", false), at(6));
        let groups = errors.groups();
        assert_eq!(groups.len(), 2);
        assert_eq!(
            (groups[0].count, groups[0].first_at, groups[0].last_at),
            (2, at(1), at(5))
        );
        assert_eq!(groups[0].message, "/b did not answer.");
        assert_eq!(errors.last().unwrap().error_type, ErrorType::Parse);
    }

    #[test]
    fn statuses_are_told_apart_and_hostile_ones_do_not_grow_the_image() {
        let mut errors = Errors::default();
        for status in 0..1_000 {
            let fault = Fault {
                http_status: Some(status),
                ..fault(ErrorType::HttpStatus, "ä".repeat(1_000), false)
            };
            errors.add(fault, at(i64::from(status)));
        }
        let groups = errors.groups();
        assert_eq!(groups.len(), GROUPS_MAX);
        assert!(
            groups
                .iter()
                .all(|group| group.message.len() <= MESSAGE_MAX_BYTES)
        );
        assert_eq!(errors.last().unwrap().http_status, Some(999));
    }
}
