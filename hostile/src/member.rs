//! A member that knows all a member knows, follows what honest ones do, and makes whatever it likes.

use std::collections::BTreeMap;

use hushwood::commit::{Commit, ProposalOrRef};
use hushwood::credential::{Credential, CredentialType};
use hushwood::extension::{ExtensionType, Extensions};
use hushwood::framing::{
    AuthenticatedContent, Content, FramedContent, FramedContentAuthData, MlsMessage, PrivateMessage, Sender,
    SenderData, WireFormat,
};
use hushwood::key_package::KeyPackage;
use hushwood::proposal::{Proposal, ProposalType};
use hushwood::schedule::{GroupContext, PreSharedKeyId, Psk};
use hushwood::tree::{
    Capabilities, LeafIndex, LeafNode, LeafNodeSource, Lifetime, Node, ParentNode, UpdatePath, UpdatePathNode,
};
use hushwood::unverified::Unverified;
use hushwood::version::ProtocolVersion;
use hushwood::welcome::{GroupInfo, GroupSecrets};
use hushwood_codec::{Decode, Encode};
use hushwood_crypto::{HpkePublicKey, SignaturePublicKey};
use test_support::actor::NOW;
use test_support::random::SeededRandom;

use crate::at::{At, PathNode, Tamper, nothing};
use crate::literal::crypto::{
    Key, Suite, decrypt, derive, encrypt, external_init, external_init_received, open, reference, sign,
    written,
};
use crate::literal::framing::{
    Sealing, bytes, confirmed_hash, context_bytes, interim_hash, membership_tag, private_content,
    proposal_ref, public, tbs,
};
use crate::literal::schedule::{Epoch, intermediate_secret, joiner_secret, psk_secret, welcome_keys};
use crate::literal::tree::{Tree, leaves_below};

/// An extension and a proposal type of the application, which every client here supports.
pub const KNOWN_EXTENSION: ExtensionType = ExtensionType(0xF001);
/// See [`KNOWN_EXTENSION`].
pub const KNOWN_PROPOSAL: ProposalType = ProposalType(0xF002);

/// The leaf's number as the library's type.
pub fn index(leaf: usize) -> LeafIndex {
    LeafIndex::new(u32::try_from(leaf).expect("a leaf"))
}

fn place(leaf: LeafIndex) -> usize {
    usize::try_from(leaf.number()).expect("a leaf")
}

/// A client with its keys, in no group yet.
#[derive(Clone)]
pub struct Client {
    /// Its suite.
    pub suite: Suite,
    /// The identity in its basic credential.
    pub name: String,
    /// The key that signs.
    pub signer: Key,
    /// The key of the leaf in its KeyPackage.
    pub leaf_key: Key,
    /// The KeyPackage's init key.
    pub init_key: Key,
    /// External pre-shared keys that it has.
    pub psks: BTreeMap<Vec<u8>, Vec<u8>>,
}

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

impl Client {
    /// With fresh keys.
    pub fn new(suite: Suite, name: &str, random: &mut SeededRandom) -> Self {
        Self {
            suite,
            name: name.to_owned(),
            signer: Key::signature(suite, random),
            leaf_key: Key::hpke(suite, random),
            init_key: Key::hpke(suite, random),
            psks: BTreeMap::new(),
        }
    }

    /// Its leaf before it is signed.
    pub fn leaf(&self, key: &Key, source: LeafNodeSource) -> LeafNode {
        LeafNode {
            encryption_key: key.hpke_public(),
            signature_key: self.signer.signature_public(),
            credential: Credential::basic(self.name.as_bytes()),
            capabilities: Capabilities {
                versions: vec![ProtocolVersion::MLS10],
                cipher_suites: vec![self.suite.id()],
                extensions: vec![ExtensionType::LAST_RESORT_KEY_PACKAGE, KNOWN_EXTENSION],
                proposals: vec![KNOWN_PROPOSAL],
                credentials: vec![CredentialType::BASIC],
            },
            leaf_node_source: source,
            extensions: Extensions::new(),
            signature: Vec::new(),
        }
    }

    /// Signs a leaf for a place in a group (§7.2).
    pub fn sign_leaf(&self, leaf: &mut LeafNode, at: (&[u8], usize), tamper: Tamper<'_>) {
        tamper(At::Leaf(leaf));
        let (mut group_id, mut number) = (at.0.to_vec(), index(at.1).number());
        tamper(At::LeafPlace(&mut group_id, &mut number));
        leaf.signature = sign(self.suite, &self.signer, "LeafNodeTBS", &leaf_tbs(leaf, &group_id, number));
        tamper(At::LeafSigned(leaf));
    }

