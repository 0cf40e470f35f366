//! What is said when something can't be done: whose fault it is, a sentence, and a way out.

use std::fmt;
use std::io;
use std::path::Path;

use hushwood::error::{ApiMisuse, Disposition, Error, NotNow, StoreReadError, Unsupported, Violation};
use hushwood::transition::{CommitError, PersistError};
use serde_json::{Value, json};

use crate::names::GroupName;

/// A command that did not do what it was asked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Failure {
    class: Class,
    message: String,
    advice: Option<String>,
    rows: Vec<&'static str>,
}

/// Whose fault it is. The names are part of the JSON output and do not change.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Class {
    /// Bytes that are no MLS structure.
    Decode,
    /// A peer broke a rule.
    Violation,
    /// A version, suite or type that is unknown here.
    Unsupported,
    /// Right in itself, at the wrong time.
    NotNow,
    /// The request can't be met in the state that things are in.
    Refused,
    /// The command line.
    Usage,
    /// The passphrase or key is wrong, or missing.
    Locked,
    /// A file, the terminal, the disk.
    Io,
    /// The store of the home.
    Store,
    /// Another process was faster; the command tries again by itself.
    Busy,
    /// Cryptography or randomness failed.
    Crypto,
    /// A fault in this program.
    Bug,
    /// Whoever reads the output has gone: not worth a word.
    OutputClosed,
}

/// The way out of a damaged home. A copy may have keys that were used since: it joins again before it sends.
pub(crate) const RESTORE: &str = "put a copy of the home in its place and join each group again before you send \
     (`hushwood join GROUPINFO --resync`), or make a new home";

/// What the program exits with.
pub(crate) const EXIT_REFUSED: u8 = 1;
/// The command line was wrong.
pub(crate) const EXIT_USAGE: u8 = 2;
/// Wrong passphrase or locked home.
pub(crate) const EXIT_LOCKED: u8 = 3;

impl Failure {
    pub(crate) fn new(class: Class, message: impl Into<String>) -> Self {
        Self { class, message: message.into(), advice: None, rows: Vec::new() }
    }

    pub(crate) fn refused(message: impl Into<String>) -> Self {
        Self::new(Class::Refused, message)
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Class::Usage, message)
    }

    pub(crate) fn locked(message: impl Into<String>) -> Self {
        Self::new(Class::Locked, message)
    }

    /// A file or folder that could not be used.
    pub(crate) fn path(what: &str, path: &Path, error: &io::Error) -> Self {
        let failure = Self::new(Class::Io, format!("{what} {}: {}", path.display(), io_reason(error)));
        failure.advise_io(error)
    }

    /// Standard input, output or the terminal.
    pub(crate) fn stream(what: &str, error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::new(Class::OutputClosed, "the reader of the output has gone");
        }
        Self::new(Class::Io, format!("{what}: {}", io_reason(error))).advise_io(error)
    }

    fn advise_io(self, error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull => self.advise("make room on the disk and try again"),
            io::ErrorKind::NotFound => self.advise("see that the name is right"),
            io::ErrorKind::IsADirectory => self.advise("name a file"),
            io::ErrorKind::NotADirectory => self.advise("see that the folder is one"),
            io::ErrorKind::PermissionDenied => self.advise("see who may read and write there"),
            io::ErrorKind::ReadOnlyFilesystem => self.advise("choose a place that can be written"),
            _ => self,
        }
    }

    /// Says what to do about it, in place of what was said before.
    #[must_use]
    pub(crate) fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    /// Leaves out what to do about it: that would be of another command.
    #[must_use]
    pub(crate) fn without_advice(mut self) -> Self {
        self.advice = None;
        self
    }

    /// Says it in better words.
    #[must_use]
    pub(crate) fn say(mut self, message: impl Into<String>) -> Self {
        self.message = message.into();
        self
    }

    /// Says what it was about, before the sentence.
    #[must_use]
    pub(crate) fn about(mut self, what: impl fmt::Display) -> Self {
        self.message = format!("{what}: {}", self.message);
        self
    }

    /// A message that was made and could not be written where it belongs: it waits in the home.
    #[must_use]
    pub(crate) fn kept(mut self, group: &GroupName) -> Self {
        if self.class == Class::OutputClosed {
            // Here it is worth a word.
            self.class = Class::Io;
        }
        self.advise(format!(
            "the message is made and kept: make room or choose another place, and write it with \
             `hushwood resend {}`",
            group.word()
        ))
    }

    pub(crate) fn class(&self) -> Class {
        self.class
    }

    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    pub(crate) fn advice(&self) -> Option<&str> {
        self.advice.as_deref()
    }

    pub(crate) fn rows(&self) -> &[&'static str] {
        &self.rows
    }

    /// What is wrong and what to do, in one line.
    pub(crate) fn line(&self) -> String {
        match &self.advice {
            Some(advice) => format!("{}: {advice}", self.sentence()),
            None => self.sentence(),
        }
    }

    /// The message with the rows behind it, without advice.
    pub(crate) fn sentence(&self) -> String {
        if self.rows.is_empty() {
            return self.message.clone();
        }
        format!("{} [{}]", self.message, self.rows.join(" "))
    }

    pub(crate) fn exit_code(&self) -> u8 {
        match self.class {
            Class::Usage => EXIT_USAGE,
            Class::Locked => EXIT_LOCKED,
            Class::Decode
            | Class::Violation
            | Class::Unsupported
            | Class::NotNow
            | Class::Refused
            | Class::Io
            | Class::Store
            | Class::Busy
            | Class::Crypto
            | Class::Bug
            | Class::OutputClosed => EXIT_REFUSED,
        }
    }

    /// `{"class", "message", "advice", "rows"}`.
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "class": self.class.name(),
            "message": self.message,
            "advice": self.advice,
            "rows": self.rows,
        })
    }
}

