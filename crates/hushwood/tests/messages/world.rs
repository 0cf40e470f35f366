//! A group of four, reduced to its keys: enough to send and receive in one epoch.

use hushwood::codec::Encode;
use hushwood::commit::Commit;
use hushwood::credential::Credential;
use hushwood::error::Error;
use hushwood::extension::Extensions;
use hushwood::framing::{
    Authenticated, Content, ContentType, FramedContent, KeySource, PrivateMessage, PublicMessage,
    SealingKeys, Sender, Signed, Unprotected, WireFormat,
};
use hushwood::key_package::KeyPackage;
use hushwood::policy::Policy;
use hushwood::proposal::{Add, Proposal, Remove};
use hushwood::schedule::{EncryptionSecret, GroupContext, MembershipKey, SenderDataSecret};
use hushwood::secret_tree::{Change, SecretTree};
use hushwood::tree::{Capabilities, LeafIndex, LeafNode, LeafNodeSource, UpdatePath};
use hushwood::version::ProtocolVersion;
use hushwood_crypto::{CipherSuite, HpkePublicKey, Secret, Signer, SoftwareSigner};
use test_support::random::SeededRandom;

pub(crate) const MEMBERS: u32 = 4;

pub(crate) struct World {
    pub(crate) suite: &'static dyn CipherSuite,
    pub(crate) group_context: Vec<u8>,
    pub(crate) signers: Vec<SoftwareSigner>,
    pub(crate) sender_data: SenderDataSecret,
    pub(crate) membership_key: MembershipKey,
    pub(crate) policy: Policy,
    pub(crate) random: SeededRandom,
}

impl World {
    pub(crate) fn new(suite: &'static dyn CipherSuite) -> Self {
        let mut random = SeededRandom::new(u64::from(suite.id().0));
        let length = suite.kdf().length();
        Self {
            suite,
            group_context: group_context(suite, 7),
            signers: (0..MEMBERS).map(|_| SoftwareSigner::generate(suite, &mut random).unwrap()).collect(),
            sender_data: SenderDataSecret::new(Secret::new(random.bytes(length))),
            membership_key: MembershipKey::new(Secret::new(random.bytes(length))),
            policy: Policy::default(),
            random,
        }
    }

    /// The epoch's secret tree, as it is for each member in the beginning.
    pub(crate) fn tree(&self) -> SecretTree {
        let root = Secret::new(vec![0x5a; self.suite.kdf().length()]);
        SecretTree::new(self.suite, MEMBERS, EncryptionSecret::new(root)).unwrap()
    }

    pub(crate) fn content(&self, sender: Sender, content: Content) -> FramedContent {
        let authenticated_data = b"seen by all".to_vec();
        FramedContent { group_id: b"group".to_vec(), epoch: 7, sender, authenticated_data, content }
    }

    /// Signed by a member's key, whoever the sender is said to be.
    pub(crate) fn sign(&self, member: usize, format: WireFormat, content: FramedContent) -> Authenticated {
        let tag = confirmation_tag(self.suite, &content.content);
        let context: &[u8] = match content.sender {
            Sender::Member(_) | Sender::NewMemberCommit => &self.group_context,
            Sender::External(_) | Sender::NewMemberProposal => &[],
        };
        Signed::sign(&self.signers[member], format, content, context).unwrap().complete(tag).unwrap()
    }

    pub(crate) fn sign_as_member(
        &self,
        member: usize,
        format: WireFormat,
        content: Content,
    ) -> Authenticated {
        let sender = Sender::Member(leaf(member));
        self.sign(member, format, self.content(sender, content))
    }

    pub(crate) fn send_public(&self, member: usize, content: Content) -> PublicMessage {
        let signed = self.sign_as_member(member, WireFormat::PUBLIC_MESSAGE, content);
        PublicMessage::protect(self.suite, signed, &self.membership_key, &self.group_context).unwrap()
    }

    pub(crate) fn receive_public(&self, message: PublicMessage) -> Result<Authenticated, Error> {
        self.verify(message.unprotect(self.suite, &self.membership_key, &self.group_context)?)
    }

