//! RFC 9420 §12.1: proposals of the current epoch that wait for a commit.
//!
//! Only what was authenticated and checked gets in. The cache belongs to one epoch and is cleared with it
//! (C241).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hushwood_codec::{Decode, DecodeError, Element, Encode, Reader, Writer};
use hushwood_crypto::HashReference;

use crate::commit::ProposalOrRef;
use crate::error::{Error, NotNow, Violation};

use crate::framing::{Authenticated, Content, Sender};
use crate::policy::Policy;
use crate::proposal::{CommittedProposal, Proposal, ProposalChecks};

/// A proposal that is authentic and, by itself, valid.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CachedProposal {
    reference: HashReference,
    sender: Sender,
    proposal: Arc<Proposal>,
    /// Of its encoding.
    length: usize,
}

impl CachedProposal {
    /// Checks a proposal of the current epoch whose signature has been verified, or that this client
    /// signed.
    ///
    /// # Errors
    /// The [`Violation`] that names the broken rule; [`NotNow::EpochPast`], [`NotNow::EpochFuture`];
    /// [`Error::Bug`] if the message is no proposal.
    pub fn check(message: &Authenticated, checks: &ProposalChecks<'_>) -> Result<Self, Error> {
        let content = message.content();
        // RFC 9420 §12.1, C240: the epoch is the current one.
        match content.epoch.cmp(&checks.context.epoch) {
            std::cmp::Ordering::Less => return Err(NotNow::EpochPast.into()),
            std::cmp::Ordering::Greater => return Err(NotNow::EpochFuture.into()),
            std::cmp::Ordering::Equal => {}
        }
        let Content::Proposal(proposal) = &content.content else {
            return Err(Error::Bug("a message that is no proposal was given to the proposal cache"));
        };
        checks.check(proposal, content.sender)?;
        let reference = message.proposal_ref(checks.tree.suite())?;
        let length = proposal.to_bytes()?.len();
        Ok(Self { reference, sender: content.sender, proposal: Arc::new(proposal.clone()), length })
    }

    /// As if it had been checked.
    #[cfg(test)]
    pub(super) fn unchecked(committed: CommittedProposal) -> Self {
        let reference = committed.reference().cloned().unwrap();
        let proposal = Arc::new(committed.proposal().clone());
        let length = proposal.to_bytes().unwrap().len();
        Self { reference, sender: committed.sender(), proposal, length }
    }

    /// Its `ProposalRef`, by which commits name it.
    #[must_use]
    pub fn reference(&self) -> &HashReference {
        &self.reference
    }

    /// Who sent it.
    #[must_use]
    pub fn sender(&self) -> Sender {
        self.sender
    }

    /// The proposal.
    #[must_use]
    pub fn proposal(&self) -> &Proposal {
        &self.proposal
    }

    /// The proposal as part of a commit, by reference.
    #[must_use]
    pub fn commit(&self) -> CommittedProposal {
        CommittedProposal::by_reference(self.proposal.clone(), self.sender, self.reference.clone())
    }
}

/// For the store, which is trusted: what is read back is not checked again.
impl Encode for CachedProposal {
    fn encode(&self, writer: &mut Writer) {
        writer.value(&self.reference).value(&self.sender).value(&*self.proposal);
    }
}

impl Decode for CachedProposal {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let reference = HashReference::decode(reader.field("CachedProposal.reference"))?;
        let sender = Sender::decode(reader.field("CachedProposal.sender"))?;
        let start = reader.position();
        let proposal = Arc::new(Proposal::decode(reader)?);
        Ok(Self { reference, sender, proposal, length: reader.consumed_since(start).len() })
    }
}

impl Element for CachedProposal {}

/// The proposals of the current epoch, in the order in which they arrived.
#[derive(Clone, Debug, Default)]
pub struct ProposalCache {
    /// By arrival.
    proposals: BTreeMap<u64, CachedProposal>,
    arrivals: BTreeMap<HashReference, u64>,
    by_sender: BTreeMap<SenderKey, Size>,
    all: Size,
    next: u64,
}

/// How many proposals, and how long they are together.
#[derive(Clone, Copy, Debug, Default)]
struct Size {
    number: usize,
    bytes: usize,
}

impl Size {
    fn with(self, proposal: &CachedProposal) -> Self {
        let number = self.number.saturating_add(1);
        Self { number, bytes: self.bytes.saturating_add(proposal.length) }
    }

    fn without(self, proposal: &CachedProposal) -> Self {
        let number = self.number.saturating_sub(1);
        Self { number, bytes: self.bytes.saturating_sub(proposal.length) }
    }
}

impl ProposalCache {
    /// An empty cache, for a new epoch.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps a proposal. One that is there already is not kept twice; false says so.
    ///
    /// # Errors
    /// [`NotNow::Limit`] if there are as many as the policy allows, of this sender or in all (I-5).
    pub fn insert(&mut self, proposal: CachedProposal, policy: &Policy) -> Result<bool, Error> {
        if self.arrivals.contains_key(&proposal.reference) {
            return Ok(false);
        }
        self.check_room(&proposal, policy)?;
        self.restore(proposal);
        Ok(true)
    }

