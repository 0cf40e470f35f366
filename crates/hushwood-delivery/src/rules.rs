//! Who may do what in a group: rules in its context, which the service and all members judge alike (RFC 9750 §6.1, A100).
//!
//! The rules of an epoch count for the proposals of that epoch and for the commit that ends it. Each proposal is judged by who made
//! it, whoever commits it: a member who may not remove others gains nothing by proposing it to one who may.

use std::collections::BTreeSet;

use hushwood::error::Error;
use hushwood::extension::{ExtensionType, Extensions};
use hushwood::framing::Sender;
use hushwood::proposal::{CommittedProposal, Proposal};
use hushwood::tree::{LeafIndex, RatchetTree};
use hushwood_codec::{
    Decode, DecodeError, DecodeErrorKind, DecodeLimits, Element, Encode, EncodeError, Reader, Writer,
};
use hushwood_crypto::SignaturePublicKey;

/// The extension of group contexts that holds [`Rules`], from the range for private use. A group without it has none: every
/// member may do everything. Members of a group that has it list it in their capabilities (RFC 9420 §7.2).
pub const RULES_EXTENSION: ExtensionType = ExtensionType(0xF0D3);

/// Who may do what in a group.
///
/// Who is an admin is said by signature keys: they are unique in a group, and nobody else can show one. A member with another
/// key is no admin. Where no admin is a member any more, every member is one.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Rules {
    /// Who adds members. If it is the admins, nobody joins from outside either.
    pub add: Who,
    /// Who removes others. Everybody may leave; as soon as something is left to admins, they alone remove admins.
    pub remove: Who,
    /// Who changes the group's extensions, replaces the group by another one, or brings in pre-shared keys. As soon as something is left
    /// to admins, they alone change these rules.
    pub change: Who,
    /// The admins' keys.
    pub admins: Vec<SignaturePublicKey>,
}

/// Whom a rule lets do something.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Who {
    /// Whoever can: members, and who is let in from outside.
    #[default]
    Everyone,
    /// Members whose keys are those of admins.
    Admins,
}

impl Rules {
    /// The rules that a group has by its extensions.
    ///
    /// # Errors
    /// [`DecodeError`] for rules of a later version, or something else: of such a group nobody can say who may do what.
    pub fn of(extensions: &Extensions) -> Result<Self, DecodeError> {
        match extensions.get(RULES_EXTENSION) {
            Some(rules) => {
                let limits = DecodeLimits { max_bytes: MOST_BYTES, ..DecodeLimits::default() };
                Self::from_bytes_with(&rules.extension_data, limits)
            }
            None => Ok(Self::default()),
        }
    }

    /// Puts these rules into extensions, in the place of others.
    ///
    /// # Errors
    /// [`EncodeError`] for more admins than an extension has room for.
    pub fn put(&self, extensions: &mut Extensions) -> Result<(), EncodeError> {
        extensions.set(RULES_EXTENSION, self.to_bytes()?);
        Ok(())
    }

    /// Whether anything is left to admins.
    #[must_use]
    pub fn need_admins(&self) -> bool {
        [self.add, self.remove, self.change].contains(&Who::Admins)
    }

    fn who(&self, deed: Deed) -> Who {
        match deed {
            Deed::Add => self.add,
            Deed::Remove => self.remove,
            Deed::Change => self.change,
            Deed::Rules if self.need_admins() => Who::Admins,
            Deed::Rules => self.change,
        }
    }
}

/// What rules are about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Deed {
    /// Somebody is added.
    Add,
    /// Somebody else is removed.
    Remove,
    /// The group is changed: its extensions, what replaces it, which pre-shared keys go into its secrets.
    Change,
    /// The rules themselves are changed.
    Rules,
}

/// The rules of an epoch, and which members are admins in it.
#[derive(Clone, Debug)]
pub struct InForce<'a> {
    /// `None` if they can't be read: then nobody may do what rules are about.
    rules: Option<Rules>,
    admins: BTreeSet<LeafIndex>,
    tree: &'a RatchetTree,
}

impl<'a> InForce<'a> {
    /// Those of a group with these extensions and this tree.
    ///
    /// # Errors
    /// [`Error::StoreRead`].
    pub fn new(extensions: &Extensions, tree: &'a RatchetTree) -> Result<Self, Error> {
        let rules = Rules::of(extensions).ok();
        let mut admins = BTreeSet::new();
        for key in rules.iter().flat_map(|rules| &rules.admins) {
            admins.extend(tree.signature_key_at(key)?);
        }
        Ok(Self { rules, admins, tree })
    }

    /// Whether `sender` may do this.
    #[must_use]
    pub fn let_do(&self, deed: Deed, sender: Sender) -> bool {
        let Some(rules) = &self.rules else { return false };
        match (rules.who(deed), sender) {
            (Who::Everyone, _) => true,
            (Who::Admins, Sender::Member(leaf)) => self.admins.is_empty() || self.admins.contains(&leaf),
            (Who::Admins, _) => false,
        }
    }

