//! RFC 9420 §7.1, §7.2: nodes kept as their encoding.
//!
//! A tree of many members holds each node as the bytes it has on the wire, in one piece: a third of the
//! memory of the fields by themselves, hashed and sent on without encoding it again, and parsed when
//! somebody looks at it.

use hushwood_codec::{Decode, Encode, Reader};
use hushwood_crypto::HpkePublicKey;

use crate::error::Error;
use crate::tree::{LeafIndex, LeafNode, ParentNode};

/// An encoded [`LeafNode`].
#[derive(Clone)]
pub(crate) struct PackedLeaf(Box<[u8]>);

impl PackedLeaf {
    /// # Errors
    /// [`ApiMisuse::TooLong`](crate::error::ApiMisuse::TooLong) for a leaf that has no encoding.
    pub(crate) fn new(leaf: &LeafNode) -> Result<Self, Error> {
        Ok(Self(leaf.to_bytes()?.into_boxed_slice()))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn unpack(&self) -> Result<LeafNode, Error> {
        LeafNode::from_bytes(&self.0).map_err(|_| DAMAGED)
    }

    pub(crate) fn encryption_key(&self) -> Result<&[u8], Error> {
        let mut reader = reader(&self.0)?;
        reader.opaque().map_err(|_| DAMAGED)
    }
}

/// An encoded [`ParentNode`].
#[derive(Clone)]
pub(crate) struct PackedParent(Box<[u8]>);

impl PackedParent {
    /// # Errors
    /// [`ApiMisuse::TooLong`](crate::error::ApiMisuse::TooLong) for a parent that has no encoding.
    pub(crate) fn new(parent: &ParentNode) -> Result<Self, Error> {
        Ok(Self(parent.to_bytes()?.into_boxed_slice()))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn unpack(&self) -> Result<ParentNode, Error> {
        ParentNode::from_bytes(&self.0).map_err(|_| DAMAGED)
    }

    /// The fields, without copies.
    pub(crate) fn view(&self) -> Result<ParentView<'_>, Error> {
        let mut reader = reader(&self.0)?;
        let mut field = || reader.opaque().map_err(|_| DAMAGED);
        Ok(ParentView { encryption_key: field()?, parent_hash: field()?, unmerged_leaves: field()? })
    }

    pub(crate) fn unmerged_leaves(&self) -> Result<Vec<LeafIndex>, Error> {
        Ok(self.view()?.unmerged_leaves())
    }

    /// The same node with another list of unmerged leaves.
    pub(crate) fn with_unmerged_leaves(&self, unmerged_leaves: Vec<LeafIndex>) -> Result<Self, Error> {
        Self::new(&ParentNode { unmerged_leaves, ..self.unpack()? })
    }
}

/// What stands in a packed parent.
pub(crate) struct ParentView<'p> {
    pub(crate) encryption_key: &'p [u8],
    pub(crate) parent_hash: &'p [u8],
    /// Numbers of leaves, four bytes each.
    unmerged_leaves: &'p [u8],
}

impl ParentView<'_> {
    /// Takes no memory if there are none.
    pub(crate) fn unmerged_leaves(&self) -> Vec<LeafIndex> {
        let (numbers, _) = self.unmerged_leaves.as_chunks();
        numbers.iter().map(|number| LeafIndex::new(u32::from_be_bytes(*number))).collect()
    }

    pub(crate) fn encryption_key(&self) -> HpkePublicKey {
        HpkePublicKey(self.encryption_key.to_vec())
    }
}

fn reader(bytes: &[u8]) -> Result<Reader<'_>, Error> {
    Reader::new(bytes, hushwood_codec::DecodeLimits::default()).map_err(|_| DAMAGED)
}

const DAMAGED: Error = Error::Bug("a node of the tree is not as it was encoded");
