//! What can go wrong, by whose fault it is.
//!
//! One root type for the whole crate. The class says who is at fault, the variant says what the fact is,
//! [`requirements`](Error::requirements) which duties of RFC 9420 a received thing broke, and
//! [`disposition`](Error::disposition) what an application does about it. Texts hold no secrets, no
//! identifiers and nothing that came from outside.

mod api_misuse;
mod not_now;
mod row;
mod unsupported;
mod violation;

use std::fmt;

use hushwood_codec::{DecodeError, DecodeErrorKind, EncodeError};
use hushwood_crypto::{CryptoError, SignerError};

pub use api_misuse::ApiMisuse;
pub use not_now::NotNow;
pub use row::Row;
pub use unsupported::Unsupported;
pub use violation::Violation;

/// Every failure of this crate.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Error {
    /// The bytes are no encoding of an MLS structure.
    Decode(DecodeError),
    /// A peer broke a rule of the protocol. What it sent is refused; nothing of ours has changed.
    Violation(Violation),
    /// Nobody's fault: a version, suite, or type that this client does not have.
    Unsupported(Unsupported),
    /// Right in itself, at the wrong time: another epoch, something missing, something already used.
    NotNow(NotNow),
    /// The caller asked for what can't be done.
    ApiMisuse(ApiMisuse),
    /// The caller asked for a message that breaks a rule of the protocol: everybody else would refuse it, so it is
    /// not made.
    WouldViolate(Violation),
    /// A cryptographic operation of our own failed: no randomness, or a broken provider.
    Crypto(CryptoError),
    /// The signer did not sign.
    Signer(SignerError),
    /// The store could not be read. Nothing has changed; reopen the group when it can be.
    StoreRead(StoreReadError),
    /// A fault in this library. Please report it.
    Bug(&'static str),
}

/// A record that could not be read from the store, or that holds what this version can't read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum StoreReadError {
    /// The store answered with an error, such as a failing disk.
    Io,
    /// A record that must be there is not.
    Missing,
    /// A record is damaged, or was sealed under another key.
    Corrupt,
    /// A record was written by a later version of this library.
    Version,
}

/// What an application does about an error.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Disposition {
    /// Drop the input. It changes nothing, and trying again would not help.
    Ignore,
    /// Keep the input and offer it again after the next commit.
    Buffer,
    /// Supply what is missing, or clear the cause, and try again.
    Retry,
    /// This client can't follow the group any more: rejoin by external commit.
    Rejoin,
    /// A fault worth telling somebody: a member misbehaves, or this library does.
    Report,
}

impl Error {
    /// The duties, as rows of the requirements list, that the received thing broke. Empty where the
    /// fault is not a peer's.
    #[must_use]
    pub fn requirements(&self) -> &'static [Row] {
        match self {
            Self::Decode(error) => decode_rows(error),
            Self::Violation(violation) | Self::WouldViolate(violation) => violation.requirements(),
            Self::Unsupported(unsupported) => unsupported.requirements(),
            Self::NotNow(not_now) => not_now.requirements(),
            Self::ApiMisuse(misuse) => misuse.requirements(),
            Self::Crypto(_) | Self::Signer(_) | Self::StoreRead(_) | Self::Bug(_) => &[],
        }
    }

    /// What an application does about it.
    #[must_use]
    pub fn disposition(&self) -> Disposition {
        match self {
            Self::Decode(_) | Self::Unsupported(_) => Disposition::Ignore,
            Self::Violation(_) | Self::Bug(_) => Disposition::Report,
            Self::NotNow(not_now) => not_now.disposition(),
            Self::ApiMisuse(_)
            | Self::WouldViolate(_)
            | Self::Crypto(_)
            | Self::Signer(_)
            | Self::StoreRead(_) => Disposition::Retry,
        }
    }

    /// The same error where the message that breaks the rule is one that we were about to make.
    pub(crate) fn of_our_own(self) -> Self {
        match self {
            Self::Violation(violation) => Self::WouldViolate(violation),
            other => other,
        }
    }
}

/// The rows behind the faults that the decoder finds: those of the field, where it tells.
fn decode_rows(error: &DecodeError) -> &'static [Row] {
    match (error.kind, error.field) {
        (DecodeErrorKind::EndOfInput, "PublicMessage.membership_tag") => &[Row("C011"), Row("C081")],
        (
            DecodeErrorKind::UnknownDiscriminant(_),
            "FramedContent.content_type" | "PrivateMessage.content_type",
        ) => &[Row("C015")],
        (DecodeErrorKind::UnknownDiscriminant(_), "FramedContent.sender") => &[Row("C016")],
        (DecodeErrorKind::UnknownDiscriminant(_), "LeafNode.leaf_node_source") => &[Row("C017")],
        (DecodeErrorKind::UnknownDiscriminant(_), "Node.node_type") => &[Row("C018")],
        (DecodeErrorKind::UnknownDiscriminant(_), "ProposalOrRef.type") => &[Row("C019")],
        (DecodeErrorKind::UnknownDiscriminant(_), "PreSharedKeyID.psktype" | "PreSharedKeyID.usage") => {
            &[Row("C020")]
        }
        (kind, _) => decode_kind_rows(kind),
    }
}

