//! RFC 9420 §11.2, §11.3: groups that grow out of others.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use hushwood_crypto::{CipherSuite, CryptoProvider, Random, Signer};

use crate::commit::Answers;
use crate::commit::state::PublicState;
use crate::credential::{Credential, CredentialValidator, InsecureAcceptAll};
use crate::error::{ApiMisuse, Error, NotNow, Unsupported, Violation};
use crate::extension::Extensions;
use crate::group::commit::{CommitPlan, Cover};
use crate::group::create::{NewGroup, new_state};
use crate::group::join::check_unique_group_id;
use crate::group::new_state::supersede;
use crate::group::propose::NewProposal;
use crate::group::staged::EpochChange;
use crate::group::{Group, Status};
use crate::key_package::ValidKeyPackage;
use crate::policy::{Policy, Timestamp};
use crate::proposal::Purpose;
use crate::schedule::{Psk, ResumptionPskUsage};
use crate::transition::{InstanceId, Records, Step, WriteSet};
use crate::tree::{RatchetTree, Supported};
use crate::version::ProtocolVersion;
use crate::welcome::Parent;

/// A group to grow out of another one.
#[derive(Clone)]
pub struct Successor {
    /// Who we are in it.
    pub credential: Credential,
    /// What we support.
    pub supported: Supported,
    /// Fresh KeyPackages of the other members, for the new group's suite (C236).
    pub key_packages: Vec<ValidKeyPackage>,
    /// Of a branch: its id; by default random. Of a reinitialised group the ReInit says it.
    pub group_id: Option<Vec<u8>>,
    /// Of a branch: its extensions. Of a reinitialised group the ReInit says them.
    pub extensions: Extensions,
    /// Extensions of our leaf.
    pub leaf_extensions: Extensions,
    /// Whether to leave the path out of the first commit, which only adds and brings a pre-shared key (RFC 9420
    /// §12.4). Cheaper, in a group that is large; but our key in it stays that of our leaf in epoch 0.
    pub omit_path: bool,
    /// The policy it runs under on this client.
    pub policy: Policy,
    /// Says by [`user`](CredentialValidator::user) who is in both groups, as those who join will ask theirs
    /// (C233, C344). By default whoever shows an equal credential.
    pub users: Arc<dyn CredentialValidator + Send + Sync>,
}

impl Successor {
    /// A group of these members, under the default policy. Who they are is seen by equal credentials.
    #[must_use]
    pub fn new(credential: Credential, supported: Supported, key_packages: Vec<ValidKeyPackage>) -> Self {
        Self {
            credential,
            supported,
            key_packages,
            group_id: None,
            extensions: Extensions::new(),
            leaf_extensions: Extensions::new(),
            omit_path: false,
            policy: Policy::default(),
            // It is asked for names of users only, never for a verdict.
            users: Arc::new(InsecureAcceptAll),
        }
    }
}

impl fmt::Debug for Successor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Successor")
            .field("key_packages", &self.key_packages.len())
            .field("extensions", &self.extensions)
            .finish_non_exhaustive()
    }
}

