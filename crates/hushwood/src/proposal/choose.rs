//! RFC 9420 §12.2, §12.4: which proposals a committer takes.
//!
//! A committer should include every valid proposal it has received, as long as the list stays valid
//! (C291). [`choose`] leaves out what would spoil it, and says why; the result still goes through
//! [`ProposalList::check`](crate::proposal::ProposalList::check) and is applied like any other list.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use hushwood_crypto::HashReference;

use crate::error::{Error, NotNow, Violation};
use crate::extension::Extensions;
use crate::framing::Sender;
use crate::proposal::{CommittedProposal, Proposal, ProposalCache, ProposalChecks, ProposalType};
use crate::tree::{GroupParameters, LeafIndex, LeafNode, RatchetTree};

/// What to commit.
#[derive(Clone, Debug)]
pub struct Choice {
    /// The proposals, those received before in the order in which they arrived, then the committer's own.
    pub proposals: Vec<CommittedProposal>,
    /// What is left out. It stays in the cache until the epoch ends.
    pub dropped: Vec<Dropped>,
}

/// A proposal that was received and is not committed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Dropped {
    /// Which one.
    pub reference: HashReference,
    /// The rule that the list would break with it.
    pub reason: Error,
}

/// Chooses from the proposals of the epoch. `own` are new ones of the committer's, which are all taken;
/// `excluded` are received ones that the application does not want, such as Adds of clients whose
/// credentials it refuses or PSKs that it does not have.
///
/// # Errors
/// [`NotNow::ProposalPending`] if `own` is a ReInit and there are other proposals, which are to be
/// committed first; [`Error::StoreRead`].
pub fn choose(
    cache: &ProposalCache,
    own: Vec<CommittedProposal>,
    excluded: &BTreeSet<HashReference>,
    committer: LeafIndex,
    checks: &ProposalChecks<'_>,
) -> Result<Choice, Error> {
    let wanted = cache.iter().filter(|cached| !excluded.contains(cached.reference()));
    let received = wanted.map(|cached| Candidate { committed: cached.commit(), reason: None });
    let mut chooser = Chooser { received: received.collect(), own, checks };
    chooser.drop_invalid(committer)?;
    chooser.drop_reinit()?;
    chooser.drop_changes_of_one_leaf();
    chooser.drop_doubles();
    chooser.drop_clients_twice()?;
    chooser.drop_unfit()?;
    chooser.drop_beyond_limit();
    Ok(chooser.finish())
}

struct Chooser<'a> {
    /// By arrival.
    received: Vec<Candidate>,
    own: Vec<CommittedProposal>,
    checks: &'a ProposalChecks<'a>,
}

struct Candidate {
    committed: CommittedProposal,
    /// Why it is left out; the first reason stays.
    reason: Option<Error>,
}

impl Candidate {
    fn proposal(&self) -> &Proposal {
        self.committed.proposal()
    }

    fn drop(&mut self, reason: impl Into<Error>) {
        self.reason.get_or_insert(reason.into());
    }
}

