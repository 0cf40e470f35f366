//! Becoming a member.

use std::sync::Arc;

use hushwood::commit::Answers;
use hushwood::credential::{Credential, InsecureAcceptAll, judge};
use hushwood::crypto::{Secret, SoftwareSigner};
use hushwood::framing::MlsMessage;
use hushwood::group::{ExternalJoin, Group, GroupView, NewGroup, StagedExternalJoin};
use hushwood::policy::Policy;
use hushwood::schedule::Psk;
use hushwood::tree::LeafIndex;

use hushwood::codec::Decode;

use super::Harness;
use crate::client::{Client, not_empty};
use crate::description::Members;
use crate::failure::Failure;
use crate::member::Member;
use crate::proto::{
    CreateGroupRequest, CreateGroupResponse, CreateKeyPackageRequest, CreateKeyPackageResponse,
    ExternalJoinRequest, ExternalJoinResponse, JoinGroupRequest, JoinGroupResponse, StorePskRequest,
    StorePskResponse,
};
use crate::registry::{Entry, lock};
use crate::settings::{now, random};

impl Harness {
    pub(crate) fn create_group(&self, request: CreateGroupRequest) -> Result<CreateGroupResponse, Failure> {
        let suite = self.settings.suite(request.cipher_suite)?;
        let client = Client::new(request.identity);
        let signer = Arc::new(SoftwareSigner::generate(suite, &mut random())?);
        let credential = Credential::basic(client.identity.clone());
        let new = NewGroup {
            group_id: Some(request.group_id),
            policy: self.settings.policy(request.encrypt_handshake),
            ..NewGroup::new(suite, credential, self.settings.supported(suite.id()))
        };
        let group = client.write(Group::create(new, &*signer, now(), &mut random())?)?;
        let state_id = self.registry.keep_member(Member::new(client, signer, group))?;
        Ok(CreateGroupResponse { state_id })
    }

    pub(crate) fn create_key_package(
        &self,
        request: CreateKeyPackageRequest,
    ) -> Result<CreateKeyPackageResponse, Failure> {
        let suite = self.settings.suite(request.cipher_suite)?;
        let (transaction, made) = Client::new(request.identity).transaction(&self.settings, suite)?;
        Ok(CreateKeyPackageResponse {
            transaction_id: self.registry.keep(Entry::Transaction(Arc::new(transaction)))?,
            key_package: made.message,
            init_priv: made.init_priv,
            encryption_priv: made.encryption_priv,
            signature_priv: made.signature_priv,
        })
    }

    pub(crate) fn join_group(&self, request: JoinGroupRequest) -> Result<JoinGroupResponse, Failure> {
        let transaction = self.registry.transaction(request.transaction_id)?;
        if transaction.client.identity != request.identity {
            return Err(Failure::Request("the KeyPackage has another identity"));
        }
        let policy = self.settings.policy(request.encrypt_handshake);
        let welcome = (request.welcome.as_slice(), request.ratchet_tree.as_slice());
        let group = transaction.join(&self.settings, &policy, welcome, None)?;
        let member = Member::new(transaction.client.clone(), transaction.signer.clone(), group);
        self.registry.forget(request.transaction_id);
        let epoch_authenticator = member.epoch_authenticator()?;
        Ok(JoinGroupResponse { state_id: self.registry.keep_member(member)?, epoch_authenticator })
    }

    pub(crate) fn external_join(
        &self,
        request: ExternalJoinRequest,
    ) -> Result<ExternalJoinResponse, Failure> {
        let policy = self.settings.policy(request.encrypt_handshake);
        let client = Client::new(request.identity.clone());
        for psk in request.psks.iter() {
            client.keep_psk(&psk.psk_id, &Secret::copy_of(&psk.psk_secret))?;
        }
        let psks = request.psks.iter().map(|psk| Psk::External { psk_id: psk.psk_id.clone() });
        let psks: Vec<Psk> = psks.collect();
        let answers = client.answers(&psks)?;
        let (group_info, tree) = (request.group_info.as_slice(), not_empty(&request.ratchet_tree));
        let resync = match request.remove_prior {
            true => Some(self.prior(group_info, tree, &policy, &request.identity)?),
            false => None,
        };
        let (signer, join) = self.external_join_settings(&client, group_info, policy)?;
        let join = ExternalJoin { resync, psks, answers, ..join };
        let staged = StagedExternalJoin::stage(group_info, tree, join, &*signer, now(), &mut random())?;
        let verdicts = judge(staged.checks(), &InsecureAcceptAll);
        let step = client.read(|store| Ok(staged.accept(&verdicts, store, &mut random())?))?;
        let (mut group, outgoing) = client.write(step)?;
        client.write(group.acknowledge(&outgoing.id)?)?;
        let member = Member::new(client, signer, group);
        let epoch_authenticator = member.epoch_authenticator()?;
        let state_id = self.registry.keep_member(member)?;
        Ok(ExternalJoinResponse { state_id, commit: outgoing.message, epoch_authenticator })
    }

    /// A key for the group's suite, and how to join.
    fn external_join_settings(
        &self,
        client: &Client,
        group_info: &[u8],
        policy: Policy,
    ) -> Result<(Arc<SoftwareSigner>, ExternalJoin), Failure> {
        let MlsMessage::GroupInfo(claimed) = MlsMessage::from_bytes_with(group_info, policy.decode)? else {
            return Err(Failure::Request("not a GroupInfo"));
        };
        // What it says is verified when we join; until then it is good for choosing the kind of key.
        let suite = self.settings.suite(claimed.inspect().group_context.cipher_suite.0.into())?;
        let signer = Arc::new(SoftwareSigner::generate(suite, &mut random())?);
        let credential = Credential::basic(client.identity.clone());
        let supported = self.settings.supported(suite.id());
        let join = ExternalJoin {
            policy,
            answers: Answers::none(),
            ..ExternalJoin::new(self.settings.provider, credential, supported)
        };
        Ok((signer, join))
    }

    /// The leaf with our identity, which the same commit removes.
    fn prior(
        &self,
        group_info: &[u8],
        tree: Option<&[u8]>,
        policy: &Policy,
        identity: &[u8],
    ) -> Result<LeafIndex, Failure> {
        let provider = &self.settings.provider;
        let view = GroupView::verify(group_info, tree, provider, (policy, now()), &mut random())?;
        Members::of(view.members())?.leaf_of(identity)
    }

    pub(crate) fn store_psk(&self, request: StorePskRequest) -> Result<StorePskResponse, Failure> {
        let client = match self.registry.find(request.state_or_transaction_id) {
            Some(Entry::State(member)) => lock(&member).client.clone(),
            Some(Entry::Transaction(transaction)) => transaction.client.clone(),
            // An actor that has neither yet. If it joins by an external commit, that brings the key once more.
            None if request.state_or_transaction_id == 0 => return Ok(StorePskResponse {}),
            Some(Entry::Reinit(_) | Entry::Signer(_)) | None => {
                return Err(Failure::NotFound("no such state or transaction"));
            }
        };
        client.keep_psk(&request.psk_id, &Secret::copy_of(&request.psk_secret))?;
        Ok(StorePskResponse {})
    }
}
