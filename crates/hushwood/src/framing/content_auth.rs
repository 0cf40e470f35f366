//! RFC 9420 §6.1: who may send what, and the signature that shows who did.
//!
//! A received message becomes [`Unprotected`] when its tag has been verified or its ciphertext opened,
//! and [`Authenticated`] when its signature has been verified. Only what is authenticated shows its
//! content (C099).

use std::fmt;

use hushwood_codec::{Encode, EncodeError, Writer};
use hushwood_crypto::{
    CipherSuite, HashReference, SignaturePublicKey, Signer, ref_hash, sign_with_label, verify_with_label,
};

use crate::error::{Error, Violation};
use crate::extension::{ExtensionType, Extensions, ExternalSender};
use crate::framing::types::{
    AuthenticatedContent, Content, ContentType, FramedContent, FramedContentAuthData, Sender, WireFormat,
};
use crate::proposal::{Proposal, ProposalType};
use crate::tree::LeafIndex;
use crate::version::ProtocolVersion;

const LABEL: &str = "FramedContentTBS";

/// A message whose signature has been verified with the key of its sender, or that was signed here.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Authenticated(AuthenticatedContent);

impl Authenticated {
    /// The message.
    #[must_use]
    pub fn content(&self) -> &FramedContent {
        &self.0.content
    }

    /// Its signature and confirmation tag. The tag is verified with the next epoch's keys (§12.4.2).
    #[must_use]
    pub fn auth(&self) -> &FramedContentAuthData {
        &self.0.auth
    }

    /// The format it travels in, which the signature covers (C078).
    #[must_use]
    pub fn wire_format(&self) -> WireFormat {
        self.0.wire_format
    }

    /// Its `ProposalRef` (RFC 9420 §5.2, C042): over the message as it was sent, not the bare proposal.
    ///
    /// # Errors
    /// [`EncodeError`] if the message is longer than a vector can be.
    pub fn proposal_ref(&self, suite: &dyn CipherSuite) -> Result<HashReference, EncodeError> {
        ref_hash(suite, "MLS 1.0 Proposal Reference", &self.0.to_bytes()?)
    }

    /// The message itself.
    #[must_use]
    pub fn into_inner(self) -> AuthenticatedContent {
        self.0
    }
}

impl Encode for Authenticated {
    fn encode(&self, writer: &mut Writer) {
        self.0.encode(writer);
    }
}

/// A received message whose membership tag has been verified, or whose ciphertext has been opened. Its
/// signature has not been verified: anybody in the group may have written it, under any name.
pub struct Unprotected {
    message: AuthenticatedContent,
    content_tbs: Vec<u8>,
}

impl Unprotected {
    pub(super) fn new(message: AuthenticatedContent, content_tbs: Vec<u8>) -> Self {
        Self { message, content_tbs }
    }

    /// The encoded `FramedContentTBS`, which membership tag and signature cover.
    pub(super) fn content_tbs(&self) -> &[u8] {
        &self.content_tbs
    }

    /// Whose key the signature is to be verified with.
    ///
    /// # Errors
    /// [`Violation::NewMemberContent`] if a new member's message does not bring the key along.
    pub fn key_source(&self) -> Result<KeySource<'_>, Error> {
        key_source(&self.message.content)
    }

    /// Verifies the signature with the key that [`key_source`](Self::key_source) asks for, as it is in
    /// the epoch that the message was unprotected in.
    ///
    /// # Errors
    /// [`Violation::MessageSignature`].
    pub fn verify_signature(
        self,
        suite: &dyn CipherSuite,
        key: &SignaturePublicKey,
    ) -> Result<Authenticated, Error> {
        let signature = &self.message.auth.signature;
        // RFC 9420 §6.1, C068, C070, C074, C076, C083, C090: the signature must verify with that key.
        match verify_with_label(suite, key, LABEL, &self.content_tbs, signature) {
            Ok(()) => Ok(Authenticated(self.message)),
            Err(_) => Err(Violation::MessageSignature.into()),
        }
    }
}

