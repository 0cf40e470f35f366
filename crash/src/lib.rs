//! What is left when a process is killed, a write fails, or the power goes.
//!
//! One client plays a [`scenario`](scenarios) on a real store, in a process of its own ([`process`]). A small library
//! ([`shim`]) stands between the process and its files: it kills the process at one of its calls, makes calls fail, or
//! writes down all of them, and from what it has written down come the states in which a loss of power could leave the
//! disk ([`images`]). Afterwards the client is started again and goes on with what was not done, and the outside, which
//! has lost nothing, compares ([`check`], [`world`], [`ledger`]).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "only tests depend on this crate"
)]

pub mod campaign;
pub mod check;
pub mod client;
pub mod command;
pub mod copies;
pub mod disk;
pub mod failure;
pub mod images;
pub mod ledger;
pub mod points;
pub mod process;
pub mod race;
pub mod run;
pub mod scenarios;
pub mod script;
pub mod shim;
mod view;
pub mod world;

use std::sync::LazyLock;

use hushwood_crypto::CryptoProvider;
use test_support::recording;

/// The name of the client that dies.
pub const ME: &str = "alice";
/// Where it is written what was done.
pub const PROGRESS: &str = "progress";

static PROVIDER: LazyLock<CryptoProvider> = LazyLock::new(|| recording::recorded(&hushwood_aws_lc::PROVIDER));

/// The provider of all clients: AWS-LC, which writes down what it encrypts with.
#[must_use]
pub fn provider() -> CryptoProvider {
    *PROVIDER
}