impl Group {
    /// Splits a group off from this one, of some of its members (RFC 9420 §11.3). Gives the new group in
    /// its epoch 1, and the Welcomes. This group goes on as it is.
    ///
    /// # Errors
    /// [`ApiMisuse::BranchFromOther`] if a KeyPackage, or the credential that we are to have, is of nobody in
    /// this group; [`ApiMisuse::KeyPackageUsed`]; [`NotNow::GroupExists`] if the new group's id is this one's;
    /// what [`Group::create`] and [`Group::commit`] give.
    pub fn branch(
        &self,
        settings: Successor,
        signer: &dyn Signer,
        now: Timestamp,
        random: &mut dyn Random,
    ) -> Result<Step<'static, (Self, EpochChange)>, Error> {
        // RFC 9420 §12.4.3.1, C322: this group goes on, so its id is taken.
        if settings.group_id.as_deref() == Some(self.group_id()) {
            return Err(NotNow::GroupExists.into());
        }
        let grown = self.grow((self.suite(), ResumptionPskUsage::Branch), settings, signer, now, random);
        let (group, change, writes) = grown.map_err(|error| match error {
            Error::WouldViolate(Violation::BranchExtraMember) => ApiMisuse::BranchFromOther.into(),
            other => other,
        })?;
        Ok(Step::new(writes, None, (group, change)))
    }

    /// Creates the group that replaces this one, after a commit has covered a ReInit (RFC 9420 §11.2).
    /// Any member may do it (C230). Gives the new group in its epoch 1, and the Welcomes.
    ///
    /// # Errors
    /// [`ApiMisuse::NotReinitialised`] if this group goes on; [`Unsupported::ProtocolVersion`] and
    /// [`Unsupported::CipherSuite`] if we lack what was agreed on; [`NotNow::GroupExists`] if we are in a group of
    /// the new id; [`Error::WouldViolate`] with [`Violation::ReInitLinkage`] if a member of this group is not to
    /// come along (C344); [`ApiMisuse::KeyPackageUsed`]; what [`Group::create`] and [`Group::commit`] give.
    pub fn reinit(
        &self,
        (provider, store): (&CryptoProvider, &dyn Records),
        settings: Successor,
        signer: &dyn Signer,
        now: Timestamp,
        random: &mut dyn Random,
    ) -> Result<Step<'static, (Self, EpochChange)>, Error> {
        let Status::Reinitialised(reinit) = self.status() else {
            return Err(ApiMisuse::NotReinitialised.into());
        };
        // RFC 9420 §12.1.5, C248: the ReInit was valid for those who have its version and suite.
        if reinit.version != ProtocolVersion::MLS10 {
            return Err(Unsupported::ProtocolVersion.into());
        }
        let suite = provider.suite(reinit.cipher_suite).ok_or(Unsupported::CipherSuite)?;
        // RFC 9420 §12.4.3, C322: who proposed it may have named another group that we are in.
        let clients = store.version(InstanceId::CLIENT)?;
        check_unique_group_id(store, &reinit.group_id)?;
        // C226, C304: what the ReInit says.
        let settings = Successor {
            group_id: Some(reinit.group_id.clone()),
            extensions: reinit.extensions.clone(),
            ..settings
        };
        let (group, change, mut writes) =
            self.grow((suite, ResumptionPskUsage::Reinit), settings, signer, now, random)?;
        writes.require(InstanceId::CLIENT, clients);
        supersede(store, &mut writes, group.group_id())?;
        Ok(Step::new(writes, None, (group, change)))
    }

    /// A group of one, and its first commit, which adds the others and proves that we were in this group
    /// (C228, C234).
    fn grow(
        &self,
        (suite, usage): (&'static dyn CipherSuite, ResumptionPskUsage),
        settings: Successor,
        signer: &dyn Signer,
        now: Timestamp,
        random: &mut dyn Random,
    ) -> Result<(Self, EpochChange, WriteSet), Error> {
        self.check_usable()?;
        let psk = Psk::Resumption { usage, psk_group_id: self.group_id().to_vec(), psk_epoch: self.epoch() };
        let key = self.own_resumption_psk(&psk).ok_or(NotNow::GroupEnded)?;
        // RFC 9420 §11.3, C236: KeyPackages are fresh. Of those that brought members into this group, the leaf
        // shows for as long as the member has not updated.
        for key_package in &settings.key_packages {
            let key = &key_package.key_package().leaf_node.encryption_key;
            if self.tree().encryption_key_at(key)?.is_some() {
                return Err(ApiMisuse::KeyPackageUsed.into());
            }
        }
        let users = settings.users.clone();
        let mut answers = Answers::none();
        answers.add_psk(psk.clone(), key.duplicate());
        let mut proposals: Vec<_> = settings
            .key_packages
            .into_iter()
            .map(|key_package| NewProposal::Add(Box::new(key_package)))
            .collect();
        proposals.push(NewProposal::Psk(psk));

        let new = NewGroup {
            suite,
            group_id: settings.group_id,
            credential: settings.credential,
            supported: settings.supported,
            extensions: settings.extensions,
            leaf_extensions: settings.leaf_extensions,
            policy: settings.policy,
        };
        let (mut first, _) = new_state(new, signer, now, random)?.into_group(random)?;
        first.purpose = match usage {
            ResumptionPskUsage::Branch => Purpose::Branch,
            ResumptionPskUsage::Reinit | ResumptionPskUsage::Application => Purpose::Reinit,
        };
        let plan = CommitPlan {
            proposals,
            cover: Cover::None,
            omit_path: settings.omit_path,
            ..CommitPlan::default()
        };
        let own = first.own_commit(&plan, &answers, signer, now, random)?;
        // We refuse ourselves what those who join would refuse.
        let claimed = Parent { usage, group_id: self.group_id().to_vec(), epoch: self.epoch() };
        check_lineage(&claimed, self, &own.public, &*users).map_err(Error::of_our_own)?;
        own.into_first_epoch(first.policy().clone(), random)
    }
}

