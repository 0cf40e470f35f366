//! RFC 9420 §12.4, §12.4.1: committing.
//!
//! To commit changes nothing but the handshake generation that encrypted the message: whether the commit
//! takes effect is decided elsewhere (RFC 9420 §14, C402). [`Group::apply`] makes it so, and gives the
//! Welcomes; [`Group::discard`] forgets it.

use std::collections::BTreeSet;

use hushwood_crypto::{HashReference, Random, Signer};

use crate::commit::Answers;
use crate::commit::answers::psk_secret;
use crate::commit::create::{CommitInputs, CommitSigners, CreatedCommit, create};
use crate::commit::state::MemberState;
use crate::credential::Credential;
use crate::error::{ApiMisuse, Error, NotNow};
use crate::extension::Extensions;
use crate::framing::{
    Authenticated, Content, ContentType, MlsMessage, PrivateMessage, PublicMessage, SealingKeys, Sender,
    WireFormat,
};
use crate::grease;
use crate::group::advance::Arrival;
use crate::group::application::Outgoing;
use crate::group::change::{Change, Draft};
use crate::group::message_id::{CommitId, MessageId};
use crate::group::propose::NewProposal;
use crate::group::record::OwnMessageRecord;
use crate::group::staged::{EpochChange, OwnCommit};
use crate::group::{Group, Member, Status, encode};
use crate::key_package::ValidKeyPackage;
use crate::policy::Timestamp;
use crate::proposal::{CommittedProposal, Proposal, ProposalList, choose};
use crate::schedule::Psk;
use crate::secret_tree::SecretTree;
use crate::transition::Step;
use crate::tree::{LeafContent, LeafNode, NewLeaf, Supported};
use crate::welcome::create::{GroupInfoContents, Joiner, group_info, welcomes};

/// What to commit. The default covers the proposals that wait, and updates our own keys.
#[derive(Default)]
pub struct CommitPlan<'a> {
    /// Proposals of our own, by value.
    pub proposals: Vec<NewProposal<'a>>,
    /// Which of the waiting proposals to cover.
    pub cover: Cover,
    /// Whether to leave the path out where the proposals allow it. Cheaper; but our keys stay as they
    /// are, and a thief of them stays in (RFC 9420 §12.4).
    pub omit_path: bool,
    /// What is to change in our own leaf.
    pub leaf: LeafUpdate<'a>,
    /// Data of the application, authenticated with the message.
    pub authenticated_data: Vec<u8>,
    /// One Welcome for each who joins, instead of one for all.
    pub welcome_per_joiner: bool,
}

/// Which of the waiting proposals a commit covers.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Cover {
    /// All that are valid together (RFC 9420 §12.4, C291).
    #[default]
    All,
    /// The same without these, such as Adds of clients whose credentials the application refuses.
    Except(BTreeSet<HashReference>),
    /// None.
    None,
    /// These, all of them.
    Only(Vec<HashReference>),
}

/// A change of our own leaf. What is `None` stays.
#[derive(Clone, Default)]
pub struct LeafUpdate<'a> {
    /// Another credential.
    pub credential: Option<Credential>,
    /// Other capabilities. Must be given together with extensions that need them.
    pub supported: Option<Supported>,
    /// Other extensions.
    pub extensions: Option<Extensions>,
    /// Another signature key; the next message is signed with it once the change has taken effect.
    pub signer: Option<&'a dyn Signer>,
}

/// A commit that waits for the transport's answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CommitStaged {
    /// Its name, for [`Group::apply`] and [`Group::discard`].
    pub id: CommitId,
    /// The message to send.
    pub outgoing: Outgoing,
    /// What it will change.
    pub change: EpochChange,
}

impl Group {
    /// Makes a commit (RFC 9420 §12.4.1). Nothing takes effect until it is applied.
    ///
    /// # Errors
    /// [`Error::WouldViolate`] with what others would find in the list, or in the group after it (C260);
    /// [`ApiMisuse::SuiteNotBest`] where a new group's first members could have a suite that its creator prefers;
    /// [`ApiMisuse::CommitRepeated`] for one without a path that welcomes somebody and was made before in this epoch;
    /// [`NotNow::PskMissing`]; [`ApiMisuse`]; [`Error::Signer`];
    /// [`Error::Crypto`].
    pub fn commit(
        &mut self,
        plan: CommitPlan<'_>,
        answers: &Answers,
        signer: &dyn Signer,
        now: Timestamp,
        random: &mut dyn Random,
    ) -> Result<Step<'_, CommitStaged>, Error> {
        self.check_sending()?;
        self.check_signer(signer)?;
        let (message, own) = self.make_commit(&plan, answers, signer, now, random)?;
        self.check_best_suite(&own)?;
        let welcomed = self.welcomed_first(&own)?;

