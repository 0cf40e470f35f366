//! RFC 9420 §2.1: the presentation language of MLS.
//!
//! One strict decode path for every byte that enters, and one encoder for every byte that leaves.
//! [`Reader`] refuses what is not canonical (length prefixes longer than needed, trailing bytes,
//! presence octets other than 0 and 1) and never allocates more than a small multiple of its input, so
//! `encode(decode(bytes)) == bytes` for everything it accepts.
//!
//! ```
//! use hushwood_codec::{wire_struct, Decode, Encode};
//!
//! wire_struct! {
//!     /// A member's nickname.
//!     #[derive(Debug, PartialEq)]
//!     pub struct Nickname {
//!         /// The leaf the name belongs to.
//!         pub leaf_index: u32,
//!         /// UTF-8, as the application writes it.
//!         pub name: Vec<u8>,
//!     }
//! }
//!
//! let nickname = Nickname { leaf_index: 7, name: b"otter".to_vec() };
//! let bytes = nickname.to_bytes()?;
//! assert_eq!(bytes, [0, 0, 0, 7, 5, b'o', b't', b't', b'e', b'r']);
//! assert_eq!(Nickname::from_bytes(&bytes)?, nickname);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! This crate knows no MLS structure and no cryptography. It depends on nothing.

mod error;
mod macros;
mod reader;
mod writer;

pub use error::{DecodeError, DecodeErrorKind, EncodeError};
pub use reader::{Decode, DecodeLimits, Reader};
pub use writer::{Encode, MAX_VECTOR_LENGTH, Writer};

/// A type that may stand in a vector `T name<V>`.
///
/// `u8` is deliberately not one: `Vec<u8>` is `opaque name<V>` and is copied in one piece.
pub trait Element {}

impl Element for u16 {}
impl Element for u32 {}
impl<T> Element for Option<T> {}
impl<T> Element for Vec<T> {}