/// RFC 9420 §11.2, §11.3, §12.4.3.1: the new group follows from the old one as it claims. The same for who
/// makes it and for those who join. That its epoch is 1 is checked with the Welcome.
pub(super) fn check_lineage(
    claimed: &Parent,
    parent: &Group,
    new: &PublicState,
    users: &dyn CredentialValidator,
) -> Result<(), Error> {
    let context = &new.context;
    let before = clients_by_user(parent.tree(), users)?;
    let after = clients_by_user(&new.tree, users)?;
    match claimed.usage {
        ResumptionPskUsage::Branch => {
            // RFC 9420 §11.3, C231, C345: version and suite are those of the old group.
            if context.version != parent.context().version || context.cipher_suite != parent.suite().id() {
                return Err(Violation::BranchParameters.into());
            }
            // RFC 9420 §11.3, C233, C345: every leaf matches one of the old group, by the application's
            // judgement. Q: Of the epoch that the PSK is from, or of now? A: Of now. Who was removed since has
            // that PSK too, and is no member any more.
            match after.keys().all(|user| user.is_some() && before.contains_key(user)) {
                true => Ok(()),
                false => Err(Violation::BranchExtraMember.into()),
            }
        }
        ResumptionPskUsage::Reinit | ResumptionPskUsage::Application => {
            // RFC 9420 §11.2, §12.4.3.1, C226, C228, C344: the old group's last commit has covered a ReInit of
            // these parameters.
            let Status::Reinitialised(reinit) = parent.status() else {
                return Err(Violation::ReInitLinkage.into());
            };
            let same = claimed.epoch == parent.epoch()
                && context.version == reinit.version
                && context.cipher_suite == reinit.cipher_suite
                && context.group_id == reinit.group_id
                && context.extensions == reinit.extensions;
            // RFC 9420 §12.4.3.1, C344: all members of the old group are members of the new one. A user with
            // several clients must have as many as before.
            let came_along = |(user, clients): (&Option<Vec<u8>>, &usize)| {
                user.is_some() && after.get(user).is_some_and(|after| after >= clients)
            };
            match same && before.iter().all(came_along) {
                true => Ok(()),
                false => Err(Violation::ReInitLinkage.into()),
            }
        }
    }
}

/// How many members each user has in a tree. `None` stands for all whom the application can't name.
fn clients_by_user(
    tree: &RatchetTree,
    users: &dyn CredentialValidator,
) -> Result<HashMap<Option<Vec<u8>>, usize>, Error> {
    let mut clients = HashMap::new();
    for member in tree.members() {
        *clients.entry(users.user(&member?.1.credential)).or_default() += 1;
    }
    Ok(clients)
}
