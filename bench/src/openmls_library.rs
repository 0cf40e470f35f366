//! OpenMLS as a [`Library`], on one of its providers.
//!
//! Commits are PublicMessages with a path; what its configuration leaves open is as it comes.

use std::path::Path;

use anyhow::{Context, Result, bail};
use hushwood_crypto::CipherSuiteId;
use openmls::group::{
    GroupId, MIXED_PLAINTEXT_WIRE_FORMAT_POLICY, MlsGroup, MlsGroupCreateConfig, MlsGroupJoinConfig,
    ProposalStore, PublicGroup, StagedWelcome,
};
use openmls::prelude::tls_codec::{Deserialize as _, Serialize as _};
use openmls::prelude::{
    BasicCredential, Capabilities, Ciphersuite, CredentialType, CredentialWithKey, KeyPackage, LeafNodeIndex,
    LeafNodeParameters, MlsMessageBodyIn, MlsMessageIn, MlsMessageOut, OpenMlsCrypto, OpenMlsProvider,
    OpenMlsRand, ProcessedMessageContent, ProtocolVersion, RatchetTreeIn,
};
use openmls_basic_credential::SignatureKeyPair;
use openmls_rust_crypto::{MemoryStorage, RustCrypto};
use openmls_traits::types::HpkeCiphertext;
use peers::openmls_peer::{bytes_of, key_package_in, message_in, tree_in};

use crate::counting::Kind;
use crate::library::{Change, HandedOver, Library, Member, Observer};
use crate::openmls_store::{Measured, Store};
use crate::prices::{Primitive, SIZES};

/// What OpenMLS asks of a provider.
pub trait Crypto: OpenMlsCrypto + OpenMlsRand + 'static {}

impl<C: OpenMlsCrypto + OpenMlsRand + 'static> Crypto for C {}

/// OpenMLS on one provider.
#[derive(Clone, Copy, Debug)]
pub struct OpenMls<C> {
    name: &'static str,
    crypto: fn() -> Result<C>,
}

impl OpenMls<RustCrypto> {
    /// On RustCrypto.
    #[must_use]
    pub fn rustcrypto() -> Self {
        Self { name: "openmls/rustcrypto", crypto: || Ok(RustCrypto::default()) }
    }
}

impl OpenMls<openmls_libcrux_crypto::CryptoProvider> {
    /// On libcrux.
    #[must_use]
    pub fn libcrux() -> Self {
        Self { name: "openmls/libcrux", crypto: || Ok(openmls_libcrux_crypto::CryptoProvider::new()?) }
    }
}

impl<C: Crypto> OpenMls<C> {
    fn suite(&self, suite: CipherSuiteId) -> Result<Ciphersuite> {
        let suite = Ciphersuite::try_from(suite.0)?;
        (self.crypto)()?.supports(suite)?;
        Ok(suite)
    }

    fn member_with<S: Store + 'static>(
        &self,
        suite: CipherSuiteId,
        identity: &str,
        storage: Measured<S>,
    ) -> Result<Box<dyn Member>> {
        let suite = self.suite(suite)?;
        Ok(Box::new(OpenMlsMember {
            provider: Provider { crypto: (self.crypto)()?, storage },
            outside: self.crypto,
            signer: SignatureKeyPair::new(suite.signature_algorithm())?,
            suite,
            identity: identity.as_bytes().to_vec(),
            inside: true,
            welcome: None,
            group: None,
            id: None,
        }))
    }
}

impl<C: Crypto> Library for OpenMls<C> {
    fn name(&self) -> &str {
        self.name
    }

    fn member(&self, suite: CipherSuiteId, identity: &str, folder: Option<&Path>) -> Result<Box<dyn Member>> {
        match folder {
            None => self.member_with(suite, identity, Measured::memory()),
            Some(folder) => self.member_with(suite, identity, Measured::disk(&folder.join("store"))?),
        }
    }

    fn primitives(&self, suite: CipherSuiteId) -> Result<Vec<Primitive>> {
        primitives(self.crypto, self.suite(suite)?)
    }
}

struct Provider<C, S> {
    crypto: C,
    storage: Measured<S>,
}

impl<C: Crypto, S: Store> OpenMlsProvider for Provider<C, S> {
    type CryptoProvider = C;
    type RandProvider = C;
    type StorageProvider = Measured<S>;

    fn storage(&self) -> &Measured<S> {
        &self.storage
    }

    fn crypto(&self) -> &C {
        &self.crypto
    }

    fn rand(&self) -> &C {
        &self.crypto
    }
}

