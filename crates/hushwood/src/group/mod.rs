//! A group on one client: RFC 9420 §11, §12, §14, §15 put together.
//!
//! A [`Group`] is the state of one member. Nothing here waits, reads a clock or writes a file: every
//! operation that changes something gives a [`Step`], to be committed to a
//! store. What arrives is first shown and then decided on:
//!
//! ```text
//! bytes -> Group::receive -> Received::Message -> accept_message -> Step: the text
//!                         -> Received::Proposal -> accept_proposal -> Step
//!                         -> Received::Commit -> stage_commit -> StagedCommit -> accept_commit -> Step
//! Group::commit -> Step: the message to send, a CommitId;  then  apply(id) -> Step  or  discard(id) -> Step
//! ```

mod accept;
mod advance;
mod application;
mod batch;
mod change;
pub mod client;
mod commit;
mod create;
mod external_join;
mod join;
mod message_id;
mod new_state;
mod open;
mod outside;
mod past;
mod propose;
mod receive;
pub(crate) mod record;
mod staged;
mod successor;
#[cfg(test)]
mod tests;
mod tree_rows;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hushwood_codec::Writer;
use hushwood_crypto::{CipherSuite, HashReference, Random, Secret, SignaturePublicKey, Signer};

use crate::commit::state::{MemberState, PublicState};
use crate::error::{ApiMisuse, Error, NotNow};
use crate::framing::{MlsMessage, Sender};
use crate::group::change::Draft;
use crate::group::past::Past;
use crate::group::record::OwnMessageRecord;
use crate::group::staged::OwnCommit;
use crate::policy::Policy;
use crate::proposal::{CachedProposal, Proposal, ProposalCache, Purpose, ReInit};
use crate::schedule::{GroupContext, ResumptionPsk};
use crate::secret_tree::SecretTree;
use crate::transition::{InstanceId, RecordKey, RecordKind, Step};
use crate::tree::{KeyPair, LeafIndex, LeafNode, RatchetTree};
use crate::unverified::Unverified;
use crate::welcome::create::{GroupInfoContents, group_info};

pub use accept::StagedCommit;
pub use application::{ApplicationMessage, Outgoing, Unacknowledged};
pub use batch::Batch;
pub use commit::{CommitPlan, CommitStaged, Cover, LeafUpdate};
pub use create::NewGroup;
pub use external_join::{ExternalJoin, StagedExternalJoin};
pub use join::{OpenedWelcome, StagedJoin};
pub use message_id::{CommitId, MessageId};
pub use outside::GroupView;
pub use propose::NewProposal;
pub(crate) use receive::verify_sender;
pub use receive::{Received, ReceivedCommit, ReceivedMessage, ReceivedProposal};
pub use staged::EpochChange;
pub use successor::Successor;

/// One group on one client: the state of a member.
pub struct Group {
    instance: InstanceId,
    /// How often the stored state has changed; the store checks it at every write. The stored tree knows
    /// by it whether what it reads is still ours.
    version: Arc<AtomicU64>,
    policy: Policy,
    status: Status,
    public: PublicState,
    own_leaf: LeafIndex,
    own_signature_key: SignaturePublicKey,
    /// What only members know; gone when this client has been removed.
    member: Option<Member>,
    proposals: ProposalCache,
    own_updates: BTreeMap<HashReference, KeyPair>,
    own_messages: BTreeMap<MessageId, OwnMessageRecord>,
    staged: BTreeMap<CommitId, OwnCommit>,
    past: Past,
    resumption_psks: BTreeMap<u64, ResumptionPsk>,
    /// What our first commit is for: it decides which pre-shared keys it may use.
    purpose: Purpose,
    /// A write had an unknown outcome: memory may differ from the store.
    poisoned: bool,
}

/// The secrets of the current epoch.
#[derive(Debug)]
struct Member {
    state: MemberState,
    secret_tree: SecretTree,
}

/// What a group has come to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Status {
    /// Messages can be sent and received.
    Active,
    /// A commit has covered a ReInit: the group is frozen, and a new one replaces it (RFC 9420 §11.2).
    Reinitialised(ReInit),
    /// This client has been removed. Late messages of past epochs can still be read.
    Removed,
}

