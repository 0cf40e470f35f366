//! Who may do what in a room (RFC 9750 §6.1, A100): rules in the group's context, which all members and the service judge alike.

use hushwood::extension::Extensions;
use hushwood::framing::Sender;
use hushwood::group::{Group, NewProposal};
use hushwood_crypto::SignaturePublicKey;
use hushwood_delivery::rules::{Deed, InForce, Rules};

use crate::core::Core;
use crate::core::derive::Derived;
use crate::core::intent::Action;
use crate::core::people::{Contact, Known};
use crate::error::Error;
use crate::identity::{Member, is_same_person, member};
use crate::room::RoomId;
use crate::settings::Millis;

impl Core {
    /// Who may do what in a room.
    ///
    /// # Errors
    /// [`Error::NoRoom`]; [`Error::Void`] for rules of a later version; [`Error::Protocol`] if the store can't be read.
    pub fn rules(&mut self, room: &RoomId) -> Result<Rules, Error> {
        rules_of(&self.group(room)?.context().extensions)
    }

    /// The members of a room that are its admins. Where its rules leave something to admins and there are none, every member may do
    /// it.
    ///
    /// # Errors
    /// As [`rules`](Self::rules).
    pub fn admins(&mut self, room: &RoomId) -> Result<Vec<Member>, Error> {
        let group = self.group(room)?;
        let mut admins = Vec::new();
        for key in rules_of(&group.context().extensions)?.admins {
            if let Some(leaf) = group.tree().signature_key_at(&key)?
                && let Some(view) = group.member(leaf)?
            {
                admins.push(member(&view.leaf.credential, group.suite()));
            }
        }
        Ok(admins)
    }

    /// Gives a room other rules. The admins stay who they are; the first to leave something to admins becomes one. Rules are about devices:
    /// where admins alone add and remove, they do so for new and lost devices of others, too.
    ///
    /// # Errors
    /// As [`invite`](Self::invite). That its rules do not let us change them, the [`result`](Self::result) says.
    pub fn set_rules(&mut self, room: &RoomId, rules: Rules) -> Result<u64, Error> {
        self.want(room, Action::SetRules { rules })
    }

    /// Makes all devices that a person has in a room admins of it. One that comes later is none until this is said again.
    ///
    /// # Errors
    /// As [`set_rules`](Self::set_rules).
    pub fn make_admin(&mut self, room: &RoomId, person: &str) -> Result<u64, Error> {
        self.want(room, Action::Admin { person: person.as_bytes().to_vec(), is: 1 })
    }

    /// The devices of a person are admins of a room no more. The last admins stay, as long as the rules leave something to them.
    ///
    /// # Errors
    /// As [`set_rules`](Self::set_rules).
    pub fn unmake_admin(&mut self, room: &RoomId, person: &str) -> Result<u64, Error> {
        self.want(room, Action::Admin { person: person.as_bytes().to_vec(), is: 0 })
    }

    pub(super) fn derive_rules(
        &mut self,
        number: u64,
        id: &RoomId,
        action: &Action,
        now: Millis,
    ) -> Result<Derived, Error> {
        let own = self.env.claim().signature_key;
        let before = rules_of(&self.group(id)?.context().extensions)?;
        let mut rules = before.clone();
        match action {
            Action::SetRules { rules: next } => {
                rules = Rules { admins: rules.admins, ..next.clone() };
                if rules.need_admins() && rules.admins.is_empty() {
                    rules.admins.push(own);
                }
            }
            Action::Admin { person, is } => {
                // Where the application judges keys, it has judged those of members.
                let are_asked = *is != 0 && !self.env.judge.is_of_the_application();
                let keys = keys_of(&self.contacts(id)?, &String::from_utf8_lossy(person), are_asked)?;
                rules.admins.retain(|admin| !keys.contains(admin));
                if *is != 0 {
                    rules.admins.extend(keys);
                }
            }
            _ => return Err(hushwood::error::Error::Bug("no action on rules").into()),
        }
        if rules == before {
            return self.already(number);
        }
        let group = self.group(id)?;
        // Who has gone is not an admin again when they come back.
        let mut there = Vec::new();
        for key in rules.admins {
            if group.tree().signature_key_at(&key)?.is_some() {
                there.push(key);
            }
        }
        rules.admins = there;
        if rules.need_admins() && rules.admins.is_empty() {
            return Err(Error::Void(
                "a room whose rules leave something to admins keeps one: name another first",
            ));
        }
        let mut extensions = group.context().extensions.clone();
        rules.put(&mut extensions).map_err(hushwood::error::Error::from)?;
        let change = vec![NewProposal::GroupContextExtensions(extensions)];
        self.publish_commit(number, id, (change, Vec::new()), now)
    }
}

/// Whether the room's rules let us commit this: better said now than refused by the service.
pub(super) fn check_own(group: &Group, proposals: &[NewProposal<'_>]) -> Result<(), Error> {
    let rules = InForce::new(&group.context().extensions, group.tree())?;
    proposals.iter().try_for_each(|proposal| match proposal {
        NewProposal::Update(_) => Ok(()),
        NewProposal::Add(_) => check(&rules, group, Deed::Add),
        NewProposal::Remove(removed) => check(&rules, group, rules.removal_of(*removed)),
        // We change nothing else there.
        NewProposal::GroupContextExtensions(_) => check(&rules, group, Deed::Rules),
        NewProposal::Psk(_) | NewProposal::ReInit(_) | NewProposal::Custom { .. } => {
            check(&rules, group, Deed::Change)
        }
    })
}

/// Whether the room's rules let us do this.
pub(super) fn check_deed(group: &Group, deed: Deed) -> Result<(), Error> {
    check(&InForce::new(&group.context().extensions, group.tree())?, group, deed)
}

fn check(rules: &InForce<'_>, group: &Group, deed: Deed) -> Result<(), Error> {
    match rules.let_do(deed, Sender::Member(group.own_leaf())) {
        true => Ok(()),
        false => Err(Error::Void(match deed {
            Deed::Add => "only admins add somebody to this room: ask one of them",
            Deed::Remove => "only admins remove somebody from this room: ask one of them",
            Deed::Change | Deed::Rules => "only admins change this room: ask one of them",
        })),
    }
}

/// The rules in a group's extensions.
pub(super) fn rules_of(extensions: &Extensions) -> Result<Rules, Error> {
    Rules::of(extensions).map_err(|_| LATER)
}

const LATER: Error =
    Error::Void("this room has rules that this version can't read: nothing but leaving it is possible");

/// The keys of all devices that a person has in a room. Only those are made admins' that were taken for theirs: others may be anybody's who
/// uses the name.
fn keys_of(contacts: &[Contact], person: &str, are_asked: bool) -> Result<Vec<SignaturePublicKey>, Error> {
    let mut keys = Vec::new();
    for contact in contacts.iter().filter(|contact| is_same_person(&contact.member.person, person)) {
        match contact.trust {
            Known::Unknown | Known::Doubted if are_asked => {
                return Err(Error::UnknownKey { person: contact.member.to_string() });
            }
            Known::Unknown | Known::Doubted | Known::Own | Known::Seen | Known::Verified => {
                keys.push(contact.claim.signature_key.clone());
            }
        }
    }
    match keys.is_empty() {
        true => Err(Error::Void("nobody of this name is in the room")),
        false => Ok(keys),
    }
}
