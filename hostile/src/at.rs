//! The places at which something can be changed before what follows from it is computed.

use hushwood::commit::ProposalOrRef;
use hushwood::framing::{
    AuthenticatedContent, FramedContent, FramedContentAuthData, PrivateMessage, SenderData,
};
use hushwood::key_package::KeyPackage;
use hushwood::schedule::{GroupContext, PreSharedKeyId};
use hushwood::tree::{LeafNode, UpdatePath};
use hushwood::welcome::{EncryptedGroupSecrets, GroupInfo, Welcome};

use crate::literal::crypto::Key;
use crate::literal::tree::Tree;

/// A node of a path before it is encrypted: what the committer has drawn.
#[derive(Clone)]
pub struct PathNode {
    /// Its number.
    pub node: usize,
    /// Its path secret.
    pub secret: Vec<u8>,
    /// Its key pair.
    pub key: Key,
}

/// The secrets for one joiner, before they are encrypted.
#[derive(Clone)]
pub struct Secrets {
    /// `joiner_secret`.
    pub joiner: Vec<u8>,
    /// `path_secret`.
    pub path: Option<Vec<u8>>,
    /// `psks`.
    pub psks: Vec<PreSharedKeyId>,
}

/// Something that is about to be used, in the order in which it is made.
pub enum At<'a> {
    /// The proposals of a commit, before they are applied.
    Proposals(&'a mut Vec<ProposalOrRef>),
    /// The tree after the proposals, before the path.
    Applied(&'a mut Tree),
    /// The leaf's key and the nodes of the path, before anything is computed from them.
    Path(&'a mut Key, &'a mut Vec<PathNode>),
    /// A leaf before it is signed.
    Leaf(&'a mut LeafNode),
    /// The group and the leaf that its signature covers.
    LeafPlace(&'a mut Vec<u8>, &'a mut u32),
    /// The same leaf, signed.
    LeafSigned(&'a mut LeafNode),
    /// The tree as it is hashed for the next epoch.
    Tree(&'a mut Tree),
    /// The context that path secrets are encrypted under.
    Provisional(&'a mut GroupContext),
    /// A path secret before it is encrypted, with its place in the path and among the recipients of that node.
    PathSecret(usize, usize, &'a mut Vec<u8>),
    /// The path as it is sent.
    UpdatePath(&'a mut UpdatePath),
    /// What is sent in the commit, after it was applied.
    Sent(&'a mut Vec<ProposalOrRef>),
    /// The content before it is signed.
    Content(&'a mut FramedContent),
    /// The GroupContext that the signature covers.
    Tbs(&'a mut Vec<u8>),
    /// The key that signs.
    Signer(&'a mut Key),
    /// Content and the signature over it: to sign it as something else.
    Reframe(&'a FramedContent, &'a mut Vec<u8>),
    /// Signature and, later, confirmation tag.
    Auth(&'a mut FramedContentAuthData),
    /// The context of the next epoch.
    Next(&'a mut GroupContext),
    /// Init, commit and PSK secret, before the key schedule.
    Inputs(&'a mut Vec<u8>, &'a mut Vec<u8>, &'a mut Vec<u8>),
    /// The confirmation tag.
    ConfirmationTag(&'a mut Option<Vec<u8>>),
    /// The membership tag.
    MembershipTag(&'a mut Option<Vec<u8>>),
    /// All of the message before it is encrypted or tagged.
    Authenticated(&'a mut AuthenticatedContent),
    /// The content of a PrivateMessage and its padding, before encryption.
    Plain(&'a mut Vec<u8>),
    /// A PrivateMessage around its content.
    Private(&'a mut PrivateMessage),
    /// Whose ratchet and which generation, and what is said of them.
    SenderData(&'a mut SenderData),
    /// A PrivateMessage when all is encrypted.
    PrivateSealed(&'a mut PrivateMessage),
    /// A KeyPackage before it is signed.
    KeyPackage(&'a mut KeyPackage),
    /// A KeyPackage, signed.
    KeyPackageSigned(&'a mut KeyPackage),
    /// A GroupInfo before its confirmation tag and signature.
    GroupInfo(&'a mut GroupInfo),
    /// The same with its tag, before its signature.
    GroupInfoTagged(&'a mut GroupInfo),
    /// The same, signed.
    GroupInfoSigned(&'a mut GroupInfo),
    /// The encoding of a GroupInfo before it is encrypted.
    GroupInfoBytes(&'a mut Vec<u8>),
    /// The secrets for a joiner.
    Secrets(&'a mut Secrets),
    /// Their encoding.
    SecretsBytes(&'a mut Vec<u8>),
    /// A joiner's entry.
    Entry(&'a mut EncryptedGroupSecrets),
    /// A Welcome.
    Welcome(&'a mut Welcome),
    /// The tree that goes with it, encoded.
    TreeBytes(&'a mut Vec<u8>),
    /// The message, encoded.
    Message(&'a mut Vec<u8>),
}

/// What changes things on the way; [`nothing`] leaves all as it is.
pub type Tamper<'t> = &'t mut dyn FnMut(At<'_>);

/// Changes nothing: what comes out is valid.
pub fn nothing(_: At<'_>) {}
