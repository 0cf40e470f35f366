//! mls-rs as a peer: on AWS-LC, and on OpenSSL for the suites that AWS-LC lacks.
//!
//! The library asks its `MlsRules` for what we decide per commit (path, tree, Welcomes), so the rules read options that
//! the member sets just before. It names senders by leaf index only; the member keeps the rosters of past epochs to
//! tell who a late message came from.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
};

use mls_rs::{
    CipherSuiteProvider, Client, CryptoProvider, ExtensionList, Group, MlsMessage, MlsRules,
    client_builder::MlsConfig,
    crypto::SignatureSecretKey,
    error::MlsError,
    group::{
        CommitEffect, CommitMessageDescription, ExportedTree, GroupContext, ReceivedMessage, ReinitClient,
        Roster,
    },
    identity::{
        SigningIdentity,
        basic::{BasicCredential, BasicIdentityProvider},
    },
    mls_rules::{
        CommitDirection, CommitOptions as MlsRsCommitOptions, CommitSource, EncryptionOptions,
        ProposalBundle, ProposalInfo,
    },
    psk::{ExternalPskId, PreSharedKey},
    storage_provider::in_memory::{
        InMemoryGroupStateStorage, InMemoryKeyPackageStorage, InMemoryPreSharedKeyStorage,
    },
};
use mls_rs_core::key_package::KeyPackageData;
use mls_rs_crypto_awslc::AwsLcCryptoProvider;
#[cfg(feature = "openssl")]
use mls_rs_crypto_openssl::OpensslCryptoProvider;

use crate::peer::{
    CipherSuite, ClientKeys, CommitOptions, Committed, Created, EXPORTER_CONTEXT, EXPORTER_LABEL,
    EXPORTER_LENGTH, Extension, ExternalJoin, Member, MemberEntry, Outcome, PRIVATE_USE_EXTENSION, Peer,
    PeerError, Proposal, ProposalType, Settings, View, WireFormat,
};

/// The published crate `mls-rs`.
#[derive(Debug)]
pub struct MlsRs;

impl Peer for MlsRs {
    fn name(&self) -> &'static str {
        "mls-rs"
    }

    fn suites(&self) -> Vec<CipherSuite> {
        let mut suites = aws_lc_suites();
        suites.extend(openssl_suites());
        suites.sort_unstable();
        suites.dedup();
        suites
    }

    fn client(&self, settings: Settings) -> Result<Box<dyn Member>, PeerError> {
        if aws_lc_suites().contains(&settings.suite) {
            return member(AwsLcCryptoProvider::default(), settings);
        }
        openssl_client(settings)
    }

    fn client_with(&self, suite: CipherSuite, keys: &ClientKeys) -> Result<Box<dyn Member>, PeerError> {
        let crypto = AwsLcCryptoProvider::default();
        let Some(provider) = crypto.cipher_suite_provider(suite.0.into()) else {
            return Err(PeerError::Unsupported("this provider of mls-rs lacks the suite"));
        };
        let message = message_in(&keys.key_package)?;
        let reference = message.key_package_reference(&provider).map_err(failed("key package"))?;
        // Behind the version and the wire format (RFC 9420 §6).
        let bare = keys.key_package.get(4..).unwrap_or_default().to_vec();
        let (Some(reference), Some(key_package)) = (reference, message.into_key_package()) else {
            return Err(PeerError::Failed("not a KeyPackage".into()));
        };
        let stores = Stores::new()?;
        let (init, encryption) = (keys.init.clone().into(), keys.encryption.clone().into());
        let stored = KeyPackageData::new(bare, init, encryption, u64::MAX);
        stores.key_packages.insert(reference.to_vec(), stored);
        let settings = Settings {
            identity: Vec::new(),
            suite,
            handshake: WireFormat::PrivateMessage,
            greased_extensions: false,
        };
        let identity = key_package.signing_identity().clone();
        Ok(member_of(crypto, settings, stores, (identity, keys.signature.clone().into())))
    }
}

fn aws_lc_suites() -> Vec<CipherSuite> {
    rfc_suites(&AwsLcCryptoProvider::default())
}

fn rfc_suites(crypto: &impl CryptoProvider) -> Vec<CipherSuite> {
    let suites = crypto.supported_cipher_suites().into_iter().map(|suite| CipherSuite(u16::from(suite)));
    suites.filter(|suite| (1..=7).contains(&suite.0)).collect()
}

