//! What an implementation must offer to take part in cross-play.
//!
//! The interface is object-safe and speaks bytes only, so that members of different implementations can sit in one
//! group without knowing of each other. Where an implementation has no API for an operation it says so with
//! [`PeerError::Unsupported`]; that becomes `n/a` with the reason in the table, never a pass.

use std::fmt;

/// An implementation of MLS: a factory of members.
pub trait Peer: Send + Sync {
    /// The name in the table and for `--only`, for example `openmls` or `hushwood/aws-lc`.
    fn name(&self) -> &'static str;

    /// The cipher suites this implementation can run (RFC 9420 §17.1).
    fn suites(&self) -> Vec<CipherSuite>;

    /// Whether it refuses leaves with an extension of a GREASE type that their capabilities list, against
    /// RFC 9420 §13.5. Nobody sends such extensions to a conversation that it takes part in.
    fn refuses_greased_extensions(&self) -> bool {
        false
    }

    /// A client with fresh signature keys, a Basic credential and an empty store of its own.
    ///
    /// # Errors
    /// [`PeerError::Failed`] where keys can't be made.
    fn client(&self, settings: Settings) -> Result<Box<dyn Member>, PeerError>;

    /// A client with a KeyPackage and keys that were made elsewhere: it joins and follows, and never sends.
    ///
    /// # Errors
    /// [`PeerError::Failed`] where the keys are refused.
    fn client_with(&self, _suite: CipherSuite, _keys: &ClientKeys) -> Result<Box<dyn Member>, PeerError> {
        Err(PeerError::Unsupported("no API for keys that were made elsewhere"))
    }
}

/// A KeyPackage with its private keys.
#[derive(Clone, Debug)]
pub struct ClientKeys {
    /// The KeyPackage, an `MLSMessage`.
    pub key_package: Vec<u8>,
    /// Its private signature key.
    pub signature: Vec<u8>,
    /// The private key of its leaf.
    pub encryption: Vec<u8>,
    /// The private key that Welcomes are encrypted to.
    pub init: Vec<u8>,
}

/// One client and, once it has created or joined one, its group.
///
/// Calls before a group exists, other than those under "Without a group", fail.
pub trait Member {
    // Without a group.

    /// Makes a KeyPackage and keeps its private keys. Returns an `MLSMessage`.
    fn key_package(&mut self) -> Result<Vec<u8>, PeerError>;

    /// Stores an external PSK (RFC 9420 §8.4).
    fn add_psk(&mut self, id: &[u8], secret: &[u8]) -> Result<(), PeerError>;

    /// Creates a group of one (RFC 9420 §11).
    fn create_group(&mut self, group_id: &[u8]) -> Result<(), PeerError>;

    /// Joins from a Welcome (RFC 9420 §12.4.3.1); `tree` is the bare `ratchet_tree` if it is not in the GroupInfo.
    fn join(&mut self, welcome: &[u8], tree: Option<&[u8]>) -> Result<(), PeerError>;

