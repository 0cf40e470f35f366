//! RFC 9420 §12.4.3.2: joining by an external commit.

use std::fmt;

use hushwood_codec::Decode;
use hushwood_crypto::{CryptoProvider, HashReference, Random, Signer};

use crate::commit::Answers;
use crate::commit::answers::psk_secret;
use crate::commit::create::{CommitInputs, CommitSigners, create};
use crate::commit::state::{MemberState, PublicState};
use crate::credential::{Credential, CredentialCheck, Verdicts};
use crate::error::{Error, NotNow, Unsupported, Violation};
use crate::extension::Extensions;
use crate::framing::{MlsMessage, PublicMessage, Sender, WireFormat};
use crate::group::application::Outgoing;
use crate::group::join::check_unique_group_id;
use crate::group::message_id::MessageId;
use crate::group::new_state::{NewState, supersede};
use crate::group::record::record;
use crate::group::{Group, Member, MemberView, encode};
use crate::policy::{Policy, Timestamp};
use crate::proposal::{
    CommittedProposal, PreSharedKey, Proposal, ProposalChecks, ProposalList, Purpose, Remove,
};
use crate::schedule::{GroupContext, InitSecret, PreSharedKeyId, Psk, interim_transcript_hash};
use crate::secret_tree::SecretTree;
use crate::transition::{InstanceId, RecordKey, RecordKind, Records, Step};
use crate::tree::{LeafContent, LeafIndex, NewLeaf, Supported};
use crate::welcome::verification::{Circumstances, UnsignedGroup, VerifiedGroup};

/// How to join.
#[derive(Debug)]
pub struct ExternalJoin {
    /// The suites that we have.
    pub provider: CryptoProvider,
    /// Who we are.
    pub credential: Credential,
    /// What we support.
    pub supported: Supported,
    /// Extensions of our leaf.
    pub leaf_extensions: Extensions,
    /// The policy that the group will run under.
    pub policy: Policy,
    /// Our own leaf in the group, to be replaced: after our state was lost (RFC 9750 §6.6).
    pub resync: Option<LeafIndex>,
    /// Pre-shared keys to inject, in this order.
    pub psks: Vec<Psk>,
    /// Those keys.
    pub answers: Answers,
    /// Data of the application, authenticated with the commit.
    pub authenticated_data: Vec<u8>,
}

impl ExternalJoin {
    /// Joins as a new member, under the default policy.
    #[must_use]
    pub fn new(provider: CryptoProvider, credential: Credential, supported: Supported) -> Self {
        Self {
            provider,
            credential,
            supported,
            leaf_extensions: Extensions::new(),
            policy: Policy::default(),
            resync: None,
            psks: Vec::new(),
            answers: Answers::none(),
            authenticated_data: Vec::new(),
        }
    }
}

/// A group that can be joined, verified, and the commit that does it. Look at who is in it; then accept
/// it, or drop it.
pub struct StagedExternalJoin {
    state: NewState,
    message: Vec<u8>,
    resync: bool,
    checks: Vec<CredentialCheck>,
}