    pub(crate) fn send_private(
        &mut self,
        tree: &mut SecretTree,
        member: usize,
        content: Content,
    ) -> PrivateMessage {
        let signed = self.sign_as_member(member, WireFormat::PRIVATE_MESSAGE, content);
        let content_type = signed.content().content.content_type();
        let (generation, message, change) = tree.seal_key(leaf(member), content_type).unwrap();
        drop(tree.apply(change).unwrap());
        let keys = SealingKeys { sender_data: &self.sender_data, generation, message };
        let padding = self.policy.padding;
        PrivateMessage::protect(self.suite, &signed, keys, padding, &mut self.random).unwrap()
    }

    /// As a member does it: the key is consumed only when the signature has been verified.
    pub(crate) fn receive_private(
        &self,
        tree: &mut SecretTree,
        message: PrivateMessage,
    ) -> Result<Authenticated, Error> {
        let (received, change) = self.look_at_private(tree, message)?;
        drop(tree.apply(change).unwrap());
        Ok(received)
    }

    /// The message and the change that would consume its key.
    pub(crate) fn look_at_private(
        &self,
        tree: &SecretTree,
        message: PrivateMessage,
    ) -> Result<(Authenticated, Change), Error> {
        let sender = message.open_sender_data(self.suite, &self.sender_data)?;
        let (leaf, generation) = (sender.leaf_index, sender.generation);
        let (key, change) = tree.open_key(leaf, message.content_type, generation, &self.policy)?;
        let opened = message.open(self.suite, sender, key, &self.group_context, self.policy.decode)?;
        Ok((self.verify(opened)?, change))
    }

    pub(crate) fn verify(&self, unprotected: Unprotected) -> Result<Authenticated, Error> {
        let key = match unprotected.key_source()? {
            KeySource::Member(leaf) => self.signers[leaf.number() as usize].public_key().clone(),
            KeySource::ExternalSender(index) => self.signers[index as usize].public_key().clone(),
            KeySource::Message(key) => key.clone(),
        };
        unprotected.verify_signature(self.suite, &key)
    }

    /// A leaf with this member's signature key; nothing else about it is right.
    pub(crate) fn leaf_node(&self, member: usize) -> LeafNode {
        LeafNode {
            encryption_key: HpkePublicKey(vec![1; 32]),
            signature_key: self.signers[member].public_key().clone(),
            credential: Credential::basic("somebody"),
            capabilities: Capabilities::default(),
            leaf_node_source: LeafNodeSource::Update,
            extensions: Extensions::new(),
            signature: vec![2; 64],
        }
    }

    pub(crate) fn add(&self, member: usize) -> Proposal {
        let key_package = KeyPackage {
            version: ProtocolVersion::MLS10,
            cipher_suite: self.suite.id(),
            init_key: HpkePublicKey(vec![3; 32]),
            leaf_node: self.leaf_node(member),
            extensions: Extensions::new(),
            signature: vec![4; 64],
        };
        Proposal::Add(Box::new(Add { key_package }))
    }

    pub(crate) fn commit_with_path(&self, member: usize) -> Content {
        let path = UpdatePath { leaf_node: self.leaf_node(member), nodes: Vec::new() };
        Content::Commit(Box::new(Commit { proposals: Vec::new(), path: Some(path) }))
    }
}

pub(crate) fn group_context(suite: &dyn CipherSuite, epoch: u64) -> Vec<u8> {
    let group_context = GroupContext {
        version: ProtocolVersion::MLS10,
        cipher_suite: suite.id(),
        group_id: b"group".to_vec(),
        epoch,
        tree_hash: vec![1; suite.hash().length()],
        confirmed_transcript_hash: vec![2; suite.hash().length()],
        extensions: Extensions::new(),
    };
    group_context.to_bytes().unwrap()
}

pub(crate) fn leaf(number: usize) -> LeafIndex {
    LeafIndex::new(number as u32)
}

pub(crate) fn text(text: &str) -> Content {
    Content::Application(text.as_bytes().to_vec())
}

pub(crate) fn remove(number: u32) -> Content {
    Content::Proposal(Proposal::Remove(Remove { removed: LeafIndex::new(number) }))
}

pub(crate) fn commit() -> Content {
    Content::Commit(Box::new(Commit { proposals: Vec::new(), path: None }))
}

/// A tag for commits, which only the next epoch could verify.
fn confirmation_tag(suite: &dyn CipherSuite, content: &Content) -> Option<Vec<u8>> {
    match content.content_type() {
        ContentType::Commit => Some(vec![9; suite.kdf().length()]),
        ContentType::Application | ContentType::Proposal => None,
    }
}
