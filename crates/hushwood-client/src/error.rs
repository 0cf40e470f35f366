//! What can go wrong, and what to do about it.

use std::fmt;

use hushwood::transition::PersistError;
use hushwood_crypto::CipherSuiteId;
use hushwood_delivery::wire::Refused;

use crate::transport::TransportError;

/// Every failure of this crate.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Error {
    /// The protocol refused, or the store could not be read.
    Protocol(hushwood::error::Error),
    /// The store could not be written. Nothing has changed, unless it says that nobody knows.
    Store(PersistError),
    /// The delivery service could not be asked. What was wanted is kept and is done when it can be.
    Transport(TransportError),
    /// The delivery service says no.
    Refused(Refused),
    /// The delivery service answered what makes no sense. Nothing of it was taken.
    BadAnswer(&'static str),
    /// The store belongs to somebody else, or to another service.
    OtherIdentity,
    /// The store's signature keys are other ones than those of the [`Signers`](crate::Signers) that were given, or are not in it and none were given.
    OtherSigner,
    /// The store was made for groups of another suite than [`Settings::suite`](crate::Settings::suite) says now.
    OtherSuite {
        /// The store's.
        store: CipherSuiteId,
        /// What the settings say.
        settings: CipherSuiteId,
    },
    /// The [`Provider`](crate::Provider) does not have this suite.
    NoSuite(CipherSuiteId),
    /// There is no room of this id.
    NoRoom,
    /// Nobody of this name has an account, or none of their devices can be invited now.
    NoSuchPerson,
    /// Somebody's key is not the one that was known, or is of a device that no other of theirs has vouched for: compare numbers
    /// with them, then trust the new one.
    KeyChanged {
        /// Whose.
        person: String,
    },
    /// We are no longer a member of the room.
    Removed,
    /// The room has ended for all: go on in another one.
    Ended,
    /// We can't follow the room, or others see another history: rejoin it.
    Forked,
    /// This device was taken out of its account.
    Revoked,
    /// What was wanted can't be done: why.
    Void(&'static str),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Protocol(error) => error.fmt(f),
            Self::Store(error) => error.fmt(f),
            Self::Transport(error) => error.fmt(f),
            Self::Refused(refused) => write!(f, "the delivery service refuses: {refused}"),
            Self::BadAnswer(what) => write!(
                f,
                "the delivery service gave an answer that can't be: {what}; nothing was taken from it: see that it is \
                 the right service, and tell its operator"
            ),
            Self::OtherIdentity => f.write_str(
                "the store belongs to another person, device or delivery service: open it with its own, or use another",
            ),
            Self::OtherSigner => f.write_str(
                "the store belongs to other signature keys: give the signers that it was made with, or none if its keys are \
                 in it",
            ),
            Self::OtherSuite { store, settings } => write!(
                f,
                "the store was made for the suite {store} and the settings say {settings}: say the store's, or begin with a new \
                 store"
            ),
            Self::NoSuite(suite) => write!(
                f,
                "the provider of cryptography does not have the suite {suite}: take one that has, or say another suite"
            ),
            Self::NoRoom => f.write_str("there is no such room here"),
            Self::NoSuchPerson => f.write_str(
                "nobody of this name can be invited now: see that the name is right, and that they have been online",
            ),
            Self::KeyChanged { person } => write!(
                f,
                "{person:?} shows another key than before, or a device that no other of theirs vouches for: compare numbers with them over another channel, and trust \
                 the new key only if they are equal"
            ),
            Self::Removed => f.write_str("you are no longer a member of this room: ask somebody to invite you"),
            Self::Ended => {
                f.write_str("this room has ended: a member has had its group replaced; go on in another room")
            }
            Self::Forked => f.write_str(
                "this room can't be followed any more, or others see another history of it: rejoin it, and tell the \
                 others",
            ),
            Self::Revoked => {
                f.write_str("this device was taken out of its account: link it anew from another device")
            }
            Self::Void(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for Error {}

impl From<hushwood::error::Error> for Error {
    fn from(error: hushwood::error::Error) -> Self {
        Self::Protocol(error)
    }
}

impl From<hushwood_crypto::CryptoError> for Error {
    fn from(error: hushwood_crypto::CryptoError) -> Self {
        Self::Protocol(error.into())
    }
}

impl From<PersistError> for Error {
    fn from(error: PersistError) -> Self {
        Self::Store(error)
    }
}

impl From<TransportError> for Error {
    fn from(error: TransportError) -> Self {
        Self::Transport(error)
    }
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}