/// The rows behind a kind of fault, whatever the field.
fn decode_kind_rows(kind: DecodeErrorKind) -> &'static [Row] {
    match kind {
        DecodeErrorKind::EndOfInput => {
            &[Row("C002"), Row("C008"), Row("C010"), Row("C011"), Row("C028"), Row("C081")]
        }
        DecodeErrorKind::LengthPrefixReserved => &[Row("C003")],
        DecodeErrorKind::LengthNotMinimal => &[Row("C004"), Row("C005")],
        DecodeErrorKind::PresenceOctet => &[Row("C001")],
        DecodeErrorKind::TrailingBytes => {
            &[Row("C002"), Row("C010"), Row("C012"), Row("C013"), Row("C014"), Row("C081"), Row("C365")]
        }
        DecodeErrorKind::UnknownDiscriminant(_) => {
            &[Row("C015"), Row("C016"), Row("C017"), Row("C018"), Row("C019"), Row("C020")]
        }
        DecodeErrorKind::TooManyElements | DecodeErrorKind::TooLarge => &[Row("C009")],
        DecodeErrorKind::TooDeep => &[Row("C029")],
        DecodeErrorKind::Duplicate => &[Row("C349")],
        DecodeErrorKind::Unsorted => &[Row("C100")],
        _ => &[],
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Decode(error) => write!(f, "not an MLS structure: {error}"),
            Self::Violation(violation) => write!(f, "a peer broke the protocol: {violation}"),
            Self::Unsupported(unsupported) => write!(f, "not supported: {unsupported}"),
            Self::NotNow(not_now) => write!(f, "not now: {not_now}"),
            Self::ApiMisuse(misuse) => write!(f, "can't be done: {misuse}"),
            Self::WouldViolate(violation) => write!(f, "everybody would refuse it: {violation}"),
            Self::Crypto(error) => write!(f, "cryptography failed: {error}"),
            Self::Signer(error) => error.fmt(f),
            Self::StoreRead(error) => error.fmt(f),
            Self::Bug(what) => write!(f, "a fault in this library, please report it: {what}"),
        }
    }
}

impl fmt::Display for StoreReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Io => "the store could not be read; see that its disk is at hand and try again",
            Self::Missing => "the store lacks a record it must have; restore it or rejoin the group",
            Self::Corrupt => "a stored record is damaged or was sealed under another key",
            Self::Version => "a stored record was written by a later version of this software",
        })
    }
}

impl std::error::Error for Error {}
impl std::error::Error for StoreReadError {}

/// A type that can't be parsed because nobody here knows it is not a fault of the bytes.
impl From<DecodeError> for Error {
    fn from(error: DecodeError) -> Self {
        match (error.kind, error.field) {
            (DecodeErrorKind::UnknownDiscriminant(_), "MLSMessage.version") => {
                Unsupported::ProtocolVersion.into()
            }
            (DecodeErrorKind::UnknownDiscriminant(_), "MLSMessage.wire_format") => {
                Unsupported::WireFormat.into()
            }
            (DecodeErrorKind::UnknownDiscriminant(_), "Proposal.proposal_type") => {
                Unsupported::ProposalType.into()
            }
            (DecodeErrorKind::UnknownDiscriminant(_), "Credential.credential_type") => {
                Unsupported::CredentialType.into()
            }
            _ => Self::Decode(error),
        }
    }
}

/// Our own side made something too long to be sent.
impl From<EncodeError> for Error {
    fn from(_: EncodeError) -> Self {
        Self::ApiMisuse(ApiMisuse::TooLong)
    }
}

impl From<Violation> for Error {
    fn from(violation: Violation) -> Self {
        Self::Violation(violation)
    }
}

impl From<Unsupported> for Error {
    fn from(unsupported: Unsupported) -> Self {
        Self::Unsupported(unsupported)
    }
}

impl From<NotNow> for Error {
    fn from(not_now: NotNow) -> Self {
        Self::NotNow(not_now)
    }
}

impl From<ApiMisuse> for Error {
    fn from(misuse: ApiMisuse) -> Self {
        Self::ApiMisuse(misuse)
    }
}

impl From<CryptoError> for Error {
    fn from(error: CryptoError) -> Self {
        Self::Crypto(error)
    }
}

impl From<SignerError> for Error {
    fn from(error: SignerError) -> Self {
        Self::Signer(error)
    }
}

impl From<StoreReadError> for Error {
    fn from(error: StoreReadError) -> Self {
        Self::StoreRead(error)
    }
}

