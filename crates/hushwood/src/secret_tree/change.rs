//! RFC 9420 §9.2: what the use of a key consumes, as a change that is computed first and made later.
//!
//! Only a message that decrypts and whose signature verifies consumes its key (C189), and what is
//! consumed must be gone from the store as well (C192). So looking a key up changes nothing: it gives the
//! key, and a [`Change`] to be written and then applied, or dropped.

use std::fmt;

use hushwood_codec::EncodeError;
use hushwood_crypto::Secret;

use crate::secret_tree::ratchet::RatchetType;
use crate::secret_tree::row::{RowValue, SecretTreeRow};
use crate::tree::{LeafIndex, NodeIndex};

/// A change of a [`SecretTree`](super::SecretTree) that has not been made.
#[must_use = "a change has to be written and applied, or dropped on purpose"]
pub struct Change {
    pub(super) source: Source,
    pub(super) puts: Vec<RowValue>,
    pub(super) erases: Vec<SecretTreeRow>,
}

/// What the change consumes. It must still be there, as it was, when the change is applied: otherwise a
/// change computed earlier and applied later would bring consumed secrets back.
#[derive(Clone, Copy)]
pub(super) enum Source {
    /// The secret of a node above a leaf that had no ratchets yet: which row has it, and its level.
    Node(NodeIndex, u32),
    /// A ratchet at this generation.
    Ratchet(LeafIndex, RatchetType, u32),
    /// The key of a generation that was passed over.
    Skipped(LeafIndex, RatchetType, u32),
    /// All handshake ratchets: the epoch is over.
    Handshakes,
}

impl Change {
    pub(super) fn new(source: Source) -> Self {
        Self { source, puts: Vec::new(), erases: Vec::new() }
    }

    /// The rows that a store has to write, with their values.
    ///
    /// # Errors
    /// None in practice: the values are short.
    pub fn puts(&self) -> Result<Vec<(SecretTreeRow, Secret)>, EncodeError> {
        self.puts.iter().map(|value| Ok((value.row(), value.to_record()?))).collect()
    }

    /// The rows that a store has to erase, so that they can't be read from its files any more.
    #[must_use]
    pub fn erases(&self) -> &[SecretTreeRow] {
        &self.erases
    }
}

impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let puts: Vec<_> = self.puts.iter().map(RowValue::row).collect();
        f.debug_struct("Change").field("puts", &puts).field("erases", &self.erases).finish()
    }
}

/// What [`SecretTree::apply`](super::SecretTree::apply) replaced. Dropping it erases the consumed
/// secrets; drop it as soon as the change is durable.
pub struct Undo(pub(super) Vec<Previous>);

/// A row as it was.
pub(super) enum Previous {
    Value(RowValue),
    Absent(SecretTreeRow),
    /// Handshake ratchets could still be derived.
    Handshakes,
}

impl fmt::Debug for Undo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Undo({} rows)", self.0.len())
    }
}
