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
use serde::{Deserialize, Serialize};

use super::newcomer::Newcomer;
use super::talk::{By, Deed, PSK, PSK_ID, Talk, Turn};
use super::{Checks, Generator, Hex};
use crate::random::SeededRandom;
use crate::table::Row;

#[derive(Deserialize, Serialize)]
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

#[derive(Deserialize, Serialize)]
struct ExternalPsk {
    psk_id: Hex,
    psk: Hex,
}

#[derive(Deserialize, Serialize)]
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

/// Makes `passive-client-welcome.json`: with the tree in the Welcome and beside it, with a pre-shared key and
/// without, with a path and without.
pub(super) fn generate_welcome(generator: &Generator) -> String {
    generator.each_suite("passive-client-welcome", |suite, random| {
        let mut vectors = Vec::new();
        for case in 0..8 {
            let way = Way { tree_beside: case & 1 != 0, with_psk: case & 2 != 0, omit_path: case & 4 != 0 };
            let mut talk = Talk::new(generator.provider(), suite, (3, true), random);
            vectors.push(Vector::joined(&mut talk, generator, suite, way));
        }
        vectors
    })
}

/// Makes `passive-client-handling-commit.json`: every kind of proposal in both forms, alone, with messages of
/// both kinds; no proposal, all of them, and an external commit.
pub(super) fn generate_handling_commit(generator: &Generator) -> String {
    const ALL: [Deed; 5] = [Deed::Add, Deed::Extensions, Deed::Psk, Deed::Remove, Deed::Update];
    let way = Way { tree_beside: false, with_psk: false, omit_path: false };
    generator.each_suite("passive-client-handling-commit", |suite, random| {
        let mut vectors = Vec::new();
        for (number, by) in [By::Reference, By::Value].into_iter().enumerate() {
            let mut cases: Vec<Vec<Deed>> = vec![Vec::new(), ALL.into()];
            cases.extend(ALL.map(|deed| vec![deed]));
            for deeds in cases {
                let mut talk = Talk::new(generator.provider(), suite, (4, number == 0), random);
                let mut vector = Vector::joined(&mut talk, generator, suite, way);
                for _ in 0..2 {
                    let deeds: Vec<_> = deeds.iter().map(|deed| (*deed, by)).collect();
                    let committer = talk.somebody();
                    vector.epochs.push(talk.turn(committer, &deeds).into());
                }
                vectors.push(vector);
            }
        }
        let mut talk = Talk::new(generator.provider(), suite, (3, true), random);
        let mut vector = Vector::joined(&mut talk, generator, suite, way);
        vector.epochs.extend([talk.external_turn().into(), talk.external_turn().into()]);
        vectors.push(vector);
        vectors
    })
}

/// Makes `passive-client-random.json`: for each suite a long conversation about anything.
pub(super) fn generate_random(generator: &Generator) -> String {
    let way = Way { tree_beside: true, with_psk: true, omit_path: false };
    generator.each_suite("passive-client-random", |suite, random| {
        let mut talk = Talk::new(generator.provider(), suite, (3, true), random);
        let mut vector = Vector::joined(&mut talk, generator, suite, way);
        for _ in 0..40 {
            vector.epochs.push(anything(&mut talk).into());
        }
        vec![vector]
    })
}

fn anything(talk: &mut Talk) -> Turn {
    if talk.random.below(10) == 0 {
        return talk.external_turn();
    }
    let mut deeds = Vec::new();
    for deed in [Deed::Add, Deed::Add, Deed::Extensions, Deed::Psk, Deed::Remove, Deed::Update, Deed::Update]
    {
        // It neither dies out nor grows without end.
        let likely = match deed {
            Deed::Add => talk.actors.len() < 10,
            Deed::Remove => talk.actors.len() > 4,
            Deed::Extensions | Deed::Psk | Deed::Update => talk.random.below(2) == 0,
        };
        if likely && talk.random.below(2) == 0 {
            let by = if talk.random.below(2) == 0 { By::Reference } else { By::Value };
            deeds.push((deed, by));
        }
    }
    let committer = talk.somebody();
    talk.turn(committer, &deeds)
}

/// How the client comes in.
#[derive(Clone, Copy)]
struct Way {
    tree_beside: bool,
    with_psk: bool,
    omit_path: bool,
}

impl Vector {
    /// A vector that ends with the client in the group.
    fn joined(talk: &mut Talk, generator: &Generator, suite: &'static dyn CipherSuite, way: Way) -> Self {
        let newcomer = Newcomer::new(generator.provider(), suite, &mut talk.random);
        talk.set_ratchet_tree_extension(!way.tree_beside);
        let (turn, change) = talk.tell(&newcomer.key_package, way.with_psk, way.omit_path);
        talk.set_ratchet_tree_extension(true);
        Self {
            cipher_suite: suite.id().0,
            external_psks: vec![ExternalPsk { psk_id: Hex(PSK_ID.to_vec()), psk: Hex(PSK.to_vec()) }],
            key_package: newcomer.key_package,
            signature_priv: newcomer.signature_priv,
            encryption_priv: newcomer.encryption_priv,
            init_priv: newcomer.init_priv,
            welcome: Hex(change.welcomes[0].message.clone()),
            ratchet_tree: way.tree_beside.then(|| talk.tree()),
            initial_epoch_authenticator: Hex(turn.authenticator),
            epochs: Vec::new(),
        }
    }
}

impl From<Turn> for Epoch {
    fn from(turn: Turn) -> Self {
        Self {
            proposals: turn.proposals.into_iter().map(Hex).collect(),
            commit: Hex(turn.commit),
            epoch_authenticator: Hex(turn.authenticator),
        }
    }
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
