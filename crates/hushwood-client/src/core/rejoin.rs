//! Coming back by an external commit (RFC 9420 §12.4.3.2), where a room can't be followed any more.

use hushwood::error::Error as ProtocolError;
use hushwood::group::{ExternalJoin, Group, GroupView, StagedExternalJoin};
use hushwood_delivery::wire::{Admission, Call, CommitRequest, GroupInfoAnswer, Refused};

use crate::content::Head;
use crate::core::answers::Purpose;
use crate::core::backoff::pause;
use crate::core::intent::{Action, Outgoing, Published, Stage};
use crate::core::outbox::Done;
use crate::core::returning::SHOWN;
use crate::core::room::unsigned;
use crate::core::rooms::INFO;
use crate::core::work::Work;
use crate::core::{Core, Request};
use crate::error::Error;
use crate::event::EventKind;
use crate::records::{Standing, from_row, get, row, to_row};
use crate::room::RoomId;
use crate::settings::Millis;
use crate::voucher::vouchers;

impl Core {
    /// What a room wants that can't be followed: nothing, or to be rejoined.
    pub(super) fn poll_rejoin(&mut self, id: &RoomId, now: Millis) -> Result<Option<Request>, Error> {
        let room = self.rooms.get(id).ok_or(Error::NoRoom)?;
        let standing = room.record.standing;
        let is_it = |number: &u64| {
            self.intents.get(number).is_some_and(|intent| matches!(intent.action, Action::Rejoin))
        };
        let Some(number) = room.queue.iter().copied().find(is_it) else { return Ok(None) };
        let intent = self.intent(number)?;
        if intent.not_before > now.0 {
            return Ok(None);
        }
        if standing == Standing::Rejoining {
            return self.request_intent(number, now).map(Some);
        }
        let room = self.rooms.get_mut(id).ok_or(Error::NoRoom)?;
        let request = room.info_request(&self.env, now)?;
        let purpose = Purpose::Info { room: id.clone(), number };
        Ok(Some(self.request(Call::GroupInfo(request), purpose)))
    }

    /// Makes the external commit from what the service says of the group.
    pub(super) fn come_back(
        &mut self,
        id: &RoomId,
        number: u64,
        there: &GroupInfoAnswer,
        now: Millis,
    ) -> Result<(), Error> {
        match self.stage_return(id, number, there, now) {
            Err(Error::Protocol(
                error @ (ProtocolError::Decode(_)
                | ProtocolError::Violation(_)
                | ProtocolError::WouldViolate(_)
                | ProtocolError::Unsupported(_)),
            )) => self.give_up(number, error.into()),
            Err(error) if error.is_about_a_key() || error == Error::Removed => self.give_up(number, error),
            staged => staged,
        }
    }

    fn stage_return(
        &mut self,
        id: &RoomId,
        number: u64,
        there: &GroupInfoAnswer,
        now: Millis,
    ) -> Result<(), Error> {
        let request = self.env.random()?;
        let known = self.known_epoch(id)?;
        let env = &mut self.env;
        let (info, tree) = (&there.group_info, Some(there.ratchet_tree.as_slice()));
        let view =
            GroupView::verify(info, tree, &env.crypto, (&env.policy, now.seconds()), &mut *env.random)?;
        // An epoch that is over has members who were removed since, and read what we say there.
        let context = view.context();
        if context.group_id != id.0 || context.epoch != there.epoch || context.epoch < known {
            return Err(Error::BadAnswer("an earlier state of the group, or another group"));
        }
        // Who is not in the tree was removed, and comes back only by being invited.
        let own = view.tree().signature_key_at(env.device.signer.public_key())?.ok_or(Error::Removed)?;
        let (supported, policy) = (env.supported(), env.policy.clone());
        let leaf_extensions = env.leaf_extensions();
        let settings = ExternalJoin {
            policy,
            resync: Some(own),
            leaf_extensions,
            ..ExternalJoin::new(env.crypto, env.credential(), supported)
        };
        let staged = StagedExternalJoin::stage(
            info,
            tree,
            settings,
            &*env.device.signer,
            now.seconds(),
            &mut *env.random,
        )?;
        let epoch = there.epoch;
        let members = staged.members().collect::<Result<Vec<_>, _>>()?;
        let vouchers = vouchers(members.iter().map(|view| &view.leaf));
        let judgement = env.judge.judge(staged.checks(), &vouchers, env.device.suite);
        env.doubt(&judgement);
        if let Some(member) = &judgement.refused {
            return Err(judgement.error(member));
        }
        let senders = staged.context().extensions.external_senders()?.len();
        if !self.is_return_admitted((id, number), &members, senders)? {
            return Ok(());
        }
        let env = &mut self.env;
        let mut work = Work::new();
        env.judge.keep(&judgement, &mut work)?;
        let room = self.rooms.get_mut(id).ok_or(Error::NoRoom)?;
        let (mut group, outgoing) =
            work.step(staged.accept(&judgement.verdicts, &*env.store, &mut *env.random)?);
        work.step(group.acknowledge(&outgoing.id)?);
        let commit = CommitRequest {
            request,
            group_id: id.0.clone(),
            key: room.record.key.clone(),
            epoch,
            commit: outgoing.message,
            group_info: group.group_info(INFO, &*env.device.signer, &mut *env.random)?,
            welcome: None,
            recipients: Vec::new(),
            // As the member that we were, in whose place we come.
            admission: Admission::Member(unsigned(own.number())),
        };
        let hash = *outgoing.id.as_bytes();
        room.record.instance = *group.instance().as_bytes();
        room.record.standing = Standing::Rejoining;
        room.early = None;
        room.put(&mut work)?;
        // From here on the group is in an epoch that may never be.
        work.put(row(room.rows(), KNOWN), to_row(&known, 0)?);
        room.group = Some(group);
        let intent = self.intent_mut(number)?;
        intent.stage =
            Stage::Published(Published { hash, epoch, request: Outgoing::Commit(Box::new(commit)) });
        self.put_again(number, &mut work)?;
        self.persist(work)
    }

