//! What comes from a room's log, entry by entry.

use std::collections::{BTreeMap, BTreeSet};

use hushwood::credential::{InsecureAcceptAll, judge};
use hushwood::error::{Error as ProtocolError, NotNow};
use hushwood::framing::Sender;
use hushwood::group::{Group, Received};
use hushwood::proposal::Proposal;
use hushwood_delivery::rules::InForce;
use hushwood_delivery::wire::{EntryKind, LogEntry};

use crate::core::env::Env;
use crate::core::room::Room;
use crate::core::work::Work;
use crate::error::Error;
use crate::event::{EventKind, NotTaken};
use crate::identity::Member;
use crate::records::Standing;
use crate::settings::Millis;
use crate::trust::Judgement;
use crate::voucher::vouchers;

/// What a page of the log is taken with.
pub(crate) struct Page<'a> {
    pub(crate) env: &'a mut Env,
    pub(crate) work: &'a mut Work,
    pub(crate) now: Millis,
    /// How far each sender was heard, as far as this page has changed it.
    pub(crate) heard: BTreeMap<u32, (u64, u32)>,
    /// Whether entries with these hashes are our own.
    pub(crate) own: Vec<[u8; 16]>,
    /// Names of messages in this page.
    pub(crate) names: BTreeSet<[u8; 16]>,
}

impl Room {
    /// Takes the next entry. The cursor is on it afterwards.
    ///
    /// # Errors
    /// [`Error::KeyChanged`], [`Error::UnknownKey`]: nothing has changed, somebody has to decide. Others: memory may be ahead of the store.
    pub(crate) fn take(&mut self, entry: &LogEntry, page: &mut Page<'_>) -> Result<(), Error> {
        let mut group = self.take_group(page.env)?;
        let taken = self.take_with(&mut group, entry, page);
        self.group = Some(group);
        taken
    }

    fn take_with(&mut self, group: &mut Group, entry: &LogEntry, page: &mut Page<'_>) -> Result<(), Error> {
        let epoch = group.epoch();
        match group.receive(&entry.message, page.now.seconds()) {
            Ok(Received::Message(received)) => self.message(group, received, entry, page)?,
            Ok(Received::Proposal(received)) => {
                // RFC 9750 §6.1, A100: a proposal that the rules do not let its sender make is as if nobody had made it. The
                // service has refused it, if it is one that does what it should.
                let rules = InForce::new(&group.context().extensions, group.tree())?;
                if rules.let_propose(received.sender(), received.proposal()) {
                    let verdicts = match received.proposal() {
                        Proposal::Update(update) => {
                            let vouchers = vouchers(Some(&update.leaf_node));
                            let judgement = page.env.judge.judge(received.checks(), &vouchers, group.suite());
                            self.believe(&judgement, page)?;
                            judgement.verdicts
                        }
                        // Commits of ours cover no other that brings a key, and one of somebody else's is judged with all that it
                        // covers. Whoever may propose to be added would stop the room otherwise, with any name.
                        _ => judge(received.checks(), &InsecureAcceptAll),
                    };
                    page.work.step(group.accept_proposal(received, &verdicts)?);
                }
            }
            Ok(Received::Commit(received)) => self.commit(group, &received, entry, page)?,
            Ok(Received::OwnCommit(id)) => {
                let step = group.apply(&id, page.now.seconds())?;
                let change = page.work.step(step);
                for welcome in &change.welcomes {
                    // The service carries it.
                    page.work.step(group.acknowledge(&welcome.id)?);
                }
                self.record.renewed = page.now.seconds().0;
                self.epoch(group, (&change, None), entry, page)?;
            }
            Ok(Received::OwnProposal(_)) => {}
            Err(error) => self.unreadable(error, (entry, false), page)?,
        }
        if group.epoch() == epoch {
            let head = self.head().and(group.suite(), entry.sequence, entry.kind, &entry.message);
            self.advance(head, page.work);
        }
        Ok(())
    }

    /// An entry that can't be taken: what that means.
    pub(super) fn unreadable(
        &mut self,
        error: ProtocolError,
        (entry, again): (&LogEntry, bool),
        page: &mut Page<'_>,
    ) -> Result<(), Error> {
        match (&error, entry.kind) {
            // Nobody is to blame but this host.
            (
                ProtocolError::StoreRead(_)
                | ProtocolError::Bug(_)
                | ProtocolError::Crypto(_)
                | ProtocolError::NotNow(NotNow::Reopen | NotNow::Stale),
                _,
            ) => return Err(error.into()),
            // Our own, as it should be; one that we do not know was sent by a later state of ours, which was lost.
            (ProtocolError::NotNow(NotNow::OwnMessage), EntryKind::Message) => {
                let hash = crate::core::room::hash_of(page.env.suite(), &entry.message);
                if !page.own.contains(&hash) {
                    self.fork(None, entry.sequence, page);
                }
            }
            // Read before, and shown again.
            (ProtocolError::NotNow(NotNow::KeyUsed), EntryKind::Message) => {}
            // A log has each handshake in its epoch. Where one of an epoch that is over comes next, our epoch began in
            // another log: it was said to us alone that our commit had won.
            (ProtocolError::NotNow(NotNow::EpochPast), EntryKind::Commit | EntryKind::Proposal) => {
                self.fork(None, entry.sequence, page);
            }
            (ProtocolError::NotNow(NotNow::EpochFuture), EntryKind::Message) if !again => {
                return self.keep_early(entry, page);
            }
            // Sent before its sender knew that we are here.
            (ProtocolError::NotNow(NotNow::EpochPast), EntryKind::Message)
                if entry.epoch < self.record.joined => {}
            (_, EntryKind::Message) => page.work.event(&self.id, EventKind::Gap { from: None, missing: 1 }),
            // The service should have refused it; whoever follows the log has the same trouble.
            (_, EntryKind::Proposal) => {}
            (_, EntryKind::Commit) => self.fork(None, entry.sequence, page),
        }
        Ok(())
    }

    /// A commit that can be read and is not taken: the room stops, and the user is told whose it is, and why.
    pub(super) fn refuse(
        &mut self,
        (group, sender): (&Group, Sender),
        why: NotTaken,
        sequence: u64,
        page: &mut Page<'_>,
    ) -> Result<(), Error> {
        let by = match sender {
            Sender::Member(leaf) => Self::member_at(group, leaf)?,
            Sender::External(_) | Sender::NewMemberProposal | Sender::NewMemberCommit => None,
        };
        page.work.event(&self.id, EventKind::NotTaken { by, why, sequence });
        self.fork(None, sequence, page);
        Ok(())
    }

    pub(crate) fn fork(&mut self, with: Option<Member>, sequence: u64, page: &mut Page<'_>) {
        if self.record.standing != Standing::Forked {
            self.record.standing = Standing::Forked;
            page.work.event(&self.id, EventKind::Fork { with, sequence });
        }
    }

    /// Goes on only if everybody is who they say; keeps keys that are new.
    pub(super) fn believe(&mut self, judgement: &Judgement, page: &mut Page<'_>) -> Result<(), Error> {
        page.env.doubt(judgement);
        if let Some(member) = &judgement.refused {
            if self.asked != judgement.refused_claim {
                self.asked.clone_from(&judgement.refused_claim);
                let attention = judgement.attention(member);
                page.work.event(&self.id, EventKind::NeedsAttention(attention));
            }
            return Err(judgement.error(member));
        }
        page.env.judge.keep(judgement, page.work)
    }
}
