//! A client of the hostile member's kind: its keys, its KeyPackage, and how it comes into groups.

use std::collections::BTreeMap;

use hushwood::credential::{Credential, CredentialType};
use hushwood::extension::{ExtensionType, Extensions};
use hushwood::framing::MlsMessage;
use hushwood::key_package::KeyPackage;
use hushwood::proposal::ProposalType;
use hushwood::schedule::{GroupContext, Psk};
use hushwood::tree::{Capabilities, LeafIndex, LeafNode, LeafNodeSource, Lifetime, Node};
use hushwood::unverified::Unverified;
use hushwood::version::ProtocolVersion;
use hushwood::welcome::{GroupInfo, GroupSecrets};
use hushwood_codec::Decode;
use test_support::actor::NOW;
use test_support::random::SeededRandom;

use crate::at::{At, Tamper, nothing};
use crate::literal::crypto::{Key, Suite, decrypt, derive, open, reference, sign, written};
use crate::literal::framing::{bytes, context_bytes, interim_hash};
use crate::literal::schedule::{Epoch, intermediate_secret, psk_secret, welcome_keys};
use crate::literal::tree::{Tree, leaves_below};
use crate::member::Member;

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

    pub(crate) fn psk(&self, psk: &Psk) -> Option<Vec<u8>> {
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

/// An extension type of the application, which every client of the hostile member's kind supports.
pub const KNOWN_EXTENSION: ExtensionType = ExtensionType(0xF001);
/// A proposal type of the application: see [`KNOWN_EXTENSION`].
pub const KNOWN_PROPOSAL: ProposalType = ProposalType(0xF002);

/// The leaf's number as the library's type.
pub fn index(leaf: usize) -> LeafIndex {
    LeafIndex::new(u32::try_from(leaf).expect("a leaf"))
}

pub(crate) fn place(leaf: LeafIndex) -> usize {
    usize::try_from(leaf.number()).expect("a leaf")
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
pub(crate) fn learn(
    suite: Suite,
    private: &mut BTreeMap<usize, Key>,
    path: &[usize],
    secret: &[u8],
) -> Vec<u8> {
    let mut secret = secret.to_vec();
    for node in path {
        private.insert(*node, Key::derived(suite, &derive(suite, &secret, "node")));
        secret = derive(suite, &secret, "path");
    }
    secret
}