#[cfg(feature = "openssl")]
fn openssl_suites() -> Vec<CipherSuite> {
    rfc_suites(&OpensslCryptoProvider::default())
}

#[cfg(not(feature = "openssl"))]
fn openssl_suites() -> Vec<CipherSuite> {
    Vec::new()
}

#[cfg(feature = "openssl")]
fn openssl_client(settings: Settings) -> Result<Box<dyn Member>, PeerError> {
    member(OpensslCryptoProvider::default(), settings)
}

#[cfg(not(feature = "openssl"))]
fn openssl_client(_settings: Settings) -> Result<Box<dyn Member>, PeerError> {
    Err(PeerError::Unsupported("mls-rs was built without OpenSSL"))
}

fn member<P: CryptoProvider + Clone + 'static>(
    crypto: P,
    settings: Settings,
) -> Result<Box<dyn Member>, PeerError> {
    let stores = Stores::new()?;
    let identity = signing_identity(&crypto, settings.suite, &settings.identity)?;
    Ok(member_of(crypto, settings, stores, identity))
}

fn member_of<P: CryptoProvider + Clone + 'static>(
    crypto: P,
    settings: Settings,
    stores: Stores,
    (identity, signer): (SigningIdentity, SignatureSecretKey),
) -> Box<dyn Member> {
    let client = client(crypto.clone(), &stores, &settings, identity, signer);
    Box::new(MlsRsMember {
        crypto,
        client,
        stores,
        settings,
        group: None,
        rosters: BTreeMap::new(),
        successor_suite: None,
        reinit: None,
    })
}

fn client<P: CryptoProvider + Clone>(
    crypto: P,
    stores: &Stores,
    settings: &Settings,
    identity: SigningIdentity,
    signer: SignatureSecretKey,
) -> Client<impl MlsConfig + use<P>> {
    Client::builder()
        .crypto_provider(crypto)
        .identity_provider(BasicIdentityProvider)
        .mls_rules(Rules { options: stores.options.clone(), handshake: settings.handshake })
        .group_state_storage(stores.groups.clone())
        .key_package_repo(stores.key_packages.clone())
        .psk_store(stores.psks.clone())
        .extension_type(PRIVATE_USE_EXTENSION.into())
        .signing_identity(identity, signer, settings.suite.0.into())
        .build()
}

/// A Basic credential with a fresh signature key.
///
/// # Errors
/// [`PeerError::Unsupported`] where the provider lacks the suite.
pub fn signing_identity(
    crypto: &impl CryptoProvider,
    suite: CipherSuite,
    identity: &[u8],
) -> Result<(SigningIdentity, SignatureSecretKey), PeerError> {
    let Some(suite) = crypto.cipher_suite_provider(suite.0.into()) else {
        return Err(PeerError::Unsupported("this provider of mls-rs lacks the suite"));
    };
    let (secret, public) =
        suite.signature_key_generate().map_err(|e| PeerError::failed("signature key", e))?;
    let credential = BasicCredential::new(identity.to_vec()).into_credential();
    Ok((SigningIdentity::new(credential, public), secret))
}

/// What one member keeps; clones share it, members don't.
struct Stores {
    groups: InMemoryGroupStateStorage,
    key_packages: InMemoryKeyPackageStorage,
    psks: InMemoryPreSharedKeyStorage,
    options: Arc<Mutex<CommitOptions>>,
}

impl Stores {
    fn new() -> Result<Self, PeerError> {
        Ok(Self {
            groups: InMemoryGroupStateStorage::new()
                .with_max_epoch_retention(PAST_EPOCHS)
                .map_err(failed("retention"))?,
            key_packages: InMemoryKeyPackageStorage::default(),
            psks: InMemoryPreSharedKeyStorage::default(),
            options: Arc::default(),
        })
    }
}

/// What mls-rs asks for at each commit.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Set just before the commit.
    pub options: Arc<Mutex<CommitOptions>>,
    /// How handshake messages are framed.
    pub handshake: WireFormat,
}

impl MlsRules for Rules {
    type Error = Infallible;

    fn filter_proposals(
        &self,
        _: CommitDirection,
        _: CommitSource,
        _: &Roster<'_>,
        _: &GroupContext,
        proposals: ProposalBundle,
    ) -> Result<ProposalBundle, Infallible> {
        Ok(proposals)
    }