    /// Joins by external commit (RFC 9420 §12.4.3.2) and is in the new epoch at once. Returns the commit.
    fn external_commit(&mut self, join: ExternalJoin<'_>) -> Result<Vec<u8>, PeerError>;

    // In a group.

    /// Sends a proposal to be committed by reference; remembers it as its own.
    fn propose(&mut self, proposal: &Proposal) -> Result<Vec<u8>, PeerError>;

    /// Commits every proposal received or sent in this epoch by reference, and `by_value` as well. Does not advance
    /// the epoch: [`apply_pending`](Self::apply_pending) does.
    fn commit(&mut self, by_value: &[Proposal], options: CommitOptions) -> Result<Committed, PeerError>;

    /// Applies the own commit. Returns the proposal types it covered, sorted.
    fn apply_pending(&mut self) -> Result<Vec<ProposalType>, PeerError>;

    /// Drops the own commit.
    fn discard_pending(&mut self) -> Result<(), PeerError>;

    /// Processes a message from another member and applies what it says.
    fn process(&mut self, message: &[u8]) -> Result<Outcome, PeerError>;

    /// Seals an application message.
    fn send(&mut self, plaintext: &[u8], aad: &[u8]) -> Result<Vec<u8>, PeerError>;

    /// A GroupInfo with `external_pub`, and with the ratchet tree if asked (RFC 9420 §12.4.3).
    fn group_info(&mut self, with_tree: bool) -> Result<Vec<u8>, PeerError>;

    /// What this member believes about the current epoch.
    fn view(&self) -> Result<View, PeerError>;

    // Reinitialization (RFC 9420 §11.2). The group must have been closed by a committed ReInit proposal.

    /// A KeyPackage for the successor group.
    fn reinit_key_package(&mut self) -> Result<Vec<u8>, PeerError> {
        Err(PeerError::Unsupported("no API for reinit"))
    }

    /// Creates the successor group; the member speaks for it from then on, in epoch 1.
    fn reinit_create(
        &mut self,
        _key_packages: &[Vec<u8>],
        _tree_in_welcome: bool,
    ) -> Result<Created, PeerError> {
        Err(PeerError::Unsupported("no API for reinit"))
    }

    /// Joins the successor group; the member speaks for it from then on.
    fn reinit_join(&mut self, _welcome: &[u8], _tree: Option<&[u8]>) -> Result<(), PeerError> {
        Err(PeerError::Unsupported("no API for reinit"))
    }

    // Subgroup branching (RFC 9420 §11.3).

    /// Creates a subgroup; the member speaks for it from then on, in epoch 1.
    fn branch_create(
        &mut self,
        _group_id: &[u8],
        _key_packages: &[Vec<u8>],
        _tree_in_welcome: bool,
    ) -> Result<Created, PeerError> {
        Err(PeerError::Unsupported("no API for branch"))
    }

    /// Joins a subgroup of the current group; the member speaks for it from then on.
    fn branch_join(&mut self, _welcome: &[u8], _tree: Option<&[u8]>) -> Result<(), PeerError> {
        Err(PeerError::Unsupported("no API for branch"))
    }
}

/// A cipher suite's number in the IANA registry.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct CipherSuite(pub u16);

impl CipherSuite {
    /// The length of `KDF.Extract`'s output, which is also that of a PSK nonce (RFC 9420 §5.1, §8.4).
    pub fn hash_length(self) -> usize {
        match self.0 {
            1..=3 => 32,
            7 => 48,
            _ => 64,
        }
    }
}

/// How a client is set up.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The identity in the Basic credential, unique in the conversation.
    pub identity: Vec<u8>,
    /// The cipher suite of its KeyPackages and of the group it creates.
    pub suite: CipherSuite,
    /// How it frames its proposals and commits; it must accept both wire formats.
    pub handshake: WireFormat,
    /// Whether it may send extensions of GREASE types.
    pub greased_extensions: bool,
}

/// How handshake messages are framed (RFC 9420 §6).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum WireFormat {
    /// Encrypted.
    PrivateMessage,
    /// In the clear, with a membership tag.
    PublicMessage,
}

impl fmt::Display for WireFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PrivateMessage => "private",
            Self::PublicMessage => "public",
        })
    }
}

/// A proposal to make (RFC 9420 §12.1).
#[derive(Clone, Debug)]
pub enum Proposal {
    /// Add the owner of this KeyPackage, an `MLSMessage`.
    Add(Vec<u8>),
    /// Replace the own leaf; by reference only.
    Update,
    /// Remove the member at this leaf index.
    Remove(u32),
    /// Mix in an external PSK with this id.
    ExternalPsk(Vec<u8>),
    /// Mix in the resumption PSK of this past epoch of this group, with usage `application`.
    ResumptionPsk(u64),
    /// Close this group in favour of one with this id and suite.
    ReInit {
        /// The id of the successor.
        group_id: Vec<u8>,
        /// The suite of the successor.
        suite: CipherSuite,
    },
    /// Replace the extensions in the GroupContext.
    GroupContextExtensions(Vec<Extension>),
}

impl Proposal {
    /// Its type on the wire.
    pub fn proposal_type(&self) -> ProposalType {
        match self {
            Self::Add(_) => ProposalType::ADD,
            Self::Update => ProposalType::UPDATE,
            Self::Remove(_) => ProposalType::REMOVE,
            Self::ExternalPsk(_) | Self::ResumptionPsk(_) => ProposalType::PSK,
            Self::ReInit { .. } => ProposalType::REINIT,
            Self::GroupContextExtensions(_) => ProposalType::GROUP_CONTEXT_EXTENSIONS,
        }
    }
}

/// A proposal type's number (RFC 9420 §17.4).
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct ProposalType(pub u16);

#[allow(missing_docs, reason = "the names are the registry's")]
impl ProposalType {
    pub const ADD: Self = Self(1);
    pub const UPDATE: Self = Self(2);
    pub const REMOVE: Self = Self(3);
    pub const PSK: Self = Self(4);
    pub const REINIT: Self = Self(5);
    pub const EXTERNAL_INIT: Self = Self(6);
    pub const GROUP_CONTEXT_EXTENSIONS: Self = Self(7);
}

/// An extension: type and opaque data (RFC 9420 §13.4).
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Extension {
    /// Its number.
    pub extension_type: u16,
    /// Its data, without the length prefix.
    pub data: Vec<u8>,
}