/// Declares an error class: variant, rows, and the sentence that explains it.
macro_rules! error_class {
    ($(#[$meta:meta])* pub enum $name:ident {
        $( $(#[$variant_meta:meta])* $variant:ident [$($row:literal)*] $text:literal ),* $(,)?
    }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        #[non_exhaustive]
        pub enum $name {
            $( #[doc = concat!($text, $(" (", $row, ")",)* ".")] $(#[$variant_meta])* $variant ),*
        }

        impl $name {
            /// Every variant.
            #[cfg(test)]
            pub(crate) const ALL: &'static [Self] = &[$( Self::$variant ),*];

            /// The rows of the requirements list that this breaks.
            #[must_use]
            pub fn requirements(self) -> &'static [$crate::error::Row] {
                match self { $( Self::$variant => &[$($crate::error::Row($row)),*] ),* }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(match self { $( Self::$variant => $text ),* })
            }
        }

        impl std::error::Error for $name {}
    };
}
pub(crate) use error_class;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The rows of RFC 9420 §2 to §11.2 that a received thing can break: kind N in the requirements list.
    const RECEIVED: [&[u16]; 9] = [
        // Encoding.
        &[1, 2, 3, 4, 5, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 28, 29],
        // Cryptographic objects, credentials.
        &[32, 33, 34, 35, 36, 37, 38, 39, 42, 43, 44, 45, 47, 48, 49, 50, 51, 52],
        // Framing.
        &[
            60, 63, 64, 65, 66, 67, 68, 69, 70, 71, 72, 73, 74, 75, 76, 78, 79, 80, 81, 82, 83, 84, 89, 90,
            94, 95, 96, 97,
        ],
        // The ratchet tree and its leaves.
        &[
            100, 101, 105, 106, 107, 110, 111, 112, 113, 114, 115, 116, 117, 118, 119, 120, 122, 123, 124,
            125, 126,
        ],
        &[127, 128, 132, 133, 134, 135, 137, 138, 139, 140, 142, 148, 149, 150, 151],
        // The key schedule.
        &[162, 163, 169, 171, 172, 173, 175],
        // The secret tree.
        &[189, 190, 191],
        // KeyPackages.
        &[200, 202, 203, 204, 205, 206, 210, 211, 212, 213],
        // Group creation and its successors.
        &[223, 224, 226, 227],
    ];

    #[test]
    fn every_duty_that_a_received_thing_can_break_is_named_by_an_error() {
        let not_now = [
            NotNow::EpochPast,
            NotNow::GenerationTooFar,
            NotNow::KeyUsed,
            NotNow::ProposalMissing,
            NotNow::PskMissing,
            NotNow::OtherGroup,
            NotNow::Limit,
        ];
        let decode = [
            DecodeErrorKind::EndOfInput,
            DecodeErrorKind::LengthPrefixReserved,
            DecodeErrorKind::LengthNotMinimal,
            DecodeErrorKind::PresenceOctet,
            DecodeErrorKind::TrailingBytes,
            DecodeErrorKind::UnknownDiscriminant(0),
            DecodeErrorKind::TooManyElements,
            DecodeErrorKind::TooLarge,
            DecodeErrorKind::TooDeep,
            DecodeErrorKind::Duplicate,
            DecodeErrorKind::Unsorted,
        ];
        let named = Violation::ALL.iter().map(|violation| violation.requirements());
        let named = named.chain(Unsupported::ALL.iter().map(|unsupported| unsupported.requirements()));
        let named = named.chain(not_now.iter().map(|not_now| not_now.requirements()));
        let named: BTreeSet<Row> = named.chain(decode.map(decode_kind_rows)).flatten().copied().collect();
        for row in RECEIVED.into_iter().flatten().map(|number| format!("C{number:03}")) {
            assert!(named.iter().any(|named| named.0 == row), "{row}");
        }
    }

    #[test]
    fn duties_of_our_own_are_named_where_a_caller_asks_to_break_them() {
        let named: BTreeSet<Row> =
            ApiMisuse::ALL.iter().flat_map(|misuse| misuse.requirements()).copied().collect();
        for row in [7, 23, 91, 102, 104, 121, 160, 163, 173, 176, 183, 215, 220, 225] {
            let row = format!("C{row:03}");
            assert!(named.iter().any(|named| named.0 == row), "{row}");
        }
    }

    /// What only a member can have made, and no honest one has, is worth a report (RFC 9750 §7, A067).
    #[test]
    fn the_advice_follows_from_whose_fault_it_is() {
        let advice = |error: Error| error.disposition();
        assert_eq!(advice(Violation::PathMissing.into()), Disposition::Report);
        assert_eq!(advice(Unsupported::CipherSuite.into()), Disposition::Ignore);
        assert_eq!(advice(ApiMisuse::NoSuchRecord.into()), Disposition::Retry);
        assert_eq!(
            advice(Error::WouldViolate(Violation::PathMissing)),
            Disposition::Retry,
            "it was not sent"
        );
        assert_eq!(advice(NotNow::EpochFuture.into()), Disposition::Buffer);
    }
}
