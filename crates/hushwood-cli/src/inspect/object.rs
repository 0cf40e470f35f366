//! Which structure some bytes are.

use hushwood::commit::Commit;
use hushwood::error::{Error, Unsupported};
use hushwood::framing::{AuthenticatedContent, MlsMessage, PrivateMessage, PublicMessage};
use hushwood::key_package::KeyPackage;
use hushwood::proposal::{Proposal, ProposalType};
use hushwood::schedule::GroupContext;
use hushwood::tree::{LeafNode, Node};
use hushwood::welcome::{GroupInfo, Welcome};
use hushwood_codec::{Decode, DecodeError};

use crate::failure::Failure;
use crate::inspect::fact::Fact;
use crate::inspect::show;

/// A structure that can be shown.
#[derive(Clone, Debug)]
pub(crate) enum Object {
    Message(MlsMessage),
    KeyPackage(Box<KeyPackage>),
    GroupInfo(Box<GroupInfo>),
    Welcome(Welcome),
    RatchetTree(Vec<Option<Node>>),
    AuthenticatedContent(Box<AuthenticatedContent>),
    PublicMessage(Box<PublicMessage>),
    PrivateMessage(PrivateMessage),
    LeafNode(Box<LeafNode>),
    GroupContext(GroupContext),
    Commit(Box<Commit>),
    Proposal(Box<Proposal>),
}

/// The name of a structure, to be given with `--as`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// An MLSMessage: whatever travels between clients
    MlsMessage,
    /// A KeyPackage without the message around it
    KeyPackage,
    /// A GroupInfo without the message around it
    GroupInfo,
    /// A Welcome without the message around it
    Welcome,
    /// The nodes of a ratchet_tree extension
    RatchetTree,
    /// A signed message with its wire format, as transcripts and proposal references cover it
    AuthenticatedContent,
    /// A PublicMessage without the message around it
    PublicMessage,
    /// A PrivateMessage without the message around it
    PrivateMessage,
    /// A member's leaf
    LeafNode,
    /// The context of a group
    GroupContext,
    /// A Commit without its framing
    Commit,
    /// A Proposal without its framing
    Proposal,
    /// A Remove without the proposal around it; an Add's and an Update's are a KeyPackage and a LeafNode
    Remove,
    /// A PreSharedKey without the proposal around it
    PreSharedKey,
    /// A ReInit without the proposal around it
    Reinit,
    /// An ExternalInit without the proposal around it
    ExternalInit,
    /// A GroupContextExtensions without the proposal around it
    GroupContextExtensions,
}

impl Kind {
    /// The kinds that unknown bytes may be, in the order in which they are tried: the more they say of
    /// themselves, the earlier. What is left says too little.
    const ALL: [Self; 12] = [
        Self::MlsMessage,
        Self::KeyPackage,
        Self::GroupInfo,
        Self::Welcome,
        Self::RatchetTree,
        Self::AuthenticatedContent,
        Self::PublicMessage,
        Self::PrivateMessage,
        Self::LeafNode,
        Self::GroupContext,
        Self::Commit,
        Self::Proposal,
    ];

