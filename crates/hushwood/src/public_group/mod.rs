//! A group that is followed and not joined: for delivery services, moderators and auditors (RFC 9420
//! §6.2, §16.4; RFC 9750 §7.2).
//!
//! An observer checks all that can be checked without a secret: signatures, proposals, their combination,
//! the new tree, its keys and hashes. It can't check membership tags and confirmation tags: a member that
//! means harm can make a commit that the members refuse and an observer takes. One that has to be sure
//! compares its context with a GroupInfo of the new epoch ([`PublicGroup::agrees_with`]).
//!
//! ```text
//! GroupInfo -> GroupView::verify -> PublicGroup::new
//! bytes -> receive -> Observed::Proposal -> accept_proposal
//!                  -> Observed::Commit   -> accept_commit
//! ```

mod record;

use hushwood_codec::Decode;
use hushwood_crypto::{CipherSuite, HashReference, Random};

use crate::commit::Commit;
use crate::commit::advance::advance_public;
use crate::commit::process::{process_public, signed_commit};
use crate::commit::state::PublicState;
use crate::credential::{CredentialCheck, Verdicts};
use crate::error::{Error, NotNow, Violation};
use crate::extension::ExtensionType;
use crate::extension::support::{ExtensionPlace, check_placement};
use crate::framing::{Authenticated, Content, MlsMessage, PublicMessage, Sender};
use crate::group::{EpochChange, GroupView, MemberView, PendingProposal, Status, verify_sender};
use crate::policy::{Policy, Timestamp};
use crate::proposal::{
    CachedProposal, CommittedProposal, Proposal, ProposalCache, ProposalChecks, ProposalList, Purpose,
};
use crate::schedule::GroupContext;
use crate::tree::RatchetTree;
use crate::welcome::verification::{check_external_pub, verify_signature};

/// The public state of a group, followed from outside by its public handshake messages.
///
/// It holds no secrets and writes to no store: [`to_bytes`](Self::to_bytes) gives all of it, to be kept
/// wherever the application keeps such things.
#[derive(Clone, Debug)]
pub struct PublicGroup {
    public: PublicState,
    policy: Policy,
    status: Status,
    proposals: ProposalCache,
}

/// What a message turned out to be. Nothing has changed yet.
#[derive(Clone, Debug)]
pub enum Observed {
    /// A proposal, to be accepted or refused.
    Proposal(ObservedProposal),
    /// A commit, to be accepted or refused.
    Commit(Box<ObservedCommit>),
}

/// A proposal whose sender is known and that is valid by itself.
#[derive(Clone, Debug)]
pub struct ObservedProposal {
    /// The interim transcript hash of the state it was checked in.
    at: Vec<u8>,
    cached: CachedProposal,
    checks: Vec<CredentialCheck>,
}

/// A commit that is valid as far as an observer can tell, with the epoch it leads to.
#[derive(Clone, Debug)]
pub struct ObservedCommit {
    at: Vec<u8>,
    public: PublicState,
    list: ProposalList,
    change: EpochChange,
    added: Vec<HashReference>,
    checks: Vec<CredentialCheck>,
}

impl ObservedProposal {
    /// Who made it.
    #[must_use]
    pub fn sender(&self) -> Sender {
        self.cached.sender()
    }

    /// What it proposes.
    #[must_use]
    pub fn proposal(&self) -> &Proposal {
        self.cached.proposal()
    }

    /// Its name.
    #[must_use]
    pub fn reference(&self) -> &HashReference {
        self.cached.reference()
    }

    /// The credentials to judge.
    #[must_use]
    pub fn checks(&self) -> &[CredentialCheck] {
        &self.checks
    }
}

impl ObservedCommit {
    /// What it changes.
    #[must_use]
    pub fn change(&self) -> &EpochChange {
        &self.change
    }

    /// The proposals that it covers, each with who made it: for rules about who may do what (RFC 9750 §6.1, A100).
    pub fn proposals(&self) -> impl Iterator<Item = &CommittedProposal> {
        self.list.iter()
    }

    /// The KeyPackages of those whom it adds, in the order of the Adds: a Welcome has a secret for each of them (RFC 9420
    /// §12.4.3.1, `new_member`).
    #[must_use]
    pub fn added(&self) -> &[HashReference] {
        &self.added
    }

    /// The group context of the epoch that it begins.
    #[must_use]
    pub fn context(&self) -> &GroupContext {
        self.public.context()
    }

    /// The credentials to judge.
    #[must_use]
    pub fn checks(&self) -> &[CredentialCheck] {
        &self.checks
    }

    /// The ratchet tree of that epoch.
    #[must_use]
    pub fn tree(&self) -> &RatchetTree {
        &self.public.tree
    }

