//! The group plane: logs, and what is kept beside them.

use std::sync::Arc;

use hushwood::framing::{ContentType, MlsMessage};
use hushwood::group::GroupView;
use hushwood::policy::{Policy, Timestamp};
use hushwood::public_group::{Observed, ObservedCommit, PublicGroup};
use hushwood::welcome::Welcome;
use hushwood_aws_lc::OsRandom;
use hushwood_codec::{Decode, Encode};
use sha2::{Digest, Sha256};
use tokio::sync::OwnedMutexGuard;

use crate::backend::{
    AccountId, Appended, Committed, Created, Cursor, DeviceId, InboxEntry, Kinds, NewCommit, NewEntry,
    NewGroup, NewWelcome, PageLimit, RequestId, Seconds, SlotId,
};
use crate::service::followed::{Followed, Reach, all};
use crate::service::seal::{What, open, seal};
use crate::service::{Service, Slot};
use crate::wire::{
    CommitAnswer, CommitRequest, CreateRequest, EntryKind, GroupAnswer, GroupKey, LogEntry, MemberProof,
    ReadRequest, Refusal, SendAnswer, SendRequest,
};

impl Service {
    /// Takes a group in, in the epoch of its GroupInfo.
    ///
    /// # Errors
    /// [`Refusal`]: `Invalid` if GroupInfo or tree are not valid, `Taken` if another group has the id.
    pub async fn create_group(&self, request: CreateRequest) -> Result<(), Refusal> {
        let now = self.now();
        self.check_size(&[&request.group_info])?;
        if request.ratchet_tree.len() > self.settings.max_tree {
            return Err(Refusal::TooLarge("a group"));
        }
        // What stands in the log is followed whatever it is; how many proposals may wait is asked before.
        let all_proposals = Policy {
            max_pending_proposals: usize::MAX,
            max_pending_proposals_of_sender: usize::MAX,
            ..self.settings.policy.clone()
        };
        let view = GroupView::verify(
            &request.group_info,
            Some(&request.ratchet_tree),
            &self.provider,
            (&all_proposals, Timestamp(now.0)),
            &mut OsRandom,
        );
        let view = view.map_err(invalid)?;
        let verdicts = all(view.checks());
        let public = PublicGroup::new(view, &verdicts).map_err(invalid)?;
        let (group, epoch) = (public.group_id().to_vec(), public.epoch());
        let followed = Followed::new(public, request.key);
        let new = NewGroup {
            request: request_id("create", &request.request, &[&request.group_info, &request.ratchet_tree]),
            epoch,
            snapshot: followed.to_snapshot()?.body,
            group_info: seal(&request.key, (&group, What::GroupInfo, epoch), &request.group_info)?,
            at: now,
            group,
        };
        match self.backend.create_group(new).await? {
            Created::Created | Created::Duplicate => Ok(()),
            Created::Exists => Err(Refusal::Taken("a group has this id: choose a random one")),
        }
    }

    /// The only way in which an epoch ends. A commit that the members would refuse is refused; one that lost a race is
    /// [`CommitAnswer::Stale`]; the same request again gets the same answer.
    ///
    /// # Errors
    /// [`Refusal`]: `Forbidden` for another key than the group's, `Invalid`, `NotFound`.
    pub async fn commit(&self, request: CommitRequest) -> Result<CommitAnswer, Refusal> {
        self.check_size(&[
            &request.commit,
            &request.group_info,
            request.welcome.as_deref().unwrap_or_default(),
        ])?;
        let request_id = request_id("commit", &request.request, &[&request.commit]);
        let mut followed = self.follow(&request.group_id, &request.key).await?;
        let group = followed_of(&mut followed)?;
        let now = self.now();
        if group.public().epoch() != request.epoch {
            // Lost, early, or asked again. What has not been checked is not written, whoever is faster meanwhile.
            let outcome = self.backend.outcome(&request.group_id, request_id, request.epoch).await?;
            return commit_answer(outcome);
        }
        let observed = self.check_commit(group, &request, now)?;
        let next = request.epoch.saturating_add(1);
        let place = |what, epoch| (request.group_id.as_slice(), what, epoch);
        let new = NewCommit {
            request: request_id,
            epoch: request.epoch,
            body: seal(&request.key, place(What::Handshake, request.epoch), &request.commit)?,
            group_info: seal(&request.key, place(What::GroupInfo, next), &request.group_info)?,
            welcomes: self.split(&request)?,
            at: now,
        };
        let welcomes = !new.welcomes.is_empty();
        let committed = self.backend.commit(&request.group_id, new).await?;
        if let Committed::Accepted(sequence) = committed {
            // It has happened: whatever fails from here on is no answer to the request, and is done again later.
            if group.accept(Observed::Commit(observed), sequence).is_err()
                || self.snapshot_if_due(group).await.is_err()
            {
                *followed = None;
            }
            drop(followed);
            if welcomes {
                drop(self.carry().await);
            }
        }
        commit_answer(committed)
    }