impl Class {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Decode => "decode",
            Self::Violation => "violation",
            Self::Unsupported => "unsupported",
            Self::NotNow => "not-now",
            Self::Refused => "refused",
            Self::Usage => "usage",
            Self::Locked => "locked",
            Self::Io => "io",
            Self::Store => "store",
            Self::Busy => "busy",
            Self::Crypto => "crypto",
            Self::Bug => "bug",
            Self::OutputClosed => "output-closed",
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence())?;
        match &self.advice {
            Some(advice) => write!(f, "\n  what to do: {advice}"),
            None => Ok(()),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let mut failure = Self::new(class_of(&error), error.to_string());
        failure.rows = error.requirements().iter().map(|row| row.0).collect();
        match advice_on(&error) {
            Some(advice) => failure.advise(advice),
            None => failure,
        }
    }
}

impl From<StoreReadError> for Failure {
    fn from(error: StoreReadError) -> Self {
        Error::from(error).into()
    }
}

impl From<CommitError> for Failure {
    fn from(CommitError(error): CommitError) -> Self {
        error.into()
    }
}

impl From<PersistError> for Failure {
    fn from(error: PersistError) -> Self {
        let class = match error {
            PersistError::Stale | PersistError::Busy => Class::Busy,
            _ => Class::Store,
        };
        let failure = Self::new(class, format!("nothing was changed: {error}"));
        match error {
            PersistError::Full => failure.advise("make room on the disk and try again"),
            PersistError::Refused => {
                failure.advise("see that the home can be written, and that the disk is not read-only")
            }
            PersistError::Unknown => failure
                .say("the store failed while writing; perhaps the change was made, perhaps not")
                .advise("see `hushwood group show`, `hushwood receive --pending` and `hushwood resend`"),
            _ => failure,
        }
    }
}

fn class_of(error: &Error) -> Class {
    match error {
        Error::Decode(_) => Class::Decode,
        Error::Violation(_) => Class::Violation,
        Error::Unsupported(_) => Class::Unsupported,
        Error::NotNow(NotNow::Stale | NotNow::Reopen) => Class::Busy,
        Error::NotNow(_) => Class::NotNow,
        Error::ApiMisuse(_) | Error::WouldViolate(_) => Class::Refused,
        Error::StoreRead(_) => Class::Store,
        Error::Crypto(_) | Error::Signer(_) => Class::Crypto,
        _ => Class::Bug,
    }
}

