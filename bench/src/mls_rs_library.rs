//! mls-rs as a [`Library`], on one of its providers.
//!
//! Commits are PublicMessages with a path; what its configuration leaves open is as it comes, but for past epochs, of
//! which it keeps as many as Hushwood.

use std::hint::black_box;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, bail};
use hushwood::policy::Policy;
use hushwood_crypto::CipherSuiteId;
use mls_rs::client_builder::MlsConfig;
use mls_rs::external_client::builder::MlsConfig as ExternalMlsConfig;
use mls_rs::external_client::{ExternalClient, ExternalGroup, ExternalReceivedMessage};
use mls_rs::group::ReceivedMessage;
use mls_rs::identity::basic::BasicIdentityProvider;
use mls_rs::storage_provider::in_memory::{InMemoryGroupStateStorage, InMemoryKeyPackageStorage};
use mls_rs::time::MlsTime;
use mls_rs::{CipherSuiteProvider, Client, CryptoProvider, Group, KeyPackageStorage};
use mls_rs_core::group::{EpochRecord, GroupState, GroupStateStorage};
use mls_rs_crypto_awslc::AwsLcCryptoProvider;
use mls_rs_crypto_rustcrypto::RustCryptoProvider;
use mls_rs_provider_sqlite::connection_strategy::FileConnectionStrategy;
use mls_rs_provider_sqlite::{JournalMode, SqLiteDataStorageEngine};
use peers::mls_rs_peer::{Rules, bytes_of, message_in, signing_identity, tree_in, tree_out};
use peers::peer::{CipherSuite, CommitOptions, WireFormat};
use zeroize::Zeroizing;

use crate::counting::Kind;
use crate::library::{Change, HandedOver, Library, Member, Observer};
use crate::prices::{Primitive, SIZES};

/// mls-rs on one provider.
#[derive(Clone, Debug)]
pub struct MlsRs<P> {
    name: &'static str,
    crypto: P,
}

impl MlsRs<AwsLcCryptoProvider> {
    /// On AWS-LC.
    #[must_use]
    pub fn aws_lc() -> Self {
        Self { name: "mls-rs/aws-lc", crypto: AwsLcCryptoProvider::default() }
    }
}

impl MlsRs<RustCryptoProvider> {
    /// On RustCrypto.
    #[must_use]
    pub fn rustcrypto() -> Self {
        Self { name: "mls-rs/rustcrypto", crypto: RustCryptoProvider::default() }
    }
}

impl<P: CryptoProvider + Clone + 'static> MlsRs<P> {
    fn member_with<G, K>(
        &self,
        suite: CipherSuiteId,
        identity: &str,
        (groups, key_packages): (G, K),
    ) -> Result<Box<dyn Member>>
    where
        G: GroupStateStorage + Clone + 'static,
        K: KeyPackageStorage + Clone + 'static,
    {
        let suite = CipherSuite(suite.0);
        let (identity, signer) = signing_identity(&self.crypto, suite, identity.as_bytes())?;
        let options = Arc::new(Mutex::new(CommitOptions {
            force_path: true,
            tree_in_welcome: true,
            ..CommitOptions::default()
        }));
        let handed = Arc::default();
        let client = Client::builder()
            .crypto_provider(self.crypto.clone())
            .identity_provider(BasicIdentityProvider)
            .mls_rules(Rules { options: options.clone(), handshake: WireFormat::PublicMessage })
            .group_state_storage(Measured { store: groups, handed: Arc::clone(&handed) })
            .key_package_repo(key_packages)
            .signing_identity(identity, signer, suite.0.into())
            .build();
        Ok(Box::new(MlsRsMember {
            crypto: self.crypto.clone(),
            client,
            options,
            handed,
            group: None,
            id: None,
            stored: None,
            welcome: None,
        }))
    }
}