/// The one private-use extension type that every member lists in its capabilities, for GroupContextExtensions.
pub const PRIVATE_USE_EXTENSION: u16 = 0xF0A1;

/// How to make a commit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CommitOptions {
    /// Include an UpdatePath even where none is required (RFC 9420 §12.4).
    pub force_path: bool,
    /// Put the ratchet tree into the GroupInfo of the Welcome; else [`Committed::tree`] carries it.
    pub tree_in_welcome: bool,
    /// One Welcome for each joiner instead of one for all.
    pub separate_welcomes: bool,
}

impl Default for CommitOptions {
    fn default() -> Self {
        Self { force_path: false, tree_in_welcome: true, separate_welcomes: false }
    }
}

/// A commit and what goes with it.
#[derive(Clone, Debug)]
pub struct Committed {
    /// The commit, an `MLSMessage`.
    pub commit: Vec<u8>,
    /// None without joiners, one, or one for each joiner.
    pub welcomes: Vec<Vec<u8>>,
    /// The bare ratchet tree of the new epoch, where the Welcome lacks it.
    pub tree: Option<Vec<u8>>,
}

/// A group made by reinit or branch.
#[derive(Clone, Debug)]
pub struct Created {
    /// One for all, or one for each joiner.
    pub welcomes: Vec<Vec<u8>>,
    /// The bare ratchet tree, where the Welcome lacks it.
    pub tree: Option<Vec<u8>>,
}

/// How to join by external commit.
#[derive(Clone, Copy, Debug)]
pub struct ExternalJoin<'a> {
    /// The GroupInfo, an `MLSMessage`.
    pub group_info: &'a [u8],
    /// The bare ratchet tree if it is not in the GroupInfo.
    pub tree: Option<&'a [u8]>,
    /// The leaf of an earlier self with the same credential and signature key to remove ("resync").
    pub resync: Option<u32>,
    /// External PSKs to mix in.
    pub psks: &'a [Vec<u8>],
}

/// What a received message was.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// Something said.
    Application {
        /// What was said.
        plaintext: Vec<u8>,
        /// The additional authenticated data.
        aad: Vec<u8>,
        /// The identity of who said it, at the time of saying.
        sender: Vec<u8>,
    },
    /// A commit, applied.
    Commit {
        /// The types of the proposals it covered, sorted.
        proposals: Vec<ProposalType>,
        /// It removed the receiver, who is no member any more.
        removed: bool,
    },
    /// A proposal, remembered.
    Proposal(ProposalType),
}

/// What a member believes about its epoch. Two members of one epoch must have equal views.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct View {
    /// The epoch's number.
    pub epoch: u64,
    /// RFC 9420 §8.7.
    pub epoch_authenticator: Vec<u8>,
    /// `MLS-Exporter` with [`EXPORTER_LABEL`], [`EXPORTER_CONTEXT`] and [`EXPORTER_LENGTH`] (RFC 9420 §8.5).
    pub exported: Vec<u8>,
    /// The members in the order of their leaves.
    pub members: Vec<MemberEntry>,
    /// The bare ratchet tree as it would be sent (RFC 9420 §12.4.3.3).
    pub tree: Vec<u8>,
    /// The extensions of the GroupContext, in the order of the wire.
    pub extensions: Vec<Extension>,
}

/// The label of the compared exported secret.
pub const EXPORTER_LABEL: &str = "cross-play";
/// The context of the compared exported secret.
pub const EXPORTER_CONTEXT: &[u8] = b"every epoch";
/// The length of the compared exported secret; not a hash length on purpose.
pub const EXPORTER_LENGTH: usize = 41;

/// A member as the tree shows it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MemberEntry {
    /// Its leaf.
    pub leaf_index: u32,
    /// The identity in its Basic credential.
    pub identity: Vec<u8>,
    /// Its signature key.
    pub signature_key: Vec<u8>,
}

/// Why a peer did not do as it was told.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PeerError {
    /// The peer breaks the RFC here, and the reason shows it by the RFC's words. The conversation counts as `n/a`.
    Defect(&'static str),
    /// The peer refused or failed. The conversation counts as `FAIL`.
    Failed(String),
    /// The peer has no API for this. The conversation counts as `n/a`.
    Unsupported(&'static str),
}

impl PeerError {
    /// A failure with the peer's own words for it.
    pub fn failed(operation: &str, error: impl fmt::Debug) -> Self {
        Self::Failed(format!("{operation}: {error:?}"))
    }
}

impl fmt::Display for PeerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Defect(reason) => write!(f, "peer defect: {reason}"),
            Self::Failed(detail) => f.write_str(detail),
            Self::Unsupported(reason) => write!(f, "unsupported: {reason}"),
        }
    }
}

impl std::error::Error for PeerError {}
