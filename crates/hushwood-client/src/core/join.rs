//! From an invitation to a room (RFC 9420 §12.4.3.1).

use hushwood::commit::Answers;
use hushwood::error::{Error as ProtocolError, NotNow};
use hushwood::group::OpenedWelcome;
use hushwood_codec::Decode;
use hushwood_delivery::wire::{Call, GroupKey, Refused, TreeAnswer, TreeRequest, WelcomeEntry};

use crate::content::Head;
use crate::core::answers::Purpose;
use crate::core::env::{DELIVERY, GroupDelivery};
use crate::core::room::Room;
use crate::core::work::Work;
use crate::core::{Core, nowhere};
use crate::error::Error;
use crate::event::{Attention, EventKind};
use crate::records::Standing;
use crate::room::RoomId;
use crate::settings::Millis;

impl Core {
    /// Invitations that were in the inbox.
    pub(super) fn inbox(&mut self, wanted: u64, welcomes: Vec<WelcomeEntry>) {
        self.account.inbox_done = self.account.inbox_done.max(wanted);
        for welcome in welcomes {
            let is_there = self.account.invitations.iter().any(|other| other.id == welcome.id);
            if !is_there && !self.account.acknowledged.contains(&welcome.id) {
                self.account.invitations.push_back(welcome);
            }
        }
    }

    /// The next invitation: what is needed to follow it.
    pub(super) fn next_invitation(&mut self, now: Millis) -> Result<Option<(Call, Purpose)>, Error> {
        while let Some(welcome) = self.account.invitations.front() {
            let id = welcome.id;
            let opened =
                OpenedWelcome::open(&welcome.message, &*self.env.store, &self.env.crypto, &self.env.policy);
            let place = match opened {
                Ok(opened) => place(&opened),
                // It was followed before, or is not for us: there is nothing to do about it.
                Err(ProtocolError::NotNow(NotNow::NoKeyPackage)) => {
                    self.no_invitation(id, None)?;
                    continue;
                }
                Err(error) => Err(error),
            };
            match place {
                Ok(Place { group_id, key, epoch, tree_hash }) => {
                    if self.is_still_there(&group_id) {
                        // We have not read yet that we were removed: that comes first.
                        self.account.invitations.pop_front();
                        continue;
                    }
                    let request = TreeRequest { group_id, key, epoch, tree_hash };
                    return Ok(Some((Call::Tree(request), Purpose::Invitation { id })));
                }
                Err(error @ (ProtocolError::StoreRead(_) | ProtocolError::Bug(_))) => {
                    return Err(error.into());
                }
                Err(error) => self.bad_invitation(id, &error.to_string())?,
            }
        }
        let _ = now;
        Ok(None)
    }

    /// Joins.
    pub(super) fn join(&mut self, id: [u8; 32], there: &TreeAnswer, now: Millis) -> Result<(), Error> {
        let front = self.account.invitations.front().filter(|welcome| welcome.id == id);
        let Some(welcome) = front.map(|welcome| welcome.message.clone()) else { return Ok(()) };
        match self.join_by(id, &welcome, there, now) {
            Ok(()) => Ok(()),
            Err(Error::KeyChanged { .. }) => {
                // It stays in the inbox until somebody has decided.
                self.account.invitations.pop_front();
                Ok(())
            }
            Err(Error::Protocol(
                error @ (ProtocolError::Decode(_)
                | ProtocolError::Violation(_)
                | ProtocolError::Unsupported(_)
                | ProtocolError::NotNow(_)),
            )) => self.bad_invitation(id, &error.to_string()),
            Err(error) => Err(error),
        }
    }

