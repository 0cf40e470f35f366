//! RFC 9420 §6: signing, tagging and encrypting messages, from the RFC.

use hushwood::framing::{
    AuthenticatedContent, Content, ContentType, FramedContent, FramedContentAuthData, MlsMessage,
    PrivateMessage, PublicMessage, Sender, SenderData, WireFormat,
};
use hushwood::schedule::GroupContext;
use hushwood_codec::{Encode, Writer};

use super::crypto::{Suite, expand, hash, mac, reference, seal, written};
use super::schedule::Epoch;

/// `FramedContentTBS` (§6.1). `context` is that of the group, for senders whose signature covers it.
pub fn tbs(wire_format: WireFormat, content: &FramedContent, context: &[u8]) -> Vec<u8> {
    written(|w| {
        w.value(&1_u16).value(&wire_format).value(content);
        match content.sender {
            Sender::Member(_) | Sender::NewMemberCommit => _ = w.raw(context),
            Sender::External(_) | Sender::NewMemberProposal => {}
        }
    })
}

/// `membership_tag` (§6.2).
pub fn membership_tag(suite: Suite, key: &[u8], message: &AuthenticatedContent, context: &[u8]) -> Vec<u8> {
    let tbm = written(|w| {
        w.raw(&tbs(message.wire_format, &message.content, context)).value(&message.auth);
    });
    mac(suite, key, &tbm)
}

/// The `ProposalRef` of a message (§5.2).
pub fn proposal_ref(suite: Suite, message: &AuthenticatedContent) -> Vec<u8> {
    reference(suite, "MLS 1.0 Proposal Reference", &bytes(message))
}

/// The confirmed transcript hash after a commit (§8.2).
pub fn confirmed_hash(suite: Suite, interim: &[u8], message: &AuthenticatedContent) -> Vec<u8> {
    let AuthenticatedContent { wire_format, content, auth } = message;
    let input = written(|w| _ = w.value(wire_format).value(content).opaque(&auth.signature));
    hash(suite, &[interim, &input].concat())
}

/// The interim transcript hash of an epoch (§8.2).
pub fn interim_hash(suite: Suite, confirmed: &[u8], tag: &[u8]) -> Vec<u8> {
    hash(suite, &written(|w| _ = w.raw(confirmed).opaque(tag)))
}

/// An encoding.
pub fn bytes(value: &impl Encode) -> Vec<u8> {
    value.to_bytes().expect("no vector is too long")
}

/// A PublicMessage as it goes out.
pub fn public(message: AuthenticatedContent, membership_tag: Option<Vec<u8>>) -> Vec<u8> {
    let AuthenticatedContent { content, auth, .. } = message;
    bytes(&MlsMessage::PublicMessage(Box::new(PublicMessage { content, auth, membership_tag })))
}

/// `PrivateMessageContent` without its padding (§6.3.1).
pub fn private_content(content: &Content, auth: &FramedContentAuthData) -> Vec<u8> {
    let mut writer = Writer::new();
    match content {
        Content::Application(data) => writer.opaque(data),
        Content::Proposal(proposal) => writer.value(proposal),
        Content::Commit(commit) => writer.value(commit),
    };
    writer.value(auth);
    writer.finish().expect("no vector is too long")
}

/// What a PrivateMessage is encrypted with.
pub struct Sealing<'e> {
    /// The suite.
    pub suite: Suite,
    /// The secrets of the epoch.
    pub epoch: &'e Epoch,
    /// The number of leaves of its tree.
    pub width: usize,
    /// Whose ratchet.
    pub leaf: usize,
    /// Which of its keys.
    pub generation: u32,
}

impl Sealing<'_> {
    /// Encrypts content (§6.3.1); what stands around it is taken from `around`.
    pub fn content(&self, around: &PrivateMessage, plaintext: &[u8], reuse_guard: [u8; 4]) -> Vec<u8> {
        let kind = match around.content_type {
            ContentType::Application => "application",
            ContentType::Proposal | ContentType::Commit => "handshake",
        };
        let place = (self.width, self.leaf);
        let (key, mut nonce) = self.epoch.message_key(self.suite, place, kind, self.generation);
        nonce.iter_mut().zip(reuse_guard).for_each(|(byte, guard)| *byte ^= guard);
        let aad = written(|w| {
            w.opaque(&around.group_id).value(&around.epoch).value(&around.content_type);
            w.opaque(&around.authenticated_data);
        });
        seal(self.suite, (&key, &nonce), &aad, plaintext)
    }

    /// Encrypts the sender data (§6.3.2).
    pub fn sender_data(&self, around: &PrivateMessage, data: &SenderData) -> Vec<u8> {
        let suite = self.suite;
        let sample = &around.ciphertext[..around.ciphertext.len().min(suite.kdf().length())];
        let secret = &self.epoch.sender_data;
        let key = expand(suite, secret, "key", sample, suite.aead().key_length());
        let nonce = expand(suite, secret, "nonce", sample, suite.aead().nonce_length());
        let aad = written(|w| {
            w.opaque(&around.group_id).value(&around.epoch).value(&around.content_type);
        });
        seal(suite, (&key, &nonce), &aad, &bytes(data))
    }
}

/// The encoding of a GroupContext.
pub fn context_bytes(context: &GroupContext) -> Vec<u8> {
    bytes(context)
}
