//! `passive-client-*.json`: a client that joins by a Welcome and follows a group, through the public API
//! and with a store, as an application would.

use hushwood::commit::Answers;
use hushwood::credential::{InsecureAcceptAll, judge};
use hushwood::error::{ApiMisuse, Error, NotNow};
use hushwood::framing::MlsMessage;
use hushwood::group::{Group, OpenedWelcome, Received, client};
use hushwood::key_package::{KeyPackagePrivate, NewKeyPackage};
use hushwood::policy::{Policy, Timestamp};
use hushwood::tree::LeafNodeSource;
use hushwood_codec::Decode;
use hushwood_crypto::{
    CipherSuite, CipherSuiteId, CryptoProvider, HpkePrivateKey, Secret, SignaturePrivateKey,
};
use hushwood_store::MemoryStore;
use serde::Deserialize;

use super::{Checks, Hex};
use crate::random::SeededRandom;
use crate::table::Row;

#[derive(Deserialize)]
struct Vector {
    cipher_suite: u16,
    external_psks: Vec<ExternalPsk>,
    key_package: Hex,
    signature_priv: Hex,
    encryption_priv: Hex,
    init_priv: Hex,
    welcome: Hex,
    ratchet_tree: Option<Hex>,
    initial_epoch_authenticator: Hex,
    epochs: Vec<Epoch>,
}

#[derive(Deserialize)]
struct ExternalPsk {
    psk_id: Hex,
    psk: Hex,
}

#[derive(Deserialize)]
struct Epoch {
    proposals: Vec<Hex>,
    commit: Hex,
    epoch_authenticator: Hex,
}

/// Runs `passive-client-handling-commit.json`.
#[must_use]
pub fn handling_commit(provider: &CryptoProvider, json: &str) -> Row {
    run("passive-client-handling-commit", provider, json)
}

/// Runs `passive-client-random.json`.
#[must_use]
pub fn random(provider: &CryptoProvider, json: &str) -> Row {
    run("passive-client-random", provider, json)
}

/// Runs `passive-client-welcome.json`.
#[must_use]
pub fn welcome(provider: &CryptoProvider, json: &str) -> Row {
    run("passive-client-welcome", provider, json)
}

fn run(name: &str, provider: &CryptoProvider, json: &str) -> Row {
    let case = |vector: &Vector, suite: &'static dyn CipherSuite, checks: &mut Checks<'_>| {
        let mut client = match Client::new(vector, suite, provider) {
            Ok(client) => client,
            Err(error) => return checks.good(&format!("keys: {error}"), false),
        };
        if let Err(error) = client.join(vector) {
            return checks.good(&format!("joining: {error}"), false);
        }
        checks.equal(
            "initial_epoch_authenticator",
            &client.authenticator(),
            &vector.initial_epoch_authenticator,
        );
        for (number, epoch) in vector.epochs.iter().enumerate() {
            if let Err(error) = client.follow(epoch) {
                return checks.good(&format!("epoch {number}: {error}"), false);
            }
            let what = format!("epoch_authenticator after commit {number}");
            checks.equal(&what, &client.authenticator(), &epoch.epoch_authenticator);
        }
    };
    super::for_each_suite(name, provider, json, |vector: &Vector| vector.cipher_suite, case)
}

struct Client<'p> {
    provider: &'p CryptoProvider,
    store: MemoryStore,
    policy: Policy,
    now: Timestamp,
    random: SeededRandom,
    group: Option<Group>,
}

