//! What the library asks of its provider, counted in the whole process: what is asked for again on the same input once. So
//! what an implementation does twice is no part of the floor that is made of these counts.

use hushwood_crypto::CryptoProvider;
use test_support::counting::Counter;
pub use test_support::counting::{Count, Counts, Kind};

static COUNTER: Counter = Counter::of_different_calls();

/// What was counted since the last call.
pub fn take() -> Counts {
    COUNTER.take()
}

/// The provider, counted. It lives as long as the process.
#[must_use]
pub fn provider(inner: &CryptoProvider) -> CryptoProvider {
    test_support::counting::provider(inner, &COUNTER)
}