    fn commit_options(
        &self,
        _: &Roster<'_>,
        _: &GroupContext,
        _: &ProposalBundle,
    ) -> Result<MlsRsCommitOptions, Infallible> {
        let options = *self.options.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(MlsRsCommitOptions::new()
            .with_path_required(options.force_path)
            .with_ratchet_tree_extension(options.tree_in_welcome)
            .with_single_welcome_message(!options.separate_welcomes))
    }

    fn encryption_options(&self, _: &Roster<'_>, _: &GroupContext) -> Result<EncryptionOptions, Infallible> {
        Ok(EncryptionOptions::new(self.handshake == WireFormat::PrivateMessage, Default::default()))
    }
}

struct MlsRsMember<P, C: MlsConfig> {
    crypto: P,
    client: Client<C>,
    stores: Stores,
    settings: Settings,
    group: Option<Group<C>>,
    /// The members' identities by leaf, for each epoch this member was in.
    rosters: BTreeMap<u64, BTreeMap<u32, Vec<u8>>>,
    /// The suite of the successor, once a ReInit was committed.
    successor_suite: Option<CipherSuite>,
    reinit: Option<ReinitClient<C>>,
}

/// mls-rs 0.57 samples the nonce of a successor's PSK by the suite of the group that ends (`resumption_psk_input` in
/// its `group/resumption.rs`).
const NONCE_OF_OLD_SUITE: PeerError = PeerError::Defect(
    "makes the successor's psk_nonce as long as the old suite's KDF output \
     (RFC 9420 §8.4: KDF.Nh of the group into which the PSK is being injected)",
);

impl<P: CryptoProvider + Clone, C: MlsConfig> Member for MlsRsMember<P, C> {
    fn key_package(&mut self) -> Result<Vec<u8>, PeerError> {
        let message = self
            .client
            .generate_key_package_message(Default::default(), Default::default(), None)
            .map_err(failed("key package"))?;
        bytes_of(&message)
    }

    fn add_psk(&mut self, id: &[u8], secret: &[u8]) -> Result<(), PeerError> {
        self.stores.psks.insert(ExternalPskId::new(id.to_vec()), PreSharedKey::new(secret.to_vec()));
        Ok(())
    }

    fn create_group(&mut self, group_id: &[u8]) -> Result<(), PeerError> {
        let group = self
            .client
            .create_group_with_id(group_id.to_vec(), Default::default(), Default::default(), None)
            .map_err(failed("create group"))?;
        self.enter(group)
    }

    fn join(&mut self, welcome: &[u8], tree: Option<&[u8]>) -> Result<(), PeerError> {
        let tree = tree.map(tree_in).transpose()?;
        let (group, _) = self.client.join_group(tree, &message_in(welcome)?, None).map_err(failed("join"))?;
        self.enter(group)
    }

    fn external_commit(&mut self, join: ExternalJoin<'_>) -> Result<Vec<u8>, PeerError> {
        let mut builder = self.client.external_commit_builder().map_err(failed("external commit"))?;
        if let Some(tree) = join.tree {
            builder = builder.with_tree_data(tree_in(tree)?);
        }
        if let Some(leaf) = join.resync {
            builder = builder.with_removal(leaf);
            // Its stored epochs must be consecutive, and those of the earlier self end before this one's.
            if let Some(group) = &self.group {
                self.stores.groups.delete_group(group.group_id());
            }
        }
        for id in join.psks {
            builder = builder.with_external_psk(ExternalPskId::new(id.clone()));
        }
        let (group, commit) =
            builder.build(message_in(join.group_info)?).map_err(failed("external commit"))?;
        self.enter(group)?;
        bytes_of(&commit)
    }

    fn propose(&mut self, proposal: &Proposal) -> Result<Vec<u8>, PeerError> {
        let group = self.group()?;
        let aad = Vec::new();
        let message = match proposal {
            Proposal::Add(key_package) => group.propose_add(message_in(key_package)?, aad),
            Proposal::Update => group.propose_update(aad),
            Proposal::Remove(leaf) => group.propose_remove(*leaf, aad),
            Proposal::ExternalPsk(id) => group.propose_external_psk(ExternalPskId::new(id.clone()), aad),
            Proposal::ResumptionPsk(epoch) => group.propose_resumption_psk(*epoch, aad),
            Proposal::ReInit { group_id, suite } => {
                let version = group.protocol_version();
                group.propose_reinit(Some(group_id.clone()), version, suite.0.into(), Default::default(), aad)
            }
            Proposal::GroupContextExtensions(extensions) => {
                group.propose_group_context_extensions(extensions_in(extensions), aad)
            }
        }
        .map_err(failed("propose"))?;
        self.save()?;
        bytes_of(&message)
    }