impl<P: CryptoProvider + Clone + 'static> Library for MlsRs<P> {
    fn name(&self) -> &str {
        self.name
    }

    fn member(&self, suite: CipherSuiteId, identity: &str, folder: Option<&Path>) -> Result<Box<dyn Member>> {
        let past_epochs = Policy::default().max_past_epochs;
        let Some(folder) = folder else {
            let groups = InMemoryGroupStateStorage::new().with_max_epoch_retention(past_epochs)?;
            return self.member_with(suite, identity, (groups, InMemoryKeyPackageStorage::default()));
        };
        // SQLite is as durable as it is for the others: `synchronous` is FULL unless said otherwise.
        let engine = SqLiteDataStorageEngine::new(FileConnectionStrategy::new(&folder.join("store")))?
            .with_journal_mode(Some(JournalMode::Wal));
        let groups = engine.group_state_storage()?.with_max_epoch_retention(past_epochs as u64);
        self.member_with(suite, identity, (groups, engine.key_package_storage()?))
    }

    fn primitives(&self, suite: CipherSuiteId) -> Result<Vec<Primitive>> {
        let provider = self.crypto.cipher_suite_provider(suite.0.into());
        primitives(&provider.context("the provider lacks the suite")?)
    }
}

/// A store that counts what is handed to it.
#[derive(Clone)]
struct Measured<S> {
    store: S,
    handed: Arc<Mutex<HandedOver>>,
}

impl<S: GroupStateStorage> GroupStateStorage for Measured<S> {
    type Error = S::Error;

    fn state(&self, group_id: &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>, S::Error> {
        self.store.state(group_id)
    }

    fn epoch(&self, group_id: &[u8], epoch_id: u64) -> Result<Option<Zeroizing<Vec<u8>>>, S::Error> {
        self.store.epoch(group_id, epoch_id)
    }

    fn write(
        &mut self,
        state: GroupState,
        inserted: Vec<EpochRecord>,
        updated: Vec<EpochRecord>,
    ) -> Result<(), S::Error> {
        let epochs = inserted.iter().chain(&updated);
        let bytes: usize = epochs.map(|epoch| state.id.len() + size_of::<u64>() + epoch.data.len()).sum();
        {
            let mut handed = self.handed.lock().unwrap_or_else(PoisonError::into_inner);
            handed.bytes += (state.id.len() + state.data.len() + bytes) as u64;
            handed.rows += (1 + inserted.len() + updated.len()) as u64;
        }
        self.store.write(state, inserted, updated)
    }

    fn max_epoch_id(&self, group_id: &[u8]) -> Result<Option<u64>, S::Error> {
        self.store.max_epoch_id(group_id)
    }
}

struct MlsRsMember<P, C: MlsConfig> {
    crypto: P,
    client: Client<C>,
    options: Arc<Mutex<CommitOptions>>,
    handed: Arc<Mutex<HandedOver>>,
    group: Option<Group<C>>,
    /// Of the group, also when it is closed.
    id: Option<Vec<u8>>,
    /// The epoch that was stored last.
    stored: Option<u64>,
    /// Of the commit made last.
    welcome: Option<Vec<u8>>,
}

impl<P, C: MlsConfig> MlsRsMember<P, C> {
    fn group(&mut self) -> Result<&mut Group<C>> {
        self.group.as_mut().context("no group")
    }

    fn enter(&mut self, group: Group<C>) {
        self.id = Some(group.group_id().to_vec());
        self.group = Some(group);
    }

    fn load(&self) -> Result<Group<C>> {
        Ok(self.client.load_group(self.id.as_ref().context("no group was stored")?)?)
    }
}

impl<P: CryptoProvider + Clone + 'static, C: MlsConfig + 'static> Member for MlsRsMember<P, C> {
    fn key_package(&mut self) -> Result<Vec<u8>> {
        let message = self.client.generate_key_package_message(
            Default::default(),
            Default::default(),
            Some(MlsTime::now()),
        )?;
        Ok(bytes_of(&message)?)
    }

    fn create(&mut self) -> Result<()> {
        let now = Some(MlsTime::now());
        let group = self.client.create_group(Default::default(), Default::default(), now)?;
        self.enter(group);
        Ok(())
    }

    fn join(&mut self, welcome: &[u8], tree: Option<&[u8]>) -> Result<()> {
        let tree = tree.map(tree_in).transpose()?;
        let (group, _) = self.client.join_group(tree, &message_in(welcome)?, Some(MlsTime::now()))?;
        self.enter(group);
        Ok(())
    }

