//! RFC 9420 §9: the secret tree, the keys that messages are encrypted with.
//!
//! Nothing is derived before it is needed. The tree holds the secrets of the nodes that no message has
//! come from below of (in the beginning the root's alone), two ratchets for each leaf that has sent, and
//! the keys of generations that were passed over. Deriving replaces a secret by what it was derived
//! into, so that whatever has been consumed is not there any more (§9.2, C184 to C186).
//!
//! A sender's first message of an epoch writes four rows at most, with O(log n) secrets, later ones one row,
//! and one more for each generation that is passed over.

mod change;
mod nodes;
mod ratchet;
mod row;

use std::collections::BTreeMap;
use std::fmt;

use hushwood_codec::EncodeError;
use hushwood_crypto::{CipherSuite, Secret};

use crate::error::{ApiMisuse, Error, NotNow, StoreReadError, Violation};
use crate::framing::types::{ContentType, MessageKey};
use crate::policy::Policy;
use crate::schedule::types::EncryptionSecret;
use crate::secret_tree::change::{Previous, Source};
use crate::secret_tree::nodes::NodeSecrets;
use crate::secret_tree::ratchet::{Ratchet, children};
use crate::secret_tree::row::{RowValue, ratchet_record, skipped_record};
use crate::tree::index::MAX_LEAVES;
use crate::tree::{LeafIndex, NodeIndex};

pub use change::{Change, Undo};
pub use ratchet::RatchetType;
pub use row::SecretTreeRow;

/// The message keys of one epoch.
pub struct SecretTree {
    suite: &'static dyn CipherSuite,
    leaves: u32,
    usage: Usage,
    nodes: BTreeMap<NodeIndex, NodeSecrets>,
    ratchets: BTreeMap<(LeafIndex, RatchetType), Ratchet>,
    skipped: BTreeMap<(LeafIndex, RatchetType, u32), MessageKey>,
}

/// What a tree's keys are still for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Usage {
    /// The epoch is current: handshakes and application data.
    Current,
    /// The epoch is past: late application data only (RFC 9420 §12.4.2).
    Past,
}

impl SecretTree {
    /// The tree of an epoch whose ratchet tree has `leaves` leaves, blank ones included.
    ///
    /// # Errors
    /// [`Error::Bug`] if `leaves` is not the size of a tree.
    pub fn new(
        suite: &'static dyn CipherSuite,
        leaves: u32,
        encryption_secret: EncryptionSecret,
    ) -> Result<Self, Error> {
        let mut tree = Self::empty(suite, leaves, Usage::Current)?;
        let root = NodeIndex::root(leaves);
        tree.nodes.insert(root, NodeSecrets::of_top(root, encryption_secret.into_secret()));
        Ok(tree)
    }

    /// Reads a tree back from the rows of a store.
    ///
    /// # Errors
    /// [`StoreReadError::Corrupt`] if a row is not what its name says.
    pub fn from_rows(
        suite: &'static dyn CipherSuite,
        leaves: u32,
        usage: Usage,
        rows: impl IntoIterator<Item = (SecretTreeRow, Secret)>,
    ) -> Result<Self, Error> {
        let mut tree = Self::empty(suite, leaves, usage)?;
        for (row, record) in rows {
            if !tree.has_place_for(row) {
                return Err(StoreReadError::Corrupt.into());
            }
            tree.put(RowValue::from_record(suite, row, &record)?);
        }
        Ok(tree)
    }

    fn empty(suite: &'static dyn CipherSuite, leaves: u32, usage: Usage) -> Result<Self, Error> {
        if !leaves.is_power_of_two() || leaves > MAX_LEAVES {
            return Err(Error::Bug("a secret tree was asked for of a size that no ratchet tree has"));
        }
        let (nodes, ratchets, skipped) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Ok(Self { suite, leaves, usage, nodes, ratchets, skipped })
    }

    /// The key to seal our own next message with, of its generation, without changing anything. Write
    /// and [`apply`](Self::apply) the change before the message leaves (RFC 9420 §6.3.1, C087).
    ///
    /// # Errors
    /// [`ApiMisuse::GenerationOverflow`]; [`NotNow::EpochPast`] for a handshake of a past epoch.
    pub fn seal_key(
        &self,
        leaf: LeafIndex,
        content_type: ContentType,
    ) -> Result<(u32, MessageKey, Change), Error> {
        let ratchet_type = RatchetType::from(content_type);
        let (ratchet, mut change) = self.ratchet(leaf, ratchet_type)?;
        // RFC 9420 §9.1, C183: there is no generation after this one to move to.
        if ratchet.generation == u32::MAX {
            return Err(ApiMisuse::GenerationOverflow.into());
        }
        let (key, next) = ratchet.turn(self.suite)?;
        change.puts.push(RowValue::Ratchet(leaf, ratchet_type, next));
        Ok((ratchet.generation, key, change))
    }

