//! A member: one client in one group.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use hushwood::commit::Answers;
use hushwood::credential::{InsecureAcceptAll, judge};
use hushwood::crypto::{HashReference, SoftwareSigner};
use hushwood::group::{
    CommitId, CommitPlan, Cover, EpochChange, Group, MessageId, NewProposal, Received, Status,
};
use hushwood::policy::Policy;
use hushwood::proposal::Proposal;
use hushwood::schedule::Psk;

use crate::client::Client;
use crate::description::{Members, Target};
use crate::failure::Failure;
use crate::proto::{CommitRequest, CommitResponse, ProposalDescription};
use crate::settings::{now, random};

/// A client in a group.
pub(crate) struct Member {
    pub(crate) client: Arc<Client>,
    pub(crate) signer: Arc<SoftwareSigner>,
    pub(crate) group: Group,
    /// Our commit that waits for HandlePendingCommit, and what the group comes to by it.
    pending: Option<(CommitId, Status)>,
    /// Proposals of this epoch that others sent and that were taken in, by their bytes: the runner gives them with every
    /// request, and a PrivateMessage opens once.
    taken: HashMap<Vec<u8>, HashReference>,
}

/// What a commit has to be for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Purpose {
    /// Whatever it is.
    Any,
    /// To end the group for another to replace it.
    Reinit,
}

impl Purpose {
    fn check(self, status: &Status) -> Result<(), Failure> {
        match (self, status) {
            (Self::Any, _) | (Self::Reinit, Status::Reinitialised(_)) => Ok(()),
            (Self::Reinit, Status::Active | Status::Removed) => {
                Err(Failure::Request("the commit does not cover a ReInit"))
            }
        }
    }
}

impl Member {
    pub(crate) fn new(client: Arc<Client>, signer: Arc<SoftwareSigner>, group: Group) -> Self {
        Self { client, signer, group, pending: None, taken: HashMap::new() }
    }

    /// What all members of the epoch agree on. Nothing for who has been removed.
    pub(crate) fn epoch_authenticator(&self) -> Result<Vec<u8>, Failure> {
        match self.group.status() {
            Status::Removed => Ok(Vec::new()),
            Status::Active | Status::Reinitialised(_) => Ok(self.group.epoch_authenticator()?.to_vec()),
        }
    }