    fn external_commit(&mut self, group_info: &[u8]) -> Result<Vec<u8>> {
        let builder = self.client.external_commit_builder()?;
        let (group, commit) = builder.build(message_in(group_info)?)?;
        self.enter(group);
        Ok(bytes_of(&commit)?)
    }

    fn tree_in_welcome(&mut self, inside: bool) -> Result<()> {
        self.options.lock().unwrap_or_else(PoisonError::into_inner).tree_in_welcome = inside;
        Ok(())
    }

    fn commit(&mut self, change: Change<'_>) -> Result<Vec<u8>> {
        let mut builder = self.group()?.commit_builder().commit_time(MlsTime::now());
        builder = match change {
            Change::Update => builder,
            Change::Remove(leaf) => builder.remove_member(leaf)?,
            Change::Add(key_packages) => {
                for key_package in key_packages {
                    builder = builder.add_member(message_in(key_package)?)?;
                }
                builder
            }
        };
        let output = builder.build()?;
        self.welcome = output.welcome_messages.first().map(bytes_of).transpose()?;
        Ok(bytes_of(&output.commit_message)?)
    }

    fn apply(&mut self) -> Result<Option<Vec<u8>>> {
        self.group()?.apply_pending_commit()?;
        Ok(self.welcome.take())
    }

    fn ratchet_tree(&mut self) -> Result<Vec<u8>> {
        Ok(tree_out(&self.group()?.export_tree())?)
    }

    fn discard(&mut self) -> Result<()> {
        self.group()?.clear_pending_commit();
        Ok(())
    }

    fn process(&mut self, commit: &[u8]) -> Result<()> {
        let message = message_in(commit)?;
        match self.group()?.process_incoming_message_with_time(message, MlsTime::now())? {
            ReceivedMessage::Commit(_) => Ok(()),
            _ => bail!("not a commit"),
        }
    }

    fn encrypt(&mut self, plaintext: &[u8]) -> Result<Vec<u8>> {
        Ok(bytes_of(&self.group()?.encrypt_application_message(plaintext, Vec::new())?)?)
    }

    fn decrypt(&mut self, message: &[u8]) -> Result<Vec<u8>> {
        let message = message_in(message)?;
        match self.group()?.process_incoming_message_with_time(message, MlsTime::now())? {
            ReceivedMessage::ApplicationMessage(said) => Ok(said.data().to_vec()),
            _ => bail!("not a message"),
        }
    }

    fn group_info(&mut self) -> Result<Vec<u8>> {
        Ok(bytes_of(&self.group()?.group_info_message_allowing_ext_commit(true)?)?)
    }

    fn leaf(&self) -> Result<u32> {
        Ok(self.group.as_ref().context("no group")?.current_member_index())
    }

    fn epoch_authenticator(&self) -> Result<Vec<u8>> {
        Ok(self.group.as_ref().context("no group")?.epoch_authenticator()?.as_bytes().to_vec())
    }

    fn tidy(&mut self) -> Result<()> {
        let epoch = self.group.as_ref().map(Group::current_epoch);
        if epoch.is_some() && epoch != self.stored { self.store() } else { Ok(()) }
    }

    fn stores_apart(&self) -> bool {
        true
    }

    fn store(&mut self) -> Result<()> {
        let group = self.group()?;
        group.write_to_storage()?;
        self.stored = Some(group.current_epoch());
        Ok(())
    }

    fn watch(&mut self) {
        self.handed_over();
    }

