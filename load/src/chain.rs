//! What is sent is made beforehand, so that it is the service's time that is measured.

use std::collections::VecDeque;

use anyhow::{Result, bail};
use hushwood_delivery::wire::{Answer, Call, CallKind, CommitAnswer, SendAnswer};
use hyper::body::Bytes;

use crate::client::Author;

/// An author, and what it has ready to be sent, in order.
pub struct Chain {
    author: Author,
    what: What,
    ready: VecDeque<Bytes>,
}

/// What is sent.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum What {
    /// Messages with a text of [`TEXT`] bytes.
    Messages,
    /// Commits that renew the author's keys.
    Commits,
}

/// Bytes in a message's text.
pub const TEXT: usize = 1024;

impl What {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Messages => "messages",
            Self::Commits => "commits",
        }
    }

    /// The request that sends it.
    #[must_use]
    pub fn kind(self) -> CallKind {
        match self {
            Self::Messages => CallKind::Send,
            Self::Commits => CallKind::Commit,
        }
    }
}

impl Chain {
    /// Of an author, with nothing ready.
    #[must_use]
    pub fn new(author: Author, what: What) -> Self {
        Self { author, what, ready: VecDeque::new() }
    }

    /// Makes until so many are ready.
    ///
    /// # Errors
    /// Of the protocol.
    pub fn fill(&mut self, to: usize) -> Result<()> {
        while self.ready.len() < to {
            let body = match self.what {
                What::Messages => self.author.message(TEXT)?,
                What::Commits => self.author.commit()?,
            };
            self.ready.push_back(body);
        }
        Ok(())
    }

    /// The next that is ready.
    pub fn take(&mut self) -> Option<Bytes> {
        self.ready.pop_front()
    }

    /// What is sent.
    #[must_use]
    pub fn what(&self) -> What {
        self.what
    }

    /// Who sends.
    pub fn author(&mut self) -> &mut Author {
        &mut self.author
    }
}

/// The number in the log that a message or a commit was given.
///
/// # Errors
/// If it was refused, or came too late for its epoch.
pub fn accepted(answer: &Answer) -> Result<u64> {
    match answer {
        Answer::Send(SendAnswer::Accepted(number)) | Answer::Commit(CommitAnswer::Accepted(number)) => {
            Ok(*number)
        }
        other => bail!("{other:?} was not accepted"),
    }
}

/// How many bytes the log and the head get of one message, and of one commit: the message; the commit and the GroupInfo.
///
/// # Errors
/// Of the protocol.
pub fn sizes(others: usize) -> Result<Sizes> {
    let (mut author, _) = Author::new(others)?;
    let message = author.message(TEXT)?;
    let Call::Send(send) = Call::from_body(CallKind::Send, &message)? else { bail!("no message") };
    let commit = author.commit()?;
    let Call::Commit(commit) = Call::from_body(CallKind::Commit, &commit)? else { bail!("no commit") };
    Ok(Sizes {
        message: send.message.len(),
        commit: commit.commit.len(),
        group_info: commit.group_info.len(),
    })
}

/// How many bytes the log and the head get.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub struct Sizes {
    /// Of a message.
    pub message: usize,
    /// Of a commit.
    pub commit: usize,
    /// Of the GroupInfo that comes with it.
    pub group_info: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ready_is_sent_in_its_order() {
        let (author, _) = Author::new(3).unwrap();
        let mut chain = Chain::new(author, What::Commits);
        chain.fill(3).unwrap();
        let epochs = std::iter::from_fn(|| chain.take()).map(|body| {
            match Call::from_body(CallKind::Commit, &body).unwrap() {
                Call::Commit(commit) => commit.epoch,
                other => panic!("{other:?}"),
            }
        });
        assert_eq!(epochs.collect::<Vec<_>>(), [1, 2, 3]);
    }

    #[test]
    fn a_message_is_a_little_larger_than_its_text() {
        let sizes = sizes(3).unwrap();
        assert!((TEXT..TEXT + 400).contains(&sizes.message), "{sizes:?}");
        assert!(sizes.commit > 200 && sizes.group_info > 100, "{sizes:?}");
    }
}
