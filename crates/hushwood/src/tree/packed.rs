//! RFC 9420 §7.1, §7.2: nodes kept as their encoding.
//!
//! A tree of many members holds each node as the bytes it has on the wire, in one piece: a third of the
//! memory of the fields by themselves, hashed and sent on without encoding it again, and parsed when
//! somebody looks at it.

use hushwood_codec::{Decode, DecodeError, DecodeLimits, Encode, Reader, Writer};
use hushwood_crypto::{HpkePublicKey, SignaturePublicKey};

use crate::credential::Credential;
use crate::error::Error;
use crate::tree::leaf_node::COMMIT;
use crate::tree::{LeafIndex, LeafNode, LeafNodeSource, ParentNode};

/// An encoded [`LeafNode`].
#[derive(Clone)]
pub(crate) struct PackedLeaf(Box<[u8]>);

impl PackedLeaf {
    /// From an encoding that was read as a leaf.
    pub(crate) fn from_wire(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }

    /// # Errors
    /// [`ApiMisuse::TooLong`](crate::error::ApiMisuse::TooLong) for a leaf that has no encoding.
    pub(crate) fn new(leaf: &LeafNode) -> Result<Self, Error> {
        Ok(Self(leaf.to_bytes()?.into_boxed_slice()))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn unpack(&self) -> Result<LeafNode, Error> {
        LeafNode::from_bytes_with(&self.0, OWN_BYTES).map_err(|_| DAMAGED)
    }

    /// The signature key and the credential: who the member is.
    pub(crate) fn identity(&self) -> Result<(SignaturePublicKey, Credential), Error> {
        let mut reader = reader(&self.0)?;
        reader.opaque().map_err(|_| DAMAGED)?;
        let key = SignaturePublicKey::decode(&mut reader).map_err(|_| DAMAGED)?;
        Ok((key, Credential::decode(&mut reader).map_err(|_| DAMAGED)?))
    }

    /// The parent hash, if it has one: nothing else is parsed.
    pub(crate) fn parent_hash(&self) -> Result<Option<&[u8]>, Error> {
        let mut reader = reader(&self.0)?;
        let mut source = || {
            let (_keys, _credential_type) = ((reader.opaque()?, reader.opaque()?), u16::decode(&mut reader)?);
            // The credential, whichever it is, and the five lists of the capabilities.
            for _ in 0..6 {
                reader.opaque()?;
            }
            match u8::decode(&mut reader)? {
                COMMIT => reader.opaque().map(Some),
                _ => Ok(None),
            }
        };
        source().map_err(|_: DecodeError| DAMAGED)
    }

    pub(crate) fn encryption_key(&self) -> Result<&[u8], Error> {
        Ok(self.keys()?.0)
    }

    /// What its signature is about (RFC 9420 §7.2), as it came: nothing is encoded anew.
    pub(crate) fn signed(&self) -> Result<SignedLeaf<'_>, Error> {
        let mut reader = reader(&self.0)?;
        let mut signed = || {
            reader.opaque()?;
            let (key, _credential_type) =
                (SignaturePublicKey::decode(&mut reader)?, u16::decode(&mut reader)?);
            for _ in 0..6 {
                reader.opaque()?;
            }
            let source = LeafNodeSource::decode(&mut reader)?;
            // The extensions.
            reader.opaque()?;
            let fields = reader.consumed_since(0);
            let in_group = !matches!(source, LeafNodeSource::KeyPackage(_));
            Ok(SignedLeaf { key, fields, in_group, signature: reader.opaque()? })
        };
        signed().map_err(|_: DecodeError| DAMAGED)
    }

    /// The encryption key and the signature key.
    pub(crate) fn keys(&self) -> Result<(&[u8], &[u8]), Error> {
        let mut reader = reader(&self.0)?;
        let mut field = || reader.opaque().map_err(|_| DAMAGED);
        Ok((field()?, field()?))
    }
}

/// A leaf's signature, and what it covers.
pub(crate) struct SignedLeaf<'a> {
    pub(crate) key: SignaturePublicKey,
    /// All fields but the signature.
    fields: &'a [u8],
    /// Whether group and place are signed as well: they are for what was made within the group (C112).
    in_group: bool,
    pub(crate) signature: &'a [u8],
}