    fn handed_over(&mut self) -> HandedOver {
        std::mem::take(&mut *self.handed.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn past_epochs(&self) -> usize {
        Policy::default().max_past_epochs
    }

    fn close(&mut self) {
        self.group = None;
    }

    fn open(&mut self) -> Result<()> {
        self.group = Some(self.load()?);
        Ok(())
    }

    fn open_and_encrypt(&mut self, plaintext: &[u8]) -> Result<Vec<u8>> {
        Ok(bytes_of(&self.load()?.encrypt_application_message(plaintext, Vec::new())?)?)
    }

    fn observer(&mut self) -> Result<Option<Box<dyn Observer>>> {
        let client = ExternalClient::builder()
            .crypto_provider(self.crypto.clone())
            .identity_provider(BasicIdentityProvider)
            .build();
        let group_info = message_in(&self.group_info()?)?;
        Ok(Some(Box::new(MlsRsObserver(client.observe_group(group_info, None, Some(MlsTime::now()))?))))
    }
}

struct MlsRsObserver<C: ExternalMlsConfig>(ExternalGroup<C>);

impl<C: ExternalMlsConfig> Observer for MlsRsObserver<C> {
    fn follow(&mut self, commit: &[u8]) -> Result<()> {
        let message = message_in(commit)?;
        match self.0.process_incoming_message_with_time(message, MlsTime::now())? {
            ExternalReceivedMessage::Commit(_) => Ok(()),
            _ => bail!("not a commit"),
        }
    }
}

/// Encapsulation and decapsulation are not offered alone: with what HPKE does besides.
#[expect(clippy::type_complexity, reason = "used once")]
fn primitives<S: CipherSuiteProvider + Clone + 'static>(suite: &S) -> Result<Vec<Primitive>> {
    let fail = |error: S::Error| anyhow::anyhow!("{error:?}");
    let ikm = vec![5; suite.kdf_extract_size()];
    let (secret, public) = suite.kem_derive(&ikm).map_err(fail)?;
    let (signing, verifying) = suite.signature_key_generate().map_err(fail)?;
    let sealed = suite.hpke_seal(&public, b"", None, b"x").map_err(fail)?;
    let (key, nonce) = (vec![1; suite.aead_key_size()], vec![2; suite.aead_nonce_size()]);
    let mut all = Vec::new();
    let mut add = |kind, bytes: usize, mut run: Box<dyn FnMut(&S, &[u8])>| {
        let (suite, text) = (suite.clone(), vec![7; bytes]);
        all.push(Primitive::new(kind, bytes, move || run(&suite, &text)));
    };
    let to = public.clone();
    add(
        Kind::Encap,
        0,
        Box::new(move |suite, _| {
            let _ = black_box(suite.hpke_seal(&to, b"", None, b"x"));
        }),
    );
    add(
        Kind::Decap,
        0,
        Box::new(move |suite, _| {
            let _ = black_box(suite.hpke_open(&sealed, &secret, &public, b"", None));
        }),
    );
    add(
        Kind::DeriveKeyPair,
        0,
        Box::new(move |suite, _| {
            let _ = black_box(suite.kem_derive(&ikm));
        }),
    );
    for bytes in SIZES {
        let text = vec![7; bytes];
        let signature = suite.sign(&signing, &text).map_err(fail)?;
        let sealed = suite.aead_seal(&key, &text, None, &nonce).map_err(fail)?;
        let (signing, verifying) = (signing.clone(), verifying.clone());
        add(
            Kind::Sign,
            bytes,
            Box::new(move |suite, text| {
                let _ = black_box(suite.sign(&signing, text));
            }),
        );
        add(
            Kind::Verify,
            bytes,
            Box::new(move |suite, text| {
                let _ = black_box(suite.verify(&verifying, &signature, text));
            }),
        );
        add(
            Kind::Hash,
            bytes,
            Box::new(move |suite, text| {
                let _ = black_box(suite.hash(text));
            }),
        );
        add(
            Kind::Hmac,
            bytes,
            Box::new(move |suite, text| {
                let _ = black_box(suite.mac(&[3; 32], text));
            }),
        );
        let (key_again, nonce_again) = (key.clone(), nonce.clone());
        add(
            Kind::Seal,
            bytes,
            Box::new(move |suite, text| {
                let _ = black_box(suite.aead_seal(&key_again, text, None, &nonce_again));
            }),
        );
        let (key_again, nonce_again) = (key.clone(), nonce.clone());
        add(
            Kind::Open,
            bytes,
            Box::new(move |suite, _| {
                let _ = black_box(suite.aead_open(&key_again, &sealed, None, &nonce_again));
            }),
        );
    }
    Ok(all)
}
