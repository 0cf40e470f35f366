//! What can go wrong, and what to do about it.

use std::fmt;

use hushwood::transition::PersistError;
use hushwood_crypto::CipherSuiteId;
use hushwood_delivery::wire::Refused;

use crate::identity::DeviceId;
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
    /// The delivery service does not take what is signed for the name that was given for it.
    OtherService {
        /// That name.
        service: String,
    },
    /// The delivery service answered what makes no sense. Nothing of it was taken.
    BadAnswer(&'static str),
    /// The store belongs to somebody else, or to another service, which has agreed to it.
    OtherIdentity {
        /// Whose it is.
        person: String,
        /// The name of the service.
        service: String,
    },
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
    /// Nobody of this name, or with this device, is in the room as far as it was read.
    NotThere {
        /// Who was named.
        person: String,
        /// Which of their devices, if one was named.
        device: Option<DeviceId>,
        /// Who is there, or with which devices that person is. The names came from outside.
        there: Vec<String>,
    },
    /// Somebody's key is not the one that was known, or is of a device that no other of theirs has vouched for: compare numbers
    /// with them, then trust the new one.
    KeyChanged {
        /// Whose.
        person: String,
    },
    /// The service does not take what another device of ours has agreed to: why.
    NotLinked(Refused),
    /// Nobody has said yet whose this key is, and only those are believed of which somebody has
    /// ([`Trust::known_only`](crate::Trust::known_only)): compare numbers with them, then trust it.
    UnknownKey {
        /// Whose it claims to be.
        person: String,
    },
    /// So much can't be said at once.
    TooLong {
        /// So many bytes can.
        most: usize,
    },
    /// No such device belongs to our account.
    NoSuchDevice {
        /// The device.
        device: DeviceId,
    },
    /// We are no longer a member of the room.
    Removed,
    /// The room has ended for all: go on in another one.
    Ended,
    /// We can't follow the room, or others see another history: rejoin it.
    Forked,
    /// This device was taken out of its account. It does not come back: a new store is linked in its place.
    Revoked,
    /// The service does not know this device any more: it was taken out of its account, or this is another service of the same name,
    /// or one that has lost its data.
    UnknownDevice,
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
            Self::OtherService { service } => write!(
                f,
                "the delivery service does not take what is signed for {service:?}, which may not be its name: open the \
                 store with the name that its operator has given it"
            ),
            Self::BadAnswer(what) => write!(
                f,
                "the delivery service gave an answer that can't be: {what}; nothing was taken from it: see that it is \
                 the right service, and tell its operator"
            ),
            Self::OtherIdentity { person, service } => write!(
                f,
                "the store belongs to {person:?} at the delivery service {service:?}: open it as that, or use another"
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
            Self::NotThere { person, device, there } => not_there(f, person, *device, there),
            Self::KeyChanged { person } => write!(
                f,
                "{person:?} shows another key than before, or a device that no other of theirs vouches for: compare numbers with them over another channel, and trust \
                 the new key only if they are equal"
            ),
            Self::NoSuchDevice { device } => write!(
                f,
                "no device {device} belongs to this account, or not any more: see which ones do"
            ),
            Self::UnknownKey { person } => write!(
                f,
                "{person:?} shows a key of which nobody has said that it is theirs: compare numbers with them over another \
                 channel, and trust it if they are equal"
            ),
            Self::NotLinked(refused) => write!(
                f,
                "the delivery service does not take what the other device has agreed to ({refused}): begin anew on both, be \
                 done within five minutes, and see that both name the service alike"
            ),
            Self::TooLong { most } => write!(f, "a message has at most {most} bytes: send it in parts"),
            Self::Removed => f.write_str("you are no longer a member of this room: ask somebody to invite you"),
            Self::Ended => {
                f.write_str("this room has ended: a member has had its group replaced; go on in another room")
            }
            Self::Forked => f.write_str(
                "this room can't be followed any more, or others see another history of it: rejoin it, and tell the \
                 others",
            ),
            Self::Revoked => f.write_str(
                "this device was taken out of its account, and does not come back: begin with a new store, and link \
                 that one from another device of the account",
            ),
            Self::UnknownDevice => f.write_str(
                "the delivery service does not know this device: it was taken out of its account, or this is another service \
                 of the same name. See that it is the right one; if it is, begin with a new store, and link that one from \
                 another device of the account",
            ),
            Self::Void(why) => f.write_str(why),
        }
    }
}

impl Error {
    /// Whether it waits for somebody to say whose a key is.
    pub(crate) fn is_about_a_key(&self) -> bool {
        matches!(self, Self::KeyChanged { .. } | Self::UnknownKey { .. })
    }
}

/// Who was named, and of whom that might have been meant.
fn not_there(
    f: &mut fmt::Formatter<'_>,
    person: &str,
    device: Option<DeviceId>,
    there: &[String],
) -> fmt::Result {
    /// So many names are told.
    const MOST: usize = 20;
    match device {
        Some(device) => write!(f, "nobody called {person:?} with the device {device} is in this room")?,
        None => write!(f, "nobody called {person:?} is in this room")?,
    }
    let names: Vec<_> = there.iter().take(MOST).map(|name| format!("{name:?}")).collect();
    write!(f, ", as far as it was read: there are {}", names.join(", "))?;
    match there.len().saturating_sub(MOST) {
        0 => Ok(()),
        more => write!(f, ", and {more} more"),
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
