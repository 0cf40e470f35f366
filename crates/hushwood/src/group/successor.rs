//! RFC 9420 §11.2, §11.3: groups that grow out of others.

use std::collections::HashSet;

use hushwood_crypto::{CipherSuite, CryptoProvider, Random, Signer};

use crate::commit::Answers;
use crate::credential::Credential;
use crate::error::{ApiMisuse, Error, Unsupported};
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
use crate::tree::Supported;

/// A group to grow out of another one.
#[derive(Clone, Debug)]
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
    /// The policy it runs under on this client.
    pub policy: Policy,
}

impl Successor {
    /// A group of these members, under the default policy.
    #[must_use]
    pub fn new(credential: Credential, supported: Supported, key_packages: Vec<ValidKeyPackage>) -> Self {
        Self {
            credential,
            supported,
            key_packages,
            group_id: None,
            extensions: Extensions::new(),
            leaf_extensions: Extensions::new(),
            policy: Policy::default(),
        }
    }
}

impl Group {
    /// Splits a group off from this one, of some of its members (RFC 9420 §11.3). Gives the new group in
    /// its epoch 1, and the Welcomes. This group goes on as it is.
    ///
    /// # Errors
    /// [`ApiMisuse::BranchFromOther`] if a KeyPackage is of nobody in this group; what
    /// [`Group::create`] and [`Group::commit`] give.
    pub fn branch(
        &self,
        settings: Successor,
        signer: &dyn Signer,
        now: Timestamp,
        random: &mut dyn Random,
    ) -> Result<Step<'static, (Self, EpochChange)>, Error> {
        let usage = ResumptionPskUsage::Branch;
        // C233: everybody in a subgroup is a member of the group.
        let members = self.members().map(|member| Ok(member?.leaf.credential));
        let members = members.collect::<Result<HashSet<Credential>, Error>>()?;
        let mut invited =
            settings.key_packages.iter().map(|package| &package.key_package().leaf_node.credential);
        if !invited.all(|credential| members.contains(credential)) {
            return Err(ApiMisuse::BranchFromOther.into());
        }
        let (group, change, writes) = self.grow((self.suite(), usage), settings, signer, now, random)?;
        Ok(Step::new(writes, None, (group, change)))
    }

    /// Creates the group that replaces this one, after a commit has covered a ReInit (RFC 9420 §11.2).
    /// Any member may do it (C230). Gives the new group in its epoch 1, and the Welcomes.
    ///
    /// # Errors
    /// [`ApiMisuse::NotReinitialised`] if this group goes on;
    /// [`NotNow::GroupExists`](crate::error::NotNow::GroupExists) if we are in a group of the new id; what [`Group::create`] and
    /// [`Group::commit`] give.
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
        let key = self.own_resumption_psk(&psk).ok_or(crate::error::NotNow::GroupEnded)?;
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
        let plan = CommitPlan { proposals, cover: Cover::None, ..CommitPlan::default() };
        let own = first.own_commit(&plan, &answers, signer, now, random)?;
        own.into_first_epoch(first.policy().clone(), random)
    }
}