/// What is signed has the application's data in it, which does not belong in logs.
impl fmt::Debug for Unprotected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unprotected").field("message", &self.message).finish_non_exhaustive()
    }
}

/// Where the key is that a message's signature verifies with (RFC 9420 §6.1).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum KeySource<'a> {
    /// In the leaf of this member, in the epoch of the message.
    Member(LeafIndex),
    /// In the `external_senders` extension, at this position: see [`external_sender`].
    ExternalSender(u32),
    /// In the message: a new member's own leaf.
    Message(&'a SignaturePublicKey),
}

fn key_source(content: &FramedContent) -> Result<KeySource<'_>, Error> {
    match (content.sender, &content.content) {
        (Sender::Member(leaf_index), _) => Ok(KeySource::Member(leaf_index)),
        (Sender::External(sender_index), _) => Ok(KeySource::ExternalSender(sender_index)),
        (Sender::NewMemberCommit, Content::Commit(commit)) => match &commit.path {
            Some(path) => Ok(KeySource::Message(&path.leaf_node.signature_key)),
            // RFC 9420 §6.1, §12.4.3.2, C074, C358: the key is in the path; without a path there is none.
            None => Err(Violation::NewMemberContent.into()),
        },
        (Sender::NewMemberProposal, Content::Proposal(Proposal::Add(add))) => {
            Ok(KeySource::Message(&add.key_package.leaf_node.signature_key))
        }
        (Sender::NewMemberCommit | Sender::NewMemberProposal, _) => Err(Violation::NewMemberContent.into()),
    }
}

/// The external sender at a position of the group's `external_senders` extension.
///
/// # Errors
/// [`Violation::ExternalSendersAbsent`] or [`Violation::ExternalSenderIndex`]; [`Error::Decode`] if the
/// extension is malformed.
pub fn external_sender(extensions: &Extensions, sender_index: u32) -> Result<ExternalSender, Error> {
    // RFC 9420 §12.1.8, C069: without the extension nobody may send from outside.
    if extensions.get(ExtensionType::EXTERNAL_SENDERS).is_none() {
        return Err(Violation::ExternalSendersAbsent.into());
    }
    // RFC 9420 §6.1, C070: the index must be one of the list's.
    let index = usize::try_from(sender_index).map_err(|_| Violation::ExternalSenderIndex)?;
    let sender = extensions.external_senders()?.into_iter().nth(index);
    sender.ok_or(Violation::ExternalSenderIndex.into())
}

/// Checks that this sender may send this content in this format: all that can be said without any key.
///
/// # Errors
/// The [`Violation`] that names the broken rule.
pub fn check_sender_rules(content: &FramedContent, wire_format: WireFormat) -> Result<(), Error> {
    let content_type = content.content.content_type();
    // RFC 9420 §6, C060, C061: application data is always encrypted.
    if content_type == ContentType::Application && wire_format != WireFormat::PRIVATE_MESSAGE {
        return Err(Violation::ApplicationInPublicMessage.into());
    }
    // RFC 9420 §6, §12.1.8, C066, C253: who is not in the group can't encrypt for it.
    let is_member = matches!(content.sender, Sender::Member(_));
    if !is_member && wire_format != WireFormat::PUBLIC_MESSAGE {
        return Err(Violation::ExternalProposalPrivate.into());
    }
    match (content.sender, &content.content) {
        (Sender::Member(_), _) => Ok(()),
        // RFC 9420 §6.1, §12.1.8, C071, C072, C254: external senders make proposals, of certain types.
        (Sender::External(_), Content::Proposal(proposal)) if proposal.proposal_type().is_external() => {
            Ok(())
        }
        (Sender::External(_), _) => Err(Violation::ExternalProposalType.into()),
        // RFC 9420 §6.1, §12.4.3.2, C073, C074, C352: an external commit is a commit with a path.
        (Sender::NewMemberCommit, Content::Commit(commit)) if commit.path.is_some() => Ok(()),
        // RFC 9420 §6.1, C075: who proposes to be added proposes an Add.
        (Sender::NewMemberProposal, Content::Proposal(proposal))
            if proposal.proposal_type() == ProposalType::ADD =>
        {
            Ok(())
        }
        (Sender::NewMemberCommit | Sender::NewMemberProposal, _) => Err(Violation::NewMemberContent.into()),
    }
}