    /// Appends a proposal that the members would accept, or an application message, which nobody but they can read.
    ///
    /// # Errors
    /// [`Refusal`]: `Forbidden` if the proof is not of a member, `Invalid`, `NotFound`, `Malformed`.
    pub async fn send(&self, request: SendRequest) -> Result<SendAnswer, Refusal> {
        self.check_size(&[&request.message])?;
        let message = MlsMessage::from_bytes(&request.message);
        let message = message.map_err(|error| Refusal::Malformed(error.to_string()))?;
        let mut followed = self.follow(&request.group_id, &request.key).await?;
        let group = followed_of(&mut followed)?;
        self.check_proof(group, &request.proof, &request.signed(&self.settings.name), Reach::Member)?;
        let (kind, epoch, late) = match &message {
            MlsMessage::PrivateMessage(message) if message.content_type == ContentType::Application => {
                if message.group_id != request.group_id {
                    return Err(Refusal::Malformed("the message is for another group".to_owned()));
                }
                (EntryKind::Message, message.epoch, self.settings.late_epochs)
            }
            MlsMessage::PrivateMessage(_) => {
                return Err(Refusal::Malformed("handshakes of this group are not encrypted".to_owned()));
            }
            MlsMessage::PublicMessage(message) => (EntryKind::Proposal, message.content.epoch, 0),
            MlsMessage::Welcome(_) | MlsMessage::GroupInfo(_) | MlsMessage::KeyPackage(_) => {
                return Err(Refusal::Malformed("only messages of the group are sent to it".to_owned()));
            }
        };
        let mut new = NewEntry {
            request: request_id("send", &request.request, &[&request.message]),
            kind,
            epoch,
            late,
            body: request.message,
            at: self.now(),
        };
        if kind == EntryKind::Message {
            // Messages change nothing that is followed: they need not wait for each other.
            drop(followed);
            return self.append(&request.group_id, new).await;
        }
        if epoch != group.public().epoch() {
            // What has not been checked is not written.
            return match self.backend.outcome(&request.group_id, new.request, epoch).await? {
                Committed::Accepted(sequence) | Committed::Duplicate(sequence) => {
                    Ok(SendAnswer::Accepted(sequence))
                }
                Committed::Stale { epoch, .. } => Ok(SendAnswer::Stale { epoch }),
                Committed::NoGroup => Err(Refusal::NotFound("a group of this id")),
            };
        }
        if matches!(group.observe(&new.body, new.at).map_err(invalid)?, Observed::Commit(_)) {
            return Err(Refusal::Malformed("a commit is sent with what belongs to it".to_owned()));
        }
        if group.public().pending_proposals().count() >= self.settings.max_proposals {
            return Err(Refusal::Forbidden("too many proposals wait: commit them first"));
        }
        new.body = seal(&request.key, (&request.group_id, What::Handshake, epoch), &new.body)?;
        // It is followed when it is read: another node may have been faster with another.
        self.append(&request.group_id, new).await
    }

    /// What is in the log after a number. Reading tells that everything up to there has been stored.
    ///
    /// # Errors
    /// [`Refusal`]: `Forbidden` if the proof is neither of a member nor of somebody who was one; `NotFound`.
    pub async fn read(&self, request: ReadRequest) -> Result<Vec<LogEntry>, Refusal> {
        let mut followed = self.follow(&request.group_id, &request.key).await?;
        let group = followed_of(&mut followed)?;
        let reach =
            self.check_proof(group, &request.proof, &request.signed(&self.settings.name), Reach::Until(0))?;
        drop(followed);
        let cursor = Cursor { slot: SlotId(request.slot), sequence: request.after, at: self.now() };
        self.backend.move_cursor(&request.group_id, cursor).await?;
        let limit = PageLimit { entries: request.most.clamp(1, 1000), bytes: 8 << 20 };
        let place = (request.group_id.as_slice(), &request.key);
        let mut entries = self.entries(place, request.after, limit).await?;
        entries.retain(|entry| match reach {
            Reach::Member => true,
            Reach::Until(last) => entry.sequence <= last,
        });
        Ok(entries)
    }