struct OpenMlsMember<C, S> {
    provider: Provider<C, S>,
    /// For an observer.
    outside: fn() -> Result<C>,
    signer: SignatureKeyPair,
    suite: Ciphersuite,
    identity: Vec<u8>,
    inside: bool,
    /// Of the commit made last.
    welcome: Option<Vec<u8>>,
    group: Option<MlsGroup>,
    /// Of the group, also when it is closed.
    id: Option<GroupId>,
}

impl<C: Crypto, S: Store> OpenMlsMember<C, S> {
    fn credential(&self) -> CredentialWithKey {
        CredentialWithKey {
            credential: BasicCredential::new(self.identity.clone()).into(),
            signature_key: self.signer.to_public_vec().into(),
        }
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::builder()
            .versions(vec![ProtocolVersion::Mls10])
            .ciphersuites(self.provider.crypto.supported_ciphersuites())
            .extensions(vec![])
            .proposals(vec![])
            .credentials(vec![CredentialType::Basic])
            .build()
    }

    fn join_config() -> MlsGroupJoinConfig {
        MlsGroupJoinConfig::builder().wire_format_policy(MIXED_PLAINTEXT_WIRE_FORMAT_POLICY).build()
    }

    fn enter(&mut self, group: MlsGroup) {
        self.id = Some(group.group_id().clone());
        self.group = Some(group);
    }

    fn group(&self) -> Result<&MlsGroup> {
        self.group.as_ref().context("no group")
    }

    fn parts(&mut self) -> Result<(&Provider<C, S>, &SignatureKeyPair, &mut MlsGroup)> {
        Ok((&self.provider, &self.signer, self.group.as_mut().context("no group")?))
    }

    fn load(&self) -> Result<MlsGroup> {
        let id = self.id.as_ref().context("no group was stored")?;
        MlsGroup::load(&self.provider.storage, id)?.context("no group is stored")
    }
}

impl<C: Crypto, S: Store> Member for OpenMlsMember<C, S> {
    fn key_package(&mut self) -> Result<Vec<u8>> {
        let bundle = self.provider.storage.together(|| {
            let builder = KeyPackage::builder().leaf_node_capabilities(self.capabilities());
            Ok(builder.build(self.suite, &self.provider, &self.signer, self.credential())?)
        })?;
        Ok(bytes_of(&MlsMessageOut::from(bundle))?)
    }

    fn create(&mut self) -> Result<()> {
        let config = MlsGroupCreateConfig::builder()
            .ciphersuite(self.suite)
            .capabilities(self.capabilities())
            .wire_format_policy(MIXED_PLAINTEXT_WIRE_FORMAT_POLICY)
            .build();
        let group = self
            .provider
            .storage
            .together(|| Ok(MlsGroup::new(&self.provider, &self.signer, &config, self.credential())?))?;
        self.enter(group);
        Ok(())
    }

    fn join(&mut self, welcome: &[u8], tree: Option<&[u8]>) -> Result<()> {
        let MlsMessageBodyIn::Welcome(welcome) = message_in(welcome)?.extract() else {
            bail!("not a Welcome");
        };
        let tree = tree.map(tree_in).transpose()?;
        let group = self.provider.storage.together(|| {
            let staged =
                StagedWelcome::new_from_welcome(&self.provider, &Self::join_config(), welcome, tree)?;
            Ok(staged.into_group(&self.provider)?)
        })?;
        self.enter(group);
        Ok(())
    }

    fn external_commit(&mut self, group_info: &[u8]) -> Result<Vec<u8>> {
        let MlsMessageBodyIn::GroupInfo(group_info) = message_in(group_info)?.extract() else {
            bail!("not a GroupInfo");
        };
        let parameters = LeafNodeParameters::builder().with_capabilities(self.capabilities()).build();
        let provider = &self.provider;
        let (group, bundle) = provider.storage.together(|| {
            Ok(MlsGroup::external_commit_builder()
                .with_config(Self::join_config())
                .build_group(provider, group_info, self.credential())?
                .leaf_node_parameters(parameters)
                .load_psks(&provider.storage)?
                .build(&provider.crypto, &provider.crypto, &self.signer, |_| true)?
                .finalize(provider)?)
        })?;
        self.enter(group);
        Ok(bytes_of(&bundle.into_commit())?)
    }

    fn tree_in_welcome(&mut self, inside: bool) -> Result<()> {
        self.inside = inside;
        Ok(())
    }