    /// What it is to remove this member. Where no admin is left every member is one, so who could remove admins would be one.
    #[must_use]
    pub fn removal_of(&self, removed: LeafIndex) -> Deed {
        match self.admins.contains(&removed) {
            true => Deed::Rules,
            false => Deed::Remove,
        }
    }

    /// Whether `sender` may make this proposal.
    #[must_use]
    pub fn let_propose(&self, sender: Sender, proposal: &Proposal) -> bool {
        let deed = match proposal {
            // Everybody may leave, and have other keys.
            Proposal::Update(_) => return true,
            Proposal::Remove(remove) if sender == Sender::Member(remove.removed) => return true,
            Proposal::Add(_) => Deed::Add,
            Proposal::Remove(remove) => self.removal_of(remove.removed),
            Proposal::GroupContextExtensions(next) => match Rules::of(&next.extensions) {
                Ok(next) if self.rules.as_ref() == Some(&next) => Deed::Change,
                Ok(_) => Deed::Rules,
                // Whatever the rules are now, nobody puts others in their place that can't be read.
                Err(_) => return false,
            },
            Proposal::Psk(_) | Proposal::ReInit(_) | Proposal::ExternalInit(_) | Proposal::Custom { .. } => {
                Deed::Change
            }
        };
        self.let_do(deed, sender)
    }

    /// Whether these proposals may be committed. `key` is that of the committer's leaf in the epoch that the commit begins.
    ///
    /// # Errors
    /// [`Error::StoreRead`].
    pub fn let_commit<'p>(
        &self,
        key: &SignaturePublicKey,
        proposals: impl Iterator<Item = &'p CommittedProposal>,
    ) -> Result<bool, Error> {
        let (mut joins, mut returns) = (false, false);
        for committed in proposals {
            let (sender, proposal) = (committed.sender(), committed.proposal());
            match (sender, proposal) {
                (Sender::NewMemberCommit, Proposal::ExternalInit(_)) => joins = true,
                // Who comes back has the key that was there.
                (Sender::NewMemberCommit, Proposal::Remove(remove))
                    if self.tree.leaf(remove.removed)?.is_some_and(|leaf| leaf.signature_key == *key) =>
                {
                    returns = true;
                }
                _ if !self.let_propose(sender, proposal) => return Ok(false),
                _ => {}
            }
        }
        Ok(!joins || returns || self.let_do(Deed::Add, Sender::NewMemberCommit))
    }
}

/// So long are rules at most, which is room for more than a thousand admins: they are read for each handshake.
const MOST_BYTES: usize = 1 << 16;

/// The version of [`Rules`] that there is.
const VERSION: u8 = 1;

impl Element for Rules {}

impl Encode for Rules {
    fn encode(&self, writer: &mut Writer) {
        writer.value(&VERSION).value(&self.add).value(&self.remove).value(&self.change).vector(&self.admins);
    }
}

impl Decode for Rules {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match u8::decode(reader)? {
            VERSION => Ok(Self {
                add: Who::decode(reader)?,
                remove: Who::decode(reader)?,
                change: Who::decode(reader)?,
                admins: Vec::decode(reader)?,
            }),
            other => Err(reader.error(DecodeErrorKind::UnknownDiscriminant(other.into()))),
        }
    }
}

impl Encode for Who {
    fn encode(&self, writer: &mut Writer) {
        let number: u8 = match self {
            Self::Everyone => 0,
            Self::Admins => 1,
        };
        writer.value(&number);
    }
}

impl Decode for Who {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match u8::decode(reader)? {
            0 => Ok(Self::Everyone),
            1 => Ok(Self::Admins),
            other => Err(reader.error(DecodeErrorKind::UnknownDiscriminant(other.into()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_as_they_were_written_and_others_are_not_read() {
        let admins = vec![SignaturePublicKey(vec![1; 32]), SignaturePublicKey(vec![2; 65])];
        let rules = Rules { add: Who::Admins, remove: Who::Everyone, change: Who::Admins, admins };
        let mut extensions = Extensions::new();
        assert_eq!(Rules::of(&extensions), Ok(Rules::default()));
        rules.put(&mut extensions).unwrap();
        assert_eq!(Rules::of(&extensions), Ok(rules));
        let bytes = extensions.get(RULES_EXTENSION).unwrap().extension_data.clone();
        for (place, value) in [(0, 2), (1, 2), (3, 0xFF)] {
            let mut other = bytes.clone();
            other[place] = value;
            extensions.set(RULES_EXTENSION, other);
            assert!(Rules::of(&extensions).is_err(), "byte {place}");
        }
        let many = Rules { admins: vec![SignaturePublicKey(vec![1; 32]); 3000], ..Rules::default() };
        many.put(&mut extensions).unwrap();
        assert!(Rules::of(&extensions).is_err(), "too long");
    }
}
