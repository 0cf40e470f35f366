//! Groups that grow out of others: reinitialisation (RFC 9420 §11.2) and branching (§11.3).

use std::sync::{Arc, Mutex};

use hushwood::credential::Credential;
use hushwood::crypto::CipherSuite;
use hushwood::extension::Extensions;
use hushwood::group::{EpochChange, Group, Status, Successor as NewSuccessor};
use hushwood::policy::Policy;
use hushwood::transition::Records;

use super::Harness;
use crate::client::{Client, Transaction};
use crate::description::{extensions, valid_key_packages};
use crate::failure::Failure;
use crate::member::{Member, Purpose};
use crate::proto::{
    CommitRequest, CommitResponse, CreateBranchRequest, CreateSubgroupResponse, HandleBranchRequest,
    HandleBranchResponse, HandleCommitRequest, HandlePendingCommitRequest, HandleReInitCommitResponse,
    HandleReInitWelcomeRequest, JoinGroupResponse, ReInitWelcomeRequest,
};
use crate::registry::{Entry, lock};
use crate::settings::{now, random};

/// A member of a group that is over, and its KeyPackage for the group that replaces it.
pub(crate) struct Successor {
    /// The member's state in the old group, and its id.
    old: (u32, Arc<Mutex<Member>>),
    transaction: Transaction,
}

impl Successor {
    fn with_old<T>(&self, operation: impl FnOnce(&Member) -> Result<T, Failure>) -> Result<T, Failure> {
        operation(&lock(&self.old.1))
    }
}

impl Harness {
    pub(crate) fn re_init_commit(&self, request: CommitRequest) -> Result<CommitResponse, Failure> {
        if request.by_reference.len() != 1 || !request.by_value.is_empty() {
            return Err(Failure::Request("a reinitialisation is one proposal by reference"));
        }
        self.with(request.state_id, |member| member.commit(request, Purpose::Reinit))
    }

    pub(crate) fn handle_pending_re_init_commit(
        &self,
        request: HandlePendingCommitRequest,
    ) -> Result<HandleReInitCommitResponse, Failure> {
        self.prepare_successor(request.state_id, |member| member.apply_pending(Purpose::Reinit))
    }

    pub(crate) fn handle_re_init_commit(
        &self,
        request: HandleCommitRequest,
    ) -> Result<HandleReInitCommitResponse, Failure> {
        self.prepare_successor(request.state_id, |member| {
            member.handle_commit(&request.proposal, &request.commit, Purpose::Reinit)
        })
    }

    /// The end of the old group, and a KeyPackage for the new one, with a key of its suite.
    fn prepare_successor(
        &self,
        state_id: u32,
        end: impl FnOnce(&mut Member) -> Result<EpochChange, Failure>,
    ) -> Result<HandleReInitCommitResponse, Failure> {
        let old = self.registry.state(state_id)?;
        let mut member = lock(&old);
        let change = end(&mut member)?;
        let Status::Reinitialised(reinit) = &change.status else {
            return Err(Failure::Request("the commit does not cover a ReInit"));
        };
        let suite = self.settings.suite(reinit.cipher_suite.0.into())?;
        let (transaction, made) = member.client.transaction(&self.settings, suite)?;
        let epoch_authenticator = member.epoch_authenticator()?;
        let successor = Successor { old: (state_id, old.clone()), transaction };
        let reinit_id = self.registry.keep(Entry::Reinit(Arc::new(successor)))?;
        Ok(HandleReInitCommitResponse { reinit_id, key_package: made.message, epoch_authenticator })
    }

    pub(crate) fn re_init_welcome(
        &self,
        request: ReInitWelcomeRequest,
    ) -> Result<CreateSubgroupResponse, Failure> {
        let successor = self.registry.reinit(request.reinit_id)?;
        let Transaction { client, signer, .. } = &successor.transaction;
        let (group, change) = successor.with_old(|member| {
            let Status::Reinitialised(reinit) = member.group.status() else {
                return Err(Failure::NotNow("the group goes on"));
            };
            let suite = self.settings.suite(reinit.cipher_suite.0.into())?;
            let policy = self.successor_policy(&member.group, request.external_tree);
            let settings = NewSuccessor {
                omit_path: !request.force_path,
                ..self.new_successor(client, suite, policy, &request.key_package)?
            };
            let step = client.read(|store| {
                let stored: (_, &dyn Records) = (&self.settings.provider, store);
                Ok(member.group.reinit(stored, settings, &**signer, now(), &mut random())?)
            })?;
            client.write(step)
        })?;
        successor.transaction.give_up()?;
        let member = Member::new(client.clone(), signer.clone(), group);
        let created = self.created(member, change, request.external_tree)?;
        self.forget_reinit(request.reinit_id, &successor);
        Ok(created)
    }