/// What to do, where there is something better to say than the class.
fn advice_on(error: &Error) -> Option<&'static str> {
    Some(match error {
        Error::Decode(_) => {
            "see that the file is whole and is what was sent; `hushwood inspect FILE` shows what it is"
        }
        Error::NotNow(not_now) => return not_now_advice(*not_now),
        Error::ApiMisuse(misuse) => return misuse_advice(*misuse),
        Error::WouldViolate(Violation::KeyPackageSuite | Violation::CapabilitiesLackGroup) => {
            "ask for a key package of the group's suite: `hushwood group show` names it, \
             `hushwood key-package --suite SUITE` makes it"
        }
        Error::WouldViolate(Violation::CommitterRemovesSelf) => {
            "use `hushwood leave`, and let another member commit it"
        }
        Error::WouldViolate(Violation::LeafLifetime) => "ask for a fresh key package: `hushwood key-package`",
        Error::WouldViolate(_) => {
            "see who is in the group with `hushwood group members`, and ask for something else"
        }
        Error::StoreRead(StoreReadError::Corrupt | StoreReadError::Missing) => RESTORE,
        Error::Unsupported(Unsupported::ProtocolVersion) => {
            "see that it is a message of a conversation (`hushwood inspect FILE`); if it is, use a later version of this program"
        }
        Error::Unsupported(_) => "ask for what this version has, or use a later version of this program",
        _ => match error.disposition() {
            Disposition::Report => {
                "nothing of yours has changed; tell whoever sent it, and keep the file as evidence"
            }
            Disposition::Rejoin => "join again with a fresh group info: `hushwood join GROUPINFO --resync`",
            _ => return None,
        },
    })
}

fn misuse_advice(misuse: ApiMisuse) -> Option<&'static str> {
    Some(match misuse {
        ApiMisuse::GenerationOverflow | ApiMisuse::TooMuchEncrypted => {
            "begin a new epoch with `hushwood update`"
        }
        ApiMisuse::KeyPackageExpired => "ask for a fresh key package",
        ApiMisuse::BranchFromOther => "invite strangers when the branch is there: `hushwood invite`",
        ApiMisuse::NotReinitialised => "first propose and commit it: `hushwood propose reinit`",
        ApiMisuse::TooLong => "send it in parts; 16 MiB is the most for one message",
        ApiMisuse::ExportTooLong => "ask for less: at most 255 times the length of the suite's hash",
        ApiMisuse::SuiteNotBest => "choose the suite that all members prefer",
        _ => return None,
    })
}

fn not_now_advice(not_now: NotNow) -> Option<&'static str> {
    Some(match not_now {
        NotNow::EpochFuture => "keep it and receive it after the commits that lead there",
        NotNow::EpochPast => "nothing: its keys are gone, as they must be; ask the sender to send it again",
        NotNow::GroupEnded => {
            "see `hushwood group show`; a group that was reinitialised goes on in its successor"
        }
        NotNow::GenerationTooFar => "receive the earlier messages of that sender first",
        NotNow::KeyUsed => "nothing: it was read before, or is older than what is kept",
        NotNow::ProposalMissing => "receive the proposals it refers to, then receive it again",
        NotNow::ProposalPending => {
            "commit the proposals first: `hushwood commit`; your own update or removal only somebody else can commit"
        }
        NotNow::PskMissing => "add the key with `hushwood psk add`, then try again",
        NotNow::TreeMissing => "ask for the tree and give it with `--tree FILE`",
        NotNow::OwnCommitDiscarded => {
            "nothing, if the others have not received it; if they have, join again with a fresh group info: \
             `hushwood join GROUPINFO --resync`"
        }
        NotNow::OwnMessage => "nothing: it was sent from here",
        NotNow::ParentMissing => "join with the home that is a member of the old group",
        NotNow::OwnUpdateLost => "join again with a fresh group info: `hushwood join GROUPINFO --resync`",
        NotNow::Limit => "it is beyond what this home takes; ask the sender for less",
        NotNow::NoKeyPackage => {
            "nothing, if you have joined by it; else see that this is the home whose key package was invited"
        }
        NotNow::GroupExists => {
            "see `hushwood group list`; erase the old one with `hushwood group forget` if it is lost"
        }
        _ => return None,
    })
}

/// The operating system's reason, without its number.
fn io_reason(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((reason, _)) => reason.to_owned(),
        None => text,
    }
}