impl<'p> Client<'p> {
    fn new(
        vector: &Vector,
        suite: &'static dyn CipherSuite,
        provider: &'p CryptoProvider,
    ) -> Result<Self, Error> {
        let MlsMessage::KeyPackage(key_package) = MlsMessage::from_bytes(&vector.key_package.0)? else {
            return Err(NotNow::NoKeyPackage.into());
        };
        let key_package = key_package.inspect().clone();
        let signature_key = SignaturePrivateKey(scalar(&vector.signature_priv, suite));
        if suite.signature().public_key(&signature_key)? != key_package.leaf_node.signature_key {
            return Err(ApiMisuse::SignerMismatch.into());
        }
        // The lifetimes are of the day the file was made, and some have no end.
        let policy = Policy { max_lifetime: u64::MAX, check_lifetime_on_add: false, ..Policy::default() };
        let now = match &key_package.leaf_node.leaf_node_source {
            LeafNodeSource::KeyPackage(lifetime) => Timestamp(lifetime.not_before.saturating_add(1)),
            LeafNodeSource::Update | LeafNodeSource::Commit { .. } => Timestamp(0),
        };
        let mut store = MemoryStore::new();
        let reference = key_package.reference(suite)?;
        let init_key = HpkePrivateKey(scalar(&vector.init_priv, suite));
        let encryption_key = HpkePrivateKey(scalar(&vector.encryption_priv, suite));
        let private = KeyPackagePrivate::from_parts(key_package.clone(), init_key, encryption_key, suite)?;
        let step = client::keep_key_package(NewKeyPackage { key_package, reference, private })?;
        step.commit(&mut store).unwrap();
        for psk in &vector.external_psks {
            client::keep_psk(&psk.psk_id.0, &psk.psk.secret())?.commit(&mut store).unwrap();
        }
        Ok(Self { provider, store, policy, now, random: SeededRandom::new(1), group: None })
    }

    fn join(&mut self, vector: &Vector) -> Result<(), Error> {
        let opened = OpenedWelcome::open(&vector.welcome.0, &self.store, self.provider, &self.policy)?;
        let answers = Answers::from_store(&self.store, opened.psks())?;
        let tree = vector.ratchet_tree.as_ref().map(|tree| tree.0.as_slice());
        let staged = opened.stage(&answers, tree, None, self.now, &mut self.random)?;
        let verdicts = judge(staged.checks(), &InsecureAcceptAll);
        let step = staged.accept(&verdicts, &self.store, &mut self.random)?;
        self.group = Some(step.commit(&mut self.store).unwrap());
        Ok(())
    }

    fn follow(&mut self, epoch: &Epoch) -> Result<(), Error> {
        for message in epoch.proposals.iter().chain([&epoch.commit]) {
            self.receive(&message.0)?;
        }
        // What is shown from here on holds over a restart.
        if let Some(group) = self.group.take() {
            self.group = Some(Group::open(&self.store, self.provider, group.instance())?);
        }
        Ok(())
    }

    fn receive(&mut self, message: &[u8]) -> Result<(), Error> {
        let group = self.group.as_mut().unwrap();
        match group.receive(message, self.now)? {
            Received::Proposal(received) => {
                let verdicts = judge(received.checks(), &InsecureAcceptAll);
                group.accept_proposal(received, &verdicts)?.commit(&mut self.store).unwrap();
            }
            Received::Commit(received) => {
                let answers = Answers::from_store(&self.store, received.psks())?;
                let staged = group.stage_commit(&received, &answers, self.now, &mut self.random)?;
                let verdicts = judge(staged.checks(), &InsecureAcceptAll);
                group.accept_commit(staged, &verdicts, self.now)?.commit(&mut self.store).unwrap();
            }
            Received::Message(_) | Received::OwnCommit(_) | Received::OwnProposal(_) => {
                return Err(NotNow::NotForGroup.into());
            }
        }
        Ok(())
    }

    fn authenticator(&self) -> Vec<u8> {
        self.group.as_ref().unwrap().epoch_authenticator().unwrap_or_default().to_vec()
    }
}

/// A private key of the file at full width: the files leave out the zero that most scalars of P-521 begin
/// with, which RFC 9180 §7.1.2 has.
fn scalar(key: &Hex, suite: &dyn CipherSuite) -> Secret {
    const P521: CipherSuiteId = CipherSuiteId(5);
    let missing = match suite.id() {
        P521 => suite.kem().private_key_length().saturating_sub(key.0.len()),
        _ => 0,
    };
    let mut scalar = vec![0; missing];
    scalar.extend_from_slice(&key.0);
    Secret::new(scalar)
}
