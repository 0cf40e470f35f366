//! What unit tests share: a suite that is fast, deterministic and not secure in the least.

pub(crate) use test_support::toy_suite::{
    KEY_LENGTH, NoRandom, SUITE, StuckRandom, ToyRandom, hpke_key, signer,
};