    fn commit(&mut self, by_value: &[Proposal], options: CommitOptions) -> Result<Committed, PeerError> {
        *self.stores.options.lock().unwrap_or_else(PoisonError::into_inner) = options;
        let group = self.group()?;
        let version = group.protocol_version();
        let mut builder = group.commit_builder();
        for proposal in by_value {
            builder = match proposal {
                Proposal::Add(key_package) => builder.add_member(message_in(key_package)?),
                Proposal::Remove(leaf) => builder.remove_member(*leaf),
                Proposal::ExternalPsk(id) => builder.add_external_psk(ExternalPskId::new(id.clone())),
                Proposal::ResumptionPsk(epoch) => builder.add_resumption_psk(*epoch),
                Proposal::ReInit { group_id, suite } => {
                    builder.reinit(Some(group_id.clone()), version, suite.0.into(), Default::default())
                }
                Proposal::GroupContextExtensions(extensions) => {
                    builder.set_group_context_ext(extensions_in(extensions))
                }
                Proposal::Update => return Err(PeerError::Failed("commit: Update by value".into())),
            }
            .map_err(failed("commit"))?;
        }
        let output = builder.build().map_err(failed("commit"))?;
        self.save()?;
        Ok(Committed {
            commit: bytes_of(&output.commit_message)?,
            welcomes: output.welcome_messages.iter().map(bytes_of).collect::<Result<_, _>>()?,
            tree: output.ratchet_tree.as_ref().map(tree_out).transpose()?,
        })
    }

    fn apply_pending(&mut self) -> Result<Vec<ProposalType>, PeerError> {
        let description = self.group()?.apply_pending_commit().map_err(failed("apply"))?;
        let (proposals, _) = self.note_commit(description)?;
        Ok(proposals)
    }

    fn discard_pending(&mut self) -> Result<(), PeerError> {
        self.group()?.clear_pending_commit();
        self.save()
    }

    fn process(&mut self, message: &[u8]) -> Result<Outcome, PeerError> {
        let message = message_in(message)?;
        let epoch = message.epoch();
        let current = self.group()?.current_epoch();
        let late = epoch.is_some_and(|epoch| epoch < current);
        let received = self.group()?.process_incoming_message(message).map_err(|error| match error {
            MlsError::MemberNotFound if late => DEPARTED_SENDER,
            error => PeerError::failed("process", error),
        })?;
        match received {
            ReceivedMessage::ApplicationMessage(said) => {
                self.save()?;
                let roster = epoch.and_then(|epoch| self.rosters.get(&epoch));
                let Some(sender) = roster.and_then(|roster| roster.get(&said.sender_index)) else {
                    return Err(PeerError::Failed("process: sender in no roster of that epoch".into()));
                };
                Ok(Outcome::Application {
                    plaintext: said.data().to_vec(),
                    aad: said.authenticated_data.clone(),
                    sender: sender.clone(),
                })
            }
            ReceivedMessage::Proposal(proposed) => {
                self.save()?;
                Ok(Outcome::Proposal(ProposalType(u16::from(proposed.proposal.proposal_type()))))
            }
            ReceivedMessage::Commit(description) => {
                let (proposals, removed) = self.note_commit(description)?;
                Ok(Outcome::Commit { proposals, removed })
            }
            other => Err(PeerError::failed("process: unexpected content", other)),
        }
    }

    fn send(&mut self, plaintext: &[u8], aad: &[u8]) -> Result<Vec<u8>, PeerError> {
        let message =
            self.group()?.encrypt_application_message(plaintext, aad.to_vec()).map_err(failed("send"))?;
        self.save()?;
        bytes_of(&message)
    }

    fn group_info(&mut self, with_tree: bool) -> Result<Vec<u8>, PeerError> {
        let message =
            self.group()?.group_info_message_allowing_ext_commit(with_tree).map_err(failed("group info"))?;
        bytes_of(&message)
    }

