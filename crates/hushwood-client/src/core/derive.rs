//! From what is wanted to what is sent: made from the group as it is now.

use hushwood::commit::Answers;
use hushwood::error::{Error as ProtocolError, NotNow};
use hushwood::group::{CommitPlan, MemberView, NewProposal};
use hushwood_codec::Encode;
use hushwood_crypto::CipherSuite;
use hushwood_delivery::rules::Deed;
use hushwood_delivery::wire::{Admission, Call, ClaimedKeyPackage, CommitRequest, Recipient};

use crate::content::{Content, truncate};
use crate::core::answers::Purpose;
use crate::core::committer::{cover, leaves};
use crate::core::intent::{Action, Outgoing, Published, Stage};
use crate::core::joiners::Joiners;
use crate::core::outbox::Done;
use crate::core::room::{hash_of, proven_commit, unsigned};
use crate::core::rooms::INFO;
use crate::core::rules::{check_deed, check_own};
use crate::core::work::Work;
use crate::core::{Core, Request};
use crate::error::Error;
use crate::identity::{Member, is_same_person, member};
use crate::records::VERSION;
use crate::room::RoomId;
use crate::settings::Millis;

/// What becomes of an intent now.
pub(super) enum Derived {
    /// There is something to send for it.
    Send,
    /// Look at the room again.
    Again,
    /// Nothing, before something else has happened.
    Wait,
}

impl Core {
    /// Makes what an intent needs next, and stores it.
    pub(super) fn derive(&mut self, number: u64, now: Millis) -> Result<Derived, Error> {
        let intent = self.intent(number)?;
        if intent.not_before > now.0 {
            return Ok(Derived::Wait);
        }
        if intent.published().is_some() {
            return Ok(Derived::Send);
        }
        let room = intent.room.clone();
        // Nobody has asked for these, so nobody sees that they fail.
        let of_our_own = matches!(intent.action, Action::CommitWaiting | Action::Renew);
        if let Some(derived) = self.goes_first(number)? {
            return Ok(derived);
        }
        let intent = self.intent(number)?;
        let derived = match &intent.action {
            Action::Add { claimed: None, .. } => match check_deed(self.group(&room)?, Deed::Add) {
                Ok(()) => {
                    self.account.want_claim(number);
                    return Ok(Derived::Wait);
                }
                Err(error) => Err(error),
            },
            Action::Add { claimed: Some(claimed), person } => {
                let (claimed, person) = (claimed.clone(), person.clone());
                self.derive_add(number, &room, (&person, &claimed), now)
            }
            Action::Remove { person, device } => {
                let (person, device) = (String::from_utf8_lossy(person).into_owned(), *device);
                let is_it = |view: &MemberView, suite: &dyn CipherSuite| {
                    let Member { person: name, device: its } = member(&view.leaf.credential, suite);
                    is_same_person(&name, &person) && device.is_none_or(|device| device == its.0)
                };
                self.derive_remove(number, &room, is_it, now)
            }
            Action::RemoveKey { key } => {
                let key = key.clone();
                let is_it = |view: &MemberView, _: &dyn CipherSuite| view.leaf.signature_key.0 == key;
                self.derive_remove(number, &room, is_it, now)
            }
            Action::Send { .. } => self.derive_message(number, &room),
            Action::Renew => self.publish_commit(number, &room, (Vec::new(), Vec::new()), now),
            Action::CommitWaiting => match self.commit_goes_first(&room)? {
                true => self.publish_commit(number, &room, (Vec::new(), Vec::new()), now),
                false => self.already(number),
            },
            Action::Leave => self.derive_leave(number, &room, now),
            Action::SetRules { .. } | Action::Admin { .. } => {
                let action = intent.action.clone();
                self.derive_rules(number, &room, &action, now)
            }
            Action::Rejoin => {
                // The room is well again, or was never unwell.
                self.already(number)
            }
        };
        match derived {
            Ok(derived) => Ok(derived),
            Err(Error::Protocol(error)) if is_of_the_intent(&error) => {
                self.give_up(number, error.clone().into())?;
                // What was made in memory before it failed is read again.
                self.stale = true;
                self.refresh()?;
                match of_our_own {
                    true => self.failed_of_our_own(&room, error, now),
                    false => Ok(Derived::Again),
                }
            }
            Err(error) if error.is_about_a_key() || matches!(error, Error::Void(_) | Error::BadAnswer(_)) => {
                self.give_up(number, error)?;
                Ok(Derived::Again)
            }
            Err(error) => Err(error),
        }
    }