    /// The key to open a received message with, without changing anything. Apply the change if the
    /// message decrypts and its signature verifies, else drop it (RFC 9420 §9.2, C189).
    ///
    /// Generations that are passed over keep their keys for messages that come late, within the policy:
    /// `max_skipped` for each ratchet and `max_skipped_total` for the epoch. Where there are more, the
    /// oldest of the ratchet that moved are dropped, never another sender's; so nobody can push out the
    /// keys of somebody else's late messages. Those kept go with the epoch at the latest.
    ///
    /// # Errors
    /// [`NotNow::KeyUsed`], [`NotNow::GenerationTooFar`]; [`Violation::SenderBlank`] for a leaf outside
    /// the tree; [`NotNow::EpochPast`] for a handshake of a past epoch.
    pub fn open_key(
        &self,
        leaf: LeafIndex,
        content_type: ContentType,
        generation: u32,
        policy: &Policy,
    ) -> Result<(MessageKey, Change), Error> {
        let key = self.key_of(leaf, content_type, generation, policy)?;
        Ok((key, self.consumption(leaf, content_type, generation, policy)?))
    }

    /// The key of [`open_key`](Self::open_key) alone, for who has yet to see whether the message opens.
    pub(crate) fn key_of(
        &self,
        leaf: LeafIndex,
        content_type: ContentType,
        generation: u32,
        policy: &Policy,
    ) -> Result<MessageKey, Error> {
        let ratchet_type = RatchetType::from(content_type);
        if let Some(key) = self.skipped_key(leaf, ratchet_type, generation)? {
            return Ok(MessageKey { key: key.key.duplicate(), nonce: key.nonce.duplicate() });
        }
        self.current_generation(leaf, ratchet_type, generation, policy)?;
        let (mut ratchet, _) = self.ratchet(leaf, ratchet_type)?;
        while ratchet.generation < generation {
            ratchet = ratchet.next(self.suite)?;
        }
        ratchet.message_key(self.suite)
    }

    /// The change of [`open_key`](Self::open_key) alone, for who has opened the message.
    pub(crate) fn consumption(
        &self,
        leaf: LeafIndex,
        content_type: ContentType,
        generation: u32,
        policy: &Policy,
    ) -> Result<Change, Error> {
        let ratchet_type = RatchetType::from(content_type);
        if self.skipped_key(leaf, ratchet_type, generation)?.is_some() {
            let mut change = Change::new(Source::Skipped(leaf, ratchet_type, generation));
            change.erases.push(SecretTreeRow::Skipped(leaf, ratchet_type, generation));
            return Ok(change);
        }
        let current = self.current_generation(leaf, ratchet_type, generation, policy)?;
        let (mut ratchet, mut change) = self.ratchet(leaf, ratchet_type)?;
        let first_kept = self.make_room(&mut change, (leaf, ratchet_type), current, generation, policy);
        while ratchet.generation < generation {
            let number = ratchet.generation;
            if number < first_kept {
                ratchet = ratchet.next(self.suite)?;
                continue;
            }
            let (key, next) = ratchet.turn(self.suite)?;
            change.puts.push(RowValue::Skipped(leaf, ratchet_type, number, key));
            ratchet = next;
        }
        change.puts.push(RowValue::Ratchet(leaf, ratchet_type, ratchet.next(self.suite)?));
        Ok(change)
    }

    /// The key of a generation that was passed over, if it is kept.
    fn skipped_key(
        &self,
        leaf: LeafIndex,
        ratchet_type: RatchetType,
        generation: u32,
    ) -> Result<Option<&MessageKey>, Error> {
        self.check_usage(leaf, ratchet_type)?;
        Ok(self.skipped.get(&(leaf, ratchet_type, generation)))
    }

