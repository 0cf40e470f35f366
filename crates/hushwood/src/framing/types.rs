//! RFC 9420 §6: the structures of messages.

use std::fmt;

use hushwood_codec::{
    Decode, DecodeError, DecodeErrorKind, Element, Encode, Reader, Writer, wire_registry, wire_struct,
};
use hushwood_crypto::Secret;

use crate::commit::Commit;
use crate::key_package::KeyPackage;
use crate::proposal::Proposal;
use crate::tree::LeafIndex;
use crate::unverified::Unverified;
use crate::version::ProtocolVersion;
use crate::welcome::{GroupInfo, Welcome};

wire_registry! {
    /// A value of the "MLS Wire Formats" registry (RFC 9420 §17.2).
    pub struct WireFormat {
        /// A message that is authenticated and not encrypted.
        PUBLIC_MESSAGE = 1 "mls_public_message",
        /// A message that is encrypted.
        PRIVATE_MESSAGE = 2 "mls_private_message",
        /// A Welcome.
        WELCOME = 3 "mls_welcome",
        /// A GroupInfo.
        GROUP_INFO = 4 "mls_group_info",
        /// A KeyPackage.
        KEY_PACKAGE = 5 "mls_key_package",
    }
}

/// `MLSMessage`: whatever travels between clients. Nothing in it is verified.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum MlsMessage {
    /// A handshake message anybody can read.
    PublicMessage(Box<PublicMessage>),
    /// An encrypted message.
    PrivateMessage(PrivateMessage),
    /// An invitation.
    Welcome(Welcome),
    /// The public state of a group.
    GroupInfo(Box<Unverified<GroupInfo>>),
    /// A client that can be added.
    KeyPackage(Box<Unverified<KeyPackage>>),
}

impl MlsMessage {
    /// Its wire format.
    #[must_use]
    pub fn wire_format(&self) -> WireFormat {
        match self {
            Self::PublicMessage(_) => WireFormat::PUBLIC_MESSAGE,
            Self::PrivateMessage(_) => WireFormat::PRIVATE_MESSAGE,
            Self::Welcome(_) => WireFormat::WELCOME,
            Self::GroupInfo(_) => WireFormat::GROUP_INFO,
            Self::KeyPackage(_) => WireFormat::KEY_PACKAGE,
        }
    }
}

impl Encode for MlsMessage {
    fn encode(&self, writer: &mut Writer) {
        writer.value(&ProtocolVersion::MLS10).value(&self.wire_format());
        match self {
            Self::PublicMessage(message) => writer.value(message),
            Self::PrivateMessage(message) => writer.value(message),
            Self::Welcome(welcome) => writer.value(welcome),
            Self::GroupInfo(group_info) => writer.value(group_info),
            Self::KeyPackage(key_package) => writer.value(key_package),
        };
    }
}

impl Decode for MlsMessage {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let version = ProtocolVersion::decode(reader.field("MLSMessage.version"))?;
        // C021: there is one version.
        if version != ProtocolVersion::MLS10 {
            return Err(reader.error(DecodeErrorKind::UnknownDiscriminant(version.0.into())));
        }
        Ok(match WireFormat::decode(reader.field("MLSMessage.wire_format"))? {
            WireFormat::PUBLIC_MESSAGE => Self::PublicMessage(Box::decode(reader)?),
            WireFormat::PRIVATE_MESSAGE => Self::PrivateMessage(PrivateMessage::decode(reader)?),
            WireFormat::WELCOME => Self::Welcome(Welcome::decode(reader)?),
            WireFormat::GROUP_INFO => Self::GroupInfo(Box::decode(reader)?),
            WireFormat::KEY_PACKAGE => Self::KeyPackage(Box::decode(reader)?),
            // C022: no other format is known.
            WireFormat(other) => {
                return Err(reader.error(DecodeErrorKind::UnknownDiscriminant(other.into())));
            }
        })
    }
}

/// `ContentType`.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum ContentType {
    /// Application data.
    Application,
    /// A proposal.
    Proposal,
    /// A commit.
    Commit,
}

impl Encode for ContentType {
    fn encode(&self, writer: &mut Writer) {
        writer.raw(&[match self {
            Self::Application => 1,
            Self::Proposal => 2,
            Self::Commit => 3,
        }]);
    }
}

impl Decode for ContentType {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match u8::decode(reader)? {
            1 => Ok(Self::Application),
            2 => Ok(Self::Proposal),
            3 => Ok(Self::Commit),
            // C015: no other type is known.
            other => Err(reader.error(DecodeErrorKind::UnknownDiscriminant(other.into()))),
        }
    }
}

/// `Sender`.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Sender {
    /// A member of the group.
    Member(LeafIndex),
    /// Somebody outside, by position in the `external_senders` extension.
    External(u32),
    /// A client that proposes to be added.
    NewMemberProposal,
    /// A client that joins by external commit.
    NewMemberCommit,
}