        let mut draft = Draft::new(self);
        let message = self.protect(&mut draft, message, random)?;
        let id = MessageId::of(self.suite(), &message);
        draft.outbox(id, &message)?;
        draft.own_message(id, OwnMessageRecord { reference: HashReference(Vec::new()), welcomed })?;
        let change = own.change.clone();
        draft.staged(id, own)?;
        let outgoing = Outgoing { id, message };
        Ok(self.step(draft, CommitStaged { id, outgoing, change }))
    }

    /// Applies a commit of our own: the transport has taken it, and no other for this epoch. Gives the
    /// Welcomes to be sent.
    ///
    /// # Errors
    /// [`ApiMisuse::NoSuchRecord`] if no such commit waits: another one has ended its epoch, perhaps.
    pub fn apply(&mut self, id: &CommitId, now: Timestamp) -> Result<Step<'_, EpochChange>, Error> {
        self.check_usable()?;
        let own = self.staged.get(id).ok_or(ApiMisuse::NoSuchRecord)?;
        let (public, status) = (&own.public, &own.change.status);
        // What our own commit was encrypted with was consumed when it was made.
        let arrival = Arrival { public, member: Some(&own.member), status, encrypted_by: None };
        let (mut draft, retirement) = self.draft_epoch(&arrival, now)?;
        let mut change = own.change.clone();
        for welcome in &own.welcomes {
            let id = MessageId::of(self.suite(), welcome);
            draft.outbox(id, welcome)?;
            change.welcomes.push(Outgoing { id, message: welcome.clone() });
        }
        draft.changes.push(Change::Applied(*id, Box::new(retirement)));
        Ok(self.step(draft, change))
    }

    /// Forgets a commit of our own that the transport has not taken.
    ///
    /// # Errors
    /// [`ApiMisuse::NoSuchRecord`] if no such commit waits.
    pub fn discard(&mut self, id: &CommitId) -> Result<Step<'_, ()>, Error> {
        self.check_usable()?;
        if !self.staged.contains_key(id) {
            return Err(ApiMisuse::NoSuchRecord.into());
        }
        let mut draft = Draft::new(self);
        draft.discarded(*id);
        Ok(self.step(draft, ()))
    }

    /// The commit and the epoch it leads to.
    fn make_commit(
        &self,
        plan: &CommitPlan<'_>,
        answers: &Answers,
        signer: &dyn Signer,
        now: Timestamp,
        random: &mut dyn Random,
    ) -> Result<(Authenticated, OwnCommit), Error> {
        let list = self.list_to_commit(plan, now, random)?;
        let wire_format = self.handshake_format();
        let created = self.create_commit(plan, (&list, wire_format), answers, (signer, now), random)?;
        self.finish_commit(plan, &list, created, plan.leaf.signer.unwrap_or(signer), random)
    }

    /// RFC 9420 §11, C220: who creates a group sees from the capabilities of its first members that they could not
    /// have had a better suite. A successor has the suite that was agreed on (§11.2, §11.3) and does not come here.
    fn check_best_suite(&self, own: &OwnCommit) -> Result<(), Error> {
        if self.epoch() != 0 || self.public.tree.member_count() != 1 {
            return Ok(());
        }
        let leaf = self.public.tree.leaf(self.own_leaf)?.ok_or(ApiMisuse::LeafAbsent)?;
        let joining = own.committed.iter().filter_map(|committed| match committed.proposal() {
            Proposal::Add(add) => Some(&add.key_package.leaf_node.capabilities),
            _ => None,
        });
        let supported = Supported::of(&leaf.capabilities);
        Ok(supported.check_best_suite(self.suite().id(), joining)?)
    }

    /// RFC 9420 §12.4.3.1: a welcome key and its nonce encrypt one GroupInfo. They come from what the commit says and from its
    /// path; where it has no path and says the same as one before, they are the same, while the GroupInfo may be another. Gives
    /// a name for the keys of this commit, empty if it welcomes nobody.
    fn welcomed_first(&self, own: &OwnCommit) -> Result<Vec<u8>, Error> {
        if own.welcomes.is_empty() {
            return Ok(Vec::new());
        }
        let tag = &own.public.confirmation_tag;
        match self.own_messages.values().any(|before| before.welcomed == *tag) {
            true => Err(ApiMisuse::CommitRepeated.into()),
            false => Ok(tag.clone()),
        }
    }

    /// The epoch that a commit leads to which nobody has to see: the first one of a group of one.
    pub(super) fn own_commit(
        &self,
        plan: &CommitPlan<'_>,
        answers: &Answers,
        signer: &dyn Signer,
        now: Timestamp,
        random: &mut dyn Random,
    ) -> Result<OwnCommit, Error> {
        Ok(self.make_commit(plan, answers, signer, now, random)?.1)
    }

    /// The proposals to commit: those that wait, then our own.
    fn list_to_commit(
        &self,
        plan: &CommitPlan<'_>,
        now: Timestamp,
        random: &mut dyn Random,
    ) -> Result<ProposalList, Error> {
        let own = Sender::Member(self.own_leaf);
        let checks = self.checks(now, true);
        let mut by_value = Vec::with_capacity(plan.proposals.len());
        for proposal in &plan.proposals {
            by_value.push(match proposal {
                NewProposal::Add(valid) => CommittedProposal::add(ValidKeyPackage::clone(valid), own),
                other => CommittedProposal::by_value(other.to_proposal(self, random)?, own),
            });
        }
        let choose = |by_value, excluded: &BTreeSet<HashReference>| {
            choose(&self.proposals, by_value, excluded, self.own_leaf, &checks)
        };
        let list = match &plan.cover {
            Cover::All => choose(by_value, &BTreeSet::new())?.proposals,
            Cover::Except(excluded) => choose(by_value, excluded)?.proposals,
            Cover::None => by_value,
            Cover::Only(references) => {
                let find = |reference| self.proposals.get(reference).map(|cached| cached.commit());
                let covered: Option<Vec<_>> = references.iter().map(find).collect();
                let mut list = covered.ok_or(NotNow::ProposalMissing)?;
                list.extend(by_value);
                list
            }
        };
        ProposalList::check(list, own, &checks, random).map_err(Error::of_our_own)
    }

    fn create_commit(
        &self,
        plan: &CommitPlan<'_>,
        (list, wire_format): (&ProposalList, WireFormat),
        answers: &Answers,
        (signer, now): (&dyn Signer, Timestamp),
        random: &mut dyn Random,
    ) -> Result<CreatedCommit, Error> {
        let member = self.active_member()?;
        let psk =
            psk_secret(self.suite(), list.psks(), |psk| self.own_resumption_psk(psk).or(answers.psk(psk)))?;
        let leaf = match plan.omit_path && !list.path_required(&self.policy) && plan.leaf.is_empty() {
            true => None,
            false => Some(self.new_leaf(&plan.leaf, random)?),
        };
        let inputs = CommitInputs {
            state: &self.public,
            list,
            leaf,
            init: member.state.secrets.init.duplicate(),
            psk,
            wire_format,
            authenticated_data: plan.authenticated_data.clone(),
        };
        let signers = CommitSigners { message: signer, leaf: plan.leaf.signer.unwrap_or(signer) };
        let created = create(inputs, signers, &self.checks(now, true), random).map_err(Error::of_our_own)?;
        // RFC 9420 §13.5, C387, C390: the same that receivers check of themselves.
        if let Some(own) = created.applied.tree.leaf(self.own_leaf)? {
            let fits = created.applied.parameters.check_own(&own.capabilities);
            fits.map_err(|violation| Error::from(violation).of_our_own())?;
        }
        Ok(created)
    }

    /// The GroupInfo, the Welcomes and our own next state (RFC 9420 §12.4.1, second half).
    fn finish_commit(
        &self,
        plan: &CommitPlan<'_>,
        list: &ProposalList,
        created: CreatedCommit,
        leaf_signer: &dyn Signer,
        random: &mut dyn Random,
    ) -> Result<(Authenticated, OwnCommit), Error> {
        let CreatedCommit { message, next, join, applied, committer, path } = created;
        let public = next.public;
        let mut change = EpochChange::new(list, &applied, committer, public.context.epoch);
        change.own = true;
        change.extensions_changed = public.context.extensions != self.public.context.extensions;
        if let Some(reinit) = list.reinit() {
            change.status = Status::Reinitialised(reinit.clone());
        }
        let mut sealed = Vec::new();
        if !applied.added.is_empty() {
            let contents =
                GroupInfoContents { ratchet_tree: self.policy.ratchet_tree_extension, external_pub: None };
            let info = group_info(&public, contents, (committer, leaf_signer), &self.policy, random)?;
            let joiners = list.adds().zip(&applied.added).map(|((_, add), leaf)| {
                Ok(Joiner {
                    reference: add.key_package.reference(self.suite())?,
                    init_key: add.key_package.init_key.clone(),
                    path_secret: path
                        .as_ref()
                        .and_then(|path| path.path_secret_for(*leaf))
                        .map(crate::tree::PathSecret::into_secret),
                })
            });
            let joiners = joiners.collect::<Result<Vec<_>, Error>>()?;
            let psks = list.psks().cloned().collect();
            let joining = (joiners, psks, plan.welcome_per_joiner);
            for welcome in welcomes(&public, join, &info, joining, random)? {
                sealed.push(encode(&MlsMessage::Welcome(welcome))?);
            }
        }
        let update_path = match &message.content().content {
            Content::Commit(commit) => commit.path.clone(),
            Content::Application(_) | Content::Proposal(_) => None,
        };
        let private = self.active_member()?.state.private.duplicate();
        let private = match path {
            Some(path) => private.apply(path.into_parts().0, &public.tree)?,
            None => private.retain(&public.tree)?,
        };
        let secret_tree = SecretTree::new(self.suite(), public.tree.leaf_count(), next.encryption)?;
        let state = MemberState { private, secrets: next.secrets };
        let own = OwnCommit {
            committed: list.iter().cloned().collect(),
            path: update_path,
            public,
            member: Member { state, secret_tree },
            welcomes: sealed,
            change,
        };
        Ok((message, own))
    }

    /// Our new leaf in a path or an Update.
    fn new_leaf(&self, update: &LeafUpdate<'_>, random: &mut dyn Random) -> Result<NewLeaf, Error> {
        let old = self.public.tree.leaf(self.own_leaf)?.ok_or(ApiMisuse::LeafAbsent)?;
        match update.content(&old) {
            Some(content) => NewLeaf::new(&content, &self.policy, random),
            None => Ok(NewLeaf::successor(&old)),
        }
    }

    /// The format of our handshake messages (RFC 9420 §6, C062).
    pub(super) fn handshake_format(&self) -> WireFormat {
        match self.policy.encrypt_handshakes {
            true => WireFormat::PRIVATE_MESSAGE,
            false => WireFormat::PUBLIC_MESSAGE,
        }
    }

    /// Protects a handshake message of ours, as it was signed to be: the bytes, and the consumed key in
    /// the draft.
    pub(super) fn protect(
        &self,
        draft: &mut Draft,
        message: Authenticated,
        random: &mut dyn Random,
    ) -> Result<Vec<u8>, Error> {
        let suite = self.suite();
        let member = self.active_member()?;
        if message.wire_format() == WireFormat::PUBLIC_MESSAGE {
            let membership_key = &member.state.secrets.membership;
            let context = &self.public.context_bytes;
            let message = PublicMessage::protect(suite, message, membership_key, context)?;
            return encode(&MlsMessage::PublicMessage(Box::new(message)));
        }
        let content_type: ContentType = message.content().content.content_type();
        let (generation, key, change) = member.secret_tree.seal_key(self.own_leaf, content_type)?;
        let keys = SealingKeys { sender_data: &member.state.secrets.sender_data, generation, message: key };
        let message = PrivateMessage::protect(suite, &message, keys, self.policy.padding, random)?;
        draft.secret_tree(self.epoch(), change)?;
        encode(&MlsMessage::PrivateMessage(message))
    }

    /// A resumption PSK of this very group, if it is kept (RFC 9420 §8.4, C175).
    pub(super) fn own_resumption_psk(&self, psk: &Psk) -> Option<&hushwood_crypto::Secret> {
        let Psk::Resumption { psk_group_id, psk_epoch, .. } = psk else { return None };
        if psk_group_id != self.group_id() {
            return None;
        }
        if *psk_epoch == self.epoch() {
            return self.member.as_ref().map(|member| member.state.secrets.resumption.secret());
        }
        self.resumption_psks.get(psk_epoch).map(|psk| psk.secret())
    }
}

impl LeafUpdate<'_> {
    /// True if nothing changes but the encryption key.
    fn is_empty(&self) -> bool {
        self.credential.is_none()
            && self.supported.is_none()
            && self.extensions.is_none()
            && self.signer.is_none()
    }

    /// The content of the new leaf; none if it says what the old one says.
    pub(super) fn content(&self, old: &LeafNode) -> Option<LeafContent> {
        if self.credential.is_none() && self.supported.is_none() && self.extensions.is_none() {
            return None;
        }
        Some(LeafContent {
            credential: self.credential.clone().unwrap_or_else(|| old.credential.clone()),
            supported: self.supported.clone().unwrap_or_else(|| Supported::of(&old.capabilities)),
            // Without the GREASE of the old leaf (RFC 9420 §13.5, C390): the new one gets its own.
            extensions: self.extensions.clone().unwrap_or_else(|| grease::without(&old.extensions)),
        })
    }
}