    /// A piece of a log, opened, for somebody of whom it is known that they may see it.
    pub(super) async fn entries(
        &self,
        (group, key): (&[u8], &GroupKey),
        after: u64,
        limit: PageLimit,
    ) -> Result<Vec<LogEntry>, Refusal> {
        let page = self.backend.read(group, Kinds::All, after, limit).await?;
        let page = page.into_iter().map(|entry| {
            let message = match entry.kind {
                EntryKind::Message => entry.body,
                EntryKind::Commit | EntryKind::Proposal => {
                    open(key, (group, What::Handshake, entry.epoch), &entry.body)?
                }
            };
            Ok(LogEntry { sequence: entry.sequence, kind: entry.kind, epoch: entry.epoch, message })
        });
        page.collect()
    }

    /// What somebody needs who joins: in an epoch that a Welcome is for, or in the current one from outside. The group's key is
    /// what allows it.
    ///
    /// # Errors
    /// [`Refusal`]: `Forbidden` for another key; `NotFound`, also for an epoch that is too long ago.
    pub async fn group(
        &self,
        group: &[u8],
        key: &GroupKey,
        epoch: Option<u64>,
    ) -> Result<GroupAnswer, Refusal> {
        let mut followed = self.follow(group, key).await?;
        let now = followed_of(&mut followed)?;
        let current = now.public().epoch();
        if epoch.is_none_or(|epoch| epoch == current) {
            let head = self.backend.head(group).await?.ok_or(Refusal::NotFound("a group of this id"))?;
            // Another node may have been faster: its epoch is then asked for again.
            if head.epoch == current {
                let group_info = open(key, (group, What::GroupInfo, current), &head.group_info)?;
                return answer(now, group_info);
            }
            return Err(Refusal::TooMany(std::time::Duration::from_secs(1)));
        }
        drop(followed);
        let then = Followed::load(&*self.backend, (group, key), epoch, &self.provider).await?;
        answer(&then, Vec::new())
    }

    /// Carries Welcomes from groups to inboxes; what a crash has left is carried at the next time.
    ///
    /// # Errors
    /// [`Refusal::Failed`].
    pub async fn carry(&self) -> Result<(), Refusal> {
        const AT_ONCE: u32 = 256;
        loop {
            let outgoing = self.backend.outgoing(AT_ONCE).await?;
            if outgoing.is_empty() {
                return Ok(());
            }
            for one in outgoing {
                let NewWelcome { account, device, id, body } = one.welcome;
                let entry = InboxEntry { id, body, at: self.now() };
                self.backend.deliver(account, device, entry).await?;
                self.backend.carried(&one.group, vec![id]).await?;
            }
        }
    }

    /// A group with its key, up to date, in the hand of one at a time.
    pub(super) async fn follow(
        &self,
        group: &[u8],
        key: &GroupKey,
    ) -> Result<OwnedMutexGuard<Option<Followed>>, Refusal> {
        let slot = self.slot(group).await;
        let mut followed = slot.lock_owned().await;
        if let Some(there) = followed.as_mut() {
            if !there.has_key(key) {
                return Err(Refusal::Forbidden("this is not the group's key"));
            }
            // The log may have been trimmed beyond where this one stands: then it begins anew from a snapshot.
            if there.catch_up(&*self.backend, None).await.is_err() {
                *followed = None;
            }
        }
        if followed.is_none() {
            let loaded = Followed::load(&*self.backend, (group, key), None, &self.provider).await?;
            *followed = Some(loaded);
        }
        Ok(followed)
    }

    pub(super) async fn slot(&self, group: &[u8]) -> Slot {
        let mut slots = self.followed.lock().await;
        if slots.len() >= self.settings.max_followed && !slots.contains_key(group) {
            // Those in use stay; the others are read again when they are asked for.
            slots.retain(|_, slot| Arc::strong_count(slot) > 1);
        }
        slots.entry(group.to_vec()).or_default().clone()
    }

    fn check_commit(
        &self,
        group: &Followed,
        request: &CommitRequest,
        now: Seconds,
    ) -> Result<Box<ObservedCommit>, Refusal> {
        let Observed::Commit(observed) = group.observe(&request.commit, now).map_err(invalid)? else {
            return Err(Refusal::Malformed("this is no commit".to_owned()));
        };
        observed.check_group_info(&request.group_info, &self.settings.policy).map_err(invalid)?;
        let joiners = match &request.welcome {
            Some(welcome) => welcome_of(welcome)?.secrets.len(),
            None => 0,
        };
        // Nobody is added who could not join.
        if observed.change().added.len() != joiners || request.recipients.len() != joiners {
            return Err(Refusal::Malformed("a commit comes with a Welcome for each whom it adds".to_owned()));
        }
        Ok(observed)
    }