    /// Keeps a proposal that has been kept before, under a policy that may have had room for more.
    pub(crate) fn restore(&mut self, proposal: CachedProposal) {
        let of_sender = self.by_sender.entry(sender_key(proposal.sender)).or_default();
        *of_sender = of_sender.with(&proposal);
        self.all = self.all.with(&proposal);
        self.arrivals.insert(proposal.reference.clone(), self.next);
        self.proposals.insert(self.next, proposal);
        self.next += 1;
    }

    /// Whether [`insert`](Self::insert) would keep a proposal.
    ///
    /// # Errors
    /// As [`insert`](Self::insert).
    pub fn check_room(&self, proposal: &CachedProposal, policy: &Policy) -> Result<(), Error> {
        let of_sender = self.by_sender.get(&sender_key(proposal.sender)).copied().unwrap_or_default();
        let (of_sender, all) = (of_sender.with(proposal), self.all.with(proposal));
        // I-5, C009: as many as the policy allows, and no longer than one message might be.
        let full = all.number > policy.max_pending_proposals
            || of_sender.number > policy.max_pending_proposals_of_sender
            || all.bytes > policy.decode.max_bytes
            || of_sender.bytes > policy.decode.max_bytes / SHARE;
        match full && !self.arrivals.contains_key(&proposal.reference) {
            true => Err(NotNow::Limit.into()),
            false => Ok(()),
        }
    }

    /// The position that the next proposal gets, to put stored ones in order again.
    #[must_use]
    pub fn next_position(&self) -> u64 {
        self.next
    }

    /// Forgets a proposal, such as one that the application refuses. A commit may still refer to it: it
    /// is then missing and has to be received again.
    pub fn remove(&mut self, reference: &HashReference) -> Option<CachedProposal> {
        let arrival = self.arrivals.remove(reference)?;
        let proposal = self.proposals.remove(&arrival)?;
        if let Some(of_sender) = self.by_sender.get_mut(&sender_key(proposal.sender)) {
            *of_sender = of_sender.without(&proposal);
        }
        self.all = self.all.without(&proposal);
        Some(proposal)
    }

    /// The proposal with this reference.
    #[must_use]
    pub fn get(&self, reference: &HashReference) -> Option<&CachedProposal> {
        self.arrivals.get(reference).and_then(|arrival| self.proposals.get(arrival))
    }

    /// All of them, in the order in which they arrived.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &CachedProposal> + ExactSizeIterator {
        self.proposals.values()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.proposals.len()
    }

    /// True if there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.proposals.is_empty()
    }

    /// Which of the proposals that a commit refers to are not here (C293), each once.
    #[must_use]
    pub fn missing(&self, proposals: &[ProposalOrRef]) -> Vec<HashReference> {
        let references = proposals.iter().filter_map(|proposal| match proposal {
            ProposalOrRef::Proposal(_) => None,
            ProposalOrRef::Reference(reference) => Some(reference),
        });
        let missing: BTreeSet<&HashReference> =
            references.filter(|reference| !self.arrivals.contains_key(reference)).collect();
        missing.into_iter().cloned().collect()
    }

    /// The proposals that a commit covers, with their senders (C293, C294).
    ///
    /// # Errors
    /// [`NotNow::ProposalMissing`]: see [`missing`](Self::missing). [`NotNow::Limit`] if there are more
    /// than the policy allows; [`Violation::ExternalCommitReference`].
    pub fn resolve(
        &self,
        proposals: Vec<ProposalOrRef>,
        committer: Sender,
        policy: &Policy,
    ) -> Result<Vec<CommittedProposal>, Error> {
        if proposals.len() > policy.max_commit_proposals {
            return Err(NotNow::Limit.into());
        }
        let resolve = |proposal| match proposal {
            // RFC 9420 §12.4, C294: a proposal by value is the committer's.
            ProposalOrRef::Proposal(proposal) => Ok(CommittedProposal::by_value(proposal, committer)),
            // RFC 9420 §12.4.3.2, C353: a joiner can't know what was proposed within the group.
            ProposalOrRef::Reference(_) if committer == Sender::NewMemberCommit => {
                Err(Violation::ExternalCommitReference.into())
            }
            ProposalOrRef::Reference(reference) => match self.get(&reference) {
                Some(cached) => Ok(cached.commit()),
                // RFC 9420 §12.4, C293: the application can still get it from elsewhere.
                None => Err(NotNow::ProposalMissing.into()),
            },
        };
        proposals.into_iter().map(resolve).collect()
    }
}

/// One sender may fill a quarter of the bytes.
const SHARE: usize = 4;

/// New members have no name before they are authenticated: they share one allowance.
type SenderKey = (u8, u32);

fn sender_key(sender: Sender) -> SenderKey {
    match sender {
        Sender::Member(leaf_index) => (1, leaf_index.number()),
        Sender::External(sender_index) => (2, sender_index),
        Sender::NewMemberProposal => (3, 0),
        Sender::NewMemberCommit => (4, 0),
    }
}