    /// The request for what was made.
    pub(super) fn request_intent(&mut self, number: u64, now: Millis) -> Result<Request, Error> {
        let intent = self.intents.get(&number).ok_or(Error::BadAnswer("an intent is gone"))?;
        let id = intent.room.clone();
        let published = intent.published().ok_or(Error::BadAnswer("an intent was not made"))?;
        let call = match &published.request {
            Outgoing::Commit(request) => Call::Commit(proven_commit(&self.env, (**request).clone(), now)?),
            Outgoing::Send { request, message } => {
                let what = (*request, message.clone());
                let room = self.rooms.get_mut(&id).ok_or(Error::NoRoom)?;
                Call::Send(room.send_request(&self.env, what, now)?)
            }
        };
        Ok(self.request(call, Purpose::Intent { room: id, number }))
    }

    pub(super) fn already(&mut self, number: u64) -> Result<Derived, Error> {
        let mut work = Work::new();
        self.end(number, Ok(Done::Already), &mut work);
        self.persist(work)?;
        Ok(Derived::Again)
    }

    fn derive_add(
        &mut self,
        number: u64,
        id: &RoomId,
        (person, claimed): (&[u8], &[ClaimedKeyPackage]),
        now: Millis,
    ) -> Result<Derived, Error> {
        let room = self.rooms.get_mut(id).ok_or(Error::NoRoom)?;
        let group = room.take_group(&self.env)?;
        let new = self.env.joiners(&group, (person, claimed), now);
        room.group = Some(group);
        let Joiners { proposals, recipients, claims } = new?;
        let mut work = Work::new();
        self.env.judge.keep_new(&claims, &mut work)?;
        self.persist(work)?;
        match proposals.is_empty() {
            true => self.already(number),
            false => self.publish_commit(number, id, (proposals, recipients), now),
        }
    }

    fn derive_remove(
        &mut self,
        number: u64,
        id: &RoomId,
        is_it: impl Fn(&MemberView, &dyn CipherSuite) -> bool,
        now: Millis,
    ) -> Result<Derived, Error> {
        let group = self.group(id)?;
        let (own, mut leaves) = (group.own_leaf(), Vec::new());
        for view in group.members() {
            let view = view?;
            if is_it(&view, group.suite()) {
                leaves.push(view.index);
            }
        }
        if leaves.contains(&own) {
            return Err(Error::Void("nobody removes themselves: leave the room instead"));
        }
        match leaves.is_empty() {
            true => self.already(number),
            false => {
                let proposals = leaves.into_iter().map(NewProposal::Remove).collect();
                self.publish_commit(number, id, (proposals, Vec::new()), now)
            }
        }
    }

    fn derive_message(&mut self, number: u64, id: &RoomId) -> Result<Derived, Error> {
        // RFC 9420 §12.4, C290: who has seen a valid proposal commits before sending data.
        if self.commit_goes_first(id)? {
            let mut work = Work::new();
            let commit = self.put_intent(id, Action::CommitWaiting, &mut work)?;
            self.persist(work)?;
            let room = self.room(id)?;
            room.queue.retain(|other| *other != commit);
            room.queue.push_front(commit);
            return Ok(Derived::Again);
        }
        let request = self.env.random()?;
        let room = self.rooms.get_mut(id).ok_or(Error::NoRoom)?;
        let (head, env) = (room.head(), &mut self.env);
        let intent = self.intents.get_mut(&number).ok_or(Error::NoRoom)?;
        let Action::Send { id: message_id, sent_at, kind, body } = &intent.action else {
            return Err(ProtocolError::Bug("a message is none").into());
        };
        let mut group = room.take_group(env)?;
        let content = Content {
            version: VERSION,
            kind: *kind,
            id: *message_id,
            sent_at: *sent_at,
            head: head.sequence,
            chain: head.short(),
            authenticator: truncate(group.epoch_authenticator()?),
            body: body.clone(),
        };
        let content = zeroize::Zeroizing::new(content.to_bytes().map_err(ProtocolError::from)?);
        let mut work = Work::new();
        let sealed = work.step(group.encrypt(&content, b"", &*env.device.signer, &mut *env.random)?);
        // It stands in the intent.
        work.step(group.acknowledge(&sealed.id)?);
        intent.stage = Stage::Published(Published {
            hash: *sealed.id.as_bytes(),
            epoch: group.epoch(),
            request: Outgoing::Send { request, message: sealed.message },
        });
        room.group = Some(group);
        self.put_again(number, &mut work)?;
        self.persist(work)?;
        Ok(Derived::Send)
    }