    /// A Welcome for each joiner: what the others get is not for them to see, and a large one is not sent many times
    /// (RFC 9420 §12.4.3.1 allows it).
    fn split(&self, request: &CommitRequest) -> Result<Vec<NewWelcome>, Refusal> {
        let Some(welcome) = &request.welcome else { return Ok(Vec::new()) };
        let Welcome { cipher_suite, secrets, encrypted_group_info } = welcome_of(welcome)?;
        if secrets.len().saturating_mul(encrypted_group_info.len()) > self.settings.max_welcomes {
            return Err(Refusal::TooLarge(
                "the Welcomes of one commit: add fewer at once, or leave the tree out",
            ));
        }
        let each = secrets.into_iter().zip(&request.recipients).map(|(secrets, recipient)| {
            let encrypted_group_info = encrypted_group_info.clone();
            let welcome = Welcome { cipher_suite, secrets: vec![secrets], encrypted_group_info };
            let body = MlsMessage::Welcome(welcome).to_bytes();
            let body = body.map_err(|_| Refusal::TooLarge("a Welcome"))?;
            Ok(NewWelcome {
                account: AccountId(recipient.account),
                device: DeviceId(recipient.device),
                id: Sha256::digest(&body).into(),
                body,
            })
        });
        each.collect()
    }

    /// A proof is young, and of somebody who may go as far as that.
    pub(super) fn check_proof(
        &self,
        group: &Followed,
        proof: &MemberProof,
        content: &[u8],
        needed: Reach,
    ) -> Result<Reach, Refusal> {
        if proof.at.abs_diff(self.now().0) > self.settings.clock_skew.as_secs() {
            return Err(Refusal::Unauthorized("the proof is of another time: check the clock"));
        }
        match (group.check(proof, content)?, needed) {
            (Reach::Until(_), Reach::Member) => Err(Refusal::Forbidden("no longer a member of the group")),
            (reach, _) => Ok(reach),
        }
    }

    async fn append(&self, group: &[u8], new: NewEntry) -> Result<SendAnswer, Refusal> {
        match self.backend.append(group, new).await? {
            Appended::Accepted(sequence) | Appended::Duplicate(sequence) => {
                Ok(SendAnswer::Accepted(sequence))
            }
            Appended::Stale { epoch } => Ok(SendAnswer::Stale { epoch }),
            Appended::NoGroup => Err(Refusal::NotFound("a group of this id")),
        }
    }

    async fn snapshot_if_due(&self, group: &mut Followed) -> Result<(), Refusal> {
        if group.snapshot_due(self.settings.snapshot_every) {
            let snapshot = group.to_snapshot()?;
            let id = group.public().group_id().to_vec();
            self.backend.put_snapshot(&id, snapshot, self.settings.snapshots).await?;
        }
        Ok(())
    }

    fn check_size(&self, messages: &[&[u8]]) -> Result<(), Refusal> {
        match messages.iter().all(|message| message.len() <= self.settings.max_message) {
            true => Ok(()),
            false => Err(Refusal::TooLarge("a message")),
        }
    }
}

pub(super) fn followed_of(guard: &mut OwnedMutexGuard<Option<Followed>>) -> Result<&mut Followed, Refusal> {
    guard.as_mut().ok_or(Refusal::NotFound("a group of this id"))
}

fn answer(group: &Followed, group_info: Vec<u8>) -> Result<GroupAnswer, Refusal> {
    let ratchet_tree = group.public().tree().to_extension().map_err(invalid)?;
    Ok(GroupAnswer { epoch: group.public().epoch(), sequence: group.commit(), group_info, ratchet_tree })
}

/// The name of a request in the log: of what is asked, too, so that an answer is never one to something else.
fn request_id(call: &str, request: &[u8; 32], parts: &[&[u8]]) -> RequestId {
    let mut hash = Sha256::new();
    hash.update(request);
    for part in std::iter::once(&call.as_bytes()).chain(parts) {
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part);
    }
    RequestId(hash.finalize().into())
}

fn commit_answer(committed: Committed) -> Result<CommitAnswer, Refusal> {
    match committed {
        Committed::Accepted(sequence) | Committed::Duplicate(sequence) => {
            Ok(CommitAnswer::Accepted(sequence))
        }
        Committed::Stale { epoch, winner } => Ok(CommitAnswer::Stale { epoch, winner }),
        Committed::NoGroup => Err(Refusal::NotFound("a group of this id")),
    }
}

fn welcome_of(message: &[u8]) -> Result<Welcome, Refusal> {
    match MlsMessage::from_bytes(message) {
        Ok(MlsMessage::Welcome(welcome)) => Ok(welcome),
        Ok(_) | Err(_) => Err(Refusal::Malformed("this is no Welcome in an MLSMessage".to_owned())),
    }
}

fn invalid(error: hushwood::error::Error) -> Refusal {
    Refusal::Invalid(error.to_string())
}
