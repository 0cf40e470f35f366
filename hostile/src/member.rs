//! A member that knows all a member knows, follows what honest ones do, and commits whatever it likes.

use std::collections::BTreeMap;

use hushwood::commit::{Commit, ProposalOrRef};
use hushwood::extension::Extensions;
use hushwood::framing::{AuthenticatedContent, Content, MlsMessage, Sender, WireFormat};
use hushwood::key_package::KeyPackage;
use hushwood::proposal::Proposal;
use hushwood::schedule::{GroupContext, PreSharedKeyId, Psk};
use hushwood::tree::{LeafNode, LeafNodeSource, Node, ParentNode, UpdatePath, UpdatePathNode};
use hushwood_codec::{Decode, Encode};
use hushwood_crypto::{HpkePublicKey, SignaturePublicKey};
use test_support::random::SeededRandom;

use crate::at::{At, PathNode, Tamper};
pub use crate::client::{Client, KNOWN_EXTENSION, KNOWN_PROPOSAL, index, leaf_tbs};
use crate::client::{learn, place};
use crate::literal::crypto::{Key, Suite, decrypt, derive, encrypt, external_init, external_init_received};
use crate::literal::framing::{confirmed_hash, context_bytes, interim_hash, proposal_ref};
use crate::literal::schedule::{Epoch, intermediate_secret, joiner_secret, psk_secret};
use crate::literal::tree::{Tree, leaves_below};

/// A member of a group, in one epoch.
#[derive(Clone)]
pub struct Member {
    /// Who it is.
    pub client: Client,
    /// Its leaf.
    pub leaf: usize,
    /// The group context.
    pub context: GroupContext,
    /// The tree.
    pub tree: Tree,
    /// The private keys that it has, by node.
    pub private: BTreeMap<usize, Key>,
    /// The secrets of the epoch.
    pub epoch: Epoch,
    /// The key for those who come from outside.
    pub external_pub: HpkePublicKey,
    /// The interim transcript hash.
    pub interim: Vec<u8>,
    /// The confirmation tag of the commit that began the epoch.
    pub confirmation_tag: Vec<u8>,
    /// The proposals of the epoch, by reference.
    pub proposals: BTreeMap<Vec<u8>, (Proposal, Sender)>,
    /// The resumption keys of this group.
    pub resumption: BTreeMap<u64, Vec<u8>>,
}

/// What is sent, and how.
#[derive(Clone)]
pub struct Plan {
    /// What the commit covers.
    pub proposals: Vec<ProposalOrRef>,
    /// Whether it has a path.
    pub path: bool,
    /// Whether the message is encrypted.
    pub encrypt: bool,
    /// The generation of the sender's handshake ratchet, if it is.
    pub generation: u32,
}

impl Plan {
    /// A commit in the open, with a path, of these proposals by value.
    pub fn of(proposals: Vec<Proposal>) -> Self {
        let proposals = proposals.into_iter().map(ProposalOrRef::Proposal).collect();
        Self { proposals, path: true, encrypt: false, generation: 0 }
    }
}

/// A commit that was made, and what follows from it.
pub struct Made {
    /// The message.
    pub message: Vec<u8>,
    /// The committer in the next epoch.
    pub next: Member,
    /// What the next epoch's secrets came from.
    pub joiner: Vec<u8>,
    /// The PSK secret.
    pub psk: Vec<u8>,
    /// The pre-shared keys, in their order.
    pub psks: Vec<PreSharedKeyId>,
    /// The nodes of the path.
    pub path: Vec<PathNode>,
    /// Who was added, and where.
    pub added: Vec<(usize, KeyPackage)>,
}

/// What a list of proposals has done.
struct Applied {
    tree: Tree,
    extensions: Extensions,
    added: Vec<(usize, KeyPackage)>,
    psks: Vec<PreSharedKeyId>,
    external_init: Option<Vec<u8>>,
}

impl Member {
    pub(crate) fn suite(&self) -> Suite {
        self.client.suite
    }