    fn commit(&mut self, change: Change<'_>) -> Result<Vec<u8>> {
        let inside = self.inside;
        let (provider, signer, group) = self.parts()?;
        let builder = group.commit_builder().force_self_update(true);
        let (builder, inside) = match change {
            Change::Update => (builder, false),
            Change::Remove(leaf) => (builder.propose_removals([LeafNodeIndex::new(leaf)]), false),
            Change::Add(key_packages) => {
                let added = key_packages.iter().map(|bytes| key_package_in(&provider.crypto, bytes));
                (builder.propose_adds(added.collect::<Result<Vec<_>, _>>()?), inside)
            }
        };
        let bundle = provider.storage.together(|| {
            Ok(builder
                .load_psks(&provider.storage)?
                .use_ratchet_tree_extension(inside)
                .build(&provider.crypto, &provider.crypto, signer, |_| true)?
                .stage_commit(provider)?)
        })?;
        let (commit, welcome, _) = bundle.into_messages();
        let commit = bytes_of(&commit)?;
        self.welcome = welcome.as_ref().map(bytes_of).transpose()?;
        Ok(commit)
    }

    fn apply(&mut self) -> Result<Option<Vec<u8>>> {
        let (provider, _, group) = self.parts()?;
        provider.storage.together(|| Ok(group.merge_pending_commit(provider)?))?;
        Ok(self.welcome.take())
    }

    fn ratchet_tree(&mut self) -> Result<Vec<u8>> {
        Ok(self.group()?.export_ratchet_tree().tls_serialize_detached()?)
    }

    fn discard(&mut self) -> Result<()> {
        let (provider, _, group) = self.parts()?;
        provider.storage.together(|| Ok(group.clear_pending_commit(&provider.storage)?))
    }

    fn process(&mut self, commit: &[u8]) -> Result<()> {
        let message = message_in(commit)?.try_into_protocol_message()?;
        let (provider, _, group) = self.parts()?;
        provider.storage.together(|| {
            let processed = group.process_message(provider, message)?;
            let ProcessedMessageContent::StagedCommitMessage(staged) = processed.into_content() else {
                bail!("not a commit");
            };
            Ok(group.merge_staged_commit(provider, *staged)?)
        })
    }

    fn encrypt(&mut self, plaintext: &[u8]) -> Result<Vec<u8>> {
        let (provider, signer, group) = self.parts()?;
        let message = provider.storage.together(|| Ok(group.create_message(provider, signer, plaintext)?))?;
        Ok(bytes_of(&message)?)
    }

    fn decrypt(&mut self, message: &[u8]) -> Result<Vec<u8>> {
        let message = message_in(message)?.try_into_protocol_message()?;
        let (provider, _, group) = self.parts()?;
        let processed = provider.storage.together(|| Ok(group.process_message(provider, message)?))?;
        let ProcessedMessageContent::ApplicationMessage(message) = processed.into_content() else {
            bail!("not a message");
        };
        Ok(message.into_bytes())
    }

    fn group_info(&mut self) -> Result<Vec<u8>> {
        let (provider, signer, group) = self.parts()?;
        Ok(bytes_of(&group.export_group_info(&provider.crypto, signer, true)?)?)
    }

    fn leaf(&self) -> Result<u32> {
        Ok(self.group()?.own_leaf_index().u32())
    }

    fn epoch_authenticator(&self) -> Result<Vec<u8>> {
        Ok(self.group()?.epoch_authenticator().as_slice().to_vec())
    }

    fn tidy(&mut self) -> Result<()> {
        Ok(())
    }

    fn stores_apart(&self) -> bool {
        false
    }

    fn store(&mut self) -> Result<()> {
        Ok(())
    }

    fn watch(&mut self) {
        self.provider.storage.watch();
    }

    fn handed_over(&mut self) -> HandedOver {
        self.provider.storage.take()
    }

    /// Unless it is configured to, it keeps none: each message would write all of them.
    fn past_epochs(&self) -> usize {
        0
    }

    fn close(&mut self) {
        self.group = None;
    }

    fn open(&mut self) -> Result<()> {
        self.group = Some(self.load()?);
        Ok(())
    }

    fn open_and_encrypt(&mut self, plaintext: &[u8]) -> Result<Vec<u8>> {
        let mut group = self.load()?;
        let message = self
            .provider
            .storage
            .together(|| Ok(group.create_message(&self.provider, &self.signer, plaintext)?))?;
        Ok(bytes_of(&message)?)
    }