    /// Checks a GroupInfo, an MLSMessage, that came with the commit: a member has signed this epoch's context and
    /// confirmation tag (RFC 9420 §12.4.3), and what stands beside them is what somebody who joins would take. What it
    /// costs does not depend on how many members there are, unless the tree is in there.
    ///
    /// # Errors
    /// [`NotNow::NotForGroup`] if it is another message; [`Violation::GroupInfoSigner`],
    /// [`Violation::GroupInfoSignature`]; [`Violation::GroupInfoOther`] if it is of another epoch; [`Violation::TreeHash`]
    /// if there is another tree in it; [`Violation::HpkePublicKey`] if its `external_pub` is no key of the suite;
    /// [`Violation::ExtensionMisplaced`] for an extension that belongs elsewhere.
    pub fn check_group_info(&self, group_info: &[u8], policy: &Policy) -> Result<(), Error> {
        let MlsMessage::GroupInfo(group_info) = MlsMessage::from_bytes_with(group_info, policy.decode)?
        else {
            return Err(NotNow::NotForGroup.into());
        };
        let group_info = group_info.into_unchecked();
        let same = group_info.group_context == self.public.context
            && group_info.confirmation_tag == self.public.confirmation_tag;
        // RFC 9750 §5.3, A061: what those need who come back is of the epoch that they come back to.
        if !same {
            return Err(Violation::GroupInfoOther.into());
        }
        verify_signature(&group_info, self.public.suite, &self.public.tree)?;
        // C375: what stands beside the context belongs there.
        check_placement(&group_info.extensions, ExtensionPlace::GroupInfo)?;
        check_external_pub(&group_info, self.public.suite)?;
        // C333: a tree in it is the one of the context. Ours is.
        match group_info.extensions.get(ExtensionType::RATCHET_TREE) {
            Some(tree) if tree.extension_data != self.public.tree.to_extension()? => {
                Err(Violation::TreeHash.into())
            }
            Some(_) | None => Ok(()),
        }
    }
}

impl PublicGroup {
    /// Begins to follow a group where its GroupInfo was made.
    ///
    /// # Errors
    /// [`Violation::CredentialRefused`] if a verdict refuses;
    /// [`ApiMisuse::VerdictMissing`](crate::error::ApiMisuse::VerdictMissing); [`Error::StoreRead`] for a view of
    /// a stored group, which is read as a whole.
    pub fn new(view: GroupView, verdicts: &Verdicts) -> Result<Self, Error> {
        let (mut public, policy, checks) = view.into_parts();
        verdicts.confirm(&checks)?;
        // The member's group goes on without the observer, and its store with it.
        public.tree = public.tree.into_memory()?;
        Ok(Self { public, policy, status: Status::Active, proposals: ProposalCache::new() })
    }

    /// The group's id.
    #[must_use]
    pub fn group_id(&self) -> &[u8] {
        &self.public.context.group_id
    }