    /// The generation that a ratchet is at, from which it can be moved on to the one that is asked for.
    fn current_generation(
        &self,
        leaf: LeafIndex,
        ratchet_type: RatchetType,
        generation: u32,
        policy: &Policy,
    ) -> Result<u32, Error> {
        let current = self.ratchets.get(&(leaf, ratchet_type)).map_or(0, |ratchet| ratchet.generation);
        // RFC 9420 §9.2, C190: a generation behind us whose key is not kept was read, or dropped.
        let Some(distance) = generation.checked_sub(current) else { return Err(NotNow::KeyUsed.into()) };
        // RFC 9420 §15.3, C191, C408: or one message could cost billions of derivations. The last
        // generation of all has none to move on to (C183).
        if distance > policy.max_forward || generation == u32::MAX {
            return Err(NotNow::GenerationTooFar.into());
        }
        Ok(current)
    }

    /// Makes a change. What it consumed moves into the [`Undo`], to be dropped, and so erased, as soon
    /// as the change is durable.
    ///
    /// # Errors
    /// [`NotNow::Stale`] if the change was computed from another state; nothing has changed then.
    pub fn apply(&mut self, change: Change) -> Result<Undo, Error> {
        let is_current = match change.source {
            Source::Node(top, level) => {
                self.nodes.get(&top).is_some_and(|secrets| secrets.get(level).is_some())
            }
            Source::Ratchet(leaf, ratchet_type, generation) => {
                let ratchet = self.ratchets.get(&(leaf, ratchet_type));
                ratchet.is_some_and(|ratchet| ratchet.generation == generation)
            }
            Source::Skipped(leaf, ratchet_type, generation) => {
                self.skipped.contains_key(&(leaf, ratchet_type, generation))
            }
            Source::Handshakes => true,
        };
        if !is_current {
            return Err(NotNow::Stale.into());
        }
        let mut previous = Vec::new();
        if matches!(change.source, Source::Handshakes) && self.usage == Usage::Current {
            self.usage = Usage::Past;
            previous.push(Previous::Handshakes);
        }
        previous.extend(change.erases.into_iter().filter_map(|row| self.take(row)).map(Previous::Value));
        for value in change.puts {
            let row = value.row();
            previous.push(self.put(value).map_or(Previous::Absent(row), Previous::Value));
        }
        Ok(Undo(previous))
    }

    /// Takes a change back, for a store that did not write it. Changes are taken back in reverse order.
    pub fn revert(&mut self, undo: Undo) {
        for previous in undo.0.into_iter().rev() {
            match previous {
                Previous::Value(value) => drop(self.put(value)),
                Previous::Absent(row) => drop(self.take(row)),
                Previous::Handshakes => self.usage = Usage::Current,
            }
        }
    }

    /// The change for when the epoch becomes past: handshakes of a past epoch are never opened, so their
    /// ratchets and skipped keys go (RFC 9420 §9.2, §12.4.2).
    ///
    /// Leaves that have not sent have no ratchets yet, and the node secrets above them stay, for late
    /// application data. Whoever steals them can derive those leaves' handshake keys too, as they can
    /// their application keys, until the epoch itself is erased (C193). To prevent that would cost a
    /// derivation and a row for every leaf at every commit.
    pub fn discard_handshakes(&self) -> Change {
        let mut change = Change::new(Source::Handshakes);
        let ratchets = self.ratchets.keys().map(|&(leaf, kind)| (kind, SecretTreeRow::Ratchet(leaf, kind)));
        let skipped = self.skipped.keys();
        let skipped = skipped.map(|&(leaf, kind, number)| (kind, SecretTreeRow::Skipped(leaf, kind, number)));
        let handshakes = ratchets.chain(skipped).filter(|&(kind, _)| kind == RatchetType::Handshake);
        change.erases.extend(handshakes.map(|(_, row)| row));
        change
    }

    /// [`discard_handshakes`](Self::discard_handshakes), for an epoch that ends with a commit which this leaf has
    /// encrypted: what the commit's key came from is consumed, also where it is the first message of the leaf (RFC 9420
    /// §9.2, C185, C186). Otherwise the secrets above the leaf would stay with the past epoch, and open the commit again.
    ///
    /// # Errors
    /// [`Error::Crypto`] from a provider that breaks its contract; [`StoreReadError::Missing`] if a row was lost.
    pub fn discard_handshakes_after(&self, committer: LeafIndex) -> Result<Change, Error> {
        let mut change = self.discard_handshakes();
        if !self.ratchets.contains_key(&(committer, RatchetType::Handshake)) {
            let (_, consumption) = self.derive_ratchet(committer, RatchetType::Handshake)?;
            change.erases.extend(consumption.erases);
            change.puts.extend(consumption.puts);
        }
        Ok(change)
    }