impl Encode for Sender {
    fn encode(&self, writer: &mut Writer) {
        match self {
            Self::Member(leaf_index) => writer.raw(&[1]).value(leaf_index),
            Self::External(sender_index) => writer.raw(&[2]).value(sender_index),
            Self::NewMemberProposal => writer.raw(&[3]),
            Self::NewMemberCommit => writer.raw(&[4]),
        };
    }
}

impl Decode for Sender {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match u8::decode(reader)? {
            1 => LeafIndex::decode(reader).map(Self::Member),
            2 => u32::decode(reader).map(Self::External),
            3 => Ok(Self::NewMemberProposal),
            4 => Ok(Self::NewMemberCommit),
            // C016: no other type is known.
            other => Err(reader.error(DecodeErrorKind::UnknownDiscriminant(other.into()))),
        }
    }
}

/// `FramedContent`: a message before protection.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FramedContent {
    /// The group it is for.
    pub group_id: Vec<u8>,
    /// The epoch it was sent in.
    pub epoch: u64,
    /// Who sent it.
    pub sender: Sender,
    /// Data of the application, authenticated and never encrypted.
    pub authenticated_data: Vec<u8>,
    /// `content_type` and what it selects.
    pub content: Content,
}

/// What a [`FramedContent`] carries.
#[derive(Clone, Eq, PartialEq)]
pub enum Content {
    /// Application data.
    Application(Vec<u8>),
    /// A proposal.
    Proposal(Proposal),
    /// A commit.
    Commit(Box<Commit>),
}

impl Content {
    /// Its type.
    #[must_use]
    pub fn content_type(&self) -> ContentType {
        match self {
            Self::Application(_) => ContentType::Application,
            Self::Proposal(_) => ContentType::Proposal,
            Self::Commit(_) => ContentType::Commit,
        }
    }

    /// Bytes in which its encoding mostly fits; that of application data always does, which must not be left behind
    /// where a buffer was before it grew.
    pub(crate) fn room(&self) -> usize {
        match self {
            Self::Application(data) => data.len().saturating_add(16),
            Self::Proposal(_) => 1024,
            Self::Commit(commit) => {
                let nodes = commit.path.iter().flat_map(|path| &path.nodes);
                let secrets = nodes.map(|node| node.encrypted_path_secret.len().saturating_add(1));
                secrets.fold(1024, |room, secrets| room.saturating_add(secrets.saturating_mul(100)))
            }
        }
    }

    /// Appends what `content_type` selects, without the type.
    pub(crate) fn encode_selected(&self, writer: &mut Writer) {
        match self {
            Self::Application(data) => writer.opaque(data),
            Self::Proposal(proposal) => writer.value(proposal),
            Self::Commit(commit) => writer.value(commit),
        };
    }

    /// Reads what `content_type` selects.
    pub(crate) fn decode_selected(
        content_type: ContentType,
        reader: &mut Reader<'_>,
    ) -> Result<Self, DecodeError> {
        match content_type {
            ContentType::Application => {
                Vec::decode(reader.field("FramedContent.application_data")).map(Self::Application)
            }
            ContentType::Proposal => Proposal::decode(reader).map(Self::Proposal),
            ContentType::Commit => Box::decode(reader).map(Self::Commit),
        }
    }
}

/// Application data does not belong in logs.
impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Application(data) => write!(f, "Application({} bytes)", data.len()),
            Self::Proposal(proposal) => proposal.fmt(f),
            Self::Commit(commit) => commit.fmt(f),
        }
    }
}

impl Encode for FramedContent {
    fn encode(&self, writer: &mut Writer) {
        writer.opaque(&self.group_id).value(&self.epoch).value(&self.sender);
        writer.opaque(&self.authenticated_data).value(&self.content.content_type());
        self.content.encode_selected(writer);
    }
}

impl Decode for FramedContent {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let group_id = Vec::decode(reader.field("FramedContent.group_id"))?;
        let epoch = u64::decode(reader.field("FramedContent.epoch"))?;
        let sender = Sender::decode(reader.field("FramedContent.sender"))?;
        let authenticated_data = Vec::decode(reader.field("FramedContent.authenticated_data"))?;
        let content_type = ContentType::decode(reader.field("FramedContent.content_type"))?;
        let content = Content::decode_selected(content_type, reader)?;
        Ok(Self { group_id, epoch, sender, authenticated_data, content })
    }
}

/// `FramedContentAuthData`: how a [`FramedContent`] is authenticated.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FramedContentAuthData {
    /// `SignWithLabel(., "FramedContentTBS", FramedContentTBS)`.
    pub signature: Vec<u8>,
    /// `MAC(confirmation_key, GroupContext.confirmed_transcript_hash)`; exactly in commits (C080).
    pub confirmation_tag: Option<Vec<u8>>,
}