    /// The current epoch.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.public.context.epoch
    }

    /// The group context.
    #[must_use]
    pub fn context(&self) -> &GroupContext {
        &self.public.context
    }

    /// The suite.
    #[must_use]
    pub fn suite(&self) -> &'static dyn CipherSuite {
        self.public.suite
    }

    /// The ratchet tree.
    #[must_use]
    pub fn tree(&self) -> &RatchetTree {
        &self.public.tree
    }

    /// What the group has come to: active, or reinitialised.
    #[must_use]
    pub fn status(&self) -> &Status {
        &self.status
    }

    /// The members, by leaf.
    ///
    /// # Errors
    /// Each item: [`Error::StoreRead`].
    pub fn members(&self) -> impl Iterator<Item = Result<MemberView, Error>> {
        self.public.tree.members().map(|member| member.map(|(index, leaf)| MemberView { index, leaf }))
    }

    /// The proposals of this epoch that wait for a commit, in the order in which they came.
    pub fn pending_proposals(&self) -> impl Iterator<Item = PendingProposal<'_>> {
        self.proposals.iter().map(PendingProposal::of)
    }

    /// The group as it is now, to make proposals from outside.
    #[must_use]
    pub fn view(&self) -> GroupView {
        GroupView::of(&self.public, &self.policy)
    }

    /// Whether a member has vouched for the epoch that we are in: a verified GroupInfo has the same
    /// context and confirmation tag. Then the tags of all commits so far were right.
    #[must_use]
    pub fn agrees_with(&self, view: &GroupView) -> bool {
        let state = view.public_state();
        state.context == self.public.context && state.confirmation_tag == self.public.confirmation_tag
    }

    /// Takes a message off the wire: an MLSMessage for this group. Proposals and commits that are not
    /// encrypted can be followed.
    ///
    /// # Errors
    /// [`NotNow::Encrypted`] for a PrivateMessage; otherwise as
    /// [`Group::receive`](crate::group::Group::receive) and
    /// [`Group::stage_commit`](crate::group::Group::stage_commit). Nothing has changed.
    pub fn receive(
        &self,
        message: &[u8],
        now: Timestamp,
        random: &mut dyn Random,
    ) -> Result<Observed, Error> {
        let message = self.open(message)?;
        // RFC 9420 §11.2, C314: a reinitialised group is changed no more.
        if self.status != Status::Active {
            return Err(NotNow::GroupEnded.into());
        }
        let checks = self.checks(now);
        match &message.content().content {
            Content::Application(_) => Err(Violation::ApplicationInPublicMessage.into()),
            Content::Proposal(_) => {
                let cached = CachedProposal::check(&message, &checks)?;
                let credentials = checks.credential_checks(cached.proposal(), cached.sender())?;
                Ok(Observed::Proposal(ObservedProposal { at: self.at(), cached, checks: credentials }))
            }
            Content::Commit(commit) => {
                let staged = self.stage(&message, commit, &checks, random)?;
                Ok(Observed::Commit(Box::new(staged)))
            }
        }
    }

    /// Accepts a proposal: it waits for a commit from now on.
    ///
    /// # Errors
    /// [`NotNow::Stale`] if the epoch has ended; [`Violation::CredentialRefused`] and others if a verdict
    /// refuses; [`NotNow::Limit`] if too many proposals wait.
    pub fn accept_proposal(
        &mut self,
        observed: ObservedProposal,
        verdicts: &Verdicts,
    ) -> Result<HashReference, Error> {
        self.check_at(&observed.at)?;
        verdicts.confirm(&observed.checks)?;
        let reference = observed.cached.reference().clone();
        self.proposals.insert(observed.cached, &self.policy)?;
        Ok(reference)
    }

    /// Accepts a commit: the epoch it leads to begins.
    ///
    /// # Errors
    /// [`NotNow::Stale`] if the epoch has ended; [`Violation::CredentialRefused`] and others if a verdict
    /// refuses.
    pub fn accept_commit(
        &mut self,
        observed: ObservedCommit,
        verdicts: &Verdicts,
    ) -> Result<EpochChange, Error> {
        self.check_at(&observed.at)?;
        verdicts.confirm(&observed.checks)?;
        self.public = observed.public;
        self.status = observed.change.status.clone();
        // RFC 9420 §12.1, C241: proposals end with their epoch.
        self.proposals = ProposalCache::new();
        Ok(observed.change)
    }

    /// RFC 9420 §6.1, §6.2: a public message of the current epoch, with its signature verified.
    fn open(&self, message: &[u8]) -> Result<Authenticated, Error> {
        let message: PublicMessage = match MlsMessage::from_bytes_with(message, self.policy.decode)? {
            MlsMessage::PublicMessage(message) => *message,
            MlsMessage::PrivateMessage(_) => return Err(NotNow::Encrypted.into()),
            MlsMessage::Welcome(_) | MlsMessage::GroupInfo(_) | MlsMessage::KeyPackage(_) => {
                return Err(NotNow::NotForGroup.into());
            }
        };
        // C063: a message of another group.
        if message.content.group_id != self.group_id() {
            return Err(NotNow::OtherGroup.into());
        }
        // RFC 9420 §12.1, §12.4.2, C240, C305: handshakes are of the current epoch.
        match message.content.epoch.cmp(&self.epoch()) {
            std::cmp::Ordering::Less => return Err(NotNow::EpochPast.into()),
            std::cmp::Ordering::Greater => return Err(NotNow::EpochFuture.into()),
            std::cmp::Ordering::Equal => {}
        }
        verify_sender(&self.public, message.unprotect_as_observer(&self.public.context_bytes)?)
    }

    /// RFC 9420 §12.4.2, as far as it is public.
    fn stage(
        &self,
        message: &Authenticated,
        commit: &Commit,
        checks: &ProposalChecks<'_>,
        random: &mut dyn Random,
    ) -> Result<ObservedCommit, Error> {
        let sender = message.content().sender;
        let resolved = self.proposals.resolve(commit.proposals.clone(), sender, &self.policy)?;
        let list = ProposalList::check_unsigned(resolved, sender, checks)?;
        let transition = process_public(&self.public, commit, &list, checks, random)?;
        let epoch = transition.provisional.epoch;
        let mut change = EpochChange::new(&list, &transition.applied, transition.committer, epoch);
        change.extensions_changed = transition.applied.extensions != self.public.context.extensions;
        if let Some(reinit) = list.reinit() {
            change.status = Status::Reinitialised(reinit.clone());
        }
        let added = list.adds().map(|(_, add)| add.key_package.reference(self.public.suite));
        let added = added.collect::<Result<_, _>>()?;
        let tag = message.auth().confirmation_tag.clone().ok_or(Violation::ConfirmationTag)?;
        let (tree, signed) = (transition.applied.tree, signed_commit(message));
        let public = advance_public(&self.public, tree, transition.provisional, &signed, tag)?;
        Ok(ObservedCommit { at: self.at(), public, list, change, added, checks: transition.checks })
    }

    fn checks(&self, now: Timestamp) -> ProposalChecks<'_> {
        ProposalChecks {
            tree: &self.public.tree,
            context: &self.public.context,
            policy: &self.policy,
            now,
            sending: false,
            purpose: Purpose::Epoch,
        }
    }

    /// A name for the state we are in, which no other state of any group has.
    fn at(&self) -> Vec<u8> {
        self.public.interim_transcript_hash.clone()
    }

    fn check_at(&self, at: &[u8]) -> Result<(), Error> {
        match self.public.interim_transcript_hash == at {
            true => Ok(()),
            false => Err(NotNow::Stale.into()),
        }
    }
}
