//! RFC 9420 §12.4.3.1: joining by a Welcome, in rounds: open it, bring what it asks for, look at the
//! group, accept.

use std::collections::BTreeSet;
use std::fmt;

use hushwood_codec::Decode;
use hushwood_crypto::{CryptoProvider, HashReference, Random};

use crate::commit::Answers;
use crate::credential::{CredentialCheck, CredentialValidator, Verdicts};
use crate::error::{Error, NotNow, StoreReadError, Unsupported, Violation};
use crate::framing::MlsMessage;
use crate::group::client::{key_package, key_package_key};
use crate::group::message_id::MessageId;
use crate::group::new_state::{NewState, supersede};
use crate::group::record::record;
use crate::group::successor::check_lineage;
use crate::group::{Group, Member, MemberView, Status};
use crate::policy::{Policy, Timestamp};
use crate::schedule::{GroupContext, Psk};
use crate::secret_tree::SecretTree;
use crate::transition::{InstanceId, RecordKey, RecordKind, Records, Step, WriteSet};
use crate::tree::LeafIndex;
use crate::unverified::Unverified;
use crate::welcome::join::{JoinedGroup, OpenedSecrets};
use crate::welcome::{GroupInfo, Parent};

/// A Welcome for one of our KeyPackages, with the part decrypted that is for us.
#[derive(Debug)]
pub struct OpenedWelcome {
    secrets: OpenedSecrets,
    psks: Vec<Psk>,
    reference: HashReference,
    policy: Policy,
}

/// A group that we are invited to, verified. Look at who is in it; then accept it, or drop it.
pub struct StagedJoin {
    joined: JoinedGroup,
    reference: HashReference,
    last_resort: bool,
    policy: Policy,
}

impl OpenedWelcome {
    /// Opens a Welcome, an MLSMessage. The store has our KeyPackages. `policy` is what the group will
    /// run under.
    ///
    /// # Errors
    /// [`NotNow::NoKeyPackage`] if it is for none of our KeyPackages, or for one that has been used;
    /// [`Unsupported::CipherSuite`]; [`Violation::WelcomeDoesNotOpen`] and others.
    pub fn open(
        message: &[u8],
        store: &dyn Records,
        provider: &CryptoProvider,
        policy: &Policy,
    ) -> Result<Self, Error> {
        let MlsMessage::Welcome(welcome) = MlsMessage::from_bytes_with(message, policy.decode)? else {
            return Err(NotNow::NoKeyPackage.into());
        };
        let suite = provider.suite(welcome.cipher_suite).ok_or(Unsupported::CipherSuite)?;
        // A Welcome may have a million entries: the store is asked once which are ours.
        let ours = store.list(InstanceId::CLIENT, RecordKind::KeyPackage)?;
        let ours: BTreeSet<Vec<u8>> = ours.into_iter().map(|(reference, _)| reference).collect();
        let secrets =
            OpenedSecrets::open(welcome, (suite, policy), |reference| match ours.contains(&reference.0) {
                true => key_package(store, reference),
                false => Ok(None),
            })?;
        // C009: they are those of one commit.
        if secrets.psks().len() > policy.max_commit_proposals {
            return Err(NotNow::Limit.into());
        }
        let psks = secrets.psks().cloned().collect();
        let reference = secrets.key_package().key_package().reference(suite)?;
        Ok(Self { secrets, psks, reference, policy: policy.clone() })
    }

    /// The pre-shared keys that it asks for.
    #[must_use]
    pub fn psks(&self) -> &[Psk] {
        &self.psks
    }

    /// The group that this one claims to have grown out of, by reinitialisation or branching: to be
    /// given to [`stage`](Self::stage).
    #[must_use]
    pub fn parent(&self) -> Option<Parent> {
        self.secrets.parent()
    }

    /// True if it is for a KeyPackage of last resort, which others may have been given as well: new keys are due in the group,
    /// and another KeyPackage (RFC 9750 §5.1, A035, A036).
    #[must_use]
    pub fn is_last_resort(&self) -> bool {
        self.secrets.key_package().is_last_resort()
    }

