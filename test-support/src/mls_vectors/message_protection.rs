//! `message-protection.json`: RFC 9420 §6.

use hushwood::commit::{Commit, ProposalOrRef};
use hushwood::error::{Error, Violation};
use hushwood::extension::Extensions;
use hushwood::framing::{
    Authenticated, Content, ContentType, FramedContent, MlsMessage, PrivateMessage, PublicMessage,
    SealingKeys, Sender, Signed, WireFormat,
};
use hushwood::policy::{Padding, Policy};
use hushwood::proposal::{Proposal, Remove};
use hushwood::schedule::{EncryptionSecret, GroupContext, MembershipKey, SenderDataSecret};
use hushwood::secret_tree::SecretTree;
use hushwood::tree::LeafIndex;
use hushwood::version::ProtocolVersion;
use hushwood_codec::{Decode, Encode};
use hushwood_crypto::{
    CipherSuite, CryptoProvider, HashReference, Secret, SignaturePrivateKey, SignaturePublicKey, Signer,
    SoftwareSigner,
};
use serde::{Deserialize, Serialize};

use super::{Checks, Generator, Hex};
use crate::random::SeededRandom;
use crate::table::Row;

#[derive(Default, Deserialize, Serialize)]
struct Vector {
    cipher_suite: u16,
    group_id: Hex,
    epoch: u64,
    tree_hash: Hex,
    confirmed_transcript_hash: Hex,
    signature_priv: Hex,
    signature_pub: Hex,
    encryption_secret: Hex,
    sender_data_secret: Hex,
    membership_key: Hex,
    proposal: Hex,
    proposal_pub: Hex,
    proposal_priv: Hex,
    commit: Hex,
    commit_pub: Hex,
    commit_priv: Hex,
    application: Hex,
    application_priv: Hex,
}

const SENDER: LeafIndex = LeafIndex::new(1);

/// Runs the file.
#[must_use]
pub fn run(provider: &CryptoProvider, json: &str) -> Row {
    let case = |vector: &Vector, suite: &'static dyn CipherSuite, checks: &mut Checks<'_>| {
        let group = Group::new(vector, suite);
        let proposal = Content::Proposal(Decode::from_bytes(&vector.proposal.0).unwrap());
        let commit = Content::Commit(Decode::from_bytes(&vector.commit.0).unwrap());
        let application = Content::Application(vector.application.0.clone());

        for (content, public) in [(&proposal, &vector.proposal_pub), (&commit, &vector.commit_pub)] {
            let MlsMessage::PublicMessage(message) = MlsMessage::from_bytes(&public.0).unwrap() else {
                return checks.good("PublicMessage", false);
            };
            checks.good("public message", group.opens_to(group.open_public(*message), content));
            let ours = group.protect_public(content.clone()).unwrap();
            checks.good("our public message", group.opens_to(group.open_public(ours), content));
        }
        let refused = group.protect_public(application.clone()).err();
        checks.good(
            "public application",
            refused == Some(Error::Violation(Violation::ApplicationInPublicMessage)),
        );

        for (content, private) in [
            (&proposal, &vector.proposal_priv),
            (&commit, &vector.commit_priv),
            (&application, &vector.application_priv),
        ] {
            let MlsMessage::PrivateMessage(message) = MlsMessage::from_bytes(&private.0).unwrap() else {
                return checks.good("PrivateMessage", false);
            };
            checks.good("private message", group.opens_to(group.open_private(message), content));
            for padding in [Padding::None, Padding::Block(256), Padding::Padme] {
                let random = &mut SeededRandom::new(7);
                let ours = group.protect_private(content.clone(), padding, random).unwrap();
                checks.good("our private message", group.opens_to(group.open_private(ours), content));
            }
        }
    };
    super::for_each_suite("message-protection", provider, json, |vector| vector.cipher_suite, case)
}

/// Makes a file.
pub(super) fn generate(generator: &Generator) -> String {
    generator.each_suite("message-protection", |suite, random| vec![Vector::generate(suite, random)])
}

impl Vector {
    fn generate(suite: &'static dyn CipherSuite, random: &mut SeededRandom) -> Self {
        let signer = SoftwareSigner::generate(suite, random).unwrap();
        let mut hash = || Hex(random.bytes(suite.kdf().length()));
        let proposal = Proposal::Remove(Remove { removed: LeafIndex::new(0) });
        let reference = ProposalOrRef::Reference(HashReference(hash().0));
        let proposals = vec![ProposalOrRef::Proposal(proposal.clone()), reference];
        let commit = Commit { proposals, path: None };
        let mut vector = Self {
            cipher_suite: suite.id().0,
            group_id: hash(),
            epoch: 9,
            tree_hash: hash(),
            confirmed_transcript_hash: hash(),
            signature_priv: Hex::of(&signer.private_key().0),
            signature_pub: Hex(signer.public_key().0.clone()),
            encryption_secret: hash(),
            sender_data_secret: hash(),
            membership_key: hash(),
            proposal: Hex(proposal.to_bytes().unwrap()),
            commit: Hex(commit.to_bytes().unwrap()),
            application: hash(),
            ..Self::default()
        };
        let group = Group::new(&vector, suite);
        let public = |content: Content| {
            let message = group.protect_public(content).unwrap();
            Hex(MlsMessage::PublicMessage(Box::new(message)).to_bytes().unwrap())
        };
        let mut private = |content: Content| {
            let message = group.protect_private(content, Padding::Padme, random).unwrap();
            Hex(MlsMessage::PrivateMessage(message).to_bytes().unwrap())
        };
        let (proposal, commit) = (Content::Proposal(proposal), Content::Commit(Box::new(commit)));
        let public = [public(proposal.clone()), public(commit.clone())];
        let application = Content::Application(vector.application.0.clone());
        let private = [private(proposal), private(commit), private(application)];
        [vector.proposal_pub, vector.commit_pub] = public;
        [vector.proposal_priv, vector.commit_priv, vector.application_priv] = private;
        vector
    }
}

