//! RFC 9420 §9, §9.2: the secrets of nodes that no message has come from below of, as they lie together in rows.
//!
//! A sender's first message derives from the nearest secret above its leaf, and leaves one secret behind at
//! each level: beside the way down. These come into being together, and lie in one row, which is written anew
//! without one of them when that is consumed. So a first message writes one or two rows, in any group.

use std::collections::BTreeMap;

use hushwood_codec::{Decode, DecodeError, DecodeErrorKind, EncodeError, Reader, Writer};
use hushwood_crypto::Secret;

use crate::schedule::epoch::stored_secret;
use crate::tree::{LeafIndex, NodeIndex};

/// Secrets of nodes at or below one node, the top: in the beginning the top's own. Later those beside the way
/// from there down to a leaf, apart from those consumed since.
#[derive(Debug)]
pub(super) struct NodeSecrets {
    /// Where the way ends.
    leaf: LeafIndex,
    /// By the level of the node.
    secrets: BTreeMap<u32, Secret>,
}

impl NodeSecrets {
    /// The secret of the top itself.
    pub(super) fn of_top(top: NodeIndex, secret: Secret) -> Self {
        Self { leaf: top.first_leaf(), secrets: BTreeMap::from([(top.level(), secret)]) }
    }

    /// None yet, of those beside the way down to this leaf.
    pub(super) fn beside(leaf: LeafIndex) -> Self {
        Self { leaf, secrets: BTreeMap::new() }
    }

    /// Adds the secret of the node beside the way at this level.
    pub(super) fn insert(&mut self, level: u32, secret: Secret) {
        self.secrets.insert(level, secret);
    }

    /// The secret of the node at this level, which is at or above the leaf that it was found for.
    pub(super) fn get(&self, level: u32) -> Option<&Secret> {
        self.secrets.get(&level)
    }

    /// At which level the secret is that a leaf below the top is derived from, if it is here.
    pub(super) fn level_above(&self, top: NodeIndex, leaf: LeafIndex) -> Option<u32> {
        if self.secrets.contains_key(&top.level()) {
            return Some(top.level());
        }
        // Beside the way is the child that the ways to the two leaves do not share.
        let beside = NodeIndex::common_ancestor(self.leaf, leaf)?.level().checked_sub(1)?;
        self.secrets.contains_key(&beside).then_some(beside)
    }

    /// A copy without the secret at this level; `None` if that was the last.
    pub(super) fn without(&self, level: u32) -> Option<Self> {
        let others = self.secrets.iter().filter(|(other, _)| **other != level);
        let secrets: BTreeMap<_, _> = others.map(|(level, secret)| (*level, secret.duplicate())).collect();
        if secrets.is_empty() { None } else { Some(Self { leaf: self.leaf, secrets }) }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.secrets.is_empty()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.secrets.len()
    }

    /// The leaf, then each level and its secret.
    pub(super) fn to_record(&self) -> Result<Secret, EncodeError> {
        // Room for everything at once: a growing buffer would leave secrets behind where it was.
        let lengths = self.secrets.values().map(|secret| secret.len().saturating_add(8));
        let mut writer = Writer::with_capacity(lengths.fold(8, usize::saturating_add));
        writer.value(&self.leaf);
        for (level, secret) in &self.secrets {
            // No tree has more than 32 levels.
            writer.value(&u8::try_from(*level).unwrap_or(u8::MAX)).value(secret);
        }
        Ok(Secret::new(writer.finish()?))
    }

    /// Reads the row back that has this top.
    pub(super) fn decode(
        top: NodeIndex,
        secret_length: usize,
        reader: &mut Reader<'_>,
    ) -> Result<Self, DecodeError> {
        let leaf = LeafIndex::decode(reader)?;
        let mut secrets = BTreeMap::new();
        while secrets.is_empty() || reader.remaining() > 0 {
            let level = u32::from(u8::decode(reader)?);
            // Each level once, upwards, and either that of the top or those below it.
            let in_order = secrets.last_key_value().is_none_or(|(last, _)| *last < level);
            let is_top = level == top.level();
            if !in_order || level > top.level() || (is_top && !secrets.is_empty()) || !top.is_above(leaf) {
                return Err(reader.error(DecodeErrorKind::UnknownDiscriminant(level.into())));
            }
            secrets.insert(level, stored_secret(reader, secret_length)?);
        }
        Ok(Self { leaf, secrets })
    }
}
