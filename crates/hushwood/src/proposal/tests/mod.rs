//! RFC 9420 §12.1 to §12.3: a small group to propose things to, and a refusing test for each rule.

mod apply;
mod cache;
mod choose;
mod external;
mod list;
mod oracle;
mod single;

use hushwood_codec::Encode;
use hushwood_crypto::{HashReference, HpkePublicKey, SoftwareSigner};

use crate::credential::{Credential, CredentialType};
use crate::error::Error;
use crate::extension::{ExtensionType, Extensions, RequiredCapabilities};
use crate::framing::{Authenticated, Content, FramedContent, Sender, Signed, WireFormat};
use crate::key_package::{KeyPackage, KeyPackageBuilder};
use crate::policy::{Grease, Policy, Timestamp};
use crate::proposal::{
    Add, CommittedProposal, ExternalInit, GroupContextExtensions, PreSharedKey, Proposal, ProposalChecks,
    ProposalList, ProposalType, Purpose, ReInit, Remove, Update,
};
use crate::schedule::{GroupContext, PreSharedKeyId, Psk};
use crate::testing::{KEY_LENGTH, SUITE, ToyRandom, signer};
use crate::tree::{
    LeafContent, LeafIndex, LeafNode, LeafNodeSource, Lifetime, RatchetTree, Supported, UnsignedLeafNode,
};
use crate::version::ProtocolVersion;

pub(super) const NOW: Timestamp = Timestamp(1_000_000);
/// An extension, and a proposal, that every client of these tests supports.
pub(super) const KNOWN_EXTENSION: ExtensionType = ExtensionType(0xF001);
pub(super) const KNOWN_PROPOSAL: ProposalType = ProposalType(0xF002);

pub(super) fn leaf(number: u32) -> LeafIndex {
    LeafIndex::new(number)
}

pub(super) fn member(number: u32) -> Sender {
    Sender::Member(leaf(number))
}

pub(super) fn supported() -> Supported {
    Supported {
        suites: vec![SUITE.id()],
        extensions: vec![KNOWN_EXTENSION, ExtensionType::LAST_RESORT_KEY_PACKAGE],
        proposals: vec![KNOWN_PROPOSAL],
        credentials: vec![CredentialType::BASIC],
    }
}

pub(super) fn content(name: &str) -> LeafContent {
    let extensions = Extensions::new();
    LeafContent { credential: Credential::basic(name), supported: supported(), extensions }
}

pub(super) fn extensions(types: &[ExtensionType]) -> Extensions {
    types.iter().fold(Extensions::new(), |mut extensions, extension_type| {
        extensions.set(*extension_type, vec![]);
        extensions
    })
}

pub(super) fn requiring(required: &RequiredCapabilities) -> Extensions {
    let mut extensions = Extensions::new();
    extensions.set(ExtensionType::REQUIRED_CAPABILITIES, required.to_bytes().unwrap());
    extensions
}

/// A group of members 0, 1, 2, ... and what a member of it makes.
pub(super) struct World {
    pub(super) tree: RatchetTree,
    pub(super) context: GroupContext,
    pub(super) policy: Policy,
    pub(super) random: ToyRandom,
    pub(super) sending: bool,
    pub(super) purpose: Purpose,
    pub(super) signers: Vec<SoftwareSigner>,
    references: u64,
}

impl World {
    pub(super) fn new(members: u32) -> Self {
        Self::with(members, |number| content(&format!("member {number}")))
    }

    pub(super) fn with(members: u32, content: impl Fn(u32) -> LeafContent) -> Self {
        let mut world = Self {
            tree: RatchetTree::empty(SUITE),
            context: GroupContext {
                version: ProtocolVersion::MLS10,
                cipher_suite: SUITE.id(),
                group_id: b"group".to_vec(),
                epoch: 7,
                tree_hash: vec![],
                confirmed_transcript_hash: vec![],
                extensions: Extensions::new(),
            },
            policy: Policy { grease: Grease::Nowhere, ..Policy::default() },
            random: ToyRandom(0),
            sending: false,
            purpose: Purpose::Epoch,
            signers: vec![],
            references: 0,
        };
        for number in 0..members {
            let (key_package, signer) = world.key_package(&content(number));
            world.tree.add(key_package.leaf_node).unwrap();
            world.signers.push(signer);
        }
        world
    }