/// A member, as the tree shows it.
#[derive(Clone, Debug)]
pub struct MemberView {
    /// Its leaf: who it is in this epoch.
    pub index: LeafIndex,
    /// Its keys, credential and capabilities.
    pub leaf: LeafNode,
}

/// A proposal of this epoch that waits for a commit.
#[derive(Clone, Copy, Debug)]
pub struct PendingProposal<'g> {
    /// Its name.
    pub reference: &'g HashReference,
    /// Who made it.
    pub sender: Sender,
    /// What it proposes.
    pub proposal: &'g Proposal,
}

impl<'g> PendingProposal<'g> {
    pub(crate) fn of(cached: &'g CachedProposal) -> Self {
        Self { reference: cached.reference(), sender: cached.sender(), proposal: cached.proposal() }
    }
}

/// What goes into a GroupInfo.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct GroupInfoOptions {
    /// The ratchet tree, so that the receiver need not get it elsewhere (RFC 9420 §12.4.3.3).
    pub ratchet_tree: bool,
    /// The external public key, so that the receiver can join by external commit (RFC 9420 §12.4.3.2).
    pub external_pub: bool,
}

impl Default for GroupInfoOptions {
    fn default() -> Self {
        Self { ratchet_tree: true, external_pub: true }
    }
}

impl Group {
    /// The local name of this state of the group.
    #[must_use]
    pub fn instance(&self) -> InstanceId {
        self.instance
    }

    /// The group's id, the same for all members.
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

    /// This client's leaf.
    #[must_use]
    pub fn own_leaf(&self) -> LeafIndex {
        self.own_leaf
    }

    /// What the group has come to.
    #[must_use]
    pub fn status(&self) -> &Status {
        &self.status
    }

    /// The policy it runs under.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The ratchet tree.
    #[must_use]
    pub fn tree(&self) -> &RatchetTree {
        &self.public.tree
    }

    /// The public state, for an observer to start from.
    #[must_use]
    pub fn public_state(&self) -> &PublicState {
        &self.public
    }

    /// How many members the group has.
    #[must_use]
    pub fn member_count(&self) -> u32 {
        self.public.tree.member_count()
    }

    /// The members, by leaf.
    ///
    /// # Errors
    /// Each item: [`Error::StoreRead`].
    pub fn members(&self) -> impl Iterator<Item = Result<MemberView, Error>> {
        self.public.tree.members().map(|member| member.map(|(index, leaf)| MemberView { index, leaf }))
    }

    /// A member, if there is one at this leaf.
    ///
    /// # Errors
    /// [`Error::StoreRead`].
    pub fn member(&self, index: LeafIndex) -> Result<Option<MemberView>, Error> {
        Ok(self.public.tree.leaf(index)?.map(|leaf| MemberView { index, leaf }))
    }

