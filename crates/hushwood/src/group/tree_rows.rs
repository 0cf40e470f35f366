//! The ratchet tree as rows: what a change of the tree writes, and the tree read back.

use hushwood_codec::{Decode, wire_struct};
use hushwood_crypto::{CipherSuite, HpkePublicKey, Secret, SignaturePublicKey};

use crate::error::{Error, StoreReadError};
use crate::group::change::Draft;
use crate::group::record::{public_record, read_value};
use crate::transition::{InstanceId, RecordKind, Records};
use crate::tree::{NodeIndex, NodeRecord, RatchetTree};

wire_struct! {
    /// The record `TreeSummary`.
    #[derive(Clone, Debug)]
    struct TreeSummary {
        leaf_count: u32,
        /// Counts over the members' capabilities, as the tree encodes them.
        counts: Vec<u8>,
    }
}

impl Draft {
    /// Rows for the nodes in which `new` differs from `old`: O(what changed).
    pub(super) fn tree_changes(&mut self, old: &RatchetTree, new: &RatchetTree) -> Result<(), Error> {
        let changed = new.changes_since(old);
        // First what is gone, then what has come: a key may have moved from one node to another.
        for &node in &changed {
            self.erase_keys(old, node)?;
            if new.node_record(node)?.is_none() {
                self.erase(RecordKind::TreeNode, node_id(node));
            }
        }
        for &node in &changed {
            self.put_node(new, node)?;
        }
        self.put_summary(new)
    }

    /// Rows for a whole tree.
    pub(super) fn whole_tree(&mut self, tree: &RatchetTree) -> Result<(), Error> {
        for node in tree.record_indices() {
            self.put_node(tree, node)?;
        }
        self.put_summary(tree)
    }

    fn put_node(&mut self, tree: &RatchetTree, node: NodeIndex) -> Result<(), Error> {
        let Some(record) = tree.node_record(node)? else { return Ok(()) };
        self.put(RecordKind::TreeNode, node_id(node), public_record(&record)?);
        let (encryption_key, signature_key) = keys_at(tree, node)?;
        if let Some(key) = encryption_key {
            let id = key_id(tree.suite(), ENCRYPTION, key.as_ref());
            self.put(RecordKind::TreeKey, id, public_record(&node.number())?);
        }
        if let Some(key) = signature_key {
            let id = key_id(tree.suite(), SIGNATURE, key.as_ref());
            self.put(RecordKind::TreeKey, id, public_record(&node.number())?);
        }
        Ok(())
    }

    fn erase_keys(&mut self, tree: &RatchetTree, node: NodeIndex) -> Result<(), Error> {
        let (encryption_key, signature_key) = keys_at(tree, node)?;
        if let Some(key) = encryption_key {
            self.erase(RecordKind::TreeKey, key_id(tree.suite(), ENCRYPTION, key.as_ref()));
        }
        if let Some(key) = signature_key {
            self.erase(RecordKind::TreeKey, key_id(tree.suite(), SIGNATURE, key.as_ref()));
        }
        Ok(())
    }

    fn put_summary(&mut self, tree: &RatchetTree) -> Result<(), Error> {
        let summary = TreeSummary { leaf_count: tree.leaf_count(), counts: tree.encode_counts()? };
        self.put(RecordKind::TreeSummary, Vec::new(), public_record(&summary)?);
        Ok(())
    }
}

/// The tree of a stored group.
pub(super) fn read_tree(
    store: &dyn Records,
    suite: &'static dyn CipherSuite,
    (instance, summary): (InstanceId, &Secret),
) -> Result<RatchetTree, Error> {
    let summary: TreeSummary = read_value(summary)?;
    let mut records = Vec::new();
    for (id, value) in store.list(instance, RecordKind::TreeNode)? {
        let number = u32::from_bytes(&id).map_err(|_| StoreReadError::Corrupt)?;
        let node = NodeIndex::new(number).ok_or(StoreReadError::Corrupt)?;
        let record: NodeRecord = read_value(&value)?;
        records.push((node, record));
    }
    records.sort_by_key(|(node, _)| *node);
    RatchetTree::from_records(suite, summary.leaf_count, records)
}

fn node_id(node: NodeIndex) -> [u8; 4] {
    node.number().to_be_bytes()
}

const ENCRYPTION: u8 = 1;
const SIGNATURE: u8 = 2;

/// The id of a key's row: what kind of key, and the first 16 bytes of its hash.
fn key_id(suite: &dyn CipherSuite, kind: u8, key: &[u8]) -> Vec<u8> {
    let hash = suite.hash().hash(&[&[kind], key]);
    hash.as_bytes().iter().take(16).copied().collect()
}

/// The keys that stand at a node.
fn keys_at(
    tree: &RatchetTree,
    node: NodeIndex,
) -> Result<(Option<&HpkePublicKey>, Option<&SignaturePublicKey>), Error> {
    let Some(leaf) = node.leaf() else { return Ok((tree.encryption_key(node)?, None)) };
    let leaf = tree.leaf(leaf)?;
    Ok((leaf.map(|leaf| &leaf.encryption_key), leaf.map(|leaf| &leaf.signature_key)))
}
