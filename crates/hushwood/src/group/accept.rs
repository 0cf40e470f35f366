//! RFC 9420 §12.4.2: a commit of somebody else, staged, looked at, and accepted or refused.

use hushwood_crypto::Random;

use crate::commit::Answers;
use crate::commit::advance::{NextEpoch, advance_public};
use crate::commit::process::{PrivateInputs, process_private, process_public, signed_commit};
use crate::commit::state::{MemberState, PublicState};
use crate::credential::{Credential, CredentialCheck, Verdicts};
use crate::error::{Error, NotNow, Violation};
use crate::extension::Extensions;
use crate::framing::{Content, Sender};
use crate::group::advance::Arrival;
use crate::group::change::Change;
use crate::group::receive::ReceivedCommit;
use crate::group::staged::{EpochChange, Moment};
use crate::group::{Group, Member, MemberView, Status};
use crate::policy::Timestamp;
use crate::proposal::{CommittedProposal, ProposalList, ReInit};
use crate::schedule::Psk;
use crate::secret_tree::SecretTree;
use crate::transition::Step;
use crate::tree::{KeyPair, LeafIndex};

/// A commit that is valid, with the epoch it leads to. Look at what it does; then accept it, or drop it.
#[derive(Debug)]
pub struct StagedCommit {
    at: Moment,
    encrypted_by: Option<LeafIndex>,
    public: PublicState,
    /// None if the commit removes this client.
    member: Option<Member>,
    list: ProposalList,
    change: EpochChange,
    checks: Vec<CredentialCheck>,
    updated: Vec<(LeafIndex, Credential, Credential)>,
    psks: Vec<Psk>,
}

impl StagedCommit {
    /// What it changes.
    #[must_use]
    pub fn change(&self) -> &EpochChange {
        &self.change
    }

    /// The proposals that it covers, each with who made it: for rules about who may do what (RFC 9750 §6.1, A100).
    pub fn proposals(&self) -> impl Iterator<Item = &CommittedProposal> {
        self.list.iter()
    }

    /// The credentials to judge: of those who come, of members that show another one, of new external
    /// senders (RFC 9420 §5.3.1).
    #[must_use]
    pub fn checks(&self) -> &[CredentialCheck] {
        &self.checks
    }

    /// Who comes, with their credentials.
    ///
    /// # Errors
    /// [`Error::StoreRead`].
    pub fn added(&self) -> Result<Vec<(LeafIndex, Credential)>, Error> {
        let mut added = Vec::with_capacity(self.change.added.len());
        for leaf in &self.change.added {
            if let Some(node) = self.public.tree.leaf(*leaf)? {
                added.push((*leaf, node.credential.clone()));
            }
        }
        Ok(added)
    }

    /// The member at a leaf once the commit is accepted, if there is one.
    ///
    /// # Errors
    /// [`Error::StoreRead`].
    pub fn member(&self, index: LeafIndex) -> Result<Option<MemberView>, Error> {
        Ok(self.public.tree.leaf(index)?.map(|leaf| MemberView { index, leaf }))
    }

    /// Who goes, with their credentials.
    #[must_use]
    pub fn removed(&self) -> &[(LeafIndex, Credential)] {
        &self.change.removed
    }

    /// Whose leaf is replaced by an Update: old and new credential.
    #[must_use]
    pub fn updated(&self) -> &[(LeafIndex, Credential, Credential)] {
        &self.updated
    }

    /// The extensions of the group from now on.
    #[must_use]
    pub fn extensions(&self) -> &Extensions {
        &self.public.context.extensions
    }

    /// The pre-shared keys that are injected.
    #[must_use]
    pub fn psks(&self) -> &[Psk] {
        &self.psks
    }

    /// The group that replaces this one, if it ends here.
    #[must_use]
    pub fn reinit(&self) -> Option<&ReInit> {
        match &self.change.status {
            Status::Reinitialised(reinit) => Some(reinit),
            Status::Active | Status::Removed => None,
        }
    }

    /// Whether it removes this client.
    #[must_use]
    pub fn removes_us(&self) -> bool {
        self.member.is_none()
    }
}