    fn view(&self) -> Result<View, PeerError> {
        let Some(group) = &self.group else { return Err(no_group()) };
        let exported = group
            .export_secret(EXPORTER_LABEL.as_bytes(), EXPORTER_CONTEXT, EXPORTER_LENGTH)
            .map_err(failed("export"))?;
        let members = group.roster().members_iter().map(|member| {
            Ok(MemberEntry {
                leaf_index: member.index,
                identity: identity_of(&member.signing_identity)?,
                signature_key: member.signing_identity.signature_key.as_bytes().to_vec(),
            })
        });
        let extensions = group.context().extensions.iter().map(|extension| Extension {
            extension_type: extension.extension_type().raw_value(),
            data: extension.extension_data().to_vec(),
        });
        Ok(View {
            epoch: group.current_epoch(),
            epoch_authenticator: group
                .epoch_authenticator()
                .map_err(failed("epoch authenticator"))?
                .as_bytes()
                .to_vec(),
            exported: exported.as_bytes().to_vec(),
            members: members.collect::<Result<_, PeerError>>()?,
            tree: tree_out(&group.export_tree())?,
            extensions: extensions.collect(),
        })
    }

    fn reinit_key_package(&mut self) -> Result<Vec<u8>, PeerError> {
        let reinit = self.reinit_client()?;
        let message = reinit.generate_key_package(None).map_err(failed("reinit key package"))?;
        self.reinit = Some(reinit);
        bytes_of(&message)
    }

    fn reinit_create(
        &mut self,
        key_packages: &[Vec<u8>],
        tree_in_welcome: bool,
    ) -> Result<Created, PeerError> {
        self.set_tree_in_welcome(tree_in_welcome);
        if self.successor_suite.is_some_and(|new| new.hash_length() != self.settings.suite.hash_length()) {
            return Err(NONCE_OF_OLD_SUITE);
        }
        let (group, welcomes) = self
            .reinit_client()?
            .commit(messages_in(key_packages)?, Default::default(), None)
            .map_err(failed("reinit"))?;
        self.created(group, &welcomes, tree_in_welcome)
    }

    fn reinit_join(&mut self, welcome: &[u8], tree: Option<&[u8]>) -> Result<(), PeerError> {
        let tree = tree.map(tree_in).transpose()?;
        let (group, _) =
            self.reinit_client()?.join(&message_in(welcome)?, tree, None).map_err(failed("reinit join"))?;
        self.enter_successor(group)
    }

    fn branch_create(
        &mut self,
        group_id: &[u8],
        key_packages: &[Vec<u8>],
        tree_in_welcome: bool,
    ) -> Result<Created, PeerError> {
        self.set_tree_in_welcome(tree_in_welcome);
        let (group, welcomes) = self
            .group()?
            .branch(group_id.to_vec(), messages_in(key_packages)?, None)
            .map_err(failed("branch"))?;
        self.created(group, &welcomes, tree_in_welcome)
    }

    fn branch_join(&mut self, welcome: &[u8], tree: Option<&[u8]>) -> Result<(), PeerError> {
        let tree = tree.map(tree_in).transpose()?;
        let (group, _) =
            self.group()?.join_subgroup(&message_in(welcome)?, tree, None).map_err(failed("branch join"))?;
        self.enter_successor(group)
    }
}

impl<P: CryptoProvider + Clone, C: MlsConfig> MlsRsMember<P, C> {
    fn group(&mut self) -> Result<&mut Group<C>, PeerError> {
        self.group.as_mut().ok_or_else(no_group)
    }

    /// Real applications write after each step, so late messages come from the store as well as from memory.
    fn save(&mut self) -> Result<(), PeerError> {
        self.group()?.write_to_storage().map_err(failed("write to storage"))
    }

    fn enter(&mut self, group: Group<C>) -> Result<(), PeerError> {
        self.group = Some(group);
        self.note_roster()?;
        self.save()
    }

    fn enter_successor(&mut self, group: Group<C>) -> Result<(), PeerError> {
        self.rosters.clear();
        self.successor_suite = None;
        self.reinit = None;
        self.enter(group)
    }

    fn note_roster(&mut self) -> Result<(), PeerError> {
        let group = self.group()?;
        let roster = group.roster().members_iter().map(|m| Ok((m.index, identity_of(&m.signing_identity)?)));
        let roster = roster.collect::<Result<_, PeerError>>()?;
        let epoch = group.current_epoch();
        self.rosters.insert(epoch, roster);
        Ok(())
    }

    fn note_commit(
        &mut self,
        description: CommitMessageDescription,
    ) -> Result<(Vec<ProposalType>, bool), PeerError> {
        let (applied, removed) = match &description.effect {
            CommitEffect::NewEpoch(epoch) => (types_of(epoch.applied_proposals()), false),
            CommitEffect::Removed { new_epoch, .. } => (types_of(new_epoch.applied_proposals()), true),
            CommitEffect::ReInit(reinit) => {
                self.successor_suite = Some(CipherSuite(u16::from(reinit.proposal.new_cipher_suite())));
                (vec![ProposalType::REINIT], false)
            }
        };
        if !removed {
            self.note_roster()?;
        }
        self.save()?;
        Ok((applied, removed))
    }