    /// §12.3, in its order, whatever the list says.
    fn apply(&self, proposals: &[ProposalOrRef], committer: Sender) -> Applied {
        let resolved: Vec<_> = proposals
            .iter()
            .filter_map(|proposal| match proposal {
                ProposalOrRef::Proposal(proposal) => Some((proposal.clone(), committer)),
                ProposalOrRef::Reference(reference) => self.proposals.get(&reference.0).cloned(),
            })
            .collect();
        let mut applied = Applied {
            tree: self.tree.clone(),
            extensions: self.context.extensions.clone(),
            added: Vec::new(),
            psks: Vec::new(),
            external_init: None,
        };
        for (proposal, sender) in &resolved {
            match (proposal, sender) {
                (Proposal::GroupContextExtensions(new), _) => applied.extensions = new.extensions.clone(),
                (Proposal::Update(update), Sender::Member(leaf)) => {
                    applied.tree.update(place(*leaf), update.leaf_node.clone());
                }
                _ => {}
            }
        }
        for (proposal, _) in &resolved {
            if let Proposal::Remove(remove) = proposal {
                applied.tree.remove(usize::try_from(remove.removed.number()).expect("a number"));
            }
        }
        for (proposal, _) in resolved {
            match proposal {
                Proposal::Add(add) => {
                    let place = applied.tree.add(add.key_package.leaf_node.clone());
                    applied.added.push((place, add.key_package));
                }
                Proposal::Psk(psk) => applied.psks.push(psk.psk),
                Proposal::ExternalInit(init) => applied.external_init = Some(init.kem_output),
                _ => {}
            }
        }
        applied
    }

    fn psk_secret(&self, psks: &[PreSharedKeyId]) -> Vec<u8> {
        let keys = psks.iter().map(|id| {
            let own = match &id.psk {
                Psk::Resumption { psk_epoch, .. } => self.resumption.get(psk_epoch).cloned(),
                Psk::External { .. } => self.client.psk(&id.psk),
            };
            (id.clone(), own.unwrap_or_else(|| vec![0; 32]))
        });
        psk_secret(self.suite(), &keys.collect::<Vec<_>>())
    }

    /// Makes a commit (§12.4.1).
    pub fn commit(&self, plan: &Plan, random: &mut SeededRandom, tamper: Tamper<'_>) -> Made {
        self.commit_by(Sender::Member(index(self.leaf)), (plan, None), random, tamper)
    }

    /// Makes an external commit (§12.4.3.2), for a member that [`Client::outside`] has given. The ExternalInit comes first.
    pub fn external_commit(&self, plan: &Plan, random: &mut SeededRandom, tamper: Tamper<'_>) -> Made {
        let external_pub = self.external_pub.clone();
        let (kem_output, init) = external_init(self.suite(), &external_pub, random);
        let mut plan = plan.clone();
        let proposal = Proposal::ExternalInit(hushwood::proposal::ExternalInit { kem_output });
        plan.proposals.insert(0, ProposalOrRef::Proposal(proposal));
        self.commit_by(Sender::NewMemberCommit, (&plan, Some(init)), random, tamper)
    }

