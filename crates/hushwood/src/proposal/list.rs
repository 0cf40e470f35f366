//! RFC 9420 §12.2: proposal list validation.
//!
//! One function for whoever makes a commit and for whoever receives it: [`ProposalList::check`]. What a
//! list does to the tree, and whether the tree is valid after it, is in [`apply`](super::apply).

use std::collections::BTreeSet;
use std::sync::Arc;

use hushwood_crypto::{HashReference, Random};

use crate::commit::ProposalOrRef;
use crate::error::{Error, NotNow, Violation};
use crate::framing::Sender;
use crate::key_package::{KeyPackage, ValidKeyPackage};
use crate::policy::{ExternalCommits, Policy};
use crate::proposal::{
    Add, ExternalInit, GroupContextExtensions, Proposal, ProposalChecks, ProposalType, ReInit, Update,
};
use crate::schedule::{MAX_PSKS, PreSharedKeyId};
use crate::tree::LeafIndex;

/// A proposal that a commit covers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CommittedProposal {
    proposal: Arc<Proposal>,
    sender: Sender,
    /// Present for a proposal that was sent before; such a one has been checked when it came.
    reference: Option<HashReference>,
    /// True if the signatures in it have been verified.
    verified: bool,
}

impl CommittedProposal {
    /// A proposal that stands in the commit itself: the committer's own (C294).
    #[must_use]
    pub fn by_value(proposal: Proposal, committer: Sender) -> Self {
        Self { proposal: Arc::new(proposal), sender: committer, reference: None, verified: false }
    }

    /// An Add of a client whose KeyPackage was validated here: its signatures are not verified again.
    #[must_use]
    pub fn add(key_package: ValidKeyPackage, committer: Sender) -> Self {
        let add = Add { key_package: key_package.into_key_package() };
        Self { verified: true, ..Self::by_value(Proposal::Add(Box::new(add)), committer) }
    }

    /// A proposal from the cache, which holds checked ones only.
    pub(super) fn by_reference(proposal: Arc<Proposal>, sender: Sender, reference: HashReference) -> Self {
        Self { proposal, sender, reference: Some(reference), verified: true }
    }

    /// A proposal of a commit of our own, read back from the store.
    pub(crate) fn stored(proposal: Proposal, sender: Sender, reference: Option<HashReference>) -> Self {
        Self { proposal: Arc::new(proposal), sender, reference, verified: true }
    }

    /// The proposal.
    #[must_use]
    pub fn proposal(&self) -> &Proposal {
        &self.proposal
    }

    /// Who proposed it.
    #[must_use]
    pub fn sender(&self) -> Sender {
        self.sender
    }

    /// Its reference, if it was sent before.
    #[must_use]
    pub fn reference(&self) -> Option<&HashReference> {
        self.reference.as_ref()
    }

    /// As it stands in the commit.
    #[must_use]
    pub fn to_commit(&self) -> ProposalOrRef {
        match &self.reference {
            Some(reference) => ProposalOrRef::Reference(reference.clone()),
            None => ProposalOrRef::Proposal(Proposal::clone(&self.proposal)),
        }
    }
}

/// A list of proposals that may be committed together, in the commit's order.
#[derive(Clone, Debug)]
pub struct ProposalList {
    proposals: Vec<CommittedProposal>,
    committer: Sender,
}

impl ProposalList {
    /// Checks the list as far as it can be without applying it. `committer` is the commit's sender: a
    /// member, or [`Sender::NewMemberCommit`].
    ///
    /// # Errors
    /// The [`Violation`] that names the broken rule; [`NotNow::Limit`] for a list longer than the policy
    /// allows.
    pub fn check(
        proposals: Vec<CommittedProposal>,
        committer: Sender,
        checks: &ProposalChecks<'_>,
        random: &mut dyn Random,
    ) -> Result<Self, Error> {
        let list = Self::check_unsigned(proposals, committer, checks)?;
        list.verify_signatures(checks, random)?;
        Ok(list)
    }