    fn join_by(
        &mut self,
        id: [u8; 32],
        welcome: &[u8],
        there: &TreeAnswer,
        now: Millis,
    ) -> Result<(), Error> {
        let env = &mut self.env;
        let opened = OpenedWelcome::open(welcome, &*env.store, &env.crypto, &env.policy)?;
        let Place { key, epoch, .. } = place(&opened)?;
        if there.epoch != epoch {
            return Err(Error::BadAnswer("the tree of another epoch"));
        }
        let tree = Some(there.ratchet_tree.as_slice());
        let staged = opened.stage(&Answers::none(), tree, None, now.seconds(), &mut *env.random)?;
        let judgement = env.judge.judge(staged.checks(), env.device.suite);
        env.doubt(&judgement);
        let room_id = RoomId(staged.context().group_id.clone());
        if let Some(member) = judgement.refused {
            let person = member.person.clone();
            if self.account.told.insert(id) {
                let mut work = Work::new();
                let attention = Attention::KeyChanged(member);
                work.event(&room_id, EventKind::NeedsAttention(attention));
                self.persist(work)?;
            }
            return Err(Error::KeyChanged { person });
        }
        let mut work = Work::new();
        env.judge.keep(&judgement, &mut work)?;
        let inviter = staged.signer();
        let group = work.step(staged.accept(&judgement.verdicts, &*env.store, &mut *env.random)?);
        let inviter = Room::member_at(&group, inviter)?.unwrap_or_else(|| env.device.member.clone());
        let mut room = Room::new(room_id.clone(), env.room_record(&group, key, now)?);
        if let Some(before) = self.rooms.get(&room_id) {
            // What was said before we were removed stays ours.
            room.record.rows = before.record.rows;
            room.record.title = before.record.title.clone();
        }
        let place = (group.group_id(), group.epoch(), there.sequence);
        room.advance(Head::of_epoch(group.suite(), place, group.epoch_authenticator()?), &mut work);
        room.put(&mut work)?;
        work.event(&room_id, EventKind::Joined { by: inviter });
        // It is read from the first time on.
        room.read_wanted = self.syncs;
        room.group = Some(group);
        self.rooms.insert(room_id.clone(), room);
        self.account.invitations.pop_front();
        self.account.acknowledged.push(id);
        self.persist(work)?;
        self.forget_replaced(&room_id)
    }

    /// Forgets an invitation: there is nothing to follow.
    pub(super) fn no_invitation(&mut self, id: [u8; 32], refused: Option<&Refused>) -> Result<(), Error> {
        if let Some(refused) = refused {
            return self.bad_invitation(id, &refused.to_string());
        }
        self.account.invitations.retain(|welcome| welcome.id != id);
        self.account.acknowledged.push(id);
        Ok(())
    }

    /// Tells of an invitation that can't be followed, and forgets it.
    fn bad_invitation(&mut self, id: [u8; 32], why: &str) -> Result<(), Error> {
        self.account.invitations.retain(|welcome| welcome.id != id);
        self.account.acknowledged.push(id);
        let mut work = Work::new();
        work.event(&nowhere(), EventKind::NeedsAttention(Attention::Invitation(why.to_owned())));
        self.persist(work)
    }

    /// Whether we are, as far as we have read, in a group of this id.
    fn is_still_there(&mut self, group_id: &[u8]) -> bool {
        let room = self.rooms.get_mut(&RoomId(group_id.to_vec()));
        let active = room.filter(|room| room.record.standing == Standing::Active);
        match active {
            Some(room) => {
                room.read_wanted = room.read_wanted.max(room.read_done.saturating_add(1));
                true
            }
            None => false,
        }
    }
}

/// What an invitation is for.
struct Place {
    group_id: Vec<u8>,
    /// The group's key with the service.
    key: GroupKey,
    epoch: u64,
    tree_hash: Vec<u8>,
}

fn place(opened: &OpenedWelcome) -> Result<Place, ProtocolError> {
    let info = opened.group_info(&Answers::none(), None)?;
    let context = &info.inspect().group_context;
    let delivery = context.extensions.get(DELIVERY).map(|extension| &extension.extension_data);
    let delivery = GroupDelivery::from_bytes(delivery.map_or(&[], Vec::as_slice))?;
    Ok(Place {
        group_id: context.group_id.clone(),
        key: delivery.key,
        epoch: context.epoch,
        tree_hash: context.tree_hash.clone(),
    })
}