    fn commit_by(
        &self,
        sender: Sender,
        (plan, init): (&Plan, Option<Vec<u8>>),
        random: &mut SeededRandom,
        tamper: Tamper<'_>,
    ) -> Made {
        let suite = self.suite();
        let mut proposals = plan.proposals.clone();
        tamper(At::Proposals(&mut proposals));
        let Applied { mut tree, extensions, added, psks, .. } = self.apply(&proposals, sender);
        tamper(At::Applied(&mut tree));

        let mut context = self.context.clone();
        context.epoch = context.epoch.wrapping_add(1);
        context.extensions = extensions;
        let mut private = self.private.clone();
        let mut leaf = self.leaf;
        let mut update_path = None;
        let mut path = Vec::new();
        let mut commit_secret = vec![0; suite.kdf().length()];
        if plan.path {
            // §7.5: the leaf that is replaced, or the one that is new.
            let old = match sender {
                Sender::Member(_) => self.tree.leaf(self.leaf).cloned(),
                _ => None,
            };
            let mut leaf_key = Key::hpke(suite, random);
            let new = self.client.leaf(&leaf_key, LeafNodeSource::Update);
            if old.is_none() {
                leaf = tree.add(new.clone());
            }
            // Where the committer has removed itself, its place may be gone.
            while tree.nodes.len() <= 2 * leaf {
                tree.nodes.resize(2 * tree.nodes.len() + 1, None);
            }
            tree.blank_path(leaf);
            tree.nodes[2 * leaf] = Some(Node::Leaf(new.clone()));
            let filtered = tree.filtered_path(leaf);
            let mut secret = random.bytes(suite.kdf().length());
            for node in &filtered {
                let key = Key::derived(suite, &derive(suite, &secret, "node"));
                path.push(PathNode { node: *node, secret: secret.clone(), key });
                secret = derive(suite, &secret, "path");
            }
            commit_secret = secret;
            tamper(At::Path(&mut leaf_key, &mut path));
            // §7.5, §7.9: the path in the tree, its parent hashes, and the leaf that has the last of them.
            for PathNode { node, key, .. } in &path {
                tree.nodes[*node] = Some(Node::Parent(ParentNode {
                    encryption_key: key.hpke_public(),
                    parent_hash: Vec::new(),
                    unmerged_leaves: Vec::new(),
                }));
            }
            let mut leaf_node = LeafNode { encryption_key: leaf_key.hpke_public(), ..new };
            tree.nodes[2 * leaf] = Some(Node::Leaf(leaf_node.clone()));
            let nodes: Vec<_> = path.iter().map(|node| node.node).collect();
            let parent_hash = tree.write_parent_hashes(suite, leaf, &nodes);
            leaf_node.leaf_node_source = LeafNodeSource::Commit { parent_hash };
            self.client.sign_leaf(&mut leaf_node, (&self.context.group_id, leaf), tamper);
            tree.nodes[2 * leaf] = Some(Node::Leaf(leaf_node.clone()));
            tamper(At::Tree(&mut tree));
            context.tree_hash = tree.root_hash(suite);

            // §7.6: to whom each path secret goes.
            let mut provisional = context.clone();
            tamper(At::Provisional(&mut provisional));
            let provisional = context_bytes(&provisional);
            let new: Vec<_> = added.iter().map(|(place, _)| 2 * place).collect();
            let mut nodes = Vec::new();
            for (step, PathNode { node, secret, key }) in path.iter().enumerate() {
                let mut recipients = tree.resolution(Tree::other_child(*node, 2 * leaf));
                recipients.retain(|recipient| !new.contains(recipient));
                let sealed = recipients.iter().enumerate().map(|(turn, recipient)| {
                    let mut secret = secret.clone();
                    tamper(At::PathSecret(step, turn, &mut secret));
                    let key = match &tree.nodes[*recipient] {
                        Some(Node::Leaf(leaf)) => &leaf.encryption_key,
                        Some(Node::Parent(parent)) => &parent.encryption_key,
                        None => panic!("a blank node in a resolution"),
                    };
                    encrypt(suite, (key, "UpdatePathNode", &provisional), &secret, random)
                });
                let encrypted_path_secret = sealed.collect();
                nodes.push(UpdatePathNode { encryption_key: key.hpke_public(), encrypted_path_secret });
            }
            let mut sent = UpdatePath { leaf_node, nodes };
            tamper(At::UpdatePath(&mut sent));
            update_path = Some(sent);
            for above in tree.direct_path(2 * leaf) {
                private.remove(&above);
            }
            private.insert(2 * leaf, leaf_key);
            private.extend(path.iter().map(|node| (node.node, node.key.clone())));
        } else {
            tamper(At::Tree(&mut tree));
            context.tree_hash = tree.root_hash(suite);
        }

        // §12.4.1: signed under the old context; the new one has the new transcript.
        tamper(At::Sent(&mut proposals));
        let commit = Content::Commit(Box::new(Commit { proposals, path: update_path }));
        let wire_format = if plan.encrypt { WireFormat::PRIVATE_MESSAGE } else { WireFormat::PUBLIC_MESSAGE };
        let mut message = self.signed(sender, commit, wire_format, tamper);
        context.confirmed_transcript_hash = confirmed_hash(suite, &self.interim, &message);
        tamper(At::Next(&mut context));
        let psk = self.psk_secret(&psks);
        let init = init.unwrap_or_else(|| self.epoch.init.clone());
        let (mut init, mut commit_secret, mut psk) = (init, commit_secret, psk);
        tamper(At::Inputs(&mut init, &mut commit_secret, &mut psk));
        let context_encoded = context_bytes(&context);
        let joiner = joiner_secret(suite, &init, &commit_secret, &context_encoded);
        let epoch = Epoch::after(suite, &intermediate_secret(suite, &joiner, &psk), &context_encoded);
        let confirmation_tag = epoch.tag(suite, &context.confirmed_transcript_hash);
        message.auth.confirmation_tag = Some(confirmation_tag.clone());
        tamper(At::ConfirmationTag(&mut message.auth.confirmation_tag));
        let message = self.protected(message, plan.generation, random, tamper);

        private.retain(|node, _| *node < tree.nodes.len() && tree.nodes[*node].is_some());
        let mut resumption = self.resumption.clone();
        resumption.insert(context.epoch, epoch.resumption.clone());
        let next = Self {
            client: self.client.clone(),
            leaf,
            interim: interim_hash(suite, &context.confirmed_transcript_hash, &confirmation_tag),
            external_pub: epoch.external_key(suite).hpke_public(),
            confirmation_tag,
            context,
            tree,
            private,
            epoch,
            proposals: BTreeMap::new(),
            resumption,
        };
        Made { message, next, joiner, psk, psks, path, added }
    }

