//! Invitations from the inbox until they are followed: stored here first, so that the inbox of the service empties whatever
//! becomes of them.

use std::collections::BTreeMap;

use hushwood::group::StagedJoin;
use hushwood_crypto::Secret;
use hushwood_delivery::wire::WelcomeEntry;

use crate::content::truncate;
use crate::core::work::Work;
use crate::core::{Core, Known, nowhere};
use crate::error::Error;
use crate::event::{Attention, EventKind};
use crate::identity::member_of;
use crate::invitation::{
    Invitation, InvitationId, InvitationRecord, Invitations, Invitee, Told, least_known_first,
};
use crate::records::{INVITATIONS, Standing, VERSION, corrupt, from_row, row, rows, to_row};
use crate::room::RoomId;
use crate::trust::Judgement;

/// An invitation in memory.
pub(super) struct Waiting {
    pub(super) record: InvitationRecord,
    pub(super) look: Look,
}

/// When to look at an invitation.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Look {
    Now,
    /// Once this has been read of a room that we are in: that we were removed from it may be there.
    AfterReading(RoomId, u64),
    /// When somebody has decided.
    Later,
}

/// So many invitations wait here at most; then the oldest that waits for something gives way.
const MOST: usize = 64;

impl Core {
    /// Invitations that wait for a decision, with the rooms that they are to, the oldest first.
    #[must_use]
    pub fn invitations(&self) -> Vec<(RoomId, Invitation)> {
        let mut waiting: Vec<_> = self.account.invitations.values().collect();
        waiting.sort_by_key(|waiting| waiting.record.number);
        let waiting = waiting.into_iter().filter(|waiting| waiting.record.accepted == 0);
        let told = waiting.filter_map(|waiting| waiting.record.told.clone());
        told.map(|told| (RoomId(told.room), told.invitation)).collect()
    }

    /// Follows an invitation. That we are in the room, or why not, an event tells.
    ///
    /// # Errors
    /// [`Error::Void`] if there is no such invitation any more; [`Error::Store`].
    pub fn accept_invitation(&mut self, id: InvitationId) -> Result<(), Error> {
        self.refresh()?;
        let waiting = self.account.invitations.get_mut(&id).ok_or(GONE)?;
        waiting.record.accepted = 1;
        waiting.look = Look::Now;
        let mut work = Work::new();
        work.put(row(INVITATIONS, id.0), waiting.to_row()?);
        self.persist(work)
    }

    /// Forgets an invitation. Who has invited us is told nothing.
    ///
    /// # Errors
    /// [`Error::Void`] if there is no such invitation any more; [`Error::Store`].
    pub fn refuse_invitation(&mut self, id: InvitationId) -> Result<(), Error> {
        self.refresh()?;
        if !self.account.invitations.contains_key(&id) {
            return Err(GONE);
        }
        self.forget_invitation(id)
    }

    /// What was in the inbox is stored here, and is taken out there.
    pub(super) fn inbox(&mut self, wanted: u64, welcomes: Vec<WelcomeEntry>) -> Result<(), Error> {
        let (mut work, mut new, mut stored) = (Work::new(), Vec::new(), Vec::new());
        let mut number =
            self.account.invitations.values().map(|waiting| waiting.record.number).max().unwrap_or(0);
        for WelcomeEntry { id, message } in welcomes {
            let hash = self.env.suite().hash().hash(&[b"hushwood invitation 1", &message]);
            let name = InvitationId(truncate(hash.as_bytes()));
            let is_there = self.account.invitations.contains_key(&name)
                || new.iter().any(|(other, _): &(InvitationId, Waiting)| *other == name);
            if !is_there {
                if self.account.invitations.len().saturating_add(new.len()) >= MOST {
                    let Some(oldest) = self.oldest_that_waits() else { break };
                    self.account.invitations.remove(&oldest);
                    work.erase(row(INVITATIONS, oldest.0));
                }
                number = number.saturating_add(1);
                let record = InvitationRecord { version: VERSION, number, message, accepted: 0, told: None };
                let waiting = Waiting { record, look: Look::Now };
                work.put(row(INVITATIONS, name.0), waiting.to_row()?);
                new.push((name, waiting));
            }
            stored.push(id);
        }
        let is_empty = new.is_empty();
        self.persist(work)?;
        self.account.invitations.extend(new);
        for id in stored {
            if !self.account.acknowledged.contains(&id) {
                self.account.acknowledged.push(id);
            }
        }
        if is_empty {
            // There was nothing new: that was all.
            self.account.inbox_done = self.account.inbox_done.max(wanted);
        }
        Ok(())
    }

    fn oldest_that_waits(&self) -> Option<InvitationId> {
        let waiting = self.account.invitations.iter().filter(|(_, waiting)| waiting.look != Look::Now);
        waiting.min_by_key(|(_, waiting)| waiting.record.number).map(|(id, _)| *id)
    }

    /// The next invitation to look at.
    pub(super) fn invitation_to_look_at(&self) -> Option<InvitationId> {
        let ready = self.account.invitations.iter().filter(|(_, waiting)| match &waiting.look {
            Look::Now => true,
            Look::AfterReading(room, read) => self.has_read(room, *read),
            Look::Later => false,
        });
        ready.min_by_key(|(_, waiting)| waiting.record.number).map(|(id, _)| *id)
    }

    /// Whether a room was read so far, or is not one to be read any more.
    fn has_read(&self, room: &RoomId, read: u64) -> bool {
        self.rooms.get(room).is_none_or(|room| {
            room.record.standing != Standing::Active
                || (room.paused.is_none() && room.read_done >= read && room.known <= room.record.cursor)
        })
    }