    /// The same but for the signatures of KeyPackages, which are verified when all else that can be wrong with a
    /// commit has been looked at: [`verify_signatures`](Self::verify_signatures).
    pub(crate) fn check_unsigned(
        proposals: Vec<CommittedProposal>,
        committer: Sender,
        checks: &ProposalChecks<'_>,
    ) -> Result<Self, Error> {
        if proposals.len() > checks.policy.max_commit_proposals {
            return Err(NotNow::Limit.into());
        }
        let list = Self { proposals, committer };
        match committer {
            Sender::Member(committer) => list.check_regular(committer, checks)?,
            Sender::NewMemberCommit => list.check_external(checks)?,
            // RFC 9420 §6.1, C071, C075: nobody else commits.
            Sender::External(_) | Sender::NewMemberProposal => {
                return Err(Violation::NewMemberContent.into());
            }
        }
        list.check_each(checks)?;
        Ok(list)
    }

    /// A list that was checked before it was stored.
    pub(crate) fn assume_checked(proposals: Vec<CommittedProposal>, committer: Sender) -> Self {
        Self { proposals, committer }
    }

    /// The rules for the list of a member's commit, in the order of RFC 9420 §12.2. Its first, on single
    /// proposals, is [`check_each`](Self::check_each).
    fn check_regular(&self, committer: LeafIndex, checks: &ProposalChecks<'_>) -> Result<(), Error> {
        // RFC 9420 §6.1, C067: the committer is a member.
        if !checks.tree.is_member(committer)? {
            return Err(Violation::SenderBlank.into());
        }
        // First, since a proposal that is there twice breaks a rule of its own type too.
        self.check_references()?;
        // RFC 9420 §12.2, C274: no ExternalInit.
        if self.external_init().is_some() {
            return Err(Violation::ExternalInitInMemberCommit.into());
        }
        // RFC 9420 §12.2, C262: no Update that the committer generated.
        if self.updates().any(|(leaf, _)| leaf == committer) {
            return Err(Violation::CommitterUpdatesSelf.into());
        }
        // RFC 9420 §12.2, C263, C318: no Remove of the committer.
        if self.removes().any(|removed| removed == committer) {
            return Err(Violation::CommitterRemovesSelf.into());
        }
        self.check_one_change_per_leaf()?;
        self.check_adds(checks)?;
        self.check_psks()?;
        // RFC 9420 §12.2, C271: at most one GroupContextExtensions.
        if self.count(ProposalType::GROUP_CONTEXT_EXTENSIONS) > 1 {
            return Err(Violation::GroupContextExtensionsTwice.into());
        }
        // RFC 9420 §12.2, C272: a ReInit stands alone.
        if self.count(ProposalType::REINIT) > 0 && self.proposals.len() > 1 {
            return Err(Violation::ReInitNotAlone.into());
        }
        self.check_supported(checks)
    }

    fn check_one_change_per_leaf(&self) -> Result<(), Violation> {
        let mut updated = BTreeSet::new();
        let mut removed = BTreeSet::new();
        for (leaf, _) in self.updates() {
            // RFC 9420 §12.2, C265: one Update for a leaf.
            if !updated.insert(leaf) {
                return Err(Violation::UpdateTwice);
            }
        }
        for leaf in self.removes() {
            // RFC 9420 §12.2, C264: one Remove for a leaf.
            if !removed.insert(leaf) {
                return Err(Violation::RemoveTwice);
            }
            // RFC 9420 §12.2, C266: not an Update and a Remove.
            if updated.contains(&leaf) {
                return Err(Violation::UpdateAndRemove);
            }
        }
        Ok(())
    }

    fn check_adds(&self, checks: &ProposalChecks<'_>) -> Result<(), Error> {
        let removed: BTreeSet<LeafIndex> = self.removes().collect();
        let mut signature_keys = BTreeSet::new();
        let mut init_keys = BTreeSet::new();
        for (_, add) in self.adds() {
            let key_package = &add.key_package;
            let signature_key = &key_package.leaf_node.signature_key;
            // RFC 9420 §12.2, C268: no two Adds for one client. A client is known by its signature key;
            // C281: whether KeyPackages share an init key shows too.
            if !signature_keys.insert(signature_key) || !init_keys.insert(&key_package.init_key) {
                return Err(Violation::AddDuplicate.into());
            }
            // RFC 9420 §12.2, C269: no Add of a client that is in the group, unless it is removed.
            let present = checks.tree.signature_key_at(signature_key)?;
            if present.is_some_and(|leaf| !removed.contains(&leaf)) {
                return Err(Violation::AddExisting.into());
            }
        }
        Ok(())
    }

