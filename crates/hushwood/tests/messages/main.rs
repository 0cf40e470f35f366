//! Keys and messages below the level of a group: the key schedule (RFC 9420 §8), the secret tree (§9) and
//! framing (§6), with real cryptography, against wrong use and hostile senders.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions
)]

mod forged;
mod key_schedule;
mod private_message;
mod public_message;
mod secret_tree;
mod sender_rules;
mod world;

use hushwood_crypto::{CipherSuite, CipherSuiteId};

/// The suites, from both providers.
fn suites() -> impl Iterator<Item = &'static dyn CipherSuite> {
    let providers = [&hushwood_aws_lc::PROVIDER, &hushwood_rustcrypto::PROVIDER];
    providers.into_iter().flat_map(|provider| provider.suites.iter().copied())
}

/// A suite for tests in which the suite does not matter.
fn any_suite() -> &'static dyn CipherSuite {
    hushwood_aws_lc::PROVIDER.suite(CipherSuiteId::MLS_128_DHKEMX25519_AES128GCM_SHA256_ED25519).unwrap()
}

/// Every way in which a tag can be wrong: each length around the right one, and each bit.
fn wrong_tags(tag: &[u8]) -> Vec<Vec<u8>> {
    let twice = [tag, tag].concat();
    let lengths = [0, 1, tag.len() - 1, tag.len() + 1, twice.len()];
    let mut wrong: Vec<_> = lengths.iter().map(|&length| twice[..length].to_vec()).collect();
    wrong.extend((0..tag.len() * 8).map(|bit| flipped(tag, bit)));
    wrong
}

/// The bytes with one bit changed.
fn flipped(bytes: &[u8], bit: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[bit / 8] ^= 1 << (bit % 8);
    bytes
}
