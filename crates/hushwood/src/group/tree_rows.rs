//! The ratchet tree as rows: what a change of the tree writes, and the tree that reads them as it needs them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hushwood_codec::{Decode, wire_struct};
use hushwood_crypto::{CipherSuite, Secret};

use crate::error::{Error, NotNow, StoreReadError};
use crate::group::change::Draft;
use crate::group::record::{public_record, read_value, record};
use crate::transition::{InstanceId, Reader, RecordKey, RecordKind, Records};
use crate::tree::records::{Difference, Recorded, keys_at};
use crate::tree::{KeyKind, NodeIndex, NodeRecord, RatchetTree, TreeSource};

wire_struct! {
    /// The record `TreeSummary`.
    #[derive(Clone, Debug)]
    struct TreeSummary {
        leaf_count: u32,
        /// Counts over the members' capabilities, as the tree encodes them.
        counts: Vec<u8>,
        /// The record of the root, at which reading begins.
        root: NodeRecord,
    }
}

impl Draft {
    /// Rows for the nodes in which `new` differs from `old`: O(what changed).
    pub(super) fn tree_changes(
        &mut self,
        (old, new): (&RatchetTree, &RatchetTree),
        differences: &[Difference<'_>],
    ) -> Result<(), Error> {
        // The root lies in the summary. One that became it has had a row, one that was it gets one.
        let roots = match old.root() == new.root() {
            true => Vec::new(),
            false => vec![new.compare(old, old.root())?, new.compare(old, new.root())?],
        };
        let all = || differences.iter().chain(&roots);
        // First what is gone, then what has come: a key may have moved from one node to another.
        for Difference { at, old: gone, new: come } in all() {
            let stay = keys_at(*come)?;
            for key in keys_at(*gone)?.into_iter().filter(|key| !stay.contains(key)).flatten() {
                self.erase(RecordKind::TreeKey, key_id(old.suite(), key));
            }
            if *at == new.root() || come.is_none() {
                self.erase(RecordKind::TreeNode, node_id(*at));
            }
        }
        for Difference { at, old: gone, new: come } in all() {
            if let Some(come) = come {
                self.put_node(new, &Recorded::new(new, come)?)?;
            }
            // One that stood there before has its row.
            let were = keys_at(*gone)?;
            for key in keys_at(*come)?.into_iter().filter(|key| !were.contains(key)).flatten() {
                self.put_key(new, key, *at)?;
            }
        }
        self.put_summary(new)
    }

    /// Rows for a whole tree.
    pub(super) fn whole_tree(&mut self, tree: &RatchetTree) -> Result<(), Error> {
        // A row for each node, and one for each key: two at a leaf, one at a parent.
        self.writes.reserve(tree.member_count().saturating_mul(5));
        tree.each_recorded(&mut |node| {
            self.put_node(tree, &node)?;
            for key in keys_at(Some(node.subtree()))?.into_iter().flatten() {
                self.put_key(tree, key, node.at())?;
            }
            Ok(())
        })?;
        self.put_summary(tree)
    }

    fn put_node(&mut self, tree: &RatchetTree, node: &Recorded<'_>) -> Result<(), Error> {
        let at = node.at();
        if at != tree.root() {
            let row = record(node.capacity(), |writer| {
                writer.value(node);
            })?;
            self.put(RecordKind::TreeNode, node_id(at), row);
        }
        Ok(())
    }

    fn put_key(&mut self, tree: &RatchetTree, key: (KeyKind, &[u8]), at: NodeIndex) -> Result<(), Error> {
        let place = record(size_of::<u32>(), |writer| {
            writer.value(&at.number());
        })?;
        self.put(RecordKind::TreeKey, key_id(tree.suite(), key), place);
        Ok(())
    }

    fn put_summary(&mut self, tree: &RatchetTree) -> Result<(), Error> {
        let root = tree.node_record(tree.root())?.ok_or(Error::Bug("a tree without a root"))?;
        let summary = TreeSummary { leaf_count: tree.leaf_count(), counts: tree.encode_counts()?, root };
        self.put(RecordKind::TreeSummary, Vec::new(), public_record(&summary)?);
        Ok(())
    }
}

/// The rows of one group's tree, read when they are needed.
struct TreeRows {
    store: Reader,
    instance: InstanceId,
    suite: &'static dyn CipherSuite,
    /// That of the group in memory; its own writes move it.
    version: Arc<AtomicU64>,
}

impl TreeSource for TreeRows {
    fn node(&self, at: NodeIndex) -> Result<Option<NodeRecord>, Error> {
        let row = self.store.get(&RecordKey::new(self.instance, RecordKind::TreeNode, node_id(at)))?;
        row.map(|row| read_value(&row)).transpose()
    }

    fn nodes(&self) -> Result<Vec<(NodeIndex, NodeRecord)>, Error> {
        let rows = self.store.list(self.instance, RecordKind::TreeNode)?;
        let row = |(id, value): (Vec<u8>, Secret)| {
            let number = u32::from_bytes(&id).map_err(|_| StoreReadError::Corrupt)?;
            let node = NodeIndex::new(number).ok_or(StoreReadError::Corrupt)?;
            Ok((node, read_value(&value)?))
        };
        rows.into_iter().map(row).collect()
    }

    fn key(&self, kind: KeyKind, key: &[u8]) -> Result<Option<NodeIndex>, Error> {
        let id = key_id(self.suite, (kind, key));
        let row = self.store.get(&RecordKey::new(self.instance, RecordKind::TreeKey, id))?;
        let number = row.map(|row| read_value::<u32>(&row)).transpose()?;
        Ok(number.and_then(NodeIndex::new))
    }

    fn mismatch(&self) -> Error {
        match self.store.version(self.instance) {
            Ok(version) if version == self.version.load(Ordering::Relaxed) => StoreReadError::Corrupt.into(),
            Ok(_) => NotNow::Stale.into(),
            Err(error) => error.into(),
        }
    }
}

/// The tree of a stored group, of which nothing but the summary is read now.
pub(super) fn stored_tree(
    store: &dyn Records,
    suite: &'static dyn CipherSuite,
    (instance, version): (InstanceId, Arc<AtomicU64>),
    summary: &Secret,
) -> Result<RatchetTree, Error> {
    let TreeSummary { leaf_count, counts, root } = read_value(summary)?;
    let rows = TreeRows { store: store.reader()?, instance, suite, version };
    RatchetTree::stored(suite, (leaf_count, &counts), &root, Arc::new(rows))
}

fn node_id(node: NodeIndex) -> [u8; 4] {
    node.number().to_be_bytes()
}

/// The id of a key's row: what kind of key, and the key; of one that is longer than a hash, its hash.
fn key_id(suite: &dyn CipherSuite, (kind, key): (KeyKind, &[u8])) -> Vec<u8> {
    let kind: u8 = match kind {
        KeyKind::Encryption => 1,
        KeyKind::Signature => 2,
    };
    match key.len() <= suite.hash().length() {
        true => [&[kind], key].concat(),
        false => [&[kind], suite.hash().hash(&[key]).as_bytes()].concat(),
    }
}