    fn observer(&mut self) -> Result<Option<Box<dyn Observer>>> {
        let tree = RatchetTreeIn::tls_deserialize_exact(self.ratchet_tree()?)?;
        let MlsMessageBodyIn::GroupInfo(group_info) = message_in(&self.group_info()?)?.extract() else {
            bail!("not a GroupInfo");
        };
        let (crypto, storage) = ((self.outside)()?, MemoryStorage::default());
        let (group, _) =
            PublicGroup::from_external(&crypto, &storage, tree, group_info, ProposalStore::new())?;
        Ok(Some(Box::new(OpenMlsObserver { crypto, storage, group })))
    }
}

struct OpenMlsObserver<C> {
    crypto: C,
    storage: MemoryStorage,
    group: PublicGroup,
}

impl<C: Crypto> Observer for OpenMlsObserver<C> {
    fn follow(&mut self, commit: &[u8]) -> Result<()> {
        let message = MlsMessageIn::tls_deserialize_exact(commit)?.try_into_protocol_message()?;
        let processed = self.group.process_message(&self.crypto, message)?;
        let ProcessedMessageContent::StagedCommitMessage(staged) = processed.into_content() else {
            bail!("not a commit");
        };
        Ok(self.group.merge_commit(&self.storage, *staged)?)
    }
}

/// Encapsulation and decapsulation are not offered alone: with what HPKE does besides.
#[expect(clippy::type_complexity, reason = "used once")]
fn primitives<C: Crypto>(crypto: fn() -> Result<C>, suite: Ciphersuite) -> Result<Vec<Primitive>> {
    let (hash, aead, scheme, hpke) =
        (suite.hash_algorithm(), suite.aead_algorithm(), suite.signature_algorithm(), suite.hpke_config());
    let offered = crypto()?;
    let ikm = vec![5; suite.hash_length()];
    let (signing, verifying) = offered.signature_key_gen(scheme)?;
    let pair = offered.derive_hpke_keypair(hpke, &ikm)?;
    let sealed: HpkeCiphertext = offered.hpke_seal(suite.hpke_config(), &pair.public, b"", b"", b"x")?;
    let (key, nonce) = (vec![1; suite.aead_key_length()], vec![2; suite.aead_nonce_length()]);

    let public = pair.public.clone();
    let with = crypto()?;
    let mut all = vec![Primitive::new(Kind::Encap, 0, move || {
        let _ = std::hint::black_box(with.hpke_seal(suite.hpke_config(), &public, b"", b"", b"x"));
    })];
    let with = crypto()?;
    all.push(Primitive::new(Kind::Decap, 0, move || {
        let _ = std::hint::black_box(with.hpke_open(suite.hpke_config(), &sealed, &pair.private, b"", b""));
    }));
    let with = crypto()?;
    all.push(Primitive::new(Kind::DeriveKeyPair, 0, move || {
        let _ = std::hint::black_box(with.derive_hpke_keypair(suite.hpke_config(), &ikm));
    }));
    for bytes in SIZES {
        let text = vec![7; bytes];
        let signature = offered.sign(scheme, &text, &signing)?;
        let sealed = offered.aead_encrypt(aead, &key, &text, &nonce, b"")?;
        let mut add = |kind, mut run: Box<dyn FnMut(&C, &[u8])>| -> Result<()> {
            let (with, text) = (crypto()?, text.clone());
            all.push(Primitive::new(kind, bytes, move || run(&with, &text)));
            Ok(())
        };
        let signing = signing.clone();
        add(
            Kind::Sign,
            Box::new(move |with, text| {
                let _ = std::hint::black_box(with.sign(scheme, text, &signing));
            }),
        )?;
        let verifying = verifying.clone();
        add(
            Kind::Verify,
            Box::new(move |with, text| {
                let _ = std::hint::black_box(with.verify_signature(scheme, text, &verifying, &signature));
            }),
        )?;
        add(
            Kind::Hash,
            Box::new(move |with, text| {
                let _ = std::hint::black_box(with.hash(hash, text));
            }),
        )?;
        add(
            Kind::Hmac,
            Box::new(move |with, text| {
                let _ = std::hint::black_box(with.hmac(hash, &[3; 32], text));
            }),
        )?;
        let (key_again, nonce_again) = (key.clone(), nonce.clone());
        add(
            Kind::Seal,
            Box::new(move |with, text| {
                let _ = std::hint::black_box(with.aead_encrypt(aead, &key_again, text, &nonce_again, b""));
            }),
        )?;
        let (key_again, nonce_again) = (key.clone(), nonce.clone());
        add(
            Kind::Open,
            Box::new(move |with, _| {
                let _ = std::hint::black_box(with.aead_decrypt(aead, &key_again, &sealed, &nonce_again, b""));
            }),
        )?;
    }
    Ok(all)
}