    /// The RFC's name for it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::MlsMessage => "MLSMessage",
            Self::KeyPackage => "KeyPackage",
            Self::GroupInfo => "GroupInfo",
            Self::Welcome => "Welcome",
            Self::RatchetTree => "ratchet_tree",
            Self::AuthenticatedContent => "AuthenticatedContent",
            Self::PublicMessage => "PublicMessage",
            Self::PrivateMessage => "PrivateMessage",
            Self::LeafNode => "LeafNode",
            Self::GroupContext => "GroupContext",
            Self::Commit => "Commit",
            Self::Proposal => "Proposal",
            Self::Remove => "Remove",
            Self::PreSharedKey => "PreSharedKey",
            Self::Reinit => "ReInit",
            Self::ExternalInit => "ExternalInit",
            Self::GroupContextExtensions => "GroupContextExtensions",
        }
    }

    fn decode(self, bytes: &[u8]) -> Result<Object, DecodeError> {
        Ok(match self {
            Self::MlsMessage => Object::Message(MlsMessage::from_bytes(bytes)?),
            Self::KeyPackage => Object::KeyPackage(Box::from_bytes(bytes)?),
            Self::GroupInfo => Object::GroupInfo(Box::from_bytes(bytes)?),
            Self::Welcome => Object::Welcome(Welcome::from_bytes(bytes)?),
            Self::RatchetTree => Object::RatchetTree(Vec::from_bytes(bytes)?),
            Self::AuthenticatedContent => Object::AuthenticatedContent(Box::from_bytes(bytes)?),
            Self::PublicMessage => Object::PublicMessage(Box::from_bytes(bytes)?),
            Self::PrivateMessage => Object::PrivateMessage(PrivateMessage::from_bytes(bytes)?),
            Self::LeafNode => Object::LeafNode(Box::from_bytes(bytes)?),
            Self::GroupContext => Object::GroupContext(GroupContext::from_bytes(bytes)?),
            Self::Commit => Object::Commit(Box::from_bytes(bytes)?),
            Self::Proposal => Object::Proposal(Box::from_bytes(bytes)?),
            Self::Remove => bare(ProposalType::REMOVE, bytes)?,
            Self::PreSharedKey => bare(ProposalType::PSK, bytes)?,
            Self::Reinit => bare(ProposalType::REINIT, bytes)?,
            Self::ExternalInit => bare(ProposalType::EXTERNAL_INIT, bytes)?,
            Self::GroupContextExtensions => bare(ProposalType::GROUP_CONTEXT_EXTENSIONS, bytes)?,
        })
    }

    /// Reads bytes as this structure.
    pub(crate) fn read(self, bytes: &[u8]) -> Result<Object, Failure> {
        self.decode(bytes).map_err(|error| Failure::from(Error::from(error)))
    }

    /// The structure that the bytes are, and the others that they could be as well.
    pub(crate) fn recognise(bytes: &[u8]) -> Result<(Self, Object, Vec<Self>), Failure> {
        let readings = Self::ALL.iter().filter_map(|kind| Some((*kind, kind.decode(bytes).ok()?)));
        let mut readings = readings.filter(|(_, object)| object.says_something());
        match readings.next() {
            Some((kind, object)) => Ok((kind, object, readings.map(|(kind, _)| kind).collect())),
            None => Err(unrecognised(bytes)),
        }
    }
}

impl Object {
    /// False for structures so empty that other bytes look like them by chance.
    fn says_something(&self) -> bool {
        match self {
            Self::Welcome(welcome) => !welcome.secrets.is_empty(),
            Self::RatchetTree(nodes) => !nodes.is_empty(),
            Self::Commit(commit) => !commit.proposals.is_empty() || commit.path.is_some(),
            _ => true,
        }
    }

    pub(crate) fn fact(&self) -> Fact {
        match self {
            Self::Message(value) => show::message(value),
            Self::KeyPackage(value) => show::key_package(value),
            Self::GroupInfo(value) => show::group_info(value),
            Self::Welcome(value) => show::welcome(value),
            Self::RatchetTree(value) => show::ratchet_tree(value),
            Self::AuthenticatedContent(value) => show::authenticated_content(value),
            Self::PublicMessage(value) => show::public_message(value),
            Self::PrivateMessage(value) => show::private_message(value),
            Self::LeafNode(value) => show::leaf_node(value),
            Self::GroupContext(value) => show::group_context(value),
            Self::Commit(value) => show::commit(value),
            Self::Proposal(value) => show::proposal(value),
        }
    }
}

/// The content of a proposal, whose type does not stand before it.
fn bare(proposal_type: ProposalType, bytes: &[u8]) -> Result<Object, DecodeError> {
    let whole = [&proposal_type.0.to_be_bytes(), bytes].concat();
    Ok(Object::Proposal(Box::from_bytes(&whole)?))
}

/// Says where the bytes stop making sense, if they begin as a message; else only that they are nothing.
fn unrecognised(bytes: &[u8]) -> Failure {
    match MlsMessage::from_bytes(bytes).map_err(Error::from) {
        Err(error @ Error::Decode(_)) if bytes.starts_with(&[0, 1]) => error.into(),
        Err(error @ Error::Unsupported(Unsupported::WireFormat)) => error.into(),
        _ => Failure::new(crate::failure::Class::Decode, "these bytes are no MLS structure")
            .advise("if you know what they are, say so with `--as` to see where they go wrong"),
    }
}
