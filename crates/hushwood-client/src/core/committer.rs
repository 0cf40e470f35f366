//! Who commits proposals that wait: one member whom all know by the epoch, and others only where that one does not.

use std::collections::BTreeSet;

use hushwood::error::Error as ProtocolError;
use hushwood::framing::Sender;
use hushwood::group::{Cover, Group, PendingProposal};
use hushwood::proposal::Proposal;
use hushwood::tree::LeafIndex;
use hushwood_crypto::HashReference;

use crate::content::truncate;
use crate::core::Core;
use crate::core::derive::Derived;
use crate::core::intent::Action;
use crate::error::Error;
use crate::room::RoomId;
use crate::settings::{Millis, Waits, millis};

impl Core {
    /// Whether proposals wait in a room and it is for us to commit them. One member begins at once, whom all know by the
    /// epoch; the others wait, the longer the further they are.
    pub(super) fn is_our_turn(&mut self, id: &RoomId, now: Millis) -> Result<bool, Error> {
        let retry = self.env.settings.retry;
        let room = self.rooms.get_mut(id).ok_or(Error::NoRoom)?;
        let (turn, failed) = (room.turn, room.commit_failed);
        let group = room.group(&self.env)?;
        let waits = covered(group).next().is_some() && failed != Some(group.epoch());
        if !waits || leaves(group) {
            room.turn = None;
            return Ok(false);
        }
        let epoch = group.epoch();
        let at = match turn {
            Some((of, at)) if of == epoch => at,
            Some(_) | None => {
                let ahead = ahead(group)?;
                let [dice] = self.env.random().unwrap_or([128]);
                now.after(wait_for(ahead, dice, retry))
            }
        };
        room.turn = Some((epoch, at));
        Ok(at <= now)
    }

    /// Whether anything is to be committed before a message is sent (RFC 9420 §12.4, C290): also what a commit of ours leaves
    /// out, which is void once the epoch has ended.
    pub(super) fn commit_goes_first(&mut self, id: &RoomId) -> Result<bool, Error> {
        Ok(self.group(id)?.pending_proposals().next().is_some())
    }

    /// What becomes of an intent because we have asked to be removed: a commit of ours can't cover that, and so would make it void.
    /// `None` if we have not.
    pub(super) fn goes_first(&mut self, number: u64) -> Result<Option<Derived>, Error> {
        let intent = self.intent(number)?;
        let (room, of_the_user) = match intent.action {
            Action::Leave | Action::Rejoin => return Ok(None),
            Action::CommitWaiting | Action::Renew => (intent.room.clone(), false),
            Action::Add { .. }
            | Action::Remove { .. }
            | Action::RemoveKey { .. }
            | Action::Send { .. }
            | Action::SetRules { .. }
            | Action::Admin { .. } => (intent.room.clone(), true),
        };
        let group = self.group(&room)?;
        if !leaves(group) {
            return Ok(None);
        }
        match of_the_user {
            true => {
                self.give_up(number, Error::Void("you have asked to leave this room"))?;
                Ok(Some(Derived::Again))
            }
            false => Ok(Some(Derived::Wait)),
        }
    }

    /// A commit that nobody has asked for could not be made: not again at once, and not with what waits in this epoch.
    pub(super) fn failed_of_our_own(
        &mut self,
        id: &RoomId,
        why: ProtocolError,
        now: Millis,
    ) -> Result<Derived, Error> {
        let epoch = self.group(id)?.epoch();
        self.room(id)?.commit_failed = Some(epoch);
        self.wait_in(id, why.into(), 0, now);
        Ok(Derived::Wait)
    }
}

/// The proposals that commits of ours cover, and that are waited for: members' Updates, and that they want to leave.
///
/// Our clients propose no removal but their own: who removes others commits it. Were the others' to count, who is to be removed would
/// have to wait for somebody else's commit, and a member who proposes to remove all others would silence the room.
/// A pre-shared key is nothing that we have. Of an Add nobody says whose inbox the Welcome is for: who asks to be let in is
/// invited. What changes or ends the group, and what comes from outside, is for who wants it to commit.
fn covered(group: &Group) -> impl Iterator<Item = PendingProposal<'_>> {
    group.pending_proposals().filter(is_covered)
}

fn is_covered(pending: &PendingProposal<'_>) -> bool {
    match (pending.sender, pending.proposal) {
        (Sender::Member(_), Proposal::Update(_)) => true,
        (Sender::Member(sender), Proposal::Remove(remove)) => remove.removed == sender,
        _ => false,
    }
}

/// Which of the waiting proposals a commit of ours covers: none, if it could not be made with them.
pub(super) fn cover(group: &Group, failed: Option<u64>) -> Cover {
    if failed == Some(group.epoch()) {
        return Cover::None;
    }
    let others = group.pending_proposals().filter(|pending| !is_covered(pending));
    let others: BTreeSet<HashReference> = others.map(|pending| pending.reference.clone()).collect();
    match others.is_empty() {
        true => Cover::All,
        false => Cover::Except(others),
    }
}

/// How long whoever has so many before them waits until it is their turn.
fn wait_for(ahead: u64, dice: u8, waits: Waits) -> u64 {
    let (first, longest) = (millis(waits.first), millis(waits.longest));
    let most = first.saturating_mul(20).saturating_mul(ahead).min(longest.saturating_mul(3));
    most / 2 + most / 2 * u64::from(dice) / 255
}

/// Whether we have asked to be removed.
pub(super) fn leaves(group: &Group) -> bool {
    covered(group).any(|pending| removes(&pending) == Some(group.own_leaf()))
}

fn removes(pending: &PendingProposal<'_>) -> Option<LeafIndex> {
    match pending.proposal {
        Proposal::Remove(remove) => Some(remove.removed),
        _ => None,
    }
}

/// How many members come before us when proposals are to be committed: in the order of leaves from one that the epoch says,
/// without those who are to be removed. It is not counted beyond what would be too many anyway.
fn ahead(group: &Group) -> Result<u64, Error> {
    const ENOUGH: u64 = 16;
    let removed: BTreeSet<LeafIndex> = covered(group).filter_map(|pending| removes(&pending)).collect();
    let leaves = group.tree().leaf_count().max(1);
    let hash = group.suite().hash().hash(&[b"hushwood committer 1", group.epoch_authenticator()?]);
    let first = u32::from_be_bytes(truncate(hash.as_bytes())) % leaves;
    let mut ahead = 0;
    for offset in 0..leaves {
        let leaf = LeafIndex::new((first.wrapping_add(offset)) % leaves);
        if leaf == group.own_leaf() || ahead >= ENOUGH {
            break;
        }
        if !removed.contains(&leaf) && group.tree().is_member(leaf)? {
            ahead += 1;
        }
    }
    Ok(ahead)
}
