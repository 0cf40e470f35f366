//! Groups and KeyPackages written directly from RFC 9420, the same for every implementation.
//!
//! [`Group`] is a group in which everybody has committed: every parent with members on both sides is populated,
//! nobody is unmerged, all parent hashes and signatures are valid. The key schedule behind it is not known to anybody:
//! who enters by an external commit begins a new one.

use anyhow::{Result, ensure};
use hushwood::credential::{Credential, CredentialType};
use hushwood::extension::{ExtensionType, Extensions};
use hushwood::framing::MlsMessage;
use hushwood::key_package::KeyPackage;
use hushwood::schedule::GroupContext;
use hushwood::tree::{Capabilities, LeafIndex, LeafNode, LeafNodeSource, Lifetime, Node, ParentNode};
use hushwood::unverified::Unverified;
use hushwood::version::ProtocolVersion;
use hushwood::welcome::GroupInfo;
use hushwood_codec::{Encode, Writer};
use hushwood_crypto::{CipherSuite, CipherSuiteId, Digest, Random, SignaturePrivateKey, sign_content};

use test_support::random::SeededRandom;

/// The least number of members of such a group. Smaller ones are grown.
pub const SMALLEST: u32 = 8;

/// A group of `members`, two of whom are not there yet. The leftmost blank leaf is at 1; the next is in the other half
/// of the tree; and the leaf beside that stays blank, for newcomers.
#[derive(Debug)]
pub struct Group {
    /// A GroupInfo with the tree, as an MLSMessage.
    pub group_info: Vec<u8>,
    /// The encoded tree's length.
    pub tree_bytes: usize,
}

impl Group {
    /// Writes the group.
    ///
    /// # Errors
    /// None with a provider that keeps its contract.
    pub fn write(suite: &'static dyn CipherSuite, members: u32) -> Result<Self> {
        ensure!(members >= SMALLEST, "groups of less than {SMALLEST} are grown");
        let width = (members + 1).next_power_of_two();
        // Where the right half would be left without members, in the right half of the left one.
        let from = if members > width / 2 + 1 { width / 2 } else { width / 4 };
        let second = (from + members).div_ceil(2) & !1;
        let mut scribe = Scribe {
            suite,
            random: SeededRandom::new(u64::from(members)),
            blank: [1, second, second + 1],
            end: members + 1,
            nodes: vec![None; width as usize * 2 - 1],
            signer: None,
        };
        let tree_hash = scribe.subtree(width.trailing_zeros(), 0, Vec::new())?.as_bytes().to_vec();
        let last = scribe.nodes.iter().rposition(Option::is_some).unwrap_or(0);
        let mut tree = Writer::new();
        tree.nested(|writer| {
            scribe.nodes[..=last].iter().for_each(|node| {
                writer.value(node);
            })
        });
        let tree = tree.finish()?;
        let tree_bytes = tree.len();
        let group_info = scribe.group_info(tree_hash, tree)?;
        Ok(Self { group_info, tree_bytes })
    }
}

struct Scribe {
    suite: &'static dyn CipherSuite,
    random: SeededRandom,
    blank: [u32; 3],
    end: u32,
    nodes: Vec<Option<Node>>,
    signer: Option<SignaturePrivateKey>,
}

impl Scribe {
    fn has_members(&self, leaves: std::ops::Range<u32>) -> bool {
        (leaves.start..leaves.end.min(self.end)).any(|leaf| !self.blank.contains(&leaf))
    }

    /// Writes a subtree of `2^level` leaves and gives its tree hash (RFC 9420 §7.8). `above` is the parent hash that the
    /// subtree's topmost node holds (§7.9).
    fn subtree(&mut self, level: u32, first: u32, above: Vec<u8>) -> Result<Digest> {
        if level == 0 {
            return self.leaf(first, above);
        }
        let middle = first + (1 << (level - 1));
        let both = self.has_members(first..middle) && self.has_members(middle..middle + (middle - first));
        let (left, right, parent) = if both {
            // The members on the left have committed last: their parent hashes count. Those on the right are of keys
            // that have been replaced.
            let replaced = self.random.bytes(self.suite.hash().length());
            let right = self.subtree(level - 1, middle, replaced)?;
            let encryption_key = self.encryption_key()?;
            let mut input = Writer::new();
            input.value(&encryption_key).opaque(&above).value(&right);
            let hash = self.suite.hash().hash(&[&input.finish()?]);
            let left = self.subtree(level - 1, first, hash.as_bytes().to_vec())?;
            let parent = ParentNode { encryption_key, parent_hash: above, unmerged_leaves: Vec::new() };
            (left, right, Some(parent))
        } else {
            let left = self.subtree(level - 1, first, above.clone())?;
            (left, self.subtree(level - 1, middle, above)?, None)
        };
        let mut input = Writer::new();
        input.raw(&[2]).value(&parent).value(&left).value(&right);
        let at = first as usize * 2 + (1 << level) - 1;
        self.nodes[at] = parent.map(Node::Parent);
        Ok(self.suite.hash().hash(&[&input.finish()?]))
    }

    fn leaf(&mut self, index: u32, parent_hash: Vec<u8>) -> Result<Digest> {
        let leaf = match self.has_members(index..index + 1) {
            true => {
                let (private, leaf) =
                    leaf(self.suite, index, LeafNodeSource::Commit { parent_hash }, &mut self.random)?;
                // Who signs the GroupInfo.
                if index == 0 {
                    self.signer = Some(private);
                }
                Some(leaf)
            }
            false => None,
        };
        let mut input = Writer::new();
        input.raw(&[1]).value(&index).value(&leaf);
        self.nodes[index as usize * 2] = leaf.map(Node::Leaf);
        Ok(self.suite.hash().hash(&[&input.finish()?]))
    }