impl FramedContentAuthData {
    pub(crate) fn decode_for(
        content_type: ContentType,
        reader: &mut Reader<'_>,
    ) -> Result<Self, DecodeError> {
        let signature = Vec::decode(reader.field("FramedContentAuthData.signature"))?;
        let confirmation_tag = match content_type {
            ContentType::Commit => Some(Vec::decode(reader.field("FramedContentAuthData.confirmation_tag"))?),
            ContentType::Application | ContentType::Proposal => None,
        };
        Ok(Self { signature, confirmation_tag })
    }
}

impl Encode for FramedContentAuthData {
    fn encode(&self, writer: &mut Writer) {
        writer.opaque(&self.signature);
        if let Some(tag) = &self.confirmation_tag {
            writer.opaque(tag);
        }
    }
}

/// `AuthenticatedContent`: a signed message, with the format it travels in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AuthenticatedContent {
    /// The format, which the signature covers.
    pub wire_format: WireFormat,
    /// The message.
    pub content: FramedContent,
    /// Its signature and confirmation tag.
    pub auth: FramedContentAuthData,
}

impl Encode for AuthenticatedContent {
    fn encode(&self, writer: &mut Writer) {
        writer.value(&self.wire_format).value(&self.content).value(&self.auth);
    }
}

impl Decode for AuthenticatedContent {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let wire_format = WireFormat::decode(reader.field("AuthenticatedContent.wire_format"))?;
        let content = FramedContent::decode(reader)?;
        let auth = FramedContentAuthData::decode_for(content.content.content_type(), reader)?;
        Ok(Self { wire_format, content, auth })
    }
}

impl Element for AuthenticatedContent {}

/// `PublicMessage`: signed, and for members tagged; not encrypted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PublicMessage {
    /// The message.
    pub content: FramedContent,
    /// Its signature and confirmation tag.
    pub auth: FramedContentAuthData,
    /// Proof of membership; exactly in messages of members (C081).
    pub membership_tag: Option<Vec<u8>>,
}

impl Encode for PublicMessage {
    fn encode(&self, writer: &mut Writer) {
        writer.value(&self.content).value(&self.auth);
        if let Some(tag) = &self.membership_tag {
            writer.opaque(tag);
        }
    }
}

impl Decode for PublicMessage {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let content = FramedContent::decode(reader)?;
        let auth = FramedContentAuthData::decode_for(content.content.content_type(), reader)?;
        // RFC 9420 §6.2, C081, C365: a tag stands with members, and with nobody else.
        let membership_tag = match content.sender {
            Sender::Member(_) => Some(Vec::decode(reader.field("PublicMessage.membership_tag"))?),
            Sender::External(_) | Sender::NewMemberProposal | Sender::NewMemberCommit => None,
        };
        Ok(Self { content, auth, membership_tag })
    }
}

/// `PrivateMessage`: encrypted under the sender's ratchet.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PrivateMessage {
    /// The group it is for.
    pub group_id: Vec<u8>,
    /// The epoch it was sent in.
    pub epoch: u64,
    /// What kind of content it carries.
    pub content_type: ContentType,
    /// Data of the application, authenticated and not encrypted.
    pub authenticated_data: Vec<u8>,
    /// Who sent it and with which key.
    pub encrypted_sender_data: Vec<u8>,
    /// The `PrivateMessageContent`.
    pub ciphertext: Vec<u8>,
}

impl Encode for PrivateMessage {
    fn encode(&self, writer: &mut Writer) {
        writer.opaque(&self.group_id).value(&self.epoch).value(&self.content_type);
        writer.opaque(&self.authenticated_data).opaque(&self.encrypted_sender_data);
        writer.opaque(&self.ciphertext);
    }
}

impl Decode for PrivateMessage {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            group_id: Vec::decode(reader.field("PrivateMessage.group_id"))?,
            epoch: u64::decode(reader.field("PrivateMessage.epoch"))?,
            content_type: ContentType::decode(reader.field("PrivateMessage.content_type"))?,
            authenticated_data: Vec::decode(reader.field("PrivateMessage.authenticated_data"))?,
            encrypted_sender_data: Vec::decode(reader.field("PrivateMessage.encrypted_sender_data"))?,
            ciphertext: Vec::decode(reader.field("PrivateMessage.ciphertext"))?,
        })
    }
}

wire_struct! {
    /// `SenderData` (RFC 9420 §6.3.2): who sent a message, and with which key. Any member can have
    /// written it; only the signature of the message says who did.
    #[derive(Clone, Copy, Debug, Eq, PartialEq)]
    pub struct SenderData {
        /// The sender.
        pub leaf_index: LeafIndex,
        /// The position in its ratchet.
        pub generation: u32,
        /// What the nonce of the ratchet is XORed with.
        pub reuse_guard: [u8; 4],
    }
}

/// A key and nonce, good for one message (C182): `ratchet_key` and `ratchet_nonce` of one generation
/// (RFC 9420 §9.1), or those of sender data.
#[derive(Debug)]
pub struct MessageKey {
    /// The AEAD key.
    pub key: Secret,
    /// The nonce, before it is XORed with the reuse guard.
    pub nonce: Secret,
}
