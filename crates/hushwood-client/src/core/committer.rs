//! Who commits proposals that wait: one member whom all know by the epoch, and others only where that one does not.

use std::collections::BTreeSet;

use hushwood::group::Group;
use hushwood::proposal::Proposal;
use hushwood::tree::LeafIndex;

use crate::content::truncate;
use crate::core::Core;
use crate::core::derive::leaves;
use crate::error::Error;
use crate::room::RoomId;
use crate::settings::Millis;

impl Core {
    /// Whether proposals wait in a room and it is for us to commit them. One member begins at once, whom all know by the
    /// epoch; the others wait, the longer the further they are.
    pub(super) fn is_our_turn(&mut self, id: &RoomId, now: Millis) -> Result<bool, Error> {
        let (first, longest) = self.env.settings.retry;
        let room = self.rooms.get_mut(id).ok_or(Error::NoRoom)?;
        let turn = room.turn;
        let group = room.group(&self.env)?;
        if group.pending_proposals().next().is_none() || leaves(group) {
            room.turn = None;
            return Ok(false);
        }
        let epoch = group.epoch();
        let at = match turn {
            Some((of, at)) if of == epoch => at,
            Some(_) | None => {
                let ahead = ahead(group)?;
                let [dice] = self.env.random().unwrap_or([128]);
                let wait = match ahead {
                    0 => 0,
                    ahead => {
                        let most =
                            first.saturating_mul(20).saturating_mul(ahead).min(longest.saturating_mul(3));
                        most / 2 + most / 2 * u64::from(dice) / 255
                    }
                };
                now.after(wait)
            }
        };
        room.turn = Some((epoch, at));
        Ok(at <= now)
    }
}

/// How many members come before us when proposals are to be committed: in the order of leaves from one that the epoch says,
/// without those who are to be removed. It is not counted beyond what would be too many anyway.
fn ahead(group: &Group) -> Result<u64, Error> {
    const ENOUGH: u64 = 16;
    let removed: BTreeSet<LeafIndex> = group
        .pending_proposals()
        .filter_map(|pending| match pending.proposal {
            Proposal::Remove(remove) => Some(remove.removed),
            _ => None,
        })
        .collect();
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
