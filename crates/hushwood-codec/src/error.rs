//! Why bytes could not be decoded, or a value not be encoded.

use std::error::Error;
use std::fmt;

/// Bytes that are not an encoding of the expected structure (RFC 9420 §2.1).
///
/// It names the fault, the byte it was found at, and the field that was being read; never the bytes
/// themselves.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DecodeError {
    /// What is wrong.
    pub kind: DecodeErrorKind,
    /// Offset from the start of the decoded input, in bytes.
    pub offset: usize,
    /// The field being read, as `Struct.field`; empty at top level.
    pub field: &'static str,
}

/// The ways in which bytes can be malformed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum DecodeErrorKind {
    /// The input, or the vector being read, ends before the value does (C002, C008, C011).
    EndOfInput,
    /// A length prefix that starts with the bits 11 (C003).
    LengthPrefixReserved,
    /// A length prefix longer than the length needs (C004, C005).
    LengthNotMinimal,
    /// A presence octet other than 0 and 1 (C001).
    PresenceOctet,
    /// Bytes are left after the value (C010, C012 to C014, C028).
    TrailingBytes,
    /// A discriminant that the structure has no arm for (C015 to C020).
    UnknownDiscriminant(u64),
    /// More elements than the limits allow (C009).
    TooManyElements,
    /// Structures nested deeper than the limits allow (C029).
    TooDeep,
    /// The input is larger than the limits allow (C009).
    TooLarge,
    /// Two elements of a list that may hold each kind only once (C349).
    Duplicate,
    /// A list that must be sorted in increasing order and is not (C100).
    Unsorted,
}

impl fmt::Display for DecodeErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EndOfInput => "the input ends too early",
            Self::LengthPrefixReserved => "a length prefix starts with the reserved bits 11",
            Self::LengthNotMinimal => "a length prefix is longer than needed",
            Self::PresenceOctet => "a presence octet is neither 0 nor 1",
            Self::TrailingBytes => "bytes are left after the value",
            Self::UnknownDiscriminant(value) => return write!(f, "unknown discriminant {value}"),
            Self::TooManyElements => "more elements than the configured limit",
            Self::TooDeep => "nested deeper than the configured limit",
            Self::TooLarge => "larger than the configured limit",
            Self::Duplicate => "an element appears twice",
            Self::Unsorted => "elements are not in increasing order",
        })
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "malformed at byte {}", self.offset)?;
        if !self.field.is_empty() {
            write!(f, " ({})", self.field)?;
        }
        write!(f, ": {}", self.kind)
    }
}

impl Error for DecodeError {}

/// A value that has no encoding: a vector longer than 2^30 - 1 bytes (RFC 9420 §2.1.2, C007).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct EncodeError;

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a vector is longer than 2^30 - 1 bytes, the most its length prefix can say")
    }
}

impl Error for EncodeError {}
