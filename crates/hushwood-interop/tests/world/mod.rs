//! Servers in this process, on free ports, and the actors that the runner would have.

#![allow(dead_code)]

use std::future::pending;

use hushwood::crypto::CryptoProvider;
use hushwood_interop::proto::mls_client_client::MlsClientClient;
use hushwood_interop::proto::*;
use hushwood_interop::{Settings, serve};
use tokio::net::TcpListener;
use tonic::transport::Channel;

pub(crate) type Rpc = MlsClientClient<Channel>;

/// A server with this provider, and a connection to it.
pub(crate) async fn server(provider: CryptoProvider) -> Rpc {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, Settings::new(provider), pending()));
    Rpc::connect(format!("http://{address}")).await.unwrap()
}

/// Two servers, one on each provider.
pub(crate) async fn servers() -> (Rpc, Rpc) {
    (server(hushwood_aws_lc::PROVIDER).await, server(hushwood_rustcrypto::PROVIDER).await)
}

/// How a conversation is held.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mode {
    pub(crate) suite: u32,
    pub(crate) encrypt: bool,
}

pub(crate) const SIMPLE: Mode = Mode { suite: 1, encrypt: true };

/// A member that a server plays.
pub(crate) struct Actor {
    pub(crate) rpc: Rpc,
    pub(crate) name: &'static str,
    pub(crate) mode: Mode,
    pub(crate) state: u32,
}

/// A KeyPackage that waits for a Welcome.
pub(crate) struct Joiner {
    pub(crate) rpc: Rpc,
    pub(crate) name: &'static str,
    pub(crate) mode: Mode,
    pub(crate) transaction: u32,
    pub(crate) key_package: Vec<u8>,
}

pub(crate) fn add(joiner: &Joiner) -> ProposalDescription {
    ProposalDescription {
        proposal_type: b"add".to_vec(),
        key_package: joiner.key_package.clone(),
        ..Default::default()
    }
}

pub(crate) fn remove(name: &str) -> ProposalDescription {
    ProposalDescription { proposal_type: b"remove".to_vec(), removed_id: name.into(), ..Default::default() }
}

/// `name` of a key package, made on a server.
pub(crate) async fn joiner(rpc: &Rpc, name: &'static str, mode: Mode) -> Joiner {
    let mut rpc = rpc.clone();
    let request = CreateKeyPackageRequest { cipher_suite: mode.suite, identity: name.into() };
    let made = rpc.create_key_package(request).await.unwrap().into_inner();
    assert!(!made.init_priv.is_empty() && !made.encryption_priv.is_empty());
    assert!(!made.signature_priv.is_empty());
    Joiner { rpc, name, mode, transaction: made.transaction_id, key_package: made.key_package }
}

impl Joiner {
    pub(crate) async fn join(mut self, welcome: &[u8], tree: &[u8], authenticator: &[u8]) -> Actor {
        let request = JoinGroupRequest {
            transaction_id: self.transaction,
            welcome: welcome.to_vec(),
            encrypt_handshake: self.mode.encrypt,
            identity: self.name.into(),
            ratchet_tree: tree.to_vec(),
        };
        let joined = self.rpc.join_group(request).await.unwrap().into_inner();
        assert_eq!(joined.epoch_authenticator, authenticator, "{}", self.name);
        Actor { rpc: self.rpc, name: self.name, mode: self.mode, state: joined.state_id }
    }
}

/// A group of one.
pub(crate) async fn creator(rpc: &Rpc, name: &'static str, mode: Mode) -> Actor {
    let mut rpc = rpc.clone();
    let request = CreateGroupRequest {
        group_id: b"group".to_vec(),
        cipher_suite: mode.suite,
        encrypt_handshake: mode.encrypt,
        identity: name.into(),
    };
    let state = rpc.create_group(request).await.unwrap().into_inner().state_id;
    Actor { rpc, name, mode, state }
}

/// Alice and Bob in a group, on these servers.
pub(crate) async fn pair(a: &Rpc, b: &Rpc, mode: Mode) -> (Actor, Actor) {
    let mut alice = creator(a, "alice", mode).await;
    let bob = joiner(b, "bob", mode).await;
    let commit = alice.commit(vec![], vec![add(&bob)], &mut []).await;
    let bob = bob.join(&commit.welcome, &[], &commit.authenticator).await;
    (alice, bob)
}

/// A commit that all members have followed.
pub(crate) struct Done {
    pub(crate) welcome: Vec<u8>,
    pub(crate) ratchet_tree: Vec<u8>,
    pub(crate) authenticator: Vec<u8>,
}

impl Actor {
    /// Commits, and has all members follow.
    pub(crate) async fn commit(
        &mut self,
        by_reference: Vec<Vec<u8>>,
        by_value: Vec<ProposalDescription>,
        members: &mut [&mut Actor],
    ) -> Done {
        self.commit_with((false, false), by_reference, by_value, members).await
    }

    pub(crate) async fn commit_with(
        &mut self,
        (force_path, external_tree): (bool, bool),
        by_reference: Vec<Vec<u8>>,
        by_value: Vec<ProposalDescription>,
        members: &mut [&mut Actor],
    ) -> Done {
        let request = CommitRequest {
            state_id: self.state,
            by_reference: by_reference.clone(),
            by_value,
            force_path,
            external_tree,
        };
        let made = self.rpc.commit(request).await.unwrap().into_inner();
        let authenticator = self.apply().await;
        for member in members {
            assert_eq!(member.follow(&by_reference, &made.commit).await, authenticator, "{}", member.name);
        }
        Done { welcome: made.welcome, ratchet_tree: made.ratchet_tree, authenticator }
    }