    /// The group, for making proposals.
    pub(crate) fn target(&self, members: Members) -> Target<'_> {
        Target {
            suite: self.group.suite(),
            group_id: self.group.group_id(),
            policy: self.group.policy(),
            members,
        }
    }

    /// The members of the group by identity.
    pub(crate) fn members(&self) -> Result<Members, Failure> {
        Members::of(self.group.members())
    }

    /// Makes a proposal, to be sent. It waits here too.
    pub(crate) fn propose(&mut self, proposal: NewProposal<'_>) -> Result<Vec<u8>, Failure> {
        let step = self.group.propose(proposal, b"", &*self.signer, now(), &mut random())?;
        let outgoing = self.client.write(step)?;
        self.acknowledge(&outgoing.id)?;
        Ok(outgoing.message)
    }

    /// Encrypts an application message.
    pub(crate) fn protect(
        &mut self,
        plaintext: &[u8],
        authenticated_data: &[u8],
    ) -> Result<Vec<u8>, Failure> {
        let step = self.group.encrypt(plaintext, authenticated_data, &*self.signer, &mut random())?;
        let outgoing = self.client.write(step)?;
        self.acknowledge(&outgoing.id)?;
        Ok(outgoing.message)
    }

    /// Decrypts an application message: what was authenticated, and what was encrypted.
    pub(crate) fn unprotect(&mut self, ciphertext: &[u8]) -> Result<(Vec<u8>, Vec<u8>), Failure> {
        let Received::Message(received) = self.group.receive(ciphertext, now())? else {
            return Err(Failure::Request("not an application message"));
        };
        let message = self.client.write(self.group.accept_message(received)?)?;
        self.acknowledge(&message.id)?;
        Ok((message.authenticated_data, message.plaintext.expose().to_vec()))
    }

    /// Takes a proposal in, whoever made it, and gives its name.
    fn take_proposal(&mut self, message: &[u8]) -> Result<HashReference, Failure> {
        if let Some(reference) = self.taken.get(message) {
            return Ok(reference.clone());
        }
        match self.group.receive(message, now())? {
            Received::Proposal(received) => {
                let verdicts = judge(received.checks(), &InsecureAcceptAll);
                let reference = self.client.write(self.group.accept_proposal(received, &verdicts)?)?;
                self.taken.insert(message.to_vec(), reference.clone());
                Ok(reference)
            }
            // Ours, which as a PrivateMessage we could not decrypt: it is known by its bytes.
            Received::OwnProposal(reference) => Ok(reference),
            Received::Message(_) | Received::Commit(_) | Received::OwnCommit(_) => {
                Err(Failure::Request("not a proposal"))
            }
        }
    }

    /// Makes a commit. The epoch goes on until it is applied.
    pub(crate) fn commit(
        &mut self,
        request: CommitRequest,
        purpose: Purpose,
    ) -> Result<CommitResponse, Failure> {
        let references = request.by_reference.iter().map(|proposal| self.take_proposal(proposal));
        let references = references.collect::<Result<Vec<_>, _>>()?;
        let proposals = self.by_value(request.by_value)?;
        let answers = self.answers(&references, &proposals)?;
        self.set_tree_in_welcome(!request.external_tree)?;
        let plan = CommitPlan {
            proposals,
            cover: Cover::Only(references),
            omit_path: !request.force_path,
            ..CommitPlan::default()
        };
        let step = self.group.commit(plan, &answers, &*self.signer, now(), &mut random())?;
        let staged = self.client.write(step)?;
        self.acknowledge(&staged.outgoing.id)?;
        // Of several, the last one counts.
        let earlier = self.pending.replace((staged.id, staged.change.status.clone()));
        if let Some((earlier, _)) = earlier.filter(|(earlier, _)| *earlier != staged.id) {
            self.client.write(self.group.discard(&earlier)?)?;
        }
        if let Err(failure) = purpose.check(&staged.change.status) {
            self.pending = None;
            self.client.write(self.group.discard(&staged.id)?)?;
            return Err(failure);
        }
        // The interface asks for both at once; the runner holds the Welcome back until the commit has been applied.
        let welcome = self.group.welcomes_after(&staged.id)?.pop().unwrap_or_default();
        let ratchet_tree = match request.external_tree {
            true => self.group.ratchet_tree_after(&staged.id)?,
            false => Vec::new(),
        };
        Ok(CommitResponse { commit: staged.outgoing.message, welcome, ratchet_tree })
    }

    /// Applies our own commit that waits.
    pub(crate) fn apply_pending(&mut self, purpose: Purpose) -> Result<EpochChange, Failure> {
        let (id, status) = self.pending.as_ref().ok_or(Failure::NotNow("no commit waits"))?;
        purpose.check(status)?;
        let change = self.client.write(self.group.apply(id, now())?)?;
        for welcome in &change.welcomes {
            self.acknowledge(&welcome.id)?;
        }
        self.begin_epoch();
        Ok(change)
    }

    /// Follows a commit, with the proposals that it refers to.
    pub(crate) fn handle_commit(
        &mut self,
        proposals: &[Vec<u8>],
        commit: &[u8],
        purpose: Purpose,
    ) -> Result<EpochChange, Failure> {
        for proposal in proposals {
            self.take_proposal(proposal)?;
        }
        let received = match self.group.receive(commit, now())? {
            Received::Commit(received) => received,
            Received::OwnCommit(_) => return self.apply_pending(purpose),
            Received::Message(_) | Received::Proposal(_) | Received::OwnProposal(_) => {
                return Err(Failure::Request("not a commit"));
            }
        };
        let answers = self.client.answers(received.psks())?;
        let staged = self.group.stage_commit(&received, &answers, now(), &mut random())?;
        purpose.check(&staged.change().status)?;
        let verdicts = judge(staged.checks(), &InsecureAcceptAll);
        let change = self.client.write(self.group.accept_commit(staged, &verdicts, now())?)?;
        self.begin_epoch();
        Ok(change)
    }

    /// What was for the old epoch is over.
    fn begin_epoch(&mut self) {
        self.pending = None;
        self.taken.clear();
    }

    /// Proposals that stand in our commit.
    fn by_value(&self, described: Vec<ProposalDescription>) -> Result<Vec<NewProposal<'static>>, Failure> {
        let members = match described.iter().any(|description| description.proposal_type == b"remove") {
            true => self.members()?,
            false => Members::none(),
        };
        self.target(members).proposals(described)
    }

    /// The pre-shared keys for a commit of ours.
    fn answers(
        &self,
        references: &[HashReference],
        by_value: &[NewProposal<'_>],
    ) -> Result<Answers, Failure> {
        let references: BTreeSet<_> = references.iter().collect();
        let pending = self.group.pending_proposals().filter_map(|pending| match pending.proposal {
            Proposal::Psk(proposal) if references.contains(pending.reference) => Some(&proposal.psk.psk),
            _ => None,
        });
        let by_value = by_value.iter().filter_map(|proposal| match proposal {
            NewProposal::Psk(psk) => Some(psk),
            _ => None,
        });
        let asked: Vec<&Psk> = pending.chain(by_value).collect();
        self.client.answers(asked)
    }

    /// Whether Welcomes and GroupInfos from now on have the tree in them.
    fn set_tree_in_welcome(&mut self, ratchet_tree_extension: bool) -> Result<(), Failure> {
        if self.group.policy().ratchet_tree_extension == ratchet_tree_extension {
            return Ok(());
        }
        let policy = Policy { ratchet_tree_extension, ..self.group.policy().clone() };
        self.client.write(self.group.set_policy(policy)?)
    }

    /// What was made is handed out with the answer to the request, and need not be kept.
    fn acknowledge(&mut self, id: &MessageId) -> Result<(), Failure> {
        self.client.write(self.group.acknowledge(id)?)
    }
}