    pub(super) fn checks(&self) -> ProposalChecks<'_> {
        ProposalChecks {
            tree: &self.tree,
            context: &self.context,
            policy: &self.policy,
            now: NOW,
            sending: self.sending,
            purpose: self.purpose,
        }
    }

    pub(super) fn key_package(&mut self, content: &LeafContent) -> (KeyPackage, SoftwareSigner) {
        let signer = signer(&mut self.random);
        (self.key_package_of(content, &signer), signer)
    }

    pub(super) fn key_package_of(&mut self, content: &LeafContent, signer: &SoftwareSigner) -> KeyPackage {
        let builder = KeyPackageBuilder::new(SUITE, content.clone());
        builder.build(signer, &self.policy, NOW, &mut self.random).unwrap().key_package
    }

    pub(super) fn fresh_key(&mut self) -> HpkePublicKey {
        use hushwood_crypto::Random;

        let random: &mut dyn Random = &mut self.random;
        HpkePublicKey(random.bytes(KEY_LENGTH).unwrap())
    }

    /// A member's next leaf, signed.
    pub(super) fn next_leaf(&mut self, number: u32, source: LeafNodeSource) -> LeafNode {
        let key = self.fresh_key();
        let old = self.tree.leaf(leaf(number)).unwrap().unwrap();
        let next = UnsignedLeafNode::successor(&old, key, source);
        let signer = &self.signers[usize::try_from(number).unwrap()];
        next.sign(signer, (&self.context.group_id, leaf(number))).unwrap()
    }

    pub(super) fn add(&mut self, name: &str) -> Proposal {
        self.add_of(&content(name))
    }

    pub(super) fn add_of(&mut self, content: &LeafContent) -> Proposal {
        let (key_package, _) = self.key_package(content);
        Proposal::Add(Box::new(Add { key_package }))
    }

    pub(super) fn update(&mut self, number: u32) -> Proposal {
        let leaf_node = self.next_leaf(number, LeafNodeSource::Update);
        Proposal::Update(Box::new(Update { leaf_node }))
    }

    /// An update with other content, for a member.
    pub(super) fn update_to(&mut self, number: u32, content: &LeafContent) -> Proposal {
        let key = self.fresh_key();
        let random = &mut self.random;
        let next = UnsignedLeafNode::new(content, key, LeafNodeSource::Update, &self.policy, random).unwrap();
        let signer = &self.signers[usize::try_from(number).unwrap()];
        let leaf_node = next.sign(signer, (&self.context.group_id, leaf(number))).unwrap();
        Proposal::Update(Box::new(Update { leaf_node }))
    }

    /// A proposal as one that was sent before by somebody.
    pub(super) fn sent(&mut self, proposal: Proposal, sender: Sender) -> CommittedProposal {
        self.references += 1;
        let reference = HashReference(self.references.to_be_bytes().to_vec());
        CommittedProposal::by_reference(proposal.into(), sender, reference)
    }

    /// The message that a member sends a proposal with.
    pub(super) fn message(&self, proposal: Proposal, number: u32) -> Authenticated {
        let content = FramedContent {
            group_id: self.context.group_id.clone(),
            epoch: self.context.epoch,
            sender: member(number),
            authenticated_data: vec![],
            content: Content::Proposal(proposal),
        };
        let signer = &self.signers[usize::try_from(number).unwrap()];
        let context = self.context.to_bytes().unwrap();
        Signed::sign(signer, WireFormat::PRIVATE_MESSAGE, content, &context).unwrap().complete(None).unwrap()
    }

    pub(super) fn check(
        &self,
        proposals: Vec<CommittedProposal>,
        committer: Sender,
    ) -> Result<ProposalList, Error> {
        ProposalList::check(proposals, committer, &self.checks(), &mut ToyRandom(0))
    }

    /// The result for a commit of member 0 with these proposals of its own.
    pub(super) fn own(&self, proposals: Vec<Proposal>) -> Result<ProposalList, Error> {
        let by_value = |proposal| CommittedProposal::by_value(proposal, member(0));
        self.check(proposals.into_iter().map(by_value).collect(), member(0))
    }
}

pub(super) fn remove(number: u32) -> Proposal {
    Proposal::Remove(Remove { removed: leaf(number) })
}

pub(super) fn psk_id(name: &str, nonce: u8) -> PreSharedKeyId {
    let psk = Psk::External { psk_id: name.as_bytes().to_vec() };
    PreSharedKeyId { psk, psk_nonce: vec![nonce; SUITE.kdf().length()] }
}

pub(super) fn psk(name: &str, nonce: u8) -> Proposal {
    Proposal::Psk(Box::new(PreSharedKey { psk: psk_id(name, nonce) }))
}

pub(super) fn reinit() -> Proposal {
    Proposal::ReInit(Box::new(ReInit {
        group_id: b"next".to_vec(),
        version: ProtocolVersion::MLS10,
        cipher_suite: SUITE.id(),
        extensions: Extensions::new(),
    }))
}

pub(super) fn gce(extensions: Extensions) -> Proposal {
    Proposal::GroupContextExtensions(GroupContextExtensions { extensions })
}

pub(super) fn external_init() -> Proposal {
    Proposal::ExternalInit(ExternalInit { kem_output: vec![1; KEY_LENGTH] })
}

pub(super) fn custom(proposal_type: ProposalType) -> Proposal {
    Proposal::Custom { proposal_type, data: vec![1] }
}

pub(super) fn expired(proposal: Proposal) -> Proposal {
    let Proposal::Add(mut add) = proposal else { panic!("not an add") };
    let lifetime = Lifetime { not_before: 0, not_after: NOW.0 - 1 };
    add.key_package.leaf_node.leaf_node_source = LeafNodeSource::KeyPackage(lifetime);
    Proposal::Add(add)
}