    /// The proposals of this epoch that wait for a commit, in the order in which they came.
    pub fn pending_proposals(&self) -> impl Iterator<Item = PendingProposal<'_>> {
        self.proposals.iter().map(PendingProposal::of)
    }

    /// Commits of our own that wait to be applied or discarded.
    pub fn staged_commits(&self) -> impl Iterator<Item = &CommitId> {
        self.staged.keys()
    }

    /// The `epoch_authenticator` (RFC 9420 §8.7, C179): equal for all who have the same view of the
    /// group, and for nobody else.
    ///
    /// # Errors
    /// [`NotNow::GroupEnded`] if this client was removed; [`NotNow::Reopen`].
    pub fn epoch_authenticator(&self) -> Result<&[u8], Error> {
        Ok(self.active_member()?.state.secrets.authenticator.secret().expose())
    }

    /// `MLS-Exporter(Label, Context, Length)` (RFC 9420 §8.5).
    ///
    /// The secret changes with every epoch (C177): keep the epoch beside whatever you use it for. Use a
    /// label that nobody else uses.
    ///
    /// # Errors
    /// [`ApiMisuse::ExportTooLong`]; [`NotNow::GroupEnded`] if this client was removed; [`NotNow::Reopen`].
    pub fn export(&self, label: &str, context: &[u8], length: usize) -> Result<Secret, Error> {
        self.active_member()?.state.secrets.exporter.export(self.suite(), label, context, length)
    }

    /// The encoded ratchet tree of this epoch, `optional<Node> ratchet_tree<V>`, to be given to those who join
    /// where it is not in the Welcome or GroupInfo. It costs as much as the group is large.
    ///
    /// # Errors
    /// [`ApiMisuse::TooLong`]; [`Error::StoreRead`].
    pub fn ratchet_tree(&self) -> Result<Vec<u8>, Error> {
        self.public.tree.to_extension()
    }

    /// As [`ratchet_tree`](Self::ratchet_tree), of the epoch that a staged commit of ours leads to: for those whom
    /// it adds, before it is applied.
    ///
    /// # Errors
    /// [`ApiMisuse::NoSuchRecord`]; as [`ratchet_tree`](Self::ratchet_tree).
    pub fn ratchet_tree_after(&self, id: &CommitId) -> Result<Vec<u8>, Error> {
        self.staged.get(id).ok_or(ApiMisuse::NoSuchRecord)?.public.tree.to_extension()
    }

    /// A GroupInfo of this epoch as an MLSMessage (RFC 9420 §12.4.3), signed by us.
    ///
    /// # Errors
    /// [`Error::Signer`], [`Error::Crypto`], [`ApiMisuse::TooLong`], [`NotNow::Reopen`]; [`NotNow::GroupEnded`] if
    /// this client was removed, or if somebody is to join a group that was reinitialised.
    pub fn group_info(
        &self,
        options: GroupInfoOptions,
        signer: &dyn Signer,
        random: &mut dyn Random,
    ) -> Result<Vec<u8>, Error> {
        let member = self.active_member()?;
        self.check_signer(signer)?;
        // RFC 9420 §12.4.2, C314: an external commit into a group that has ended would go nowhere.
        if options.external_pub {
            self.check_sending()?;
        }
        self.sign_group_info(&self.public, member, options, (signer, random))
    }

    /// As [`group_info`](Self::group_info), of the epoch that a staged commit of ours leads to: for a delivery service that gives it
    /// out once the commit has won (RFC 9750 §5.2.3, A057, A064). The signer is that of our leaf in that epoch.
    ///
    /// # Errors
    /// [`ApiMisuse::NoSuchRecord`]; [`ApiMisuse::SignerMismatch`]; as [`group_info`](Self::group_info).
    pub fn group_info_after(
        &self,
        id: &CommitId,
        options: GroupInfoOptions,
        signer: &dyn Signer,
        random: &mut dyn Random,
    ) -> Result<Vec<u8>, Error> {
        self.check_usable()?;
        let staged = self.staged.get(id).ok_or(ApiMisuse::NoSuchRecord)?;
        let leaf = staged
            .public
            .tree
            .leaf(self.own_leaf)?
            .ok_or(Error::Bug("a commit that removes its committer"))?;
        if leaf.signature_key != *signer.public_key() {
            return Err(ApiMisuse::SignerMismatch.into());
        }
        if options.external_pub && staged.change.status != Status::Active {
            return Err(NotNow::GroupEnded.into());
        }
        self.sign_group_info(&staged.public, &staged.member, options, (signer, random))
    }

    /// The Welcomes of a staged commit of ours, MLSMessages, for a delivery service that holds them back until the commit has
    /// won (RFC 9750 §5.2.3, A057), and for nobody else: who is welcomed by a commit that loses is in a group of its own (C403).
    /// Otherwise take them from [`EpochChange::welcomes`] once the commit is applied.
    ///
    /// # Errors
    /// [`ApiMisuse::NoSuchRecord`]; [`NotNow::Reopen`].
    pub fn welcomes_after(&self, id: &CommitId) -> Result<Vec<Vec<u8>>, Error> {
        self.check_usable()?;
        Ok(self.staged.get(id).ok_or(ApiMisuse::NoSuchRecord)?.welcomes.clone())
    }

    fn sign_group_info(
        &self,
        public: &PublicState,
        member: &Member,
        options: GroupInfoOptions,
        (signer, random): (&dyn Signer, &mut dyn Random),
    ) -> Result<Vec<u8>, Error> {
        let external_pub = match options.external_pub {
            true => Some(member.state.secrets.external.key_pair(self.suite())?.1),
            false => None,
        };
        let contents = GroupInfoContents { ratchet_tree: options.ratchet_tree, external_pub };
        let info = group_info(public, contents, (self.own_leaf, signer), &self.policy, random)?;
        encode(&MlsMessage::GroupInfo(Box::new(Unverified::new(info))))
    }

    /// Changes the policy.
    ///
    /// # Errors
    /// [`NotNow::Reopen`].
    pub fn set_policy(&mut self, policy: Policy) -> Result<Step<'_, ()>, Error> {
        self.check_usable()?;
        let mut draft = Draft::new(self);
        draft.policy(policy)?;
        Ok(self.step(draft, ()))
    }

    /// Erases everything this client knows of the group. The group itself goes on without knowing.
    ///
    /// # Errors
    /// [`NotNow::Reopen`].
    pub fn forget(self, store: &dyn crate::transition::Records) -> Result<Step<'static, ()>, Error> {
        let clients = store.version(InstanceId::CLIENT)?;
        let current = Self::instance_of(store, self.group_id())?;
        let mut writes = crate::transition::WriteSet::new();
        writes.require(self.instance, self.version());
        writes.erase_instance(self.instance);
        writes.erase(new_state::superseded_key(self.instance));
        if current == Some(self.instance) {
            // What replaces this group meanwhile is not to be forgotten with it.
            writes.require(InstanceId::CLIENT, clients);
            writes.erase(RecordKey::new(InstanceId::CLIENT, RecordKind::GroupInstance, self.group_id()));
        }
        Ok(Step::new(writes, None, ()))
    }

    fn version(&self) -> u64 {
        self.version.load(Ordering::Relaxed)
    }

    /// The secrets of the current epoch.
    fn active_member(&self) -> Result<&Member, Error> {
        self.check_usable()?;
        self.member.as_ref().ok_or(NotNow::GroupEnded.into())
    }

    /// Refuses everything after a write of unknown outcome.
    fn check_usable(&self) -> Result<(), Error> {
        match self.poisoned {
            true => Err(NotNow::Reopen.into()),
            false => Ok(()),
        }
    }

    /// Refuses to send in a group that is at its end (C314, C315).
    fn check_sending(&self) -> Result<(), Error> {
        self.check_usable()?;
        match self.status {
            Status::Active => Ok(()),
            Status::Reinitialised(_) | Status::Removed => Err(NotNow::GroupEnded.into()),
        }
    }

    /// A message signed with a key that is not our leaf's would be refused by everybody.
    fn check_signer(&self, signer: &dyn Signer) -> Result<(), Error> {
        match self.own_signature_key == *signer.public_key() {
            true => Ok(()),
            false => Err(ApiMisuse::SignerMismatch.into()),
        }
    }
}

/// An MLSMessage as bytes.
pub(crate) fn encode(message: &MlsMessage) -> Result<Vec<u8>, Error> {
    // That of a PrivateMessage is known well enough for its one buffer not to grow.
    let room = match message {
        MlsMessage::PrivateMessage(message) => {
            let lengths = [&message.group_id, &message.authenticated_data, &message.ciphertext].map(Vec::len);
            lengths.into_iter().fold(128, usize::saturating_add)
        }
        MlsMessage::PublicMessage(message) => message.content.content.room(),
        MlsMessage::Welcome(_) | MlsMessage::GroupInfo(_) | MlsMessage::KeyPackage(_) => 512,
    };
    let mut writer = Writer::with_capacity(room);
    writer.value(message);
    Ok(writer.finish()?)
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group")
            .field("instance", &self.instance)
            .field("epoch", &self.epoch())
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}
