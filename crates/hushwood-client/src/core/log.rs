//! What comes from a room's log, entry by entry.

use std::collections::{BTreeMap, BTreeSet};

use hushwood::commit::Answers;
use hushwood::credential::Claim;
use hushwood::error::{Error as ProtocolError, NotNow};
use hushwood::framing::Sender;
use hushwood::group::{
    ApplicationMessage, EpochChange, Group, Received, ReceivedCommit, ReceivedMessage, Status,
};
use hushwood::proposal::Proposal;
use hushwood_codec::Decode;
use hushwood_crypto::Secret;
use hushwood_delivery::wire::{EntryKind, LogEntry};

use crate::content::{Content, Head, TEXT, TITLE, truncate};
use crate::core::env::{DELIVERY, Env};
use crate::core::room::{Room, numbered};
use crate::core::work::Work;
use crate::error::Error;
use crate::event::{EventKind, Message, MessageId};
use crate::identity::{Member, member};
use crate::records::{Standing, get, row, rows, to_row};
use crate::settings::Millis;
use crate::trust::{Judge, Judgement};
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
                let leaf = match received.proposal() {
                    Proposal::Add(add) => Some(&add.key_package.leaf_node),
                    Proposal::Update(update) => Some(&update.leaf_node),
                    _ => None,
                };
                let judgement = page.env.judge.judge(received.checks(), &vouchers(leaf), group.suite());
                self.believe(&judgement, page)?;
                page.work.step(group.accept_proposal(received, &judgement.verdicts)?);
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

    fn message(
        &mut self,
        group: &mut Group,
        received: ReceivedMessage,
        entry: &LogEntry,
        page: &mut Page<'_>,
    ) -> Result<(), Error> {
        let message = page.work.step(group.accept_message(received)?);
        // It goes into an event, in the same transaction.
        page.work.step(group.acknowledge(&message.id)?);
        let from = member(&message.credential, group.suite());
        let place = (message.sender.number(), message.epoch, message.generation);
        let missing = self.hear(page.env, (place, page.now.seconds().0), &mut page.heard, page.work)?;
        if missing > 0 {
            page.work.event(&self.id, EventKind::Gap { from: Some(from.clone()), missing });
        }
        let content = match Content::from_bytes(message.plaintext.expose()) {
            Ok(content) if content.is_known() => content,
            Ok(_) | Err(_) => {
                page.work.event(&self.id, EventKind::Gap { from: Some(from), missing: 1 });
                return Ok(());
            }
        };
        let same_log = self.chain_at(page.env, content.head)?.is_none_or(|value| value == content.chain);
        // It opens with our keys, so the epoch is ours, whatever it says: this too is a word of its sender.
        let same_epoch = message.epoch != group.epoch()
            || truncate::<8>(group.epoch_authenticator()?) == content.authenticator;
        if content.head >= entry.sequence || !same_log || !same_epoch {
            self.says_otherwise(group, &from, entry.sequence, page)?;
        }
        if !self.is_first(content.id, entry.sequence, page)? {
            return Ok(());
        }
        let is_doubted = Self::is_doubted(group, &message, &page.env.judge)?;
        match content.kind {
            TEXT => {
                let message = Message {
                    from,
                    id: MessageId(content.id),
                    sent_at: content.sent_at,
                    sequence: entry.sequence,
                    body: content.body,
                };
                if is_doubted {
                    page.work.event(&self.id, EventKind::Doubted(message));
                } else {
                    self.remember(&message, page)?;
                    page.work.event(&self.id, EventKind::Message(message));
                }
            }
            // Nobody in particular has named it.
            TITLE if is_doubted => {}
            TITLE => {
                let title = String::from_utf8_lossy(&content.body).into_owned();
                if self.record.title != title.as_bytes() {
                    self.record.title = title.as_bytes().to_vec();
                    page.work.event(&self.id, EventKind::Title { title, by: from });
                }
            }
            // A later version's: it says how to ignore it, by its kind.
            _ => {}
        }
        Ok(())
    }

    /// Whether a message is of somebody of whom the user has said that they are not who they say.
    fn is_doubted(group: &Group, message: &ApplicationMessage, judge: &Judge) -> Result<bool, Error> {
        if !judge.has_doubted(&message.credential) {
            return Ok(false);
        }
        let view = group.member(message.sender)?.filter(|view| view.leaf.credential == message.credential);
        // Who is not there any more may have been either: better not to believe it.
        Ok(view.is_none_or(|view| {
            let (credential, signature_key) = (view.leaf.credential, view.leaf.signature_key);
            judge.is_doubted(&Claim { credential, signature_key })
        }))
    }

    /// Whether a message of this name comes for the first time. Any member could encrypt what another has signed once more
    /// (RFC 9750 §8.6, A119), and a message that was encrypted anew has the name that it had.
    fn is_first(&self, id: [u8; 16], sequence: u64, page: &mut Page<'_>) -> Result<bool, Error> {
        let key = |id: &[u8]| row(self.rows(), [b"i".as_slice(), id].concat());
        if !page.names.insert(id) || get(&*page.env.store, &key(&id))?.is_some() {
            return Ok(false);
        }
        page.work.put(key(&id), Secret::new(Vec::new()));
        self.note_name(id, sequence, page)?;
        Ok(true)
    }

    /// Notes which message stands at a number, and forgets what is known of one that was long ago.
    pub(crate) fn note_name(&self, id: [u8; 16], sequence: u64, page: &mut Page<'_>) -> Result<(), Error> {
        page.work.put(numbered(self.rows(), b'q', sequence), Secret::copy_of(&id));
        if let Some(old) = sequence.checked_sub(NAMES) {
            let place = numbered(self.rows(), b'q', old);
            if let Some(id) = get(&*page.env.store, &place)? {
                for letter in [b"i", b"m"] {
                    page.work.erase(row(self.rows(), [letter.as_slice(), id.expose()].concat()));
                }
                page.work.erase(place);
            }
        }
        Ok(())
    }

    /// Keeps a message to be read again.
    pub(crate) fn remember(&self, message: &Message, page: &mut Page<'_>) -> Result<(), Error> {
        let most = page.env.settings.history;
        if most == 0 {
            return Ok(());
        }
        page.work.put(numbered(self.rows(), b'h', message.sequence), to_row(message, message.body.len())?);
        if let Some(old) = message.sequence.checked_sub(most) {
            page.work.erase(numbered(self.rows(), b'h', old));
        }
        Ok(())
    }

    fn commit(
        &mut self,
        group: &mut Group,
        received: &ReceivedCommit,
        entry: &LogEntry,
        page: &mut Page<'_>,
    ) -> Result<(), Error> {
        let now = page.now.seconds();
        let staged = group.stage_commit(received, &Answers::none(), now, &mut *page.env.random);
        let staged = match staged {
            Ok(staged) => staged,
            Err(error) => return self.unreadable(error, (entry, false), page),
        };
        // Where the group is delivered does not change: all who come later would ask elsewhere.
        if staged.extensions().get(DELIVERY) != group.context().extensions.get(DELIVERY) {
            self.fork(None, entry.sequence, page);
            return Ok(());
        }
        let change = staged.change();
        let mut leaves = Vec::new();
        for leaf in change.added.iter().chain(&change.updated).chain([&change.committer]) {
            leaves.extend(staged.member(*leaf)?.map(|view| view.leaf));
        }
        let judgement = page.env.judge.judge(staged.checks(), &vouchers(&leaves), group.suite());
        self.believe(&judgement, page)?;
        let change = page.work.step(group.accept_commit(staged, &judgement.verdicts, now)?);
        self.epoch(group, (&change, Some((received.sender(), &judgement))), entry, page)
    }

    /// An epoch has begun.
    fn epoch(
        &mut self,
        group: &mut Group,
        (change, other): (&EpochChange, Option<(Sender, &Judgement)>),
        entry: &LogEntry,
        page: &mut Page<'_>,
    ) -> Result<(), Error> {
        let suite = group.suite();
        self.turn = None;
        let by = Self::member_at(group, change.committer)?.unwrap_or_else(|| page.env.device.member.clone());
        if change.status == Status::Removed {
            self.record.standing = Standing::Removed;
            page.work.event(&self.id, EventKind::Removed { by });
            let head = self.head().and(suite, entry.sequence, entry.kind, &entry.message);
            self.advance(head, page.work);
            return Ok(());
        }
        let is_new = |member: &Member| {
            let mut new = other.iter().flat_map(|(_, judgement)| &judgement.new);
            new.any(|claim| member == &crate::identity::member_of(claim, suite))
        };
        let from_outside = matches!(other, Some((Sender::NewMemberCommit, _)));
        let removed: Vec<_> =
            change.removed.iter().map(|(_, credential)| member(credential, suite)).collect();
        for gone in removed.iter().filter(|gone| !(from_outside && **gone == by)) {
            page.work.event(&self.id, EventKind::MemberRemoved { member: gone.clone(), by: by.clone() });
        }
        for leaf in &change.added {
            let Some(member) = Self::member_at(group, *leaf)? else { continue };
            let first_seen = is_new(&member);
            page.work.event(&self.id, EventKind::MemberAdded { member, by: by.clone(), first_seen });
        }
        if from_outside {
            let kind = match removed.contains(&by) {
                true => EventKind::MemberChanged { member: by.clone() },
                false => {
                    EventKind::MemberAdded { member: by.clone(), by: by.clone(), first_seen: is_new(&by) }
                }
            };
            page.work.event(&self.id, kind);
        } else if let Some((_, judgement)) = other {
            let is_told = |member: &Member| {
                removed.contains(member)
                    || change.added.iter().any(
                        |leaf| matches!(Self::member_at(group, *leaf), Ok(Some(added)) if added == *member),
                    )
            };
            let changed = judgement.new.iter().map(|claim| crate::identity::member_of(claim, suite));
            for member in changed.filter(|member| !is_told(member)) {
                page.work.event(&self.id, EventKind::MemberChanged { member });
            }
        }
        if change.extensions_changed {
            let senders = group.context().extensions.external_senders()?.len();
            let external_senders = u32::try_from(senders).unwrap_or(u32::MAX);
            page.work.event(&self.id, EventKind::GroupChanged { by, external_senders });
        }
        let seen = (group.epoch(), page.now.seconds().0);
        for leaf in change.added.iter().chain(&change.updated).chain([&change.committer]) {
            self.see(leaf.number(), seen, &mut page.heard, page.work)?;
        }
        let place = (group.group_id(), group.epoch(), entry.sequence);
        let head = Head::of_epoch(suite, place, group.epoch_authenticator()?);
        self.advance(head, page.work);
        if change.status != Status::Active {
            // Nobody here makes a ReInit; who does has its own way on.
            self.fork(None, entry.sequence, page);
        }
        self.early(group, page)
    }

    /// An entry that can't be taken: what that means.
    fn unreadable(
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

    pub(crate) fn fork(&mut self, with: Option<Member>, sequence: u64, page: &mut Page<'_>) {
        if self.record.standing != Standing::Forked {
            self.record.standing = Standing::Forked;
            page.work.event(&self.id, EventKind::Fork { with, sequence });
        }
    }

    /// Goes on only if everybody is who they say; keeps keys that are new.
    fn believe(&mut self, judgement: &Judgement, page: &mut Page<'_>) -> Result<(), Error> {
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

    /// Keeps a message of an epoch to come, within limits.
    fn keep_early(&mut self, entry: &LogEntry, page: &mut Page<'_>) -> Result<(), Error> {
        let (most, _) = page.env.settings.early;
        let (now, rows) = (page.now, self.early_rows());
        let early = self.early_messages(page.env)?;
        if early.len() >= most {
            page.work.event(&self.id, EventKind::Gap { from: None, missing: 1 });
            return Ok(());
        }
        early.insert(entry.sequence, (now, entry.message.clone()));
        let mut value = now.0.to_be_bytes().to_vec();
        value.extend_from_slice(&entry.message);
        page.work.put(numbered(rows, b'e', entry.sequence), Secret::new(value));
        Ok(())
    }

    /// Offers what came too early again, now that an epoch has begun; what is too old is forgotten.
    fn early(&mut self, group: &mut Group, page: &mut Page<'_>) -> Result<(), Error> {
        let (_, age) = page.env.settings.early;
        let rows = self.early_rows();
        for (sequence, (time, message)) in std::mem::take(self.early_messages(page.env)?) {
            page.work.erase(numbered(rows, b'e', sequence));
            let entry = LogEntry { sequence, kind: EntryKind::Message, epoch: 0, message };
            match group.receive(&entry.message, page.now.seconds()) {
                Ok(Received::Message(received)) => self.message(group, received, &entry, page)?,
                Err(ProtocolError::NotNow(NotNow::EpochFuture))
                    if page.now.0.saturating_sub(time.0) <= age =>
                {
                    self.keep_early(&entry, page)?;
                }
                Ok(_) => {}
                Err(error) => self.unreadable(error, (&entry, true), page)?,
            }
        }
        Ok(())
    }

    fn early_messages(&mut self, env: &Env) -> Result<&mut BTreeMap<u64, (Millis, Vec<u8>)>, Error> {
        let early = match self.early.take() {
            Some(early) => early,
            None => {
                let kept = rows(&*env.store, self.early_rows())?.into_iter().filter_map(|(id, value)| {
                    let (time, message) = value.expose().split_first_chunk()?;
                    let sequence = u64::from_be_bytes(id.get(1..)?.try_into().ok()?);
                    Some((sequence, (Millis(u64::from_be_bytes(*time)), message.to_vec())))
                });
                kept.collect()
            }
        };
        Ok(self.early.insert(early))
    }
}

/// The names of so many entries of the log are remembered.
const NAMES: u64 = 10_000;