impl SignedLeaf<'_> {
    /// The encoded `LeafNodeTBS`, as [`LeafNode::encode_tbs`] writes it.
    pub(crate) fn encode_tbs(&self, writer: &mut Writer, (group_id, index): (&[u8], LeafIndex)) {
        writer.raw(self.fields);
        if self.in_group {
            writer.opaque(group_id).value(&index);
        }
    }

    /// Room for [`encode_tbs`](Self::encode_tbs).
    pub(crate) fn room(&self, group_id: &[u8]) -> usize {
        self.fields.len().saturating_add(group_id.len()).saturating_add(8)
    }
}

/// An encoded [`ParentNode`].
#[derive(Clone)]
pub(crate) struct PackedParent(Box<[u8]>);

impl PackedParent {
    /// From an encoding that was read as a parent.
    pub(crate) fn from_wire(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }

    /// # Errors
    /// [`ApiMisuse::TooLong`](crate::error::ApiMisuse::TooLong) for a parent that has no encoding.
    pub(crate) fn new(parent: &ParentNode) -> Result<Self, Error> {
        let ParentNode { encryption_key, parent_hash, unmerged_leaves } = parent;
        let room = encryption_key.0.len().saturating_add(parent_hash.len());
        let room = room.saturating_add(unmerged_leaves.len().saturating_mul(4)).saturating_add(8);
        let mut writer = Writer::with_capacity(room);
        writer.value(parent);
        Ok(Self(writer.finish()?.into_boxed_slice()))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn unpack(&self) -> Result<ParentNode, Error> {
        ParentNode::from_bytes_with(&self.0, OWN_BYTES).map_err(|_| DAMAGED)
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

    /// The same node with one unmerged leaf more. A commit may add as many members as there is room for, each of
    /// which is inserted into a list of them all: so the list is not parsed.
    pub(crate) fn with_unmerged_leaf(&self, leaf: LeafIndex) -> Result<Self, Error> {
        let ParentView { encryption_key, parent_hash, unmerged_leaves } = self.view()?;
        let leaf = leaf.number().to_be_bytes();
        let (numbers, _) = unmerged_leaves.as_chunks();
        // Big-endian numbers are in the order of their bytes.
        let (before, after) = numbers.split_at(numbers.partition_point(|number| *number < leaf));
        let unmerged_leaves = [before.as_flattened(), &leaf, after.as_flattened()].concat();
        let mut writer = Writer::with_capacity(self.0.len().saturating_add(8));
        writer.opaque(encryption_key).opaque(parent_hash).opaque(&unmerged_leaves);
        Ok(Self(writer.finish()?.into_boxed_slice()))
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
    Reader::new(bytes, OWN_BYTES).map_err(|_| DAMAGED)
}

/// What came as part of a message is read again by itself: the limits of the message are not those of its parts,
/// and whatever they let in must be readable for ever.
pub(crate) const OWN_BYTES: DecodeLimits =
    DecodeLimits { max_bytes: usize::MAX, max_elements: usize::MAX, max_depth: u8::MAX };

const DAMAGED: Error = Error::Bug("a node of the tree is not as it was encoded");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential::{Certificate, CredentialType};
    use crate::tree::oracle::leaf_node;
    use crate::tree::records::{NodeRecord, StoredNode};
    use crate::tree::{LeafIndex, Node, RatchetTree};

    #[test]
    fn an_unmerged_leaf_is_inserted_where_it_belongs() {
        let node = |leaves: &[u32]| ParentNode {
            encryption_key: HpkePublicKey(vec![1; 32]),
            parent_hash: vec![2; 32],
            unmerged_leaves: leaves.iter().copied().map(LeafIndex::new).collect(),
        };
        let leaves = [0, 7, 255, 256, 1 << 23];
        for (place, leaf) in leaves.into_iter().enumerate() {
            let mut others = leaves.to_vec();
            others.remove(place);
            let packed = PackedParent::new(&node(&others)).unwrap();
            let with = packed.with_unmerged_leaf(LeafIndex::new(leaf)).unwrap();
            assert_eq!(with.unpack(), Ok(node(&leaves)));
            assert_eq!(with.bytes(), node(&leaves).to_bytes().unwrap());
        }
        // Where the length prefix grows.
        let many: Vec<u32> = (0..16).chain(17..5000).collect();
        let with = PackedParent::new(&node(&many)).unwrap().with_unmerged_leaf(LeafIndex::new(16)).unwrap();
        assert_eq!(with.unpack(), Ok(node(&(0..5000).collect::<Vec<_>>())));
    }

    #[test]
    fn what_is_read_of_a_leaf_is_what_is_in_it() {
        use crate::tree::{LeafNodeSource, Lifetime};

        let certificates = [0, 3, 300].map(|length| Certificate { cert_data: vec![7; length] }).to_vec();
        let custom = Credential::Custom { credential_type: CredentialType(0xF001), data: vec![3; 70] };
        let lifetime = Lifetime { not_before: 1, not_after: u64::MAX };
        for credential in [Credential::basic(*b"alice"), Credential::X509 { certificates }, custom] {
            for source in [
                LeafNodeSource::KeyPackage(lifetime),
                LeafNodeSource::Update,
                LeafNodeSource::Commit { parent_hash: vec![9; 32] },
                LeafNodeSource::Commit { parent_hash: vec![] },
            ] {
                let (credential, leaf_node_source) = (credential.clone(), source);
                let leaf = LeafNode { credential, leaf_node_source, ..leaf_node(1) };
                let packed = PackedLeaf::new(&leaf).unwrap();
                assert_eq!(packed.unpack().as_ref(), Ok(&leaf));
                assert_eq!(packed.identity(), Ok((leaf.signature_key.clone(), leaf.credential.clone())));
                assert_eq!(packed.keys(), Ok((leaf.encryption_key.as_ref(), leaf.signature_key.as_ref())));
                let parent_hash = match &leaf.leaf_node_source {
                    LeafNodeSource::Commit { parent_hash } => Some(parent_hash.as_slice()),
                    LeafNodeSource::KeyPackage(_) | LeafNodeSource::Update => None,
                };
                assert_eq!(packed.parent_hash(), Ok(parent_hash));
                let signed = packed.signed().unwrap();
                assert_eq!((&signed.key, signed.signature), (&leaf.signature_key, leaf.signature.as_slice()));
                let place = (&b"group"[..], LeafIndex::new(5));
                let mut writers = [Writer::new(), Writer::new()];
                signed.encode_tbs(&mut writers[0], place);
                leaf.encode_tbs(&mut writers[1], place);
                let [fast, literal] = writers.map(|writer| writer.finish().unwrap());
                assert_eq!(fast, literal);
                assert!(signed.room(place.0) >= fast.len());
            }
        }
    }

    /// A message of many megabytes may have a part in which one byte of it takes 24 in memory.
    #[test]
    fn a_leaf_that_was_let_in_as_part_of_a_long_message_is_read_again_by_itself() {
        let mut leaf = leaf_node(1);
        let certificates = vec![Certificate { cert_data: Vec::new() }; 100_000];
        leaf.credential = Credential::X509 { certificates };
        assert!(LeafNode::from_bytes(&leaf.to_bytes().unwrap()).is_err());

        let mut tree = RatchetTree::new(crate::testing::SUITE, leaf_node(0)).unwrap();
        tree.add(leaf.clone()).unwrap();
        assert_eq!(tree.leaf(LeafIndex::new(1)), Ok(Some(leaf.clone())));
        let identity = Some((leaf.signature_key.clone(), leaf.credential.clone()));
        assert_eq!(tree.identity(LeafIndex::new(1)), Ok(identity));
        let node = Some(Node::Leaf(leaf.clone())).to_bytes().unwrap();
        let record = NodeRecord { members: 1, node, hashes: Vec::new() };
        assert!(matches!(record.node(), Ok(StoredNode::Leaf(read)) if read == leaf));
        tree.remove(LeafIndex::new(1)).unwrap();
    }
}
