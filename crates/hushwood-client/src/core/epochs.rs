//! Commits of a room's log (RFC 9420 §12.4.2): what they do is judged, taken, and told.

use hushwood::commit::Answers;
use hushwood::error::{Error as ProtocolError, NotNow};
use hushwood::framing::Sender;
use hushwood::group::{EpochChange, Group, ReceivedCommit, Status};
use hushwood_crypto::SignaturePublicKey;
use hushwood_delivery::rules::InForce;
use hushwood_delivery::wire::LogEntry;

use crate::content::Head;
use crate::core::env::DELIVERY;
use crate::core::log::Page;
use crate::core::room::Room;
use crate::error::Error;
use crate::event::{EventKind, NotTaken};
use crate::identity::{Member, member};
use crate::records::Standing;
use crate::trust::Judgement;
use crate::voucher::vouchers;

impl Room {
    /// A commit of somebody else.
    pub(super) fn commit(
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
            Err(ProtocolError::NotNow(NotNow::PskMissing)) => {
                let by = (&*group, received.sender());
                return self.refuse(by, NotTaken::PreSharedKey, entry.sequence, page);
            }
            Err(error) => return self.unreadable(error, (entry, false), page),
        };
        // Where the group is delivered does not change: all who come later would ask elsewhere.
        if staged.extensions().get(DELIVERY) != group.context().extensions.get(DELIVERY) {
            return self.refuse((&*group, received.sender()), NotTaken::Delivery, entry.sequence, page);
        }
        let change = staged.change();
        // RFC 9750 §6.1, A100: all members judge by the same rules, so none of them takes it, whatever the service has done.
        let key = staged.member(change.committer)?.map(|view| view.leaf.signature_key);
        let key = key.unwrap_or_else(|| SignaturePublicKey(Vec::new()));
        let rules = InForce::new(&group.context().extensions, group.tree())?;
        if !rules.let_commit(&key, staged.proposals())? {
            return self.refuse((&*group, received.sender()), NotTaken::Rules, entry.sequence, page);
        }
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
    pub(super) fn epoch(
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
            let by = by.clone();
            page.work.event(&self.id, EventKind::GroupChanged { by, external_senders });
        }
        let seen = (group.epoch(), page.now.seconds().0);
        for leaf in change.added.iter().chain(&change.updated).chain([&change.committer]) {
            self.see(leaf.number(), seen, &mut page.heard, page.work)?;
        }
        let place = (group.group_id(), group.epoch(), entry.sequence);
        let head = Head::of_epoch(suite, place, group.epoch_authenticator()?);
        self.advance(head, page.work);
        match change.status {
            Status::Active => self.early(group, page),
            // RFC 9420 §11.2, C314: nothing comes after it. The group that is to replace it is for whoever wanted that to make.
            Status::Reinitialised(_) | Status::Removed => {
                self.record.standing = Standing::Ended;
                page.work.event(&self.id, EventKind::Ended { by });
                Ok(())
            }
        }
    }
}
