//! Members who say that they see another history (RFC 9750 §8.4.2), and how many of them stop a room.
//!
//! A word about another history is a claim of whoever sends it: the service may have shown them something else, or they
//! lie. So it is told, and a room goes on until a second person says so, or the only other one there is. With the next
//! epoch the chain begins anew, and so does this.

use hushwood::group::Group;
use hushwood_codec::wire_struct;

use crate::core::log::Page;
use crate::core::room::Room;
use crate::error::Error;
use crate::event::EventKind;
use crate::identity::{Member, member};
use crate::records::{from_row, get, row, to_row};

wire_struct! {
    /// Who has said so in an epoch.
    pub(crate) struct Witnesses {
        epoch: u64,
        people: Vec<Vec<u8>>,
    }
}

impl Room {
    /// A member's message says that they see another history than we do.
    pub(crate) fn says_otherwise(
        &mut self,
        group: &Group,
        from: &Member,
        sequence: u64,
        page: &mut Page<'_>,
    ) -> Result<(), Error> {
        let key = row(self.rows(), "witnesses");
        let known = match self.witnesses.take() {
            Some(known) => Some(known),
            None => get(&*page.env.store, &key)?.map(|row| from_row::<Witnesses>(&row)).transpose()?,
        };
        let epoch = group.epoch();
        let none = || Witnesses { epoch, people: Vec::new() };
        let mut witnesses = known.filter(|known| known.epoch == epoch).unwrap_or_else(none);
        let person = from.person.as_bytes();
        if !witnesses.people.iter().any(|other| other == person) {
            witnesses.people.push(person.to_vec());
            page.work.put(key, to_row(&witnesses, 0)?);
            match witnesses.people.len() > 1 || is_alone_with(group, from)? {
                true => self.fork(Some(from.clone()), sequence, page),
                false => {
                    page.work.event(&self.id, EventKind::OtherHistory { with: from.clone(), sequence });
                }
            }
        }
        self.witnesses = Some(witnesses);
        Ok(())
    }
}

/// Whether nobody is there who could agree with them.
fn is_alone_with(group: &Group, person: &Member) -> Result<bool, Error> {
    for view in group.members() {
        let view = view?;
        let is_another = member(&view.leaf.credential, group.suite()).person != person.person;
        if view.index != group.own_leaf() && is_another {
            return Ok(false);
        }
    }
    Ok(true)
}