impl StagedExternalJoin {
    /// Verifies a GroupInfo, an MLSMessage, and makes the commit. `ratchet_tree` is needed if it is not
    /// in the GroupInfo.
    ///
    /// # Errors
    /// [`Violation::ExternalPubAbsent`] if the group can't be joined this way; [`NotNow::TreeMissing`],
    /// [`NotNow::PskMissing`]; [`Error::Unsupported`] if the group needs what we lack; the [`Violation`]
    /// that makes the GroupInfo invalid; [`Error::WouldViolate`] with what the members would find in our
    /// commit; [`Error::Signer`], [`Error::Crypto`].
    pub fn stage(
        group_info: &[u8],
        ratchet_tree: Option<&[u8]>,
        settings: ExternalJoin,
        signer: &dyn Signer,
        now: Timestamp,
        random: &mut dyn Random,
    ) -> Result<Self, Error> {
        let MlsMessage::GroupInfo(group_info) =
            MlsMessage::from_bytes_with(group_info, settings.policy.decode)?
        else {
            return Err(NotNow::NotForGroup.into());
        };
        let group_info = group_info.into_unchecked();
        let policy = &settings.policy;
        let suite =
            settings.provider.suite(group_info.group_context.cipher_suite).ok_or(Unsupported::CipherSuite)?;
        // C351: signature, tree hash and whole tree, as for a Welcome.
        let circumstances = Circumstances { suite, policy, now };
        let unsigned = UnsignedGroup::check(group_info, ratchet_tree, circumstances)?;
        // C363: we support what the group has and requires.
        settings.supported.check_group(unsigned.parameters())?;
        // C350: the group has a key for those who come from outside.
        let external_pub = unsigned.group_info().extensions.external_pub()?;
        let external_pub = external_pub.ok_or(Violation::ExternalPubAbsent)?;
        let VerifiedGroup { group_info, tree, checks, .. } =
            unsigned.verify_signatures(circumstances, random)?;
        let context = group_info.group_context;
        let tag = group_info.confirmation_tag;
        let interim = interim_transcript_hash(suite, &context.confirmed_transcript_hash, &tag)?;
        let public = PublicState::new(context, tree, tag, interim)?;

        let (init, external_init) = InitSecret::external_sender(suite, &external_pub, random)?;
        let mut proposals = vec![Proposal::ExternalInit(external_init)];
        proposals.extend(settings.resync.map(|removed| Proposal::Remove(Remove { removed })));
        for psk in &settings.psks {
            // C170: a fresh nonce for each.
            let psk_nonce = random.bytes(suite.kdf().length())?;
            proposals.push(Proposal::Psk(Box::new(PreSharedKey {
                psk: PreSharedKeyId { psk: psk.clone(), psk_nonce },
            })));
        }
        let sender = Sender::NewMemberCommit;
        let proposals =
            proposals.into_iter().map(|proposal| CommittedProposal::by_value(proposal, sender)).collect();
        let proposal_checks = ProposalChecks {
            tree: &public.tree,
            context: &public.context,
            policy,
            now,
            sending: true,
            purpose: Purpose::Epoch,
        };
        let list =
            ProposalList::check(proposals, sender, &proposal_checks, random).map_err(Error::of_our_own)?;
        let psk = psk_secret(suite, list.psks(), |psk| settings.answers.psk(psk))?;
        let content = LeafContent {
            credential: settings.credential,
            supported: settings.supported,
            extensions: settings.leaf_extensions,
        };
        let inputs = CommitInputs {
            state: &public,
            list: &list,
            // C352: an external commit has a path.
            leaf: Some(NewLeaf::new(&content, policy, random)?),
            init,
            psk,
            // C359: nobody outside can encrypt for the group.
            wire_format: WireFormat::PUBLIC_MESSAGE,
            authenticated_data: settings.authenticated_data,
        };
        let signers = CommitSigners { message: signer, leaf: signer };
        let created = create(inputs, signers, &proposal_checks, random).map_err(Error::of_our_own)?;
        let own_leaf = created.committer;
        let path = created.path.ok_or(Error::Bug("an external commit was made without path"))?;
        let private = path.into_parts().0.into_tree(own_leaf)?;
        let next = created.next;
        let secret_tree = SecretTree::new(suite, next.public.tree.leaf_count(), next.encryption)?;
        let member = Member { state: MemberState { private, secrets: next.secrets }, secret_tree };
        // C365: no membership tag.
        let message = PublicMessage::from_outside(created.message)?;
        let message = encode(&MlsMessage::PublicMessage(Box::new(message)))?;
        let resync = settings.resync.is_some();
        let state = NewState { policy: settings.policy, public: next.public, own_leaf, member };
        Ok(Self { state, message, resync, checks })
    }

    /// The context of the epoch that our commit begins.
    #[must_use]
    pub fn context(&self) -> &GroupContext {
        self.state.public.context()
    }

    /// The members, ourselves among them.
    ///
    /// # Errors
    /// Each item: [`Error::StoreRead`].
    pub fn members(&self) -> impl Iterator<Item = Result<MemberView, Error>> {
        let members = self.state.public.tree().members();
        members.map(|member| member.map(|(index, leaf)| MemberView { index, leaf }))
    }

    /// Our leaf.
    #[must_use]
    pub fn own_leaf(&self) -> LeafIndex {
        self.state.own_leaf
    }

    /// The credentials to judge: of every member before our commit, and of every external sender.
    #[must_use]
    pub fn checks(&self) -> &[CredentialCheck] {
        &self.checks
    }

    /// Joins: the group is stored in the epoch that our commit begins, and the commit is given, to be sent.
    /// If the members take another commit for this epoch, forget the group and join again. The state that is
    /// replaced stays, among those that are [`superseded`](Group::superseded).
    ///
    /// # Errors
    /// [`NotNow::GroupExists`] if we are in a group of this id (C322) and do not replace ourselves;
    /// [`Violation::CredentialRefused`] if a verdict refuses; [`Error::Crypto`].
    pub fn accept(
        self,
        verdicts: &Verdicts,
        store: &dyn Records,
        random: &mut dyn Random,
    ) -> Result<Step<'static, (Group, Outgoing)>, Error> {
        verdicts.confirm(&self.checks)?;
        let clients = store.version(InstanceId::CLIENT)?;
        if !self.resync {
            check_unique_group_id(store, &self.state.public.context().group_id)?;
        }
        let (mut group, mut writes) = self.state.into_group(random)?;
        // Nobody else comes to a group of this id meanwhile.
        writes.require(InstanceId::CLIENT, clients);
        supersede(store, &mut writes, group.group_id())?;
        let id = MessageId::of(group.suite(), &self.message);
        let outbox = record(self.message.len(), |writer| {
            writer.opaque(&self.message);
        })?;
        writes.put(RecordKey::new(group.instance(), RecordKind::Outbox, *id.as_bytes()), outbox);
        // Our commit will come back to us: it is then known, and over.
        group.remember_own_message(&mut writes, id, HashReference(Vec::new()))?;
        Ok(Step::new(writes, None, (group, Outgoing { id, message: self.message })))
    }
}

impl fmt::Debug for StagedExternalJoin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StagedExternalJoin").field("epoch", &self.context().epoch).finish_non_exhaustive()
    }
}