    /// An invitation into a room that we are in, as far as we have read: whether it is to be followed later, if we were removed.
    /// If we are still in it when the log is read it is for nothing.
    pub(super) fn is_still_there(&mut self, id: InvitationId, room_id: &RoomId) -> Result<bool, Error> {
        let Some(room) = self.rooms.get_mut(room_id) else { return Ok(false) };
        if room.record.standing != Standing::Active {
            return Ok(false);
        }
        let Some(waiting) = self.account.invitations.get_mut(&id) else { return Ok(true) };
        match waiting.look {
            Look::AfterReading(..) => self.forget_invitation(id)?,
            Look::Now | Look::Later => {
                room.read_wanted = room.read_wanted.max(room.read_done.saturating_add(1));
                waiting.look = Look::AfterReading(room_id.clone(), room.read_wanted);
            }
        }
        Ok(true)
    }

    /// Whether an invitation is followed now. If not it waits, and the application is told of it once.
    pub(super) fn is_admitted(
        &mut self,
        id: InvitationId,
        staged: &StagedJoin,
        judgement: &Judgement,
    ) -> Result<bool, Error> {
        let invitation = self.invitation(id, staged)?;
        let Some(waiting) = self.account.invitations.get_mut(&id) else { return Ok(false) };
        let is_known = !matches!(invitation.by_trust, Known::Unknown | Known::Doubted)
            && invitation.members.iter().all(|one| one.trust != Known::Doubted);
        let is_wanted = waiting.record.accepted != 0
            || match self.env.settings.invitations {
                Invitations::FromKnown => is_known || self.env.judge.is_of_the_application(),
                Invitations::All => true,
                Invitations::Ask => false,
            };
        if is_wanted && judgement.refused.is_none() {
            return Ok(true);
        }
        waiting.look = Look::Later;
        let room = RoomId(staged.context().group_id.clone());
        let mut work = Work::new();
        if waiting.record.told.is_none() {
            waiting.record.told = Some(Told { room: room.0.clone(), invitation: invitation.clone() });
            work.put(row(INVITATIONS, id.0), waiting.to_row()?);
            if !is_wanted {
                work.event(&room, EventKind::Invited(invitation));
            }
        }
        if let Some(member) = &judgement.refused
            && self.account.told.insert(id)
        {
            work.event(&room, EventKind::NeedsAttention(judgement.attention(member)));
        }
        self.persist(work)?;
        Ok(false)
    }

    /// What there is to know about an invitation.
    fn invitation(&self, id: InvitationId, staged: &StagedJoin) -> Result<Invitation, Error> {
        let (own, judge) = (self.env.claim(), &self.env.judge);
        let suite = self.env.suite();
        let (mut by, mut by_trust, mut members) = (None, Known::Unknown, Vec::new());
        for view in staged.members() {
            let view = view?;
            let (credential, signature_key) = (view.leaf.credential, view.leaf.signature_key);
            let claim = hushwood::credential::Claim { credential, signature_key };
            let (member, trust) = (member_of(&claim, suite), judge.known(&claim, &own));
            if view.index == staged.signer() {
                (by, by_trust) = (Some(member.clone()), trust);
            }
            members.push(Invitee { member, trust });
        }
        let count = u32::try_from(members.len()).unwrap_or(u32::MAX);
        let members = least_known_first(members);
        let senders = staged.context().extensions.external_senders()?.len();
        let external_senders = u32::try_from(senders).unwrap_or(u32::MAX);
        let by = by.unwrap_or_else(|| self.env.device.member.clone());
        Ok(Invitation { id, by, by_trust, members, count, external_senders })
    }

    /// Forgets an invitation: there is nothing to follow.
    pub(super) fn forget_invitation(&mut self, id: InvitationId) -> Result<(), Error> {
        let mut work = Work::new();
        work.erase(row(INVITATIONS, id.0));
        self.persist(work)?;
        self.account.invitations.remove(&id);
        Ok(())
    }

    /// Tells of an invitation that can't be followed, and forgets it.
    pub(super) fn bad_invitation(&mut self, id: InvitationId, why: &str) -> Result<(), Error> {
        let mut work = Work::new();
        work.erase(row(INVITATIONS, id.0));
        work.event(&nowhere(), EventKind::NeedsAttention(Attention::Invitation(why.to_owned())));
        self.persist(work)?;
        self.account.invitations.remove(&id);
        Ok(())
    }

    /// Somebody has decided about a key: what waits is looked at again.
    pub(super) fn look_again(&mut self) {
        self.account.told.clear();
        for waiting in self.account.invitations.values_mut().filter(|waiting| waiting.look == Look::Later) {
            waiting.look = Look::Now;
        }
    }

    /// Reads again what is stored. When to look at each is only of this process.
    pub(super) fn reload_invitations(&mut self) -> Result<(), Error> {
        let mut read = BTreeMap::new();
        for (id, value) in rows(&*self.env.store, INVITATIONS)? {
            let id = InvitationId(id.try_into().map_err(|_| corrupt())?);
            let record: InvitationRecord = from_row(&value)?;
            if record.version != VERSION {
                return Err(corrupt());
            }
            let look = self.account.invitations.get(&id).map_or(Look::Now, |old| old.look.clone());
            read.insert(id, Waiting { record, look });
        }
        self.account.invitations = read;
        Ok(())
    }
}

impl Waiting {
    fn to_row(&self) -> Result<Secret, Error> {
        to_row(&self.record, self.record.message.len())
    }
}

const GONE: Error = Error::Void("there is no such invitation any more");