    /// The next [`rejoin`](Self::rejoin) of a room takes an epoch from before the one that we know: the operator of the service has
    /// said over another channel that it was put back to an earlier state. Whoever was removed since then is a member again.
    ///
    /// # Errors
    /// [`Error::NoRoom`]; [`Error::Store`].
    pub fn take_earlier(&mut self, room: &RoomId) -> Result<(), Error> {
        self.refresh()?;
        let mut work = Work::new();
        work.put(row(self.room(room)?.rows(), KNOWN), to_row(&0_u64, 0)?);
        self.persist(work)
    }

    /// The epoch that we know the group to have reached: ours, or the one before we were on the way back.
    pub(super) fn known_epoch(&mut self, id: &RoomId) -> Result<u64, Error> {
        let rows = self.room(id)?.rows();
        match get(&*self.env.store, &row(rows, KNOWN))? {
            Some(known) => from_row(&known),
            None => Ok(self.group(id)?.epoch()),
        }
    }

    /// The external commit has won: we are back.
    pub(super) fn came_back(
        &mut self,
        id: &RoomId,
        number: u64,
        sequence: u64,
        now: Millis,
    ) -> Result<(), Error> {
        let mut work = Work::new();
        let by = self.env.device.member.clone();
        let room = self.rooms.get_mut(id).ok_or(Error::NoRoom)?;
        let missing = sequence.saturating_sub(room.record.cursor).saturating_sub(1);
        let group = room.take_group(&self.env)?;
        let place = (group.group_id(), group.epoch(), sequence);
        let head = Head::of_epoch(group.suite(), place, group.epoch_authenticator()?);
        room.record.joined = group.epoch();
        room.group = Some(group);
        room.record.standing = Standing::Active;
        room.record.renewed = now.seconds().0;
        room.advance(head, &mut work);
        room.put(&mut work)?;
        work.erase(row(room.rows(), KNOWN));
        work.erase(row(room.rows(), SHOWN));
        room.known = 0;
        room.paused = None;
        room.read_wanted = room.read_wanted.max(self.syncs);
        if missing > 0 {
            let missing = u32::try_from(missing).unwrap_or(u32::MAX);
            work.event(id, EventKind::Gap { from: None, missing });
        }
        work.event(id, EventKind::Joined { by });
        self.end(number, Ok(Done::Accepted(sequence)), &mut work);
        self.make_anew(id, &mut work)?;
        self.persist(work)?;
        self.forget_replaced(id)
    }

    /// What was made before we came into a room again was made from a state that is gone.
    pub(super) fn make_anew(&mut self, id: &RoomId, work: &mut Work) -> Result<(), Error> {
        for number in self.room(id)?.queue.clone() {
            let intent = self.intent_mut(number)?;
            if intent.published().is_some() {
                intent.stage = Stage::ToPublish;
                self.put_again(number, work)?;
            }
        }
        Ok(())
    }

    /// Erases states of a room that another has replaced.
    pub(super) fn forget_replaced(&mut self, id: &RoomId) -> Result<(), Error> {
        let mut work = Work::new();
        for (group_id, instance) in Group::superseded(&*self.env.store)? {
            if group_id == id.0 {
                let old = Group::open(&*self.env.store, &self.env.crypto, instance)?;
                work.step(old.forget(&*self.env.store)?);
            }
        }
        self.persist(work)
    }

    /// Somebody committed while we were on the way: again, from what the group is now.
    pub(super) fn lost_on_the_way(&mut self, id: &RoomId, number: u64, now: Millis) -> Result<(), Error> {
        let retry = self.env.settings.retry;
        let attempts = self.intent(number)?.attempts;
        let wait = pause(attempts, retry, &mut *self.env.random);
        let mut work = Work::new();
        let room = self.rooms.get_mut(id).ok_or(Error::NoRoom)?;
        room.record.standing = Standing::Forked;
        room.put(&mut work)?;
        let intent = self.intent_mut(number)?;
        intent.stage = Stage::ToPublish;
        intent.attempts = attempts.saturating_add(1);
        intent.not_before = now.after(wait).0;
        self.put_again(number, &mut work)?;
        self.persist(work)
    }

    /// The service does not take our external commit.
    pub(super) fn refused_on_the_way(
        &mut self,
        id: &RoomId,
        number: u64,
        refused: Refused,
    ) -> Result<(), Error> {
        let mut work = Work::new();
        let room = self.rooms.get_mut(id).ok_or(Error::NoRoom)?;
        room.record.standing = Standing::Forked;
        room.put(&mut work)?;
        self.end(number, Err(refused.into()), &mut work);
        self.persist(work)
    }
}

/// The row with the epoch that was known before a room was left to come back.
pub(super) const KNOWN: &str = "known epoch";
