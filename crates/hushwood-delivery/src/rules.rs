//! Who may do what in a group: rules in its context, which the service and all members judge alike (RFC 9750 §6.1, A100).
//!
//! The rules of an epoch count for the proposals of that epoch and for the commit that ends it. Each proposal is judged by who made
//! it, whoever commits it: a member who may not remove others gains nothing by proposing it to one who may.

use hushwood::error::Error;
use hushwood::extension::{ExtensionType, Extensions};
use hushwood::framing::Sender;
use hushwood::proposal::{CommittedProposal, Proposal};
use hushwood::tree::RatchetTree;
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
    /// Who removes others. Everybody may leave.
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
                let limits = DecodeLimits { max_bytes: 1 << 20, ..DecodeLimits::default() };
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

    /// Whether the member with this key may do this, in a group with this tree.
    ///
    /// # Errors
    /// [`Error::StoreRead`].
    pub fn let_do(&self, deed: Deed, key: &SignaturePublicKey, tree: &RatchetTree) -> Result<bool, Error> {
        if self.who(deed) == Who::Everyone || self.admins.contains(key) {
            return Ok(true);
        }
        for admin in &self.admins {
            if tree.signature_key_at(admin)?.is_some() {
                return Ok(false);
            }
        }
        Ok(true)
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

impl Deed {
    /// What a proposal does that rules are about; `None` for what everybody may: to leave, and to have other keys.
    fn of(rules: &Rules, sender: Sender, proposal: &Proposal) -> Option<Self> {
        match proposal {
            Proposal::Update(_) => None,
            Proposal::Remove(remove) if sender == Sender::Member(remove.removed) => None,
            Proposal::Add(_) => Some(Self::Add),
            Proposal::Remove(_) => Some(Self::Remove),
            Proposal::GroupContextExtensions(next) if Rules::of(&next.extensions).as_ref() != Ok(rules) => {
                Some(Self::Rules)
            }
            Proposal::Psk(_)
            | Proposal::ReInit(_)
            | Proposal::ExternalInit(_)
            | Proposal::GroupContextExtensions(_)
            | Proposal::Custom { .. } => Some(Self::Change),
        }
    }
}

/// Whether the rules in a group's extensions let `sender` make this proposal.
///
/// # Errors
/// [`Error::StoreRead`].
pub fn is_proposal_allowed(
    extensions: &Extensions,
    tree: &RatchetTree,
    (sender, proposal): (Sender, &Proposal),
) -> Result<bool, Error> {
    // Whatever the rules are now, nobody puts others in their place that can't be read.
    if let Proposal::GroupContextExtensions(next) = proposal
        && Rules::of(&next.extensions).is_err()
    {
        return Ok(false);
    }
    // What can't be read lets everybody do what no rules are about.
    let (rules, can_read) = match Rules::of(extensions) {
        Ok(rules) => (rules, true),
        Err(_) => (Rules::default(), false),
    };
    let Some(deed) = Deed::of(&rules, sender, proposal) else { return Ok(true) };
    if !can_read {
        return Ok(false);
    }
    if rules.who(deed) == Who::Everyone {
        return Ok(true);
    }
    let Sender::Member(leaf) = sender else { return Ok(false) };
    match tree.leaf(leaf)? {
        Some(member) => rules.let_do(deed, &member.signature_key, tree),
        None => Ok(false),
    }
}

/// Whether the rules in a group's extensions let these proposals be committed. `tree` is the one that the commit begins with,
/// `key` that of the committer's leaf after it.
///
/// # Errors
/// [`Error::StoreRead`].
pub fn is_commit_allowed<'a>(
    extensions: &Extensions,
    tree: &RatchetTree,
    key: &SignaturePublicKey,
    proposals: impl Iterator<Item = &'a CommittedProposal>,
) -> Result<bool, Error> {
    let (mut joins, mut returns) = (false, false);
    for committed in proposals {
        let (sender, proposal) = (committed.sender(), committed.proposal());
        match (sender, proposal) {
            (Sender::NewMemberCommit, Proposal::ExternalInit(_)) => joins = true,
            // Who comes back has the key that was there.
            (Sender::NewMemberCommit, Proposal::Remove(remove))
                if tree.leaf(remove.removed)?.is_some_and(|leaf| leaf.signature_key == *key) =>
            {
                returns = true;
            }
            _ if !is_proposal_allowed(extensions, tree, (sender, proposal))? => return Ok(false),
            _ => {}
        }
    }
    let may_join = !joins || returns || Rules::of(extensions).is_ok_and(|rules| rules.add == Who::Everyone);
    Ok(may_join)
}

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
    }
}
