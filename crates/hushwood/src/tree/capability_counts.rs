//! RFC 9420 §7.2, §7.3, §11.1: what the members support, counted.
//!
//! Whether every member supports a type, and which credential types are in use, is asked for every leaf,
//! proposal and extension. It is answered from counts that each change of a leaf moves.

use std::collections::BTreeMap;
use std::sync::Arc;

use hushwood_codec::{Decode, DecodeError, Element, Encode, Reader, Writer};

use crate::credential::CredentialType;
use crate::error::{Error, StoreReadError};
use crate::extension::ExtensionType;
use crate::proposal::ProposalType;
use crate::tree::LeafNode;
use crate::tree::packed::OWN_BYTES;

/// Numbers of members, by type. Shared between clones of a tree; copied when changed.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct CapabilityCounts(Arc<Counts>);

#[derive(Clone, Debug, Default, PartialEq)]
struct Counts {
    members: u32,
    credentials_used: BTreeMap<CredentialType, u32>,
    credentials: BTreeMap<CredentialType, u32>,
    extensions: BTreeMap<ExtensionType, u32>,
    proposals: BTreeMap<ProposalType, u32>,
}

/// A type and its count, as they are stored.
struct Count<T>(T, u32);

impl<T: Decode> Decode for Count<T> {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self(T::decode(reader)?, u32::decode(reader)?))
    }
}

impl<T: Decode> Element for Count<T> {}

impl CapabilityCounts {
    /// The counts as a store keeps them.
    pub(crate) fn encode(&self, writer: &mut Writer) {
        fn list<T: Encode>(writer: &mut Writer, counts: &BTreeMap<T, u32>) {
            writer.nested(|writer| {
                for (value, count) in counts {
                    writer.value(value).value(count);
                }
            });
        }
        writer.value(&self.0.members);
        list(writer, &self.0.credentials_used);
        list(writer, &self.0.credentials);
        list(writer, &self.0.extensions);
        list(writer, &self.0.proposals);
    }

    /// What [`encode`](Self::encode) wrote.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Error> {
        fn list<T: Decode + Ord>(reader: &mut Reader<'_>) -> Result<BTreeMap<T, u32>, DecodeError> {
            let mut counts = BTreeMap::new();
            reader.for_each(|_, Count(kind, count)| {
                counts.insert(kind, count);
                Ok(())
            })?;
            Ok(counts)
        }
        let read = || {
            let mut reader = Reader::new(bytes, OWN_BYTES)?;
            let counts = Counts {
                members: u32::decode(&mut reader)?,
                credentials_used: list(&mut reader)?,
                credentials: list(&mut reader)?,
                extensions: list(&mut reader)?,
                proposals: list(&mut reader)?,
            };
            reader.finish()?;
            Ok::<_, DecodeError>(counts)
        };
        Ok(Self(Arc::new(read().map_err(|_| StoreReadError::Corrupt)?)))
    }

    /// A leaf has gone, another has come.
    pub(crate) fn replace(&mut self, old: Option<&LeafNode>, new: Option<&LeafNode>) {
        // Most leaves take the place of one that supports the same.
        if let (Some(old), Some(new)) = (old, new)
            && old.capabilities == new.capabilities
            && old.credential.credential_type() == new.credential.credential_type()
        {
            return;
        }
        if let Some(old) = old {
            self.remove(old);
        }
        if let Some(new) = new {
            self.add(new);
        }
    }

    pub(crate) fn add(&mut self, leaf: &LeafNode) {
        let counts = Arc::make_mut(&mut self.0);
        counts.members += 1;
        let up = |count: &mut u32| *count += 1;
        each(&mut counts.credentials_used, &[leaf.credential.credential_type()], up);
        each(&mut counts.credentials, &leaf.capabilities.credentials, up);
        each(&mut counts.extensions, &leaf.capabilities.extensions, up);
        each(&mut counts.proposals, &leaf.capabilities.proposals, up);
    }

    fn remove(&mut self, leaf: &LeafNode) {
        let counts = Arc::make_mut(&mut self.0);
        counts.members = counts.members.saturating_sub(1);
        let down = |count: &mut u32| *count = count.saturating_sub(1);
        each(&mut counts.credentials_used, &[leaf.credential.credential_type()], down);
        each(&mut counts.credentials, &leaf.capabilities.credentials, down);
        each(&mut counts.extensions, &leaf.capabilities.extensions, down);
        each(&mut counts.proposals, &leaf.capabilities.proposals, down);
    }

    /// No credential type is implied (C118).
    pub(crate) fn support_credential(&self, credential_type: CredentialType) -> bool {
        self.all(self.0.credentials.get(&credential_type))
    }

    /// The default extension types are implied (C116).
    pub(crate) fn support_extension(&self, extension_type: ExtensionType) -> bool {
        extension_type.is_default() || self.all(self.0.extensions.get(&extension_type))
    }

    /// The default proposal types are implied (C117).
    pub(crate) fn support_proposal(&self, proposal_type: ProposalType) -> bool {
        proposal_type.is_default() || self.all(self.0.proposals.get(&proposal_type))
    }

    pub(crate) fn credential_types_in_use(&self) -> impl Iterator<Item = CredentialType> {
        self.0.credentials_used.keys().copied()
    }

    fn all(&self, count: Option<&u32>) -> bool {
        count.copied().unwrap_or_default() == self.0.members
    }
}

/// Moves the count of each type once, however often a list names it; counts of zero are dropped.
fn each<T: Copy + Ord>(counts: &mut BTreeMap<T, u32>, types: &[T], change: impl Fn(&mut u32)) {
    let mut types = types.to_vec();
    types.sort_unstable();
    types.dedup();
    for kind in types {
        let count = counts.entry(kind).or_default();
        change(count);
        if *count == 0 {
            counts.remove(&kind);
        }
    }
}