    pub(crate) async fn apply(&mut self) -> Vec<u8> {
        let request = HandlePendingCommitRequest { state_id: self.state };
        let reply = self.rpc.handle_pending_commit(request).await.unwrap().into_inner();
        self.state = reply.state_id;
        reply.epoch_authenticator
    }

    pub(crate) async fn follow(&mut self, proposals: &[Vec<u8>], commit: &[u8]) -> Vec<u8> {
        let request = HandleCommitRequest {
            state_id: self.state,
            proposal: proposals.to_vec(),
            commit: commit.to_vec(),
        };
        let reply = self.rpc.handle_commit(request).await.unwrap().into_inner();
        self.state = reply.state_id;
        reply.epoch_authenticator
    }

    pub(crate) async fn protect(&mut self, plaintext: &str) -> Vec<u8> {
        let request = ProtectRequest {
            state_id: self.state,
            authenticated_data: b"aad".to_vec(),
            plaintext: plaintext.into(),
        };
        self.rpc.protect(request).await.unwrap().into_inner().ciphertext
    }

    pub(crate) async fn unprotect(&mut self, ciphertext: &[u8]) -> String {
        let request = UnprotectRequest { state_id: self.state, ciphertext: ciphertext.to_vec() };
        let said = self.rpc.unprotect(request).await.unwrap().into_inner();
        assert_eq!(said.authenticated_data, b"aad");
        String::from_utf8(said.plaintext).unwrap()
    }

    /// Says something to the others, who hear it.
    pub(crate) async fn speaks_to(&mut self, others: &mut [&mut Actor]) {
        let ciphertext = self.protect(self.name).await;
        for other in others {
            assert_eq!(other.unprotect(&ciphertext).await, self.name);
        }
    }

    pub(crate) async fn update(&mut self) -> Vec<u8> {
        let request = UpdateProposalRequest { state_id: self.state };
        self.rpc.update_proposal(request).await.unwrap().into_inner().proposal
    }

    pub(crate) async fn add_proposal(&mut self, joiner: &Joiner) -> Vec<u8> {
        let key_package = joiner.key_package.clone();
        let request = AddProposalRequest { state_id: self.state, key_package };
        self.rpc.add_proposal(request).await.unwrap().into_inner().proposal
    }

    pub(crate) async fn remove_proposal(&mut self, name: &str) -> Vec<u8> {
        let request = RemoveProposalRequest { state_id: self.state, removed_id: name.into() };
        self.rpc.remove_proposal(request).await.unwrap().into_inner().proposal
    }

    pub(crate) async fn extensions_proposal(&mut self, extensions: Vec<Extension>) -> Vec<u8> {
        let request = GroupContextExtensionsProposalRequest { state_id: self.state, extensions };
        self.rpc.group_context_extensions_proposal(request).await.unwrap().into_inner().proposal
    }

    pub(crate) async fn psk_proposal(&mut self, psk_id: &[u8]) -> Vec<u8> {
        let request = ExternalPskProposalRequest { state_id: self.state, psk_id: psk_id.to_vec() };
        self.rpc.external_psk_proposal(request).await.unwrap().into_inner().proposal
    }

    pub(crate) async fn resumption_proposal(&mut self, epoch_id: u64) -> Vec<u8> {
        let request = ResumptionPskProposalRequest { state_id: self.state, epoch_id };
        self.rpc.resumption_psk_proposal(request).await.unwrap().into_inner().proposal
    }

    pub(crate) async fn reinit_proposal(&mut self, group_id: &[u8], cipher_suite: u32) -> Vec<u8> {
        let request = ReInitProposalRequest {
            state_id: self.state,
            cipher_suite,
            group_id: group_id.to_vec(),
            extensions: vec![],
        };
        self.rpc.re_init_proposal(request).await.unwrap().into_inner().proposal
    }

    pub(crate) async fn group_info(&mut self, external_tree: bool) -> GroupInfoResponse {
        let request = GroupInfoRequest { state_id: self.state, external_tree };
        self.rpc.group_info(request).await.unwrap().into_inner()
    }

    pub(crate) async fn state_auth(&mut self) -> Vec<u8> {
        let request = StateAuthRequest { state_id: self.state };
        self.rpc.state_auth(request).await.unwrap().into_inner().state_auth_secret
    }

    pub(crate) async fn export(&mut self, key_length: u32) -> Vec<u8> {
        let request = ExportRequest {
            state_id: self.state,
            label: "label".into(),
            context: b"context".to_vec(),
            key_length,
        };
        self.rpc.export(request).await.unwrap().into_inner().exported_secret
    }

    pub(crate) async fn store_psk(&mut self, psk_id: &[u8], psk_secret: &[u8]) {
        store_psk(&mut self.rpc, self.state, psk_id, psk_secret).await;
    }
}

pub(crate) async fn store_psk(rpc: &mut Rpc, id: u32, psk_id: &[u8], psk_secret: &[u8]) {
    let request = StorePskRequest {
        state_or_transaction_id: id,
        psk_id: psk_id.to_vec(),
        psk_secret: psk_secret.to_vec(),
    };
    rpc.store_psk(request).await.unwrap();
}

pub(crate) fn extension(extension_type: u32, extension_data: &[u8]) -> Extension {
    Extension { extension_type, extension_data: extension_data.to_vec() }
}