/// A group of two, in which the second member sends.
struct Group<'v> {
    suite: &'static dyn CipherSuite,
    vector: &'v Vector,
    group_context: Vec<u8>,
    signer: SoftwareSigner,
    membership_key: MembershipKey,
    sender_data: SenderDataSecret,
}

impl<'v> Group<'v> {
    fn new(vector: &'v Vector, suite: &'static dyn CipherSuite) -> Self {
        let group_context = GroupContext {
            version: ProtocolVersion::MLS10,
            cipher_suite: suite.id(),
            group_id: vector.group_id.0.clone(),
            epoch: vector.epoch,
            tree_hash: vector.tree_hash.0.clone(),
            confirmed_transcript_hash: vector.confirmed_transcript_hash.0.clone(),
            extensions: Extensions::new(),
        };
        // The file writes the scalar of suite 5 without its leading zero.
        let (whole, _) = suite.signature().generate(&mut SeededRandom::new(1)).unwrap();
        let missing = whole.0.len() - vector.signature_priv.0.len();
        let private_key = [vec![0; missing], vector.signature_priv.0.clone()].concat();
        let private_key = SignaturePrivateKey(Secret::new(private_key));
        Self {
            suite,
            vector,
            group_context: group_context.to_bytes().unwrap(),
            signer: SoftwareSigner::new(suite, private_key).unwrap(),
            membership_key: MembershipKey::new(vector.membership_key.secret()),
            sender_data: SenderDataSecret::new(vector.sender_data_secret.secret()),
        }
    }

    fn secret_tree(&self) -> SecretTree {
        let root = EncryptionSecret::new(self.vector.encryption_secret.secret());
        SecretTree::new(self.suite, 2, root).unwrap()
    }

    fn opens_to(&self, opened: Result<Authenticated, Error>, content: &Content) -> bool {
        opened.is_ok_and(|message| {
            message.content().content == *content
                && message.content().sender == Sender::Member(SENDER)
                && message.content().group_id == self.vector.group_id.0
                && message.content().epoch == self.vector.epoch
        })
    }

    fn open_public(&self, message: PublicMessage) -> Result<Authenticated, Error> {
        let key = SignaturePublicKey(self.vector.signature_pub.0.clone());
        let unprotected = message.unprotect(self.suite, &self.membership_key, &self.group_context)?;
        unprotected.verify_signature(self.suite, &key)
    }

    fn open_private(&self, message: PrivateMessage) -> Result<Authenticated, Error> {
        let policy = Policy::default();
        let sender = message.open_sender_data(self.suite, &self.sender_data)?;
        let (leaf, generation) = (sender.leaf_index, sender.generation);
        let (key, _) = self.secret_tree().open_key(leaf, message.content_type, generation, &policy)?;
        let unprotected = message.open(self.suite, sender, key, &self.group_context, policy.decode)?;
        unprotected.verify_signature(self.suite, &SignaturePublicKey(self.vector.signature_pub.0.clone()))
    }

    fn sign(&self, wire_format: WireFormat, content: Content) -> Result<Authenticated, Error> {
        let confirmation_tag = match content.content_type() {
            ContentType::Commit => Some(vec![7; self.suite.kdf().length()]),
            ContentType::Application | ContentType::Proposal => None,
        };
        let content = FramedContent {
            group_id: self.vector.group_id.0.clone(),
            epoch: self.vector.epoch,
            sender: Sender::Member(SENDER),
            authenticated_data: b"seen by all".to_vec(),
            content,
        };
        Signed::sign(&self.signer, wire_format, content, &self.group_context)?.complete(confirmation_tag)
    }

    fn protect_public(&self, content: Content) -> Result<PublicMessage, Error> {
        let signed = self.sign(WireFormat::PUBLIC_MESSAGE, content)?;
        PublicMessage::protect(self.suite, signed, &self.membership_key, &self.group_context)
    }

    fn protect_private(
        &self,
        content: Content,
        padding: Padding,
        random: &mut SeededRandom,
    ) -> Result<PrivateMessage, Error> {
        let signed = self.sign(WireFormat::PRIVATE_MESSAGE, content)?;
        let content_type = signed.content().content.content_type();
        let (generation, message, _) = self.secret_tree().seal_key(SENDER, content_type)?;
        let keys = SealingKeys { sender_data: &self.sender_data, generation, message };
        PrivateMessage::protect(self.suite, &signed, keys, padding, random)
    }
}
