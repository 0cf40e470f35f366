//! A client: who somebody is and what it keeps, whatever group it is in.

use std::sync::{Arc, Mutex};

use hushwood::commit::Answers;
use hushwood::credential::{CredentialValidator, InsecureAcceptAll, judge};
use hushwood::crypto::{CipherSuite, HashReference, Secret, SoftwareSigner};
use hushwood::group::{Group, OpenedWelcome, client};
use hushwood::key_package::{KeyPackageBuilder, ValidKeyPackage, validate};
use hushwood::policy::Policy;
use hushwood::schedule::Psk;
use hushwood::transition::{InstanceId, RecordKind, Records, Step};
use hushwood::unverified::Unverified;
use hushwood_store::MemoryStore;

use crate::failure::Failure;
use crate::registry::lock;
use crate::settings::{Settings, now, random};

/// A client and its store.
pub(crate) struct Client {
    pub(crate) identity: Vec<u8>,
    store: Mutex<MemoryStore>,
}

/// A client with a KeyPackage that waits for a Welcome.
pub(crate) struct Transaction {
    pub(crate) client: Arc<Client>,
    pub(crate) signer: Arc<SoftwareSigner>,
    pub(crate) reference: HashReference,
}

/// A KeyPackage that was just made, with the private keys that the interface wants to see.
pub(crate) struct MadeKeyPackage {
    /// An MLSMessage.
    pub(crate) message: Vec<u8>,
    pub(crate) valid: ValidKeyPackage,
    pub(crate) init_priv: Vec<u8>,
    pub(crate) encryption_priv: Vec<u8>,
    pub(crate) signature_priv: Vec<u8>,
}

impl Client {
    pub(crate) fn new(identity: Vec<u8>) -> Arc<Self> {
        Arc::new(Self { identity, store: Mutex::new(MemoryStore::new()) })
    }

    /// Commits a step to the store.
    pub(crate) fn write<T>(&self, step: Step<'_, T>) -> Result<T, Failure> {
        Ok(step.commit(&mut *lock(&self.store))?)
    }

    /// Reads from the store.
    pub(crate) fn read<T>(
        &self,
        read: impl FnOnce(&MemoryStore) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        read(&lock(&self.store))
    }

    /// Keeps a pre-shared key.
    pub(crate) fn keep_psk(&self, psk_id: &[u8], key: &Secret) -> Result<(), Failure> {
        self.write(client::keep_psk(psk_id, key)?)
    }

    /// Those of these keys that the client has.
    pub(crate) fn answers<'p>(&self, asked: impl IntoIterator<Item = &'p Psk>) -> Result<Answers, Failure> {
        self.read(|store| Ok(Answers::from_store(store, asked)?))
    }

    /// Takes over the external pre-shared keys of another client, which is the same one by another id.
    pub(crate) fn keep_psks_of(&self, other: &Self) -> Result<(), Failure> {
        let keys = other.read(|store| {
            let mut keys = Vec::new();
            for (psk_id, _) in store.list(InstanceId::CLIENT, RecordKind::ExternalPsk)? {
                let psk = Psk::External { psk_id: psk_id.clone() };
                keys.extend(client::psk(store, &psk)?.map(|key| (psk_id, key)));
            }
            Ok(keys)
        })?;
        keys.iter().try_for_each(|(psk_id, key)| self.keep_psk(psk_id, key))
    }

    /// Makes a KeyPackage with a fresh signature key, and keeps its private part.
    pub(crate) fn transaction(
        self: &Arc<Self>,
        settings: &Settings,
        suite: &'static dyn CipherSuite,
    ) -> Result<(Transaction, MadeKeyPackage), Failure> {
        let signer = SoftwareSigner::generate(suite, &mut random())?;
        let policy = settings.policy(true);
        let content = settings.leaf(suite.id(), &self.identity);
        let new = KeyPackageBuilder::new(suite, content).build(&signer, &policy, now(), &mut random())?;
        let valid = validate(Unverified::new(new.key_package.clone()), suite, &policy, now())?;
        let init_priv = new.private.init_key().0.expose().to_vec();
        let encryption_priv = new.private.encryption_key().0.expose().to_vec();
        let signature_priv = signer.private_key().0.expose().to_vec();
        let reference = new.reference.clone();
        let message = self.write(client::keep_key_package(new)?)?;
        let made = MadeKeyPackage { message, valid, init_priv, encryption_priv, signature_priv };
        Ok((Transaction { client: self.clone(), signer: Arc::new(signer), reference }, made))
    }
}

impl Transaction {
    /// Joins a group by a Welcome. `ratchet_tree` is empty if the Welcome has it; `parent` is the group that the new one
    /// is to have grown out of.
    pub(crate) fn join(
        &self,
        settings: &Settings,
        policy: &Policy,
        (welcome, ratchet_tree): (&[u8], &[u8]),
        parent: Option<&Group>,
    ) -> Result<Group, Failure> {
        let step = self.client.read(|store| {
            let opened = OpenedWelcome::open(welcome, store, &settings.provider, policy)?;
            let answers = Answers::from_store(store, opened.psks())?;
            let users: &dyn CredentialValidator = &InsecureAcceptAll;
            let parent = parent.map(|group| (group, users));
            let staged = opened.stage(&answers, not_empty(ratchet_tree), parent, now(), &mut random())?;
            let verdicts = judge(staged.checks(), &InsecureAcceptAll);
            Ok(staged.accept(&verdicts, store, &mut random())?)
        })?;
        self.client.write(step)
    }

    /// Gives the KeyPackage up: the client is in the group without it.
    pub(crate) fn give_up(&self) -> Result<(), Failure> {
        self.client.write(client::forget_key_package(&self.reference))
    }
}

/// Bytes that were given; by none the interface says that there is nothing.
pub(crate) fn not_empty(bytes: &[u8]) -> Option<&[u8]> {
    Some(bytes).filter(|bytes| !bytes.is_empty())
}