    /// Follows what somebody has sent in the open: a proposal is kept, a commit leads to the next epoch (§12.4.2).
    pub fn follow(&mut self, message: &[u8]) {
        let Ok(MlsMessage::PublicMessage(message)) = MlsMessage::from_bytes(message) else {
            panic!("not a PublicMessage");
        };
        let hushwood::framing::PublicMessage { content, auth, .. } = *message;
        let message = AuthenticatedContent { wire_format: WireFormat::PUBLIC_MESSAGE, content, auth };
        match message.content.content.clone() {
            Content::Proposal(proposal) => {
                let reference = proposal_ref(self.suite(), &message);
                self.proposals.insert(reference, (proposal, message.content.sender));
            }
            Content::Commit(commit) => self.follow_commit(&message, &commit),
            Content::Application(_) => panic!("application data in the open"),
        }
    }

    fn follow_commit(&mut self, message: &AuthenticatedContent, commit: &Commit) {
        let suite = self.suite();
        let sender = message.content.sender;
        let Applied { mut tree, extensions, added, psks, external_init } =
            self.apply(&commit.proposals, sender);
        let mut context = self.context.clone();
        context.epoch += 1;
        context.extensions = extensions;
        let mut commit_secret = vec![0; suite.kdf().length()];
        if let Some(path) = &commit.path {
            let committer = match sender {
                Sender::Member(leaf) => place(leaf),
                _ => tree.add(path.leaf_node.clone()),
            };
            tree.blank_path(committer);
            let filtered = tree.filtered_path(committer);
            for (node, sent) in filtered.iter().zip(&path.nodes) {
                tree.nodes[*node] = Some(Node::Parent(ParentNode {
                    encryption_key: sent.encryption_key.clone(),
                    parent_hash: Vec::new(),
                    unmerged_leaves: Vec::new(),
                }));
            }
            tree.nodes[2 * committer] = Some(Node::Leaf(path.leaf_node.clone()));
            let computed = tree.write_parent_hashes(suite, committer, &filtered);
            assert_eq!(path.leaf_node.leaf_node_source, LeafNodeSource::Commit { parent_hash: computed });
            tree.nodes[2 * committer] = Some(Node::Leaf(path.leaf_node.clone()));
            context.tree_hash = tree.root_hash(suite);
            let provisional = context_bytes(&context);
            let new: Vec<_> = added.iter().map(|(place, _)| 2 * place).collect();
            let above = |node: &usize| leaves_below(*node).contains(&self.leaf);
            let common = filtered.iter().position(&above).expect("a common ancestor");
            let copath = Tree::other_child(filtered[common], 2 * committer);
            let mut recipients = tree.resolution(copath);
            recipients.retain(|recipient| !new.contains(recipient));
            let opened = recipients.iter().zip(&path.nodes[common].encrypted_path_secret);
            let mut opened = opened.filter_map(|(recipient, sealed)| {
                let key = self.private.get(recipient).filter(|_| above(recipient))?;
                decrypt(suite, (&key.private, "UpdatePathNode", &provisional), sealed)
            });
            let secret = opened.next().expect("a path secret is for this member");
            for node in tree.direct_path(2 * committer) {
                self.private.remove(&node);
            }
            commit_secret = learn(suite, &mut self.private, &filtered[common..], &secret);
        } else {
            context.tree_hash = tree.root_hash(suite);
        }
        context.confirmed_transcript_hash = confirmed_hash(suite, &self.interim, message);
        let init = external_init.map_or(self.epoch.init.clone(), |kem_output| {
            external_init_received(suite, &self.epoch.external_key(suite), &kem_output)
        });
        let encoded = context_bytes(&context);
        let joiner = joiner_secret(suite, &init, &commit_secret, &encoded);
        let intermediate = intermediate_secret(suite, &joiner, &self.psk_secret(&psks));
        self.epoch = Epoch::after(suite, &intermediate, &encoded);
        let tag = self.epoch.tag(suite, &context.confirmed_transcript_hash);
        assert_eq!(message.auth.confirmation_tag.as_ref(), Some(&tag));
        self.private.retain(|node, _| *node < tree.nodes.len() && tree.nodes[*node].is_some());
        self.interim = interim_hash(suite, &context.confirmed_transcript_hash, &tag);
        self.external_pub = self.epoch.external_key(suite).hpke_public();
        self.resumption.insert(context.epoch, self.epoch.resumption.clone());
        self.confirmation_tag = tag;
        (self.context, self.tree) = (context, tree);
        self.proposals.clear();
    }

    /// The private and public key of a signature that verifies with somebody else's key: none. For the forger of
    /// names only the public one is known.
    pub fn public_key_of(&self, leaf: usize) -> SignaturePublicKey {
        self.tree.leaf(leaf).expect("a member").signature_key.clone()
    }

    /// Its encoded GroupContext.
    pub fn encoded_context(&self) -> Vec<u8> {
        self.context.to_bytes().expect("no vector is too long")
    }
}
