//! Server-Sent Events line by line, with what an EventSource would hide: comments, `retry`, unknown fields.

use super::{
    check::{Log, Miss},
    judge::{message::Message, sse::Block},
    probe::within,
};
use reqwest::Response;
use std::{sync::Arc, time::Duration};

/// Bytes without an end of an event above which this is no stream of events.
const BLOCK_MAX: usize = 1 << 20;

/// An open stream.
#[derive(Debug)]
pub(crate) struct Events {
    answer: Response,
    bytes: Vec<u8>,
    log: Arc<Log>,
    wait: Duration,
}

impl Events {
    pub(crate) fn new(answer: Response, log: Arc<Log>, wait: Duration) -> Self {
        Self {
            answer,
            bytes: Vec::new(),
            log,
            wait,
        }
    }

    /// The next lines up to an empty one; `None` at the end of the stream.
    pub(crate) async fn block(&mut self) -> Result<Option<Block>, Miss> {
        self.block_within(self.wait).await
    }

    async fn block_within(&mut self, wait: Duration) -> Result<Option<Block>, Miss> {
        loop {
            if let Some((end, skipped)) = end_of_block(&self.bytes) {
                let lines: Vec<u8> = self.bytes.drain(..end + skipped).take(end).collect();
                let lines = String::from_utf8(lines).map_err(|_| "what came is not UTF-8".to_owned())?;
                if lines.is_empty() {
                    continue;
                }
                self.log.came(&lines);
                return Ok(Some(Block::parse(&lines)));
            }
            if self.bytes.len() > BLOCK_MAX {
                return Err(Miss::Failed("an event of more than 1 MiB".into()));
            }
            match within(wait, self.answer.chunk()).await? {
                Some(piece) => self.bytes.extend_from_slice(&piece),
                None => return Ok(None),
            }
        }
    }

    /// The next message; `None` at the end of the stream.
    pub(crate) async fn try_message(&mut self) -> Result<Option<Message>, Miss> {
        self.try_message_within(self.wait).await
    }

    pub(crate) async fn try_message_within(&mut self, wait: Duration) -> Result<Option<Message>, Miss> {
        loop {
            let Some(block) = self.block_within(wait).await? else {
                return Ok(None);
            };
            if let Some(message) = block.message()? {
                return Ok(Some(message));
            }
        }
    }

    pub(crate) async fn message(&mut self) -> Result<Message, Miss> {
        self.message_within(self.wait).await
    }

    pub(crate) async fn message_within(&mut self, wait: Duration) -> Result<Message, Miss> {
        let message = self.try_message_within(wait).await?;
        message.ok_or_else(|| Miss::Failed("the stream ended".into()))
    }
}

/// Where the first empty line is, and how many bytes end what is before it.
fn end_of_block(bytes: &[u8]) -> Option<(usize, usize)> {
    let lf = bytes.windows(2).position(|two| two == b"\n\n").map(|at| (at, 2));
    let crlf = bytes
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .map(|at| (at, 4));
    lf.into_iter().chain(crlf).min()
}

#[cfg(test)]
mod tests {
    use super::end_of_block;

    #[test]
    fn a_block_ends_at_the_first_empty_line_whatever_its_line_ends() {
        assert_eq!(end_of_block(b": x\n"), None);
        assert_eq!(end_of_block(b": x\n\nid: a\r\n\r\n"), Some((3, 2)));
        assert_eq!(end_of_block(b": x\r\n\r\nid"), Some((3, 4)));
    }
}