    /// Made once, then taken: it holds the new signature key that goes into the KeyPackage.
    fn reinit_client(&mut self) -> Result<ReinitClient<C>, PeerError> {
        if let Some(reinit) = self.reinit.take() {
            return Ok(reinit);
        }
        let Some(suite) = self.successor_suite else {
            return Err(PeerError::Failed("reinit: none was committed".into()));
        };
        let (identity, signer) = signing_identity(&self.crypto, suite, &self.settings.identity)?;
        self.group()?.clone().get_reinit_client(Some(signer), Some(identity)).map_err(failed("reinit"))
    }

    fn set_tree_in_welcome(&self, tree_in_welcome: bool) {
        let options = CommitOptions { tree_in_welcome, ..CommitOptions::default() };
        *self.stores.options.lock().unwrap_or_else(PoisonError::into_inner) = options;
    }

    fn created(
        &mut self,
        group: Group<C>,
        welcomes: &[MlsMessage],
        tree_in_welcome: bool,
    ) -> Result<Created, PeerError> {
        let tree = if tree_in_welcome { None } else { Some(tree_out(&group.export_tree())?) };
        self.enter_successor(group)?;
        Ok(Created { welcomes: welcomes.iter().map(bytes_of).collect::<Result<_, _>>()?, tree })
    }
}

fn failed(operation: &'static str) -> impl Fn(MlsError) -> PeerError {
    move |error| PeerError::failed(operation, error)
}

fn no_group() -> PeerError {
    PeerError::Failed("no group".into())
}

/// Decodes an MLSMessage.
///
/// # Errors
/// [`PeerError::Failed`] with what mls-rs says.
pub fn message_in(bytes: &[u8]) -> Result<MlsMessage, PeerError> {
    MlsMessage::from_bytes(bytes).map_err(failed("decode message"))
}

fn messages_in(messages: &[Vec<u8>]) -> Result<Vec<MlsMessage>, PeerError> {
    messages.iter().map(|bytes| message_in(bytes)).collect()
}

/// Decodes a bare `ratchet_tree`.
///
/// # Errors
/// [`PeerError::Failed`] with what mls-rs says.
pub fn tree_in(bytes: &[u8]) -> Result<ExportedTree<'static>, PeerError> {
    ExportedTree::from_bytes(bytes).map_err(failed("decode tree"))
}

/// Encodes a bare `ratchet_tree`.
///
/// # Errors
/// [`PeerError::Failed`] with what mls-rs says.
pub fn tree_out(tree: &ExportedTree<'_>) -> Result<Vec<u8>, PeerError> {
    tree.to_bytes().map_err(failed("encode tree"))
}

/// Encodes an MLSMessage.
///
/// # Errors
/// [`PeerError::Failed`] with what mls-rs says.
pub fn bytes_of(message: &MlsMessage) -> Result<Vec<u8>, PeerError> {
    message.to_bytes().map_err(failed("encode message"))
}

fn extensions_in(extensions: &[Extension]) -> ExtensionList {
    extensions.iter().map(|e| mls_rs::Extension::new(e.extension_type.into(), e.data.clone())).collect()
}

fn identity_of(identity: &SigningIdentity) -> Result<Vec<u8>, PeerError> {
    let Some(basic) = identity.credential.as_basic() else {
        return Err(PeerError::Failed("not a Basic credential".into()));
    };
    Ok(basic.identifier().to_vec())
}

fn types_of(applied: &[ProposalInfo<mls_rs::group::proposal::Proposal>]) -> Vec<ProposalType> {
    let mut types: Vec<_> =
        applied.iter().map(|info| ProposalType(u16::from(info.proposal.proposal_type()))).collect();
    types.sort_unstable();
    types
}

/// How many epochs a member keeps.
const PAST_EPOCHS: usize = 64;

/// mls-rs keeps the signature keys of past epochs but not the credentials. Where the leaf has another key by now it
/// can't say who spoke, and refuses. RFC 9420 §12.4.2 lets a client keep what late messages need; it need not.
const DEPARTED_SENDER: PeerError = PeerError::Unsupported(
    "refuses a late message whose sender has left or whose leaf has another key by now",
);
