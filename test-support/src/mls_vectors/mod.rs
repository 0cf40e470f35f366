//! The working group's test vectors for RFC 9420, a module for each file.

use hushwood_crypto::CryptoProvider;

use crate::table::Row;

/// Tries all cases of a file, given its text.
pub type Check = fn(&CryptoProvider, &str) -> Row;

/// The files, by the stem of their names, each with what tries it.
#[must_use]
pub fn files() -> &'static [(&'static str, Check)] {
    &[]
}