    /// What the Welcome says of the group, decrypted and not verified: where the tree is not in it, this tells which is needed
    /// (`tree_hash`, `epoch`), and what stands in the group's context about where to get it. `parent` as for
    /// [`stage`](Self::stage).
    ///
    /// # Errors
    /// [`NotNow::PskMissing`]; [`Violation::WelcomeDoesNotOpen`]; [`Error::Decode`].
    pub fn group_info(
        &self,
        answers: &Answers,
        parent: Option<&Group>,
    ) -> Result<Unverified<GroupInfo>, Error> {
        let find = |psk: &Psk| answers.psk(psk).or(parent.and_then(|group| group.own_resumption_psk(psk)));
        self.secrets.group_info(find, &self.policy).map(Unverified::new)
    }

    /// Decrypts and verifies the group. `ratchet_tree` is needed if it is not in the Welcome; `parent` if
    /// there is a [`parent`](Self::parent), or if the Welcome is to complete the reinitialisation of a group, with
    /// a validator that says by its [`user`](CredentialValidator::user) who is in both groups.
    ///
    /// # Errors
    /// [`NotNow::PskMissing`], [`NotNow::TreeMissing`], [`NotNow::ParentMissing`]; [`Error::Unsupported`]
    /// if the group needs what we lack; the [`Violation`] that makes it invalid.
    pub fn stage(
        self,
        answers: &Answers,
        ratchet_tree: Option<&[u8]>,
        parent: Option<(&Group, &dyn CredentialValidator)>,
        now: Timestamp,
        random: &mut dyn Random,
    ) -> Result<StagedJoin, Error> {
        let last_resort = self.is_last_resort();
        let find =
            |psk: &Psk| answers.psk(psk).or(parent.and_then(|(group, _)| group.own_resumption_psk(psk)));
        let joined = self.secrets.join(find, ratchet_tree, (&self.policy, now), random)?;
        match (&joined.parent, parent) {
            (Some(claimed), parent) => {
                let parent = parent.filter(|(group, _)| group.group_id() == claimed.group_id);
                let (parent, users) = parent.ok_or(NotNow::ParentMissing)?;
                check_lineage(claimed, parent, &joined.public, users)?;
            }
            // RFC 9420 §11.2, C228: what completes a reinitialisation says so. Who was in the old group can prove
            // it, and nobody else.
            (None, Some((parent, _))) if matches!(parent.status(), Status::Reinitialised(_)) => {
                return Err(Violation::ReInitLinkage.into());
            }
            (None, Some(_) | None) => {}
        }
        Ok(StagedJoin { joined, reference: self.reference, last_resort, policy: self.policy })
    }
}

impl StagedJoin {
    /// The group's context.
    #[must_use]
    pub fn context(&self) -> &GroupContext {
        self.joined.public.context()
    }

    /// The members, ourselves among them.
    ///
    /// # Errors
    /// Each item: [`Error::StoreRead`].
    pub fn members(&self) -> impl Iterator<Item = Result<MemberView, Error>> {
        let members = self.joined.public.tree().members();
        members.map(|member| member.map(|(index, leaf)| MemberView { index, leaf }))
    }

    /// Our leaf.
    #[must_use]
    pub fn own_leaf(&self) -> LeafIndex {
        self.joined.own_leaf
    }

    /// The member that invited us.
    #[must_use]
    pub fn signer(&self) -> LeafIndex {
        self.joined.signer
    }

    /// The credentials to judge: of every member, and of every external sender (RFC 9420 §5.3.1).
    #[must_use]
    pub fn checks(&self) -> &[CredentialCheck] {
        &self.joined.checks
    }