    pub(crate) fn handle_re_init_welcome(
        &self,
        request: HandleReInitWelcomeRequest,
    ) -> Result<JoinGroupResponse, Failure> {
        let successor = self.registry.reinit(request.reinit_id)?;
        let Transaction { client, signer, .. } = &successor.transaction;
        let welcome = (request.welcome.as_slice(), request.ratchet_tree.as_slice());
        let group = successor.with_old(|member| {
            let policy = self.successor_policy(&member.group, false);
            successor.transaction.join(&self.settings, &policy, welcome, Some(&member.group))
        })?;
        let member = Member::new(client.clone(), signer.clone(), group);
        let epoch_authenticator = member.epoch_authenticator()?;
        let state_id = self.registry.keep_member(member)?;
        self.forget_reinit(request.reinit_id, &successor);
        Ok(JoinGroupResponse { state_id, epoch_authenticator })
    }

    /// The member is in the new group; the runner frees that one only.
    fn forget_reinit(&self, reinit_id: u32, successor: &Successor) {
        self.registry.forget(reinit_id);
        self.registry.forget(successor.old.0);
    }

    pub(crate) fn create_branch(
        &self,
        request: CreateBranchRequest,
    ) -> Result<CreateSubgroupResponse, Failure> {
        let (member, change) = self.with(request.state_id, |member| {
            let policy = self.successor_policy(&member.group, request.external_tree);
            let suite = member.group.suite();
            let settings = NewSuccessor {
                group_id: Some(request.group_id),
                extensions: extensions(request.extensions)?,
                omit_path: !request.force_path,
                ..self.new_successor(&member.client, suite, policy, &request.key_packages)?
            };
            let step = member.group.branch(settings, &*member.signer, now(), &mut random())?;
            let (group, change) = member.client.write(step)?;
            Ok((Member::new(member.client.clone(), member.signer.clone(), group), change))
        })?;
        self.created(member, change, request.external_tree)
    }

    pub(crate) fn handle_branch(
        &self,
        request: HandleBranchRequest,
    ) -> Result<HandleBranchResponse, Failure> {
        let transaction = self.registry.transaction(request.transaction_id)?;
        let welcome = (request.welcome.as_slice(), request.ratchet_tree.as_slice());
        let group = self.with(request.state_id, |parent| {
            if transaction.client.identity != parent.client.identity {
                return Err(Failure::Request("the KeyPackage has another identity"));
            }
            let policy = self.successor_policy(&parent.group, false);
            // The transaction did not say whose it is.
            transaction.client.keep_psks_of(&parent.client)?;
            transaction.join(&self.settings, &policy, welcome, Some(&parent.group))
        })?;
        let member = Member::new(transaction.client.clone(), transaction.signer.clone(), group);
        self.registry.forget(request.transaction_id);
        let epoch_authenticator = member.epoch_authenticator()?;
        // A new id: the old group goes on, and the runner frees its state.
        Ok(HandleBranchResponse { state_id: self.registry.keep_member(member)?, epoch_authenticator })
    }

    /// The policy of a group that grows out of another, which hands its mode of handshakes down.
    fn successor_policy(&self, old: &Group, external_tree: bool) -> Policy {
        Policy {
            ratchet_tree_extension: !external_tree,
            ..self.settings.policy(old.policy().encrypt_handshakes)
        }
    }

    /// A group to be created, with these other members.
    fn new_successor(
        &self,
        client: &Client,
        suite: &'static dyn CipherSuite,
        policy: Policy,
        key_packages: &[Vec<u8>],
    ) -> Result<NewSuccessor, Failure> {
        let key_packages = valid_key_packages(key_packages, suite, &policy)?;
        let credential = Credential::basic(client.identity.clone());
        let supported = self.settings.supported(suite.id());
        Ok(NewSuccessor {
            policy,
            extensions: Extensions::new(),
            ..NewSuccessor::new(credential, supported, key_packages)
        })
    }

    /// What the others need to join.
    fn created(
        &self,
        mut member: Member,
        change: EpochChange,
        external_tree: bool,
    ) -> Result<CreateSubgroupResponse, Failure> {
        let mut welcomes = Vec::new();
        for welcome in change.welcomes {
            member.client.write(member.group.acknowledge(&welcome.id)?)?;
            welcomes.push(welcome.message);
        }
        let ratchet_tree = match external_tree {
            true => member.group.ratchet_tree()?,
            false => Vec::new(),
        };
        let epoch_authenticator = member.epoch_authenticator()?;
        Ok(CreateSubgroupResponse {
            state_id: self.registry.keep_member(member)?,
            welcome: welcomes.pop().unwrap_or_default(),
            ratchet_tree,
            epoch_authenticator,
        })
    }
}
