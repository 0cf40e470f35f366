//! Right things at the wrong time.

use std::fmt;

use crate::error::{Disposition, Row};

/// A message or a call that is not wrong, but does not fit the state that the group is in.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum NotNow {
    /// The message is of an earlier epoch, whose keys are gone or never open handshakes again (C064, C065).
    EpochPast,
    /// The message is of an epoch that this client has not reached: keep it (C064, C065).
    EpochFuture,
    /// The message is encrypted for the members, and an observer has no keys.
    Encrypted,
    /// The group is at its end: reinitialised, or this client was removed (C314, C315).
    GroupEnded,
    /// The message's generation is too far ahead of what has been seen (C191, C408).
    GenerationTooFar,
    /// The key of this message was used or dropped: it was read before, or is too old (C190).
    KeyUsed,
    /// A commit refers to proposals that have not arrived (C293).
    ProposalMissing,
    /// Proposals wait for a commit; application data may not be sent before it (C290).
    ProposalPending,
    /// A pre-shared key is not at hand (C308, C328).
    PskMissing,
    /// The group has grown out of another one, which was not given (C344, C345).
    ParentMissing,
    /// The ratchet tree was not in the message and was not given (C332).
    TreeMissing,
    /// The message is for another group (C063).
    OtherGroup,
    /// The message is no message of a group: a Welcome, a GroupInfo or a KeyPackage.
    NotForGroup,
    /// The commit is one this client made and discarded. If the others have taken it, this client can't follow any
    /// more: rejoin (C098).
    OwnCommitDiscarded,
    /// The message is one this client sent (C098).
    OwnMessage,
    /// The commit covers an Update of ours whose private key is lost: rejoin.
    OwnUpdateLost,
    /// The Welcome has no entry for any of this client's key packages (C325), or was taken before.
    NoKeyPackage,
    /// This client is already in a group of this id (C322).
    GroupExists,
    /// The state has moved since this was staged: stage it again.
    Stale,
    /// A write had an unknown outcome: reopen the group before anything else.
    Reopen,
    /// A limit of the policy is reached; the application may raise it (C009, C188, C407).
    Limit,
}

impl NotNow {
    /// The rows of the requirements list behind it.
    #[must_use]
    pub fn requirements(self) -> &'static [Row] {
        match self {
            Self::EpochPast | Self::EpochFuture => {
                &[Row("C064"), Row("C065"), Row("C193"), Row("C240"), Row("C305")]
            }
            Self::GroupEnded => &[Row("C314"), Row("C315")],
            Self::GenerationTooFar => &[Row("C191"), Row("C408")],
            Self::KeyUsed => &[Row("C190")],
            Self::ProposalMissing => &[Row("C042"), Row("C293")],
            Self::ProposalPending => &[Row("C290")],
            Self::PskMissing => &[Row("C175"), Row("C308"), Row("C328")],
            Self::ParentMissing => &[Row("C344"), Row("C345")],
            Self::TreeMissing => &[Row("C332")],
            Self::OtherGroup => &[Row("C063")],
            Self::OwnCommitDiscarded | Self::OwnMessage => &[Row("C098")],
            Self::NoKeyPackage => &[Row("C325")],
            Self::GroupExists => &[Row("C322")],
            Self::Encrypted | Self::NotForGroup | Self::OwnUpdateLost | Self::Stale | Self::Reopen => &[],
            Self::Limit => &[Row("C009"), Row("C029"), Row("C188"), Row("C372"), Row("C407")],
        }
    }

    pub(crate) fn disposition(self) -> Disposition {
        match self {
            Self::EpochFuture => Disposition::Buffer,
            Self::ProposalMissing
            | Self::ProposalPending
            | Self::PskMissing
            | Self::ParentMissing
            | Self::TreeMissing
            | Self::Stale
            | Self::Reopen => Disposition::Retry,
            Self::OwnCommitDiscarded | Self::OwnUpdateLost => Disposition::Rejoin,
            Self::EpochPast
            | Self::Encrypted
            | Self::GroupEnded
            | Self::NotForGroup
            | Self::GenerationTooFar
            | Self::KeyUsed
            | Self::OtherGroup
            | Self::OwnMessage
            | Self::NoKeyPackage
            | Self::GroupExists
            | Self::Limit => Disposition::Ignore,
        }
    }
}

impl fmt::Display for NotNow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EpochPast => "the message belongs to an epoch that is over",
            Self::EpochFuture => "the message belongs to an epoch not reached yet: keep it until then",
            Self::Encrypted => "the message is encrypted, and an observer has no keys",
            Self::GroupEnded => "the group is at its end: it was reinitialised, or this client was removed",
            Self::GenerationTooFar => "the message is too far ahead of what was received from its sender",
            Self::KeyUsed => "the message was read before, or its key was dropped as too old",
            Self::ProposalMissing => "the commit refers to proposals that have not arrived",
            Self::ProposalPending => "proposals are waiting: commit them before sending",
            Self::PskMissing => "a pre-shared key is not at hand: supply it and try again",
            Self::ParentMissing => "the group has grown out of another one: supply that one and try again",
            Self::TreeMissing => "the ratchet tree is not in the message: supply it and try again",
            Self::OtherGroup => "the message is for another group",
            Self::NotForGroup => "this is no message of a group: join with a welcome or a group info",
            Self::OwnUpdateLost => {
                "the commit uses an update whose key this client has lost: rejoin the group"
            }
            Self::OwnCommitDiscarded => "this client made the commit and has discarded it",
            Self::OwnMessage => "this client sent the message itself",
            Self::NoKeyPackage => "the welcome is for none of this client's key packages, or was taken before: ask to be invited again",
            Self::GroupExists => "this client is already in a group of this id",
            Self::Stale => "the group has moved on since this was staged: stage it again",
            Self::Reopen => "a write had an unknown outcome: reopen the group",
            Self::Limit => "a configured limit is reached",
        })
    }
}

impl std::error::Error for NotNow {}