/// Checks that a confirmation tag is there for commits and for nothing else. The decoder can't give
/// anything else; a value put together by hand can.
pub(super) fn check_confirmation_tag_presence(
    content: &FramedContent,
    confirmation_tag: Option<&Vec<u8>>,
) -> Result<(), Error> {
    // RFC 9420 §6.1, C080: present exactly for commits.
    let is_commit = content.content.content_type() == ContentType::Commit;
    if is_commit != confirmation_tag.is_some() {
        return Err(Violation::ConfirmationTag.into());
    }
    Ok(())
}

/// The encoded `FramedContentTBS`. `group_context` is that of the message's epoch, encoded.
pub(super) fn content_tbs(
    wire_format: WireFormat,
    content: &FramedContent,
    group_context: &[u8],
) -> Result<Vec<u8>, EncodeError> {
    let room = group_context.len().saturating_mul(2).saturating_add(content.content.room());
    let mut writer = Writer::with_capacity(room.saturating_add(content.authenticated_data.len()));
    writer.value(&ProtocolVersion::MLS10).value(&wire_format).value(content);
    match content.sender {
        // RFC 9420 §6.1, C077, C079: the prose names members only, the structure external commits too.
        // The structure is what implementations follow.
        Sender::Member(_) | Sender::NewMemberCommit => {
            writer.raw(group_context);
        }
        Sender::External(_) | Sender::NewMemberProposal => {}
    }
    writer.finish()
}

/// A message of our own that has been signed. Commits still lack their confirmation tag, which is made
/// with the keys of the epoch that they begin, which in turn depend on the signature.
#[derive(Debug)]
pub struct Signed {
    wire_format: WireFormat,
    content: FramedContent,
    signature: Vec<u8>,
}

impl Signed {
    /// Signs. `group_context` is that of the current epoch, encoded; senders other than members and
    /// external committers leave it empty.
    ///
    /// # Errors
    /// [`Error::Signer`]; the [`Violation`] that a receiver would find in it (see
    /// [`check_sender_rules`]).
    pub fn sign(
        signer: &dyn Signer,
        wire_format: WireFormat,
        content: FramedContent,
        group_context: &[u8],
    ) -> Result<Self, Error> {
        check_sender_rules(&content, wire_format)?;
        let content_tbs = content_tbs(wire_format, &content, group_context)?;
        let signature = sign_with_label(signer, LABEL, &content_tbs)?;
        Ok(Self { wire_format, content, signature })
    }

    /// The format it will travel in.
    #[must_use]
    pub fn wire_format(&self) -> WireFormat {
        self.wire_format
    }

    /// What was signed.
    #[must_use]
    pub fn content(&self) -> &FramedContent {
        &self.content
    }

    /// The signature, which goes into the transcript hash (RFC 9420 §8.2).
    #[must_use]
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }

    /// Completes the message, with the confirmation tag if it is a commit.
    ///
    /// # Errors
    /// [`Violation::ConfirmationTag`] if there is a tag for something else, or none for a commit.
    pub fn complete(self, confirmation_tag: Option<Vec<u8>>) -> Result<Authenticated, Error> {
        check_confirmation_tag_presence(&self.content, confirmation_tag.as_ref())?;
        let auth = FramedContentAuthData { signature: self.signature, confirmation_tag };
        Ok(Authenticated(AuthenticatedContent { wire_format: self.wire_format, content: self.content, auth }))
    }
}