    /// Its KeyPackage (§10).
    pub fn key_package(&self, tamper: Tamper<'_>) -> KeyPackage {
        let lifetime = Lifetime { not_before: NOW.0 - 3600, not_after: NOW.0 + 1_000_000 };
        let mut leaf_node = self.leaf(&self.leaf_key, LeafNodeSource::KeyPackage(lifetime));
        self.sign_leaf(&mut leaf_node, (b"", 0), tamper);
        let mut key_package = KeyPackage {
            version: ProtocolVersion::MLS10,
            cipher_suite: self.suite.id(),
            init_key: self.init_key.hpke_public(),
            leaf_node,
            extensions: Extensions::new(),
            signature: Vec::new(),
        };
        tamper(At::KeyPackage(&mut key_package));
        self.sign_key_package(&mut key_package);
        tamper(At::KeyPackageSigned(&mut key_package));
        key_package
    }

    /// Signs a KeyPackage.
    pub fn sign_key_package(&self, key_package: &mut KeyPackage) {
        let tbs = written(|w| {
            w.value(&key_package.version).value(&key_package.cipher_suite).value(&key_package.init_key);
            w.value(&key_package.leaf_node).value(&key_package.extensions);
        });
        key_package.signature = sign(self.suite, &self.signer, "KeyPackageTBS", &tbs);
    }

    /// A KeyPackage as it is handed out.
    pub fn key_package_message(&self, tamper: Tamper<'_>) -> Vec<u8> {
        let key_package = self.key_package(tamper);
        let mut message = bytes(&MlsMessage::KeyPackage(Box::new(Unverified::new(key_package))));
        tamper(At::Message(&mut message));
        message
    }

    /// A group of its own (§11).
    pub fn create(&self, group_id: &[u8], random: &mut SeededRandom) -> Member {
        let suite = self.suite;
        let mut leaf = self.leaf(
            &self.leaf_key,
            LeafNodeSource::KeyPackage(Lifetime { not_before: 0, not_after: u64::MAX }),
        );
        let lifetime = Lifetime { not_before: NOW.0 - 3600, not_after: NOW.0 + 1_000_000 };
        leaf.leaf_node_source = LeafNodeSource::KeyPackage(lifetime);
        self.sign_leaf(&mut leaf, (b"", 0), &mut nothing);
        let tree = Tree { nodes: vec![Some(Node::Leaf(leaf))] };
        let context = GroupContext {
            version: ProtocolVersion::MLS10,
            cipher_suite: suite.id(),
            group_id: group_id.to_vec(),
            epoch: 0,
            tree_hash: tree.root_hash(suite),
            confirmed_transcript_hash: Vec::new(),
            extensions: Extensions::new(),
        };
        let epoch = Epoch::of(suite, &random.bytes(suite.kdf().length()));
        let confirmation_tag = epoch.tag(suite, b"");
        Member {
            client: self.clone(),
            leaf: 0,
            context,
            tree,
            private: BTreeMap::from([(0, self.leaf_key.clone())]),
            interim: interim_hash(suite, b"", &confirmation_tag),
            confirmation_tag,
            resumption: BTreeMap::from([(0, epoch.resumption.clone())]),
            external_pub: epoch.external_key(suite).hpke_public(),
            epoch,
            proposals: BTreeMap::new(),
        }
    }