    /// The names of all rows, to erase them with the epoch.
    pub fn rows(&self) -> impl Iterator<Item = SecretTreeRow> {
        let nodes = self.nodes.keys().map(|&node| SecretTreeRow::Node(node));
        let ratchets = self.ratchets.keys().map(|&(leaf, kind)| SecretTreeRow::Ratchet(leaf, kind));
        let skipped = self.skipped.keys().map(|&(leaf, kind, n)| SecretTreeRow::Skipped(leaf, kind, n));
        nodes.chain(ratchets).chain(skipped)
    }

    /// All rows with their values, to write a new tree.
    ///
    /// # Errors
    /// None in practice: the values are short.
    pub fn records(&self) -> Result<Vec<(SecretTreeRow, Secret)>, EncodeError> {
        let nodes = self.nodes.values().map(NodeSecrets::to_record);
        let ratchets = self.ratchets.values().map(ratchet_record);
        let skipped = self.skipped.values().map(skipped_record);
        let records = nodes.chain(ratchets).chain(skipped);
        self.rows().zip(records).map(|(row, record)| Ok((row, record?))).collect()
    }

    /// Keys kept for late messages, of all senders.
    #[must_use]
    pub fn skipped_keys(&self) -> usize {
        self.skipped.len()
    }

    fn check_usage(&self, leaf: LeafIndex, ratchet_type: RatchetType) -> Result<(), Error> {
        // RFC 9420 §6.3.2, C095: in range. That the leaf is not blank only the ratchet tree can tell.
        if leaf.number() >= self.leaves {
            return Err(Violation::SenderBlank.into());
        }
        // RFC 9420 §12.4.2, C064: handshakes are of the current epoch.
        match (self.usage, ratchet_type) {
            (Usage::Past, RatchetType::Handshake) => Err(NotNow::EpochPast.into()),
            (Usage::Past, RatchetType::Application) | (Usage::Current, _) => Ok(()),
        }
    }

    /// A copy of the ratchet, and the change that will consume it; not yet what will replace it.
    fn ratchet(&self, leaf: LeafIndex, ratchet_type: RatchetType) -> Result<(Ratchet, Change), Error> {
        self.check_usage(leaf, ratchet_type)?;
        let Some(ratchet) = self.ratchets.get(&(leaf, ratchet_type)) else {
            return self.derive_ratchet(leaf, ratchet_type);
        };
        let change = Change::new(Source::Ratchet(leaf, ratchet_type, ratchet.generation));
        Ok((Ratchet { generation: ratchet.generation, secret: ratchet.secret.duplicate() }, change))
    }

    /// Derives a leaf's ratchets from the nearest secret above. All secrets on the way are consumed; what
    /// was derived beside the way is kept (RFC 9420 §9.2, C186).
    fn derive_ratchet(&self, leaf: LeafIndex, ratchet_type: RatchetType) -> Result<(Ratchet, Change), Error> {
        // A leaf has either ratchets or a secret above it, unless a row was lost.
        let leaf_node = leaf.node().ok_or(Violation::SenderBlank)?;
        let above = std::iter::once(leaf_node).chain(leaf_node.direct_path(self.leaves));
        let mut above = above.filter_map(|top| {
            let row = self.nodes.get(&top)?;
            let level = row.level_above(top, leaf)?;
            Some((top, row, level, row.get(level)?))
        });
        let (top, row, level, secret) = above.next().ok_or(StoreReadError::Missing)?;
        let mut secret = secret.duplicate();
        let way = std::iter::once(leaf_node).chain(leaf_node.direct_path(self.leaves));
        let source = way.take_while(|node| node.level() <= level).last().unwrap_or(leaf_node);

        let mut change = Change::new(Source::Node(top, level));
        let mut beside = NodeSecrets::beside(leaf);
        let mut node = source;
        while let (Some(left), Some(right)) = (node.left(), node.right()) {
            let (left_secret, right_secret) = children(self.suite, &secret)?;
            let (next, next_secret, other) = match left.is_above(leaf) {
                true => (left, left_secret, right_secret),
                false => (right, right_secret, left_secret),
            };
            beside.insert(next.level(), other);
            (node, secret) = (next, next_secret);
        }
        // The row that had the secret has it no more: what came of it takes its place, or lies beside it.
        match row.without(level) {
            Some(rest) => change.puts.push(RowValue::Node(top, rest)),
            None if source == top && !beside.is_empty() => {}
            None => change.erases.push(SecretTreeRow::Node(top)),
        }
        if !beside.is_empty() {
            change.puts.push(RowValue::Node(source, beside));
        }

        let [handshake, application] = Ratchet::roots(self.suite, &secret)?;
        let (ratchet, other, ratchet_of_other) = match ratchet_type {
            RatchetType::Handshake => (handshake, RatchetType::Application, application),
            RatchetType::Application => (application, RatchetType::Handshake, handshake),
        };
        // Of a past epoch no handshake is opened any more.
        if self.usage == Usage::Current || other == RatchetType::Application {
            change.puts.push(RowValue::Ratchet(leaf, other, ratchet_of_other));
        }
        Ok((ratchet, change))
    }

