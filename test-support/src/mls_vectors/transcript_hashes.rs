//! `transcript-hashes.json`: RFC 9420 §8.2.

use hushwood::commit::{Commit, ProposalOrRef};
use hushwood::framing::{
    AuthenticatedContent, Content, ContentType, FramedContent, Sender, Signed, WireFormat,
};
use hushwood::proposal::{Proposal, Remove};
use hushwood::schedule::{ConfirmationKey, confirmed_transcript_hash, interim_transcript_hash};
use hushwood::tree::LeafIndex;
use hushwood_codec::{Decode, Encode};
use hushwood_crypto::{CipherSuite, CryptoProvider, SoftwareSigner};
use serde::{Deserialize, Serialize};

use super::{Checks, Generator, Hex};
use crate::random::SeededRandom;
use crate::table::Row;

#[derive(Deserialize, Serialize)]
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

/// Makes a file.
pub(super) fn generate(generator: &Generator) -> String {
    generator.each_suite("transcript-hashes", |suite, random| vec![Vector::generate(suite, random)])
}

impl Vector {
    fn generate(suite: &'static dyn CipherSuite, random: &mut SeededRandom) -> Self {
        let length = suite.kdf().length();
        let signer = SoftwareSigner::generate(suite, random).unwrap();
        let removal = Proposal::Remove(Remove { removed: LeafIndex::new(3) });
        let commit = Commit { proposals: vec![ProposalOrRef::Proposal(removal)], path: None };
        let content = FramedContent {
            group_id: random.bytes(length),
            epoch: 7,
            sender: Sender::Member(LeafIndex::new(1)),
            authenticated_data: random.bytes(5),
            content: Content::Commit(Box::new(commit)),
        };
        let (format, context) = (WireFormat::PUBLIC_MESSAGE, random.bytes(length));
        let signed = Signed::sign(&signer, format, content, &context).unwrap();
        let before = Hex(random.bytes(length));
        let (content, signature) = (signed.content(), signed.signature());
        let confirmed = confirmed_transcript_hash(suite, &before.0, format, content, signature).unwrap();
        let confirmation_key = Hex(random.bytes(length));
        let tag = ConfirmationKey::new(confirmation_key.secret()).tag(suite, &confirmed);
        let interim = interim_transcript_hash(suite, &confirmed, &tag).unwrap();
        let message = signed.complete(Some(tag)).unwrap().into_inner();
        Self {
            cipher_suite: suite.id().0,
            confirmation_key,
            authenticated_content: Hex(message.to_bytes().unwrap()),
            interim_transcript_hash_before: before,
            confirmed_transcript_hash_after: Hex(confirmed.to_vec()),
            interim_transcript_hash_after: Hex(interim.to_vec()),
        }
    }
}