    /// Joins by a Welcome (§12.4.3.1), if it is for this client's KeyPackage. Nothing in it is checked but that it fits.
    pub fn join(&self, welcome: &[u8]) -> Option<Member> {
        let suite = self.suite;
        let MlsMessage::Welcome(welcome) = MlsMessage::from_bytes(welcome).ok()? else { return None };
        let key_package = bytes(&self.key_package(&mut nothing));
        let ours = reference(suite, "MLS 1.0 KeyPackage Reference", &key_package);
        let entry = welcome.secrets.iter().find(|entry| entry.new_member.0 == ours)?;
        let (context, sealed) = (&welcome.encrypted_group_info, &entry.encrypted_group_secrets);
        let secrets = decrypt(suite, (&self.init_key.private, "Welcome", context), sealed)?;
        let secrets = GroupSecrets::from_bytes(&secrets).ok()?;
        let psks = secrets.psks.iter().map(|id| Some((id.clone(), self.psk(&id.psk)?)));
        let psk = psk_secret(suite, &psks.collect::<Option<Vec<_>>>()?);
        let intermediate = intermediate_secret(suite, secrets.joiner_secret.expose(), &psk);
        let (key, nonce) = welcome_keys(suite, &intermediate);
        let info = open(suite, (&key, &nonce), b"", &welcome.encrypted_group_info)?;
        let info = GroupInfo::from_bytes(&info).ok()?;
        let tree = Tree::from_extension(&info.extensions.get(ExtensionType::RATCHET_TREE)?.extension_data);
        let own = self.signer.signature_public();
        let is_own = |leaf: &usize| tree.leaf(*leaf).is_some_and(|node| node.signature_key == own);
        let leaf = tree.members().into_iter().find(is_own)?;

        let mut private = BTreeMap::from([(2 * leaf, self.leaf_key.clone())]);
        if let Some(path_secret) = &secrets.path_secret {
            let signer = place(info.signer);
            let mut path = tree.direct_path(2 * leaf);
            path.retain(|node| leaves_below(*node).contains(&signer) && tree.parent_node(*node).is_some());
            learn(suite, &mut private, &path, path_secret.expose());
        }
        let context = info.group_context;
        let epoch = Epoch::after(suite, &intermediate, &context_bytes(&context));
        // The honest side's tag is what this side computes: both read the key schedule in one way.
        assert_eq!(epoch.tag(suite, &context.confirmed_transcript_hash), info.confirmation_tag);
        assert_eq!(tree.root_hash(suite), context.tree_hash);
        Some(Member {
            client: self.clone(),
            leaf,
            interim: interim_hash(suite, &context.confirmed_transcript_hash, &info.confirmation_tag),
            confirmation_tag: info.confirmation_tag,
            resumption: BTreeMap::from([(context.epoch, epoch.resumption.clone())]),
            context,
            tree,
            private,
            external_pub: epoch.external_key(suite).hpke_public(),
            epoch,
            proposals: BTreeMap::new(),
        })
    }

    fn psk(&self, psk: &Psk) -> Option<Vec<u8>> {
        match psk {
            Psk::External { psk_id } => self.psks.get(psk_id).cloned(),
            Psk::Resumption { .. } => None,
        }
    }

    /// Whoever joins by an external commit, as it sees the group before: it has no secrets of the epoch (§12.4.3.2).
    pub fn outside(&self, group_info: &[u8]) -> Member {
        let Ok(MlsMessage::GroupInfo(info)) = MlsMessage::from_bytes(group_info) else {
            panic!("no GroupInfo")
        };
        let info = info.inspect().clone();
        let data = &info.extensions.get(ExtensionType::RATCHET_TREE).expect("a tree").extension_data;
        let external_pub = info.extensions.external_pub().expect("it is well formed").expect("it is there");
        Member {
            external_pub,
            client: self.clone(),
            leaf: 0,
            interim: interim_hash(
                self.suite,
                &info.group_context.confirmed_transcript_hash,
                &info.confirmation_tag,
            ),
            context: info.group_context,
            tree: Tree::from_extension(data),
            private: BTreeMap::new(),
            epoch: Epoch::default(),
            confirmation_tag: info.confirmation_tag,
            proposals: BTreeMap::new(),
            resumption: BTreeMap::new(),
        }
    }
}

/// `LeafNodeTBS` (§7.2).
pub fn leaf_tbs(leaf: &LeafNode, group_id: &[u8], number: u32) -> Vec<u8> {
    written(|w| {
        w.value(&leaf.encryption_key).value(&leaf.signature_key).value(&leaf.credential);
        w.value(&leaf.capabilities).value(&leaf.leaf_node_source).value(&leaf.extensions);
        if !matches!(leaf.leaf_node_source, LeafNodeSource::KeyPackage(_)) {
            w.opaque(group_id).value(&number);
        }
    })
}

