//! From an invitation to a room (RFC 9420 §12.4.3.1).

use hushwood::commit::Answers;
use hushwood::error::{Error as ProtocolError, NotNow, StoreReadError};
use hushwood::group::OpenedWelcome;
use hushwood::transition::{InstanceId, Reader, RecordKey, RecordKind, Records};
use hushwood_codec::Decode;
use hushwood_crypto::Secret;
use hushwood_delivery::rules::Rules;
use hushwood_delivery::wire::{Call, GroupKey, TreeAnswer, TreeRequest};

use crate::content::Head;
use crate::core::Core;
use crate::core::answers::Purpose;
use crate::core::env::{DELIVERY, GroupDelivery};
use crate::core::intent::Action;
use crate::core::rejoin::KNOWN;
use crate::core::room::Room;
use crate::core::work::Work;
use crate::error::Error;
use crate::event::EventKind;
use crate::invitation::InvitationId;
use crate::records::{INVITATIONS, Standing, row};
use crate::room::RoomId;
use crate::settings::Millis;
use crate::voucher::vouchers;

impl Core {
    /// The next invitation: what is needed to follow it.
    pub(super) fn next_invitation(&mut self) -> Result<Option<(Call, Purpose)>, Error> {
        while let Some(id) = self.invitation_to_look_at() {
            let Some(waiting) = self.account.invitations.get(&id) else { break };
            let (welcome, env) = (&waiting.record.message, &self.env);
            let opened = OpenedWelcome::open(welcome, &*env.store, &env.crypto, &env.policy);
            let place = match opened {
                Ok(opened) => place(&opened),
                // It was followed before, or is not for us: there is nothing to do about it.
                Err(ProtocolError::NotNow(NotNow::NoKeyPackage)) => {
                    self.forget_invitation(id)?;
                    continue;
                }
                Err(error) => Err(error),
            };
            match place {
                Ok(Place { group_id, key, epoch, tree_hash }) => {
                    // We may not have read yet that we were removed: that comes first.
                    if self.is_still_there(id, &RoomId(group_id.clone()))? {
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
        Ok(None)
    }

    /// Joins, if the invitation is one to be followed.
    pub(super) fn join(&mut self, id: InvitationId, there: &TreeAnswer, now: Millis) -> Result<(), Error> {
        let waiting = self.account.invitations.get(&id);
        let Some(welcome) = waiting.map(|waiting| waiting.record.message.clone()) else { return Ok(()) };
        match self.join_by(id, &welcome, there, now) {
            Err(Error::Protocol(
                error @ (ProtocolError::Decode(_)
                | ProtocolError::Violation(_)
                | ProtocolError::Unsupported(_)
                | ProtocolError::NotNow(_)),
            )) => self.bad_invitation(id, &error.to_string()),
            joined => joined,
        }
    }

    fn join_by(
        &mut self,
        id: InvitationId,
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
        let last_resort = opened.is_last_resort();
        let staged = opened.stage(&Answers::none(), tree, None, now.seconds(), &mut *env.random)?;
        // Where nobody can say who may do what, we would not judge as the others do.
        Rules::of(&staged.context().extensions).map_err(ProtocolError::from)?;
        let members = staged.members().collect::<Result<Vec<_>, _>>()?;
        let vouchers = vouchers(members.iter().map(|view| &view.leaf));
        drop(members);
        let judgement = env.judge.judge(staged.checks(), &vouchers, env.device.suite);
        env.doubt(&judgement);
        let room_id = RoomId(staged.context().group_id.clone());
        if !self.is_admitted(id, &staged, &judgement)? {
            return Ok(());
        }
        // An epoch that is over has members who were removed since. Who brings one up has nothing to invite us to.
        if self.rooms.contains_key(&room_id) && staged.context().epoch <= self.known_epoch(&room_id)? {
            return self.bad_invitation(id, "it is to an earlier state of a room that is known");
        }
        let env = &mut self.env;
        let mut work = Work::new();
        env.judge.keep(&judgement, &mut work)?;
        let inviter = staged.signer();
        let hidden = match self.rooms.get_mut(&room_id) {
            // RFC 9420 §12.4.3, C322: its id is taken by a state that can't be followed any more, and goes with it.
            Some(before) if before.record.standing == Standing::Forked => {
                let old = before.take_group(env)?;
                work.step(old.forget(&*env.store)?);
                Some(RecordKey::new(InstanceId::CLIENT, RecordKind::GroupInstance, room_id.0.clone()))
            }
            Some(_) | None => None,
        };
        let without = Without { store: &*env.store, hidden };
        let group = work.step(staged.accept(&judgement.verdicts, &without, &mut *env.random)?);
        let inviter = Room::member_at(&group, inviter)?.unwrap_or_else(|| env.device.member.clone());
        let mut room = Room::new(room_id.clone(), env.room_record(&group, key, now)?);
        if let Some(before) = self.rooms.get(&room_id) {
            // What was said before we were removed stays ours.
            room.record.rows = before.record.rows;
            room.record.title = before.record.title.clone();
            room.queue.clone_from(&before.queue);
            work.erase(row(before.rows(), KNOWN));
        }
        let place = (group.group_id(), group.epoch(), there.sequence);
        room.advance(Head::of_epoch(group.suite(), place, group.epoch_authenticator()?), &mut work);
        room.put(&mut work)?;
        work.event(&room_id, EventKind::Joined { by: inviter });
        // It is read from the first time on.
        room.read_wanted = self.syncs;
        room.group = Some(group);
        self.rooms.insert(room_id.clone(), room);
        self.make_anew(&room_id, &mut work)?;
        if last_resort {
            // RFC 9750 §5.1, A036: others may have been given the same keys. Another one takes its place as soon as can be.
            self.put_intent(&room_id, Action::Renew, &mut work)?;
            self.account.stock_at = None;
        }
        work.erase(row(INVITATIONS, id.0));
        self.persist(work)?;
        self.account.invitations.remove(&id);
        self.forget_replaced(&room_id)
    }
}

/// The store as it is once what is hidden is erased.
struct Without<'a> {
    store: &'a dyn Records,
    hidden: Option<RecordKey>,
}

impl Records for Without<'_> {
    fn version(&self, instance: InstanceId) -> Result<u64, StoreReadError> {
        self.store.version(instance)
    }

    fn get(&self, key: &RecordKey) -> Result<Option<Secret>, StoreReadError> {
        match self.hidden.as_ref() == Some(key) {
            true => Ok(None),
            false => self.store.get(key),
        }
    }

    fn list(&self, instance: InstanceId, kind: RecordKind) -> Result<Vec<(Vec<u8>, Secret)>, StoreReadError> {
        self.store.list(instance, kind)
    }

    fn reader(&self) -> Result<Reader, StoreReadError> {
        self.store.reader()
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