    fn derive_leave(&mut self, number: u64, id: &RoomId, now: Millis) -> Result<Derived, Error> {
        if leaves(self.group(id)?) {
            return self.already(number);
        }
        if self.group(id)?.member_count() == 1 {
            return Err(Error::Void("nobody else is in this room: forget it instead"));
        }
        let request = self.env.random()?;
        let room = self.rooms.get_mut(id).ok_or(Error::NoRoom)?;
        let env = &mut self.env;
        let mut group = room.take_group(env)?;
        let mut work = Work::new();
        let remove = NewProposal::Remove(group.own_leaf());
        let step = group.propose(remove, b"", &*env.device.signer, now.seconds(), &mut *env.random)?;
        let proposal = work.step(step);
        work.step(group.acknowledge(&proposal.id)?);
        let published = Published {
            hash: hash_of(group.suite(), &proposal.message),
            epoch: group.epoch(),
            request: Outgoing::Send { request, message: proposal.message },
        };
        room.group = Some(group);
        self.intent_mut(number)?.stage = Stage::Published(published);
        self.put_again(number, &mut work)?;
        self.persist(work)?;
        Ok(Derived::Send)
    }

    /// Makes a commit with these proposals and with those that wait, and stores it with what belongs to it.
    pub(super) fn publish_commit(
        &mut self,
        number: u64,
        id: &RoomId,
        (proposals, recipients): (Vec<NewProposal<'_>>, Vec<Recipient>),
        now: Millis,
    ) -> Result<Derived, Error> {
        let request = self.env.random()?;
        let room = self.rooms.get_mut(id).ok_or(Error::NoRoom)?;
        let (env, key) = (&mut self.env, room.record.key.clone());
        let mut group = room.take_group(env)?;
        if let Err(error) = check_own(&group, &proposals) {
            room.group = Some(group);
            return Err(error);
        }
        let mut work = Work::new();
        let plan =
            CommitPlan { proposals, cover: cover(&group, room.commit_failed), ..CommitPlan::default() };
        let signer = &*env.device.signer;
        let step = group.commit(plan, &Answers::none(), signer, now.seconds(), &mut *env.random)?;
        let staged = work.step(step);
        // The message stands in the intent.
        work.step(group.acknowledge(&staged.id)?);
        let commit = CommitRequest {
            request,
            group_id: group.group_id().to_vec(),
            key,
            epoch: group.epoch(),
            commit: staged.outgoing.message,
            group_info: group.group_info_after(&staged.id, INFO, signer, &mut *env.random)?,
            welcome: group.welcomes_after(&staged.id)?.pop(),
            recipients,
            admission: Admission::Member(unsigned(group.own_leaf().number())),
        };
        let published = Published {
            hash: *staged.id.as_bytes(),
            epoch: group.epoch(),
            request: Outgoing::Commit(Box::new(commit)),
        };
        room.group = Some(group);
        self.intent_mut(number)?.stage = Stage::Published(published);
        self.put_again(number, &mut work)?;
        self.persist(work)?;
        Ok(Derived::Send)
    }
}

/// Errors that end what was wanted; others end nothing and are told to the caller.
fn is_of_the_intent(error: &ProtocolError) -> bool {
    match error {
        ProtocolError::Decode(_)
        | ProtocolError::Violation(_)
        | ProtocolError::WouldViolate(_)
        | ProtocolError::Unsupported(_)
        | ProtocolError::ApiMisuse(_) => true,
        ProtocolError::NotNow(reason) => !matches!(reason, NotNow::Reopen | NotNow::Stale),
        _ => false,
    }
}
