//! What the tests of several crates share. Unpublished.
//!
//! Runs over test vectors return rows, so that `cargo xtask vectors` prints as a table what the tests
//! assert.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "only tests depend on this crate"
)]

pub mod actor;
pub mod attack;
pub mod counting;
pub mod counting_store;
pub mod differential;
pub mod failing_store;
pub mod fake_crypto;
pub mod fuzz_targets;
pub mod hpke_vectors;
pub mod known_signatures;
pub mod machine;
pub mod malformed_keys;
pub mod mls_vectors;
pub mod no_random;
#[cfg(unix)]
pub mod postgres;
pub mod random;
pub mod recording;
pub mod rows;
pub mod table;
pub mod tree_oracle;
pub mod vectors;
pub mod wycheproof;
