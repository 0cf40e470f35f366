//! RFC 9420 §8.2: the running hash over all commits of a group.
//!
//! Both hashes are empty before the first commit; epoch 0 has an interim hash all the same, from the
//! confirmation tag that its creator computes (§11, C166).

use hushwood_codec::{EncodeError, Writer};
use hushwood_crypto::CipherSuite;

use crate::framing::types::{FramedContent, WireFormat};

/// `confirmed_transcript_hash` of the epoch that this commit begins (C165).
///
/// # Errors
/// [`EncodeError`] if the commit is longer than a vector can be.
pub fn confirmed_transcript_hash(
    suite: &dyn CipherSuite,
    interim_transcript_hash: &[u8],
    wire_format: WireFormat,
    commit: &FramedContent,
    signature: &[u8],
) -> Result<Vec<u8>, EncodeError> {
    let mut input = Writer::with_capacity(commit.content.room());
    input.value(&wire_format).value(commit).opaque(signature);
    let hash = suite.hash().hash(&[interim_transcript_hash, &input.finish()?]);
    Ok(hash.as_bytes().to_vec())
}

/// `interim_transcript_hash` of the epoch that `confirmed_transcript_hash` is of (C165 to C167).
///
/// # Errors
/// [`EncodeError`] if the tag is longer than a vector can be.
pub fn interim_transcript_hash(
    suite: &dyn CipherSuite,
    confirmed_transcript_hash: &[u8],
    confirmation_tag: &[u8],
) -> Result<Vec<u8>, EncodeError> {
    let mut input = Writer::new();
    input.opaque(confirmation_tag);
    let hash = suite.hash().hash(&[confirmed_transcript_hash, &input.finish()?]);
    Ok(hash.as_bytes().to_vec())
}