    /// Joins: the group is stored, and the KeyPackage's private keys are erased, in one step.
    ///
    /// # Errors
    /// [`NotNow::GroupExists`] if we are in a group of this id (C322); [`NotNow::NoKeyPackage`] if the
    /// KeyPackage has been used meanwhile, or this very epoch was joined with it before; [`Violation::CredentialRefused`] if a verdict refuses;
    /// [`Error::Crypto`]. The step is stale if another one of this client's groups has been joined meanwhile.
    pub fn accept(
        self,
        verdicts: &Verdicts,
        store: &dyn Records,
        random: &mut dyn Random,
    ) -> Result<Step<'static, Group>, Error> {
        verdicts.confirm(&self.joined.checks)?;
        let JoinedGroup { public, member, encryption, own_leaf, .. } = self.joined;
        let clients = store.version(InstanceId::CLIENT)?;
        check_unique_group_id(store, &public.context().group_id)?;
        // RFC 9420 §10, §16.8, C209: it may have been used since the Welcome was opened. To join with it again
        // would be to use message keys again.
        if !self.last_resort && key_package(store, &self.reference)?.is_none() {
            return Err(NotNow::NoKeyPackage.into());
        }
        let authenticator = member.secrets.authenticator.secret().expose();
        let epoch = MessageId::of(public.suite(), authenticator);
        let joined = last_resort_key(&self.reference, &epoch);
        if self.last_resort && store.get(&joined)?.is_some() {
            return Err(NotNow::NoKeyPackage.into());
        }
        let secret_tree = SecretTree::new(public.suite(), public.tree().leaf_count(), encryption)?;
        let member = Member { state: member, secret_tree };
        let state = NewState { policy: self.policy, public, own_leaf, member };
        let (group, mut writes) = state.into_group(random)?;
        // Of two that take one Welcome at the same time, only one joins.
        writes.require(InstanceId::CLIENT, clients);
        // RFC 9420 §16.8, C209, C346: a KeyPackage is used once, unless it is one of last resort.
        match self.last_resort {
            false => writes.erase(key_package_key(&self.reference)),
            // Its private keys stay, so who has kept the Welcome could have us join by it again once we have left the group, or
            // forgotten it, and use the epoch's message keys from the beginning.
            true => {
                forget_joins_of_lost(store, &mut writes)?;
                writes.put(joined, record(0, |_| {})?);
            }
        }
        supersede(store, &mut writes, group.group_id())?;
        Ok(Step::new(writes, None, group))
    }
}

impl fmt::Debug for StagedJoin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StagedJoin").field("epoch", &self.context().epoch).finish_non_exhaustive()
    }
}

/// The row that says that an epoch was joined with a KeyPackage of last resort.
fn last_resort_key(reference: &HashReference, epoch: &MessageId) -> RecordKey {
    let id = [reference.0.as_slice(), epoch.as_bytes()].concat();
    RecordKey::new(InstanceId::CLIENT, RecordKind::LastResortJoin, id)
}

/// Erases such rows of KeyPackages that are not there any more: nobody joins with these.
fn forget_joins_of_lost(store: &dyn Records, writes: &mut WriteSet) -> Result<(), Error> {
    for (id, _) in store.list(InstanceId::CLIENT, RecordKind::LastResortJoin)? {
        let (reference, _epoch) = id.split_last_chunk::<16>().ok_or(StoreReadError::Corrupt)?;
        if store.get(&key_package_key(&HashReference(reference.to_vec())))?.is_none() {
            writes.erase(RecordKey::new(InstanceId::CLIENT, RecordKind::LastResortJoin, id));
        }
    }
    Ok(())
}

/// RFC 9420 §12.4.3, C322: a group id is unique among the groups that we are in. One that has ended may
/// be followed by another of its id.
pub(super) fn check_unique_group_id(store: &dyn Records, group_id: &[u8]) -> Result<(), Error> {
    match Group::instance_of(store, group_id)? {
        Some(instance) if super::open::is_active(store, instance)? => Err(NotNow::GroupExists.into()),
        _ => Ok(()),
    }
}