impl Group {
    /// Computes what a commit does. Nothing has changed; drop the result to refuse it.
    ///
    /// # Errors
    /// The [`Violation`] that makes it invalid; [`NotNow::Stale`] if the epoch has ended meanwhile;
    /// [`NotNow::ProposalMissing`] and [`NotNow::PskMissing`], of which
    /// [`missing_proposals`](Self::missing_proposals) and [`ReceivedCommit::psks`] say which;
    /// [`NotNow::OwnUpdateLost`] if it covers an Update of ours whose key is gone.
    pub fn stage_commit(
        &self,
        received: &ReceivedCommit,
        answers: &Answers,
        now: Timestamp,
        random: &mut dyn Random,
    ) -> Result<StagedCommit, Error> {
        self.check_usable()?;
        // The group may have moved since the commit was received.
        if !self.is_at(&received.at) {
            return Err(NotNow::Stale.into());
        }
        let Content::Commit(commit) = &received.message.content().content else {
            return Err(Error::Bug("a received commit is none"));
        };
        let sender = received.sender();
        let checks = self.checks(now, false);
        let resolved = self.proposals.resolve(commit.proposals.clone(), sender, &self.policy)?;
        let list = ProposalList::check_unsigned(resolved, sender, &checks)?;
        let public = process_public(&self.public, commit, &list, &checks, random)?;
        self.check_limits(&list)?;

        let epoch = public.provisional.epoch;
        let mut change = EpochChange::new(&list, &public.applied, public.committer, epoch);
        change.extensions_changed = public.applied.extensions != self.public.context.extensions;
        if let Some(reinit) = list.reinit() {
            change.status = Status::Reinitialised(reinit.clone());
        }
        let updated = public.applied.updated.iter().map(|(leaf, old)| {
            let new = public.applied.tree.leaf(*leaf)?.ok_or(Violation::SenderBlank)?;
            Ok((*leaf, old.credential.clone(), new.credential.clone()))
        });
        let updated = updated.collect::<Result<Vec<_>, Error>>()?;
        let psks = list.psks().map(|id| id.psk.clone()).collect();
        let credential_checks = public.checks.clone();

        // RFC 9420 §12.4.2, C315: a commit that removes us can be followed in public only.
        let (public, member) = if list.removes().any(|removed| removed == self.own_leaf) {
            change.status = Status::Removed;
            let tag = received.message.auth().confirmation_tag.clone();
            let tag = tag.ok_or(Violation::ConfirmationTag)?;
            let signed = signed_commit(&received.message);
            let tree = public.applied.tree;
            (advance_public(&self.public, tree, public.provisional, &signed, tag)?, None)
        } else {
            // RFC 9420 §13.5, C388, C390: what the group asks of its members from now on we support ourselves.
            let own = public.applied.tree.leaf(self.own_leaf)?.ok_or(Error::Bug("a member without leaf"))?;
            public.applied.parameters.check_own(&own.capabilities)?;
            let (next, private) = self.follow(received, &list, &public, answers)?;
            let NextEpoch { public, secrets, encryption } = next;
            let secret_tree = SecretTree::new(self.suite(), public.tree.leaf_count(), encryption)?;
            let state = MemberState { private, secrets };
            (public, Some(Member { state, secret_tree }))
        };
        let (at, encrypted_by) = (self.here(), received.encrypted_by);
        Ok(StagedCommit {
            at,
            encrypted_by,
            public,
            member,
            list,
            change,
            checks: credential_checks,
            updated,
            psks,
        })
    }

    /// Accepts a staged commit: the epoch it leads to begins.
    ///
    /// # Errors
    /// [`NotNow::Stale`] if the epoch has ended meanwhile; [`Violation::CredentialRefused`] and others if
    /// a verdict refuses.
    pub fn accept_commit(
        &mut self,
        staged: StagedCommit,
        verdicts: &Verdicts,
        now: Timestamp,
    ) -> Result<Step<'_, EpochChange>, Error> {
        self.check_usable()?;
        if !self.is_at(&staged.at) {
            return Err(NotNow::Stale.into());
        }
        verdicts.confirm(&staged.checks)?;
        let StagedCommit { encrypted_by, public, member, change, .. } = staged;
        let arrival =
            Arrival { public: &public, member: member.as_ref(), status: &change.status, encrypted_by };
        let (mut draft, retirement) = self.draft_epoch(&arrival, now)?;
        let status = change.status.clone();
        draft.changes.push(Change::Epoch(Box::new((public, member, status)), Box::new(retirement)));
        Ok(self.step(draft, change))
    }

    /// The private half: our keys in the next epoch.
    fn follow(
        &self,
        received: &ReceivedCommit,
        list: &ProposalList,
        public: &crate::commit::process::PublicTransition,
        answers: &Answers,
    ) -> Result<(NextEpoch, crate::tree::PrivateTree), Error> {
        let member = &self.active_member()?.state;
        let mut private = member.private.duplicate();
        // D13: an Update of ours that the commit covers brings its private key into use.
        if let Some(keys) = self.own_update_in(list) {
            private.replace_leaf_keys(keys);
        }
        let inputs =
            PrivateInputs { state: &self.public, member, commit: &received.message, list, public, private };
        process_private(inputs, |psk| self.own_resumption_psk(psk).or(answers.psk(psk)))
    }

    /// The keys of an Update of ours, if the list covers one.
    fn own_update_in(&self, list: &ProposalList) -> Option<KeyPair> {
        let own = list.iter().filter(|committed| committed.sender() == Sender::Member(self.own_leaf));
        let keys = own.filter_map(CommittedProposal::reference);
        keys.filter_map(|reference| self.own_updates.get(reference)).map(KeyPair::duplicate).next()
    }

    /// What the policy allows beyond the protocol's rules.
    fn check_limits(&self, list: &ProposalList) -> Result<(), Error> {
        // An own Update whose key we have lost could not be followed.
        let own = list.updates().any(|(leaf, _)| leaf == self.own_leaf);
        match own && self.own_update_in(list).is_none() {
            true => Err(NotNow::OwnUpdateLost.into()),
            false => Ok(()),
        }
    }
}