    fn check_psks(&self) -> Result<(), Violation> {
        // RFC 9420 §8.4, C173: `PSKLabel.count` is a uint16.
        if self.psks().nth(MAX_PSKS).is_some() {
            return Err(Violation::PskTooMany);
        }
        // RFC 9420 §12.2, C270: no PreSharedKeyID twice. With another nonce it is another one.
        let mut ids = std::collections::HashSet::new();
        match self.psks().all(|id| ids.insert(id)) {
            true => Ok(()),
            false => Err(Violation::PskDuplicate),
        }
    }

    fn check_supported(&self, checks: &ProposalChecks<'_>) -> Result<(), Error> {
        if self.custom().next().is_none() {
            return Ok(());
        }
        // RFC 9420 §12.2, §13.2, C275, C380: a type that is no default one is supported by all who
        // process the commit: not those it adds, nor those it removes.
        let mut tree = checks.tree.clone();
        for removed in self.removes() {
            tree.remove(removed)?;
        }
        match self.custom().all(|proposal| tree.members_support_proposal(proposal.proposal_type())) {
            true => Ok(()),
            false => Err(Violation::CapabilitiesLackProposal.into()),
        }
    }

    fn check_references(&self) -> Result<(), Error> {
        // RFC 9420 §12.4, C295: no reference twice.
        let mut references = BTreeSet::new();
        match self.proposals.iter().filter_map(|proposal| proposal.reference()).all(|r| references.insert(r))
        {
            true => Ok(()),
            false => Err(Violation::ProposalByReferenceTwice.into()),
        }
    }

    /// The rules for the list of an external commit (RFC 9420 §12.2, §12.4.3.2).
    fn check_external(&self, checks: &ProposalChecks<'_>) -> Result<(), Error> {
        // RFC 9420 §12.4.3.2, C353: nothing by reference.
        if self.proposals.iter().any(|proposal| proposal.reference.is_some()) {
            return Err(Violation::ExternalCommitReference.into());
        }
        let allowed = [ProposalType::EXTERNAL_INIT, ProposalType::REMOVE, ProposalType::PSK];
        // RFC 9420 §12.2, C356: no other types than these three;
        if self.iter().any(|proposal| !allowed.contains(&proposal.proposal().proposal_type())) {
            return Err(Violation::ExternalCommitList.into());
        }
        // C354: exactly one ExternalInit;
        if self.count(ProposalType::EXTERNAL_INIT) != 1 {
            return Err(Violation::ExternalCommitLacksInit.into());
        }
        // C355: at most one Remove. That it removes the joiner is for the application to see (C357).
        if self.count(ProposalType::REMOVE) > 1 {
            return Err(Violation::ExternalCommitList.into());
        }
        self.check_psks()?;
        // RFC 9420 §12.4.3.2, C362: the application may want less.
        let welcome = match checks.policy.external_commits {
            ExternalCommits::Allowed => true,
            ExternalCommits::WithoutResync => self.count(ProposalType::REMOVE) == 0,
            ExternalCommits::WithPsk => self.count(ProposalType::PSK) > 0,
            ExternalCommits::Refused => false,
        };
        if welcome { Ok(()) } else { Err(Violation::PolicyRefused.into()) }
    }

    /// RFC 9420 §12.2, C261: each proposal is valid by itself. Those from the cache have been checked;
    /// a sender looks at lifetimes again (C121).
    fn check_each(&self, checks: &ProposalChecks<'_>) -> Result<(), Error> {
        for committed in &self.proposals {
            let by_value = committed.reference.is_none();
            if by_value || checks.sending {
                checks.check_content(&committed.proposal, committed.sender)?;
            }
        }
        Ok(())
    }