/// Takes the keys of these nodes, the first of which has this path secret (§7.4).
fn learn(suite: Suite, private: &mut BTreeMap<usize, Key>, path: &[usize], secret: &[u8]) -> Vec<u8> {
    let mut secret = secret.to_vec();
    for node in path {
        private.insert(*node, Key::derived(suite, &derive(suite, &secret, "node")));
        secret = derive(suite, &secret, "path");
    }
    secret
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
    fn suite(&self) -> Suite {
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

    /// Signs content as whoever `sender` is (§6.1).
    pub fn signed(
        &self,
        sender: Sender,
        content: Content,
        wire_format: WireFormat,
        tamper: Tamper<'_>,
    ) -> AuthenticatedContent {
        let mut content = FramedContent {
            group_id: self.context.group_id.clone(),
            epoch: self.context.epoch,
            sender,
            authenticated_data: Vec::new(),
            content,
        };
        tamper(At::Content(&mut content));
        let mut context = context_bytes(&self.context);
        tamper(At::Tbs(&mut context));
        let mut signer = self.client.signer.clone();
        tamper(At::Signer(&mut signer));
        let tbs = tbs(wire_format, &content, &context);
        let mut signature = sign(self.suite(), &signer, "FramedContentTBS", &tbs);
        tamper(At::Reframe(&content, &mut signature));
        let mut auth = FramedContentAuthData { signature, confirmation_tag: None };
        tamper(At::Auth(&mut auth));
        AuthenticatedContent { wire_format, content, auth }
    }

    /// Tags or encrypts a signed message, as its wire format says, and encodes it.
    pub fn protected(
        &self,
        mut message: AuthenticatedContent,
        generation: u32,
        random: &mut SeededRandom,
        tamper: Tamper<'_>,
    ) -> Vec<u8> {
        tamper(At::Authenticated(&mut message));
        let mut encoded = if message.wire_format == WireFormat::PRIVATE_MESSAGE {
            let private = self.encrypted(&message, generation, random, tamper);
            bytes(&MlsMessage::PrivateMessage(private))
        } else {
            let context = context_bytes(&self.context);
            let tag = match message.content.sender {
                Sender::Member(_) => {
                    Some(membership_tag(self.suite(), &self.epoch.membership, &message, &context))
                }
                _ => None,
            };
            let mut tag = tag;
            tamper(At::MembershipTag(&mut tag));
            public(message, tag)
        };
        tamper(At::Message(&mut encoded));
        encoded
    }

    fn encrypted(
        &self,
        message: &AuthenticatedContent,
        generation: u32,
        random: &mut SeededRandom,
        tamper: Tamper<'_>,
    ) -> PrivateMessage {
        let content = &message.content;
        let mut private = PrivateMessage {
            group_id: content.group_id.clone(),
            epoch: content.epoch,
            content_type: content.content.content_type(),
            authenticated_data: content.authenticated_data.clone(),
            encrypted_sender_data: Vec::new(),
            ciphertext: Vec::new(),
        };
        tamper(At::Private(&mut private));
        let mut plain = private_content(&content.content, &message.auth);
        plain.resize(plain.len() + 7, 0);
        tamper(At::Plain(&mut plain));
        let reuse_guard = random.bytes(4).try_into().expect("four bytes");
        let mut data = SenderData { leaf_index: index(self.leaf), generation, reuse_guard };
        tamper(At::SenderData(&mut data));
        let width = self.tree.width();
        // Keys of leaves and generations that there are not are some others.
        let leaf = usize::try_from(data.leaf_index.number()).expect("a number") % width;
        let generation = data.generation.min(5000);
        let sealing = Sealing { suite: self.suite(), epoch: &self.epoch, width, leaf, generation };
        private.ciphertext = sealing.content(&private, &plain, data.reuse_guard);
        private.encrypted_sender_data = sealing.sender_data(&private, &data);
        tamper(At::PrivateSealed(&mut private));
        private
    }

    /// A message of this member with any content.
    pub fn send(
        &self,
        content: Content,
        (wire_format, generation): (WireFormat, u32),
        random: &mut SeededRandom,
        tamper: Tamper<'_>,
    ) -> Vec<u8> {
        let signed = self.signed(Sender::Member(index(self.leaf)), content, wire_format, tamper);
        self.protected(signed, generation, random, tamper)
    }

    /// A message of somebody who is no member of this epoch, signed by `key`.
    pub fn send_as(
        &self,
        (sender, key): (Sender, &Key),
        content: Content,
        random: &mut SeededRandom,
        tamper: Tamper<'_>,
    ) -> Vec<u8> {
        let mut message = self.signed(sender, content, WireFormat::PUBLIC_MESSAGE, tamper);
        let context = context_bytes(&self.context);
        let tbs = tbs(message.wire_format, &message.content, &context);
        message.auth.signature = sign(self.suite(), key, "FramedContentTBS", &tbs);
        tamper(At::Auth(&mut message.auth));
        self.protected(message, 0, random, tamper)
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