    fn encryption_key(&mut self) -> Result<hushwood_crypto::HpkePublicKey> {
        let ikm = self.random.bytes(self.suite.kem().private_key_length());
        Ok(self.suite.kem().derive_key_pair(&ikm)?.1)
    }

    /// RFC 9420 §12.4.3, signed by the member at leaf 0.
    fn group_info(mut self, tree_hash: Vec<u8>, tree: Vec<u8>) -> Result<Vec<u8>> {
        let hash_length = self.suite.hash().length();
        let mut external_pub = Writer::new();
        external_pub.value(&self.encryption_key()?);
        let mut extensions = Extensions::new();
        extensions.set(ExtensionType::RATCHET_TREE, tree);
        extensions.set(ExtensionType::EXTERNAL_PUB, external_pub.finish()?);
        let mut info = GroupInfo {
            group_context: GroupContext {
                version: ProtocolVersion::MLS10,
                cipher_suite: self.suite.id(),
                group_id: GROUP_ID.to_vec(),
                epoch: 1_000,
                tree_hash,
                confirmed_transcript_hash: self.random.bytes(hash_length),
                extensions: Extensions::new(),
            },
            extensions,
            confirmation_tag: self.random.bytes(hash_length),
            signer: LeafIndex::new(0),
            signature: Vec::new(),
        };
        let mut tbs = Writer::new();
        tbs.value(&info.group_context).value(&info.extensions);
        tbs.opaque(&info.confirmation_tag).value(&info.signer);
        let signer = self.signer.as_ref().ok_or_else(|| anyhow::anyhow!("nobody is at leaf 0"))?;
        info.signature = sign(self.suite, signer, "GroupInfoTBS", &tbs.finish()?)?;
        Ok(MlsMessage::GroupInfo(Box::new(Unverified::new(info))).to_bytes()?)
    }
}

/// A KeyPackage of somebody who never comes, as an MLSMessage (RFC 9420 §10).
///
/// # Errors
/// None with a provider that keeps its contract.
pub fn key_package(suite: &'static dyn CipherSuite, number: u32, now: u64) -> Result<Vec<u8>> {
    const DAY: u64 = 24 * 60 * 60;
    let random = &mut SeededRandom::new(u64::from(number) | 1 << 40);
    let lifetime = Lifetime { not_before: now - 60 * 60, not_after: now + 80 * DAY };
    let (private, leaf_node) = leaf(suite, number, LeafNodeSource::KeyPackage(lifetime), random)?;
    let ikm = random.bytes(suite.kem().private_key_length());
    let mut key_package = KeyPackage {
        version: ProtocolVersion::MLS10,
        cipher_suite: suite.id(),
        init_key: suite.kem().derive_key_pair(&ikm)?.1,
        leaf_node,
        extensions: Extensions::new(),
        signature: Vec::new(),
    };
    let mut tbs = Writer::new();
    tbs.value(&key_package.version).value(&key_package.cipher_suite).value(&key_package.init_key);
    tbs.value(&key_package.leaf_node).value(&key_package.extensions);
    key_package.signature = sign(suite, &private, "KeyPackageTBS", &tbs.finish()?)?;
    Ok(MlsMessage::KeyPackage(Box::new(Unverified::new(key_package))).to_bytes()?)
}

/// A leaf with keys of its own, signed (RFC 9420 §7.2).
fn leaf(
    suite: &'static dyn CipherSuite,
    index: u32,
    leaf_node_source: LeafNodeSource,
    random: &mut SeededRandom,
) -> Result<(SignaturePrivateKey, LeafNode)> {
    let ikm = random.bytes(suite.kem().private_key_length());
    let (private, signature_key) = suite.signature().generate(random as &mut dyn Random)?;
    let in_group = !matches!(leaf_node_source, LeafNodeSource::KeyPackage(_));
    let mut leaf = LeafNode {
        encryption_key: suite.kem().derive_key_pair(&ikm)?.1,
        signature_key,
        credential: Credential::basic(format!("member-{index:08}").as_bytes()),
        capabilities: capabilities(suite.id()),
        leaf_node_source,
        extensions: Extensions::new(),
        signature: Vec::new(),
    };
    let mut tbs = Writer::new();
    tbs.value(&leaf.encryption_key).value(&leaf.signature_key).value(&leaf.credential);
    tbs.value(&leaf.capabilities).value(&leaf.leaf_node_source).value(&leaf.extensions);
    if in_group {
        tbs.opaque(GROUP_ID).value(&index);
    }
    leaf.signature = sign(suite, &private, "LeafNodeTBS", &tbs.finish()?)?;
    Ok((private, leaf))
}

fn capabilities(suite: CipherSuiteId) -> Capabilities {
    let others = (1..=3).map(CipherSuiteId).filter(|other| *other != suite);
    Capabilities {
        versions: vec![ProtocolVersion::MLS10],
        cipher_suites: std::iter::once(suite).chain(others).collect(),
        extensions: Vec::new(),
        proposals: Vec::new(),
        credentials: vec![CredentialType::BASIC],
    }
}

/// `SignWithLabel` (RFC 9420 §5.1.2).
fn sign(suite: &dyn CipherSuite, key: &SignaturePrivateKey, label: &str, content: &[u8]) -> Result<Vec<u8>> {
    Ok(suite.signature().sign(key, &sign_content(label, content)?)?)
}

const GROUP_ID: &[u8] = b"a group for the benchmark";