    /// Verifies the signatures of KeyPackages that nobody has verified (RFC 9420 §12.2, C261).
    pub(crate) fn verify_signatures(
        &self,
        checks: &ProposalChecks<'_>,
        random: &mut dyn Random,
    ) -> Result<(), Error> {
        let unverified = self.proposals.iter().filter(|committed| !committed.verified);
        let unverified = unverified.filter_map(|committed| match &*committed.proposal {
            Proposal::Add(add) => Some(&add.key_package),
            _ => None,
        });
        // An Update by value would be the committer's own, which is refused above (C262).
        let unverified: Vec<&KeyPackage> = unverified.collect();
        checks.key_packages().signatures_of_many(&unverified, random)
    }

    /// Whether the commit must have a path (RFC 9420 §12.4).
    #[must_use]
    pub fn path_required(&self, policy: &Policy) -> bool {
        // RFC 9420 §12.4, C296, C297, C298. Q: §12.4.2 names Update and Remove only. A: The text and
        // the registry name ExternalInit and GroupContextExtensions too. Of its own types the application says
        // which do not need one.
        let optional = |committed: &CommittedProposal| match committed.proposal() {
            Proposal::Custom { proposal_type, .. } => policy.path_optional_proposals.contains(proposal_type),
            known => known.proposal_type().is_path_optional(),
        };
        self.proposals.is_empty() || !self.iter().all(optional)
    }

    /// Who commits.
    #[must_use]
    pub fn committer(&self) -> Sender {
        self.committer
    }

    /// All proposals, in the commit's order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &CommittedProposal> {
        self.proposals.iter()
    }

    /// The new extensions of the group.
    #[must_use]
    pub fn group_context_extensions(&self) -> Option<&GroupContextExtensions> {
        self.find(|proposal| match proposal {
            Proposal::GroupContextExtensions(new) => Some(new),
            _ => None,
        })
    }

    /// The Updates, with the leaves that they are for.
    pub fn updates(&self) -> impl Iterator<Item = (LeafIndex, &Update)> {
        self.iter().filter_map(|committed| match (committed.sender(), committed.proposal()) {
            (Sender::Member(sender), Proposal::Update(update)) => Some((sender, &**update)),
            _ => None,
        })
    }

    /// The leaves that are removed.
    pub fn removes(&self) -> impl Iterator<Item = LeafIndex> {
        self.iter().filter_map(|committed| match committed.proposal() {
            Proposal::Remove(remove) => Some(remove.removed),
            _ => None,
        })
    }

    /// The Adds, with who proposed them.
    pub fn adds(&self) -> impl Iterator<Item = (Sender, &Add)> {
        self.iter().filter_map(|committed| match committed.proposal() {
            Proposal::Add(add) => Some((committed.sender(), &**add)),
            _ => None,
        })
    }

    /// The pre-shared keys.
    pub fn psks(&self) -> impl Iterator<Item = &PreSharedKeyId> {
        self.iter().filter_map(|committed| match committed.proposal() {
            Proposal::Psk(psk) => Some(&psk.psk),
            _ => None,
        })
    }

    /// What an external commit's init secret comes from.
    #[must_use]
    pub fn external_init(&self) -> Option<&ExternalInit> {
        self.find(|proposal| match proposal {
            Proposal::ExternalInit(external_init) => Some(external_init),
            _ => None,
        })
    }

    /// The group that replaces this one.
    #[must_use]
    pub fn reinit(&self) -> Option<&ReInit> {
        self.find(|proposal| match proposal {
            Proposal::ReInit(reinit) => Some(reinit.as_ref()),
            _ => None,
        })
    }

    /// The proposals of types that the RFC does not define.
    pub fn custom(&self) -> impl Iterator<Item = &Proposal> {
        self.iter().map(CommittedProposal::proposal).filter(|proposal| match proposal {
            Proposal::Custom { .. } => true,
            Proposal::Add(_)
            | Proposal::Update(_)
            | Proposal::Remove(_)
            | Proposal::Psk(_)
            | Proposal::ReInit(_)
            | Proposal::ExternalInit(_)
            | Proposal::GroupContextExtensions(_) => false,
        })
    }

    fn find<'a, T>(&'a self, pick: impl Fn(&'a Proposal) -> Option<T>) -> Option<T> {
        self.proposals.iter().find_map(|committed| pick(&committed.proposal))
    }

    fn count(&self, proposal_type: ProposalType) -> usize {
        self.iter().filter(|committed| committed.proposal().proposal_type() == proposal_type).count()
    }
}