    /// Drops what the policy has no room for when a ratchet moves from generation `from` to `to`: the
    /// oldest of its skipped keys, and then the first of the new ones. Gives the first new one to keep.
    fn make_room(
        &self,
        change: &mut Change,
        (leaf, ratchet_type): (LeafIndex, RatchetType),
        from: u32,
        to: u32,
        policy: &Policy,
    ) -> u32 {
        let kept = (leaf, ratchet_type, 0)..(leaf, ratchet_type, from);
        let own = self.skipped.range(kept.clone()).count();
        let others = self.skipped.len().saturating_sub(own);
        // RFC 9420 §9.2, §15.3, C188, C407: bounded for each ratchet and for the epoch.
        let room = policy.max_skipped.min(policy.max_skipped_total.saturating_sub(others));
        let new = usize::try_from(to.saturating_sub(from)).unwrap_or(usize::MAX);
        let excess = own.saturating_add(new).saturating_sub(room);
        let dropped = self.skipped.range(kept).take(excess);
        change
            .erases
            .extend(dropped.map(|(&(leaf, kind, number), _)| SecretTreeRow::Skipped(leaf, kind, number)));
        from.saturating_add(u32::try_from(excess.saturating_sub(own)).unwrap_or(u32::MAX))
    }

    fn has_place_for(&self, row: SecretTreeRow) -> bool {
        match row {
            SecretTreeRow::Node(node) => node.last_leaf().number() < self.leaves,
            SecretTreeRow::Ratchet(leaf, _) | SecretTreeRow::Skipped(leaf, _, _) => {
                leaf.number() < self.leaves
            }
        }
    }

    /// Puts a value into its row; what the row held.
    fn put(&mut self, value: RowValue) -> Option<RowValue> {
        match value {
            RowValue::Node(node, secret) => {
                self.nodes.insert(node, secret).map(|old| RowValue::Node(node, old))
            }
            RowValue::Ratchet(leaf, ratchet_type, ratchet) => {
                let old = self.ratchets.insert((leaf, ratchet_type), ratchet);
                old.map(|old| RowValue::Ratchet(leaf, ratchet_type, old))
            }
            RowValue::Skipped(leaf, ratchet_type, generation, key) => {
                let old = self.skipped.insert((leaf, ratchet_type, generation), key);
                old.map(|old| RowValue::Skipped(leaf, ratchet_type, generation, old))
            }
        }
    }

    /// Empties a row; what it held.
    fn take(&mut self, row: SecretTreeRow) -> Option<RowValue> {
        match row {
            SecretTreeRow::Node(node) => self.nodes.remove(&node).map(|old| RowValue::Node(node, old)),
            SecretTreeRow::Ratchet(leaf, kind) => {
                self.ratchets.remove(&(leaf, kind)).map(|old| RowValue::Ratchet(leaf, kind, old))
            }
            SecretTreeRow::Skipped(leaf, kind, number) => {
                let old = self.skipped.remove(&(leaf, kind, number));
                old.map(|old| RowValue::Skipped(leaf, kind, number, old))
            }
        }
    }
}

impl fmt::Debug for SecretTree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("SecretTree");
        debug.field("leaves", &self.leaves).field("usage", &self.usage);
        let nodes: usize = self.nodes.values().map(NodeSecrets::len).sum();
        debug.field("nodes", &nodes).field("ratchets", &self.ratchets.len());
        debug.field("skipped", &self.skipped.len()).finish()
    }
}