impl Chooser<'_> {
    /// The received ones that are still in.
    fn taken(&mut self) -> impl DoubleEndedIterator<Item = &mut Candidate> {
        self.received.iter_mut().filter(|candidate| candidate.reason.is_none())
    }

    /// RFC 9420 §12.2, C261 to C263, C121: what is not valid by itself, or not from this committer.
    fn drop_invalid(&mut self, committer: LeafIndex) -> Result<(), Error> {
        let checks = self.checks;
        for candidate in self.taken() {
            let sender = candidate.committed.sender();
            match candidate.proposal() {
                Proposal::Update(_) if sender == Sender::Member(committer) => {
                    candidate.drop(Violation::CommitterUpdatesSelf);
                }
                Proposal::Remove(remove) if remove.removed == committer => {
                    candidate.drop(Violation::CommitterRemovesSelf);
                }
                proposal => match checks.check_content(proposal, sender) {
                    Ok(()) => {}
                    Err(Error::StoreRead(error)) => return Err(error.into()),
                    Err(reason) => candidate.drop(reason),
                },
            }
        }
        Ok(())
    }

    /// RFC 9420 §12.2, C272, C273: other proposals are preferred to a ReInit, which is sent again later.
    fn drop_reinit(&mut self) -> Result<(), Error> {
        let is_reinit = |proposal: &Proposal| proposal.proposal_type() == ProposalType::REINIT;
        let own_reinit = self.own.iter().any(|own| is_reinit(own.proposal()));
        let others = self.taken().any(|candidate| !is_reinit(candidate.proposal()));
        if own_reinit && others {
            return Err(NotNow::ProposalPending.into());
        }
        let mut kept = others || !self.own.is_empty();
        for candidate in self.taken().filter(|candidate| is_reinit(candidate.proposal())) {
            if std::mem::replace(&mut kept, true) {
                candidate.drop(Violation::ReInitNotAlone);
            }
        }
        Ok(())
    }

    /// RFC 9420 §12.2, C264 to C267: for one leaf any Remove, else the latest Update.
    fn drop_changes_of_one_leaf(&mut self) {
        let mut removed = self.own_removes();
        for candidate in self.taken() {
            if let Proposal::Remove(remove) = candidate.proposal()
                && !removed.insert(remove.removed)
            {
                candidate.drop(Violation::RemoveTwice);
            }
        }
        let mut updated = BTreeSet::new();
        for candidate in self.taken().rev() {
            if let (Proposal::Update(_), Sender::Member(leaf)) =
                (candidate.proposal(), candidate.committed.sender())
            {
                if removed.contains(&leaf) {
                    candidate.drop(Violation::UpdateAndRemove);
                } else if !updated.insert(leaf) {
                    candidate.drop(Violation::UpdateTwice);
                }
            }
        }
    }

    fn own_removes(&self) -> BTreeSet<LeafIndex> {
        let removes = self.own.iter().filter_map(|own| match own.proposal() {
            Proposal::Remove(remove) => Some(remove.removed),
            _ => None,
        });
        removes.collect()
    }

    /// RFC 9420 §12.2, C270, C271: one use of a PSK; one list of extensions, the latest.
    fn drop_doubles(&mut self) {
        let mut psks = HashSet::new();
        let mut extensions = false;
        for own in &self.own {
            match own.proposal() {
                Proposal::Psk(psk) => drop(psks.insert(psk.psk.clone())),
                Proposal::GroupContextExtensions(_) => extensions = true,
                _ => {}
            }
        }
        for candidate in self.taken().rev() {
            match candidate.proposal() {
                Proposal::Psk(psk) if !psks.insert(psk.psk.clone()) => {
                    candidate.drop(Violation::PskDuplicate);
                }
                Proposal::GroupContextExtensions(_) if std::mem::replace(&mut extensions, true) => {
                    candidate.drop(Violation::GroupContextExtensionsTwice);
                }
                _ => {}
            }
        }
    }

    /// RFC 9420 §12.2, C268, C269, C281: each client is added once, and not if it is there already.
    fn drop_clients_twice(&mut self) -> Result<(), Error> {
        let tree = self.checks.tree;
        let mut removed = self.own_removes();
        removed.extend(self.taken().filter_map(|candidate| match candidate.proposal() {
            Proposal::Remove(remove) => Some(remove.removed),
            _ => None,
        }));
        let mut signature_keys = BTreeSet::new();
        let mut init_keys = BTreeSet::new();
        for own in &self.own {
            if let Proposal::Add(add) = own.proposal() {
                signature_keys.insert(add.key_package.leaf_node.signature_key.clone());
                init_keys.insert(add.key_package.init_key.clone());
            }
        }
        for candidate in self.taken() {
            let Proposal::Add(add) = candidate.proposal() else { continue };
            let key_package = &add.key_package;
            let signature_key = &key_package.leaf_node.signature_key;
            let existing = tree.signature_key_at(signature_key)?.filter(|leaf| !removed.contains(leaf));
            let reason = if existing.is_some() {
                Violation::AddExisting
            } else if signature_keys.contains(signature_key) || init_keys.contains(&key_package.init_key) {
                Violation::AddDuplicate
            } else {
                signature_keys.insert(signature_key.clone());
                init_keys.insert(key_package.init_key.clone());
                continue;
            };
            candidate.drop(reason);
        }
        Ok(())
    }

    /// RFC 9420 §12.2, §12.3, C223, C251, C252, C275, C276, C279: what does not fit the group as the
    /// others leave it, found by applying one after the other to a copy of the tree.
    fn drop_unfit(&mut self) -> Result<(), Error> {
        let mut tree = self.checks.tree.clone();
        let mut removes = self.own_removes();
        removes.extend(self.taken().filter_map(|candidate| match candidate.proposal() {
            Proposal::Remove(remove) => Some(remove.removed),
            _ => None,
        }));
        for leaf in removes {
            // An own Remove of nobody is found when the list is checked.
            if tree.is_member(leaf)? {
                tree.remove(leaf)?;
            }
        }
        for candidate in self.taken() {
            let proposal_type = candidate.proposal().proposal_type();
            if !tree.members_support_proposal(proposal_type) {
                candidate.drop(Violation::CapabilitiesLackProposal);
            }
        }
        let (mut tree, parameters) = self.drop_unfit_updates(tree)?;
        self.add_own(&mut tree)?;
        let limit = self.checks.policy.max_members;
        for candidate in self.taken() {
            let Proposal::Add(add) = candidate.proposal() else { continue };
            if tree.member_count() >= limit {
                candidate.drop(NotNow::Limit);
                continue;
            }
            let leaf = add.key_package.leaf_node.clone();
            // Whether it fits is seen without the parents above it.
            let add = |tree: &mut RatchetTree, leaf: LeafNode| tree.place(&leaf).map(drop);
            if let Some(reason) = try_leaf(&mut tree, leaf, &parameters, add)? {
                candidate.drop(reason);
            }
        }
        Ok(())
    }

    /// With the new extensions, if they and the Updates go together; otherwise without.
    fn drop_unfit_updates(&mut self, tree: RatchetTree) -> Result<(RatchetTree, GroupParameters), Error> {
        let context = self.checks.context;
        let parameters =
            |extensions: &Extensions| GroupParameters::new(context.version, context.cipher_suite, extensions);
        let own = self.own.iter().any(|own| is_extensions(own.proposal()));
        let mut new = None;
        for committed in self.own.iter().chain(self.received.iter().filter_map(taken)) {
            if let Proposal::GroupContextExtensions(extensions) = committed.proposal() {
                new = Some(parameters(&extensions.extensions)?);
                break;
            }
        }
        if let Some(new) = new {
            let (updated, unfit) = self.try_updates(tree.clone(), &new)?;
            match new.check_members(&updated) {
                Err(reason) if !own => {
                    for candidate in self.taken().filter(|candidate| is_extensions(candidate.proposal())) {
                        candidate.drop(reason);
                    }
                }
                // Own extensions that do not fit are an error of the list, not a reason to drop them.
                Ok(()) | Err(_) => {
                    self.drop_all(unfit);
                    return Ok((updated, new));
                }
            }
        }
        let old = parameters(&context.extensions)?;
        let (updated, unfit) = self.try_updates(tree, &old)?;
        self.drop_all(unfit);
        Ok((updated, old))
    }

    /// The tree with the Updates that fit, and those that do not, by position.
    fn try_updates(
        &self,
        mut tree: RatchetTree,
        parameters: &GroupParameters,
    ) -> Result<(RatchetTree, BTreeMap<usize, Violation>), Error> {
        let mut unfit = BTreeMap::new();
        for (position, candidate) in self.received.iter().enumerate() {
            let (Some(committed), Proposal::Update(update)) = (taken(candidate), candidate.proposal()) else {
                continue;
            };
            let Sender::Member(leaf_index) = committed.sender() else { continue };
            let leaf = update.leaf_node.clone();
            let update = |tree: &mut RatchetTree, leaf| tree.update(leaf_index, leaf);
            if let Some(reason) = try_leaf(&mut tree, leaf, parameters, update)? {
                unfit.insert(position, reason);
            }
        }
        Ok((tree, unfit))
    }

    fn drop_all(&mut self, unfit: BTreeMap<usize, Violation>) {
        for (position, reason) in unfit {
            if let Some(candidate) = self.received.get_mut(position) {
                candidate.drop(reason);
            }
        }
    }

    fn add_own(&self, tree: &mut RatchetTree) -> Result<(), Error> {
        for own in &self.own {
            if let Proposal::Add(add) = own.proposal() {
                tree.place(&add.key_package.leaf_node)?;
            }
        }
        Ok(())
    }

    fn drop_beyond_limit(&mut self) {
        let room = self.checks.policy.max_commit_proposals.saturating_sub(self.own.len());
        self.taken().skip(room).for_each(|candidate| candidate.drop(NotNow::Limit));
    }

    fn finish(self) -> Choice {
        let mut proposals = Vec::new();
        let mut dropped = Vec::new();
        for Candidate { committed, reason } in self.received {
            match (reason, committed.reference()) {
                (Some(reason), Some(reference)) => {
                    dropped.push(Dropped { reference: reference.clone(), reason });
                }
                _ => proposals.push(committed),
            }
        }
        proposals.extend(self.own);
        Choice { proposals, dropped }
    }
}

fn taken(candidate: &Candidate) -> Option<&CommittedProposal> {
    candidate.reason.is_none().then_some(&candidate.committed)
}

fn is_extensions(proposal: &Proposal) -> bool {
    proposal.proposal_type() == ProposalType::GROUP_CONTEXT_EXTENSIONS
}

/// Makes the change if the leaf fits the group and the tree stays valid; says otherwise why not.
fn try_leaf(
    tree: &mut RatchetTree,
    leaf: LeafNode,
    parameters: &GroupParameters,
    change: impl FnOnce(&mut RatchetTree, LeafNode) -> Result<(), Error>,
) -> Result<Option<Violation>, Error> {
    if let Err(reason) = parameters.check(&leaf.capabilities) {
        return Ok(Some(reason));
    }
    let mut trial = tree.clone();
    change(&mut trial, leaf)?;
    let checked = trial.check_credentials().map_err(Error::from).and_then(|()| trial.check_unique_keys());
    match checked {
        Ok(()) => {
            *tree = trial;
            Ok(None)
        }
        Err(Error::Violation(reason)) => Ok(Some(reason)),
        Err(error) => Err(error),
    }
}
