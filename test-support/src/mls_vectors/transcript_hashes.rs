//! `transcript-hashes.json`: RFC 9420 §8.2.

use hushwood::framing::{AuthenticatedContent, ContentType};
use hushwood::schedule::{ConfirmationKey, confirmed_transcript_hash, interim_transcript_hash};
use hushwood_codec::{Decode, Encode};
use hushwood_crypto::{CipherSuite, CryptoProvider};
use serde::Deserialize;

use super::{Checks, Hex};
use crate::table::Row;

#[derive(Deserialize)]
struct Vector {
    cipher_suite: u16,
    confirmation_key: Hex,
    authenticated_content: Hex,
    interim_transcript_hash_before: Hex,
    confirmed_transcript_hash_after: Hex,
    interim_transcript_hash_after: Hex,
}

/// Runs the file.
#[must_use]
pub fn run(provider: &CryptoProvider, json: &str) -> Row {
    let case = |vector: &Vector, suite: &'static dyn CipherSuite, checks: &mut Checks<'_>| {
        let message = AuthenticatedContent::from_bytes(&vector.authenticated_content.0).unwrap();
        checks.equal("identity", &message.to_bytes().unwrap(), &vector.authenticated_content);
        checks.good("commit", message.content.content.content_type() == ContentType::Commit);

        let interim = &vector.interim_transcript_hash_before.0;
        let (format, signature) = (message.wire_format, &message.auth.signature);
        let confirmed =
            confirmed_transcript_hash(suite, interim, format, &message.content, signature).unwrap();
        checks.equal("confirmed", &confirmed, &vector.confirmed_transcript_hash_after);

        let tag = message.auth.confirmation_tag.unwrap_or_default();
        let key = ConfirmationKey::new(vector.confirmation_key.secret());
        checks.good("confirmation_tag", key.verify(suite, &confirmed, &tag).is_ok());
        let interim = interim_transcript_hash(suite, &confirmed, &tag).unwrap();
        checks.equal("interim", &interim, &vector.interim_transcript_hash_after);
    };
    super::for_each_suite("transcript-hashes", provider, json, |vector| vector.cipher_suite, case)
}
