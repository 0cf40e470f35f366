//! OpenMLS as a peer, on its RustCrypto provider.
//!
//! The capabilities are set by hand: the library's defaults would do, but RFC 9420 §7.2 forbids listing the default
//! extension and proposal types, and other implementations refuse a leaf that does.

use openmls::{
    group::{
        CreateCommitError, GroupContextExtensionsProposalValidationError, GroupId,
        MIXED_CIPHERTEXT_WIRE_FORMAT_POLICY, MIXED_PLAINTEXT_WIRE_FORMAT_POLICY, MlsGroup,
        MlsGroupCreateConfig, MlsGroupJoinConfig, ProcessMessageError, StageCommitError, StagedWelcome,
    },
    prelude::{
        BasicCredential, Capabilities, Ciphersuite, CredentialType, CredentialWithKey,
        Extension as OpenMlsExtension, ExtensionType, Extensions, GroupContext, KeyPackage, KeyPackageBundle,
        LeafNodeIndex, LeafNodeParameters, MlsMessageBodyIn, MlsMessageIn, MlsMessageOut, OpenMlsCrypto,
        OpenMlsProvider as _, OpenMlsRand as _, PreSharedKeyProposal, ProcessedMessageContent,
        Proposal as OpenMlsProposal, ProtocolVersion, QueuedProposal, RatchetTreeIn,
        SenderRatchetConfiguration, StagedCommit, WireFormatPolicy,
        tls_codec::{Deserialize as _, Serialize as _},
    },
    schedule::psk::{PreSharedKeyId, ResumptionPskUsage},
};
use openmls_basic_credential::SignatureKeyPair;
use openmls_rust_crypto::OpenMlsRustCrypto;
use openmls_traits::storage::StorageProvider as _;

use crate::peer::{
    CipherSuite, ClientKeys, CommitOptions, Committed, EXPORTER_CONTEXT, EXPORTER_LABEL, EXPORTER_LENGTH,
    Extension, ExternalJoin, Member, MemberEntry, Outcome, PRIVATE_USE_EXTENSION, Peer, PeerError, Proposal,
    ProposalType, Settings, View, WireFormat,
};

/// The published crate `openmls`.
#[derive(Debug)]
pub struct OpenMls;

impl Peer for OpenMls {
    fn name(&self) -> &'static str {
        "openmls"
    }

    fn refuses_greased_extensions(&self) -> bool {
        true
    }

    fn suites(&self) -> Vec<CipherSuite> {
        let crypto = OpenMlsRustCrypto::default();
        crypto
            .crypto()
            .supported_ciphersuites()
            .into_iter()
            .map(|suite| CipherSuite(u16::from(suite)))
            .collect()
    }

    fn client(&self, settings: Settings) -> Result<Box<dyn Member>, PeerError> {
        let suite = Ciphersuite::try_from(settings.suite.0).map_err(|e| PeerError::failed("suite", e))?;
        let signer = SignatureKeyPair::new(suite.signature_algorithm())
            .map_err(|e| PeerError::failed("signature key", e))?;
        Ok(Box::new(OpenMlsMember {
            provider: OpenMlsRustCrypto::default(),
            signer,
            settings,
            suite,
            group: None,
        }))
    }

    fn client_with(&self, suite: CipherSuite, keys: &ClientKeys) -> Result<Box<dyn Member>, PeerError> {
        let settings = Settings {
            identity: Vec::new(),
            suite,
            handshake: WireFormat::PrivateMessage,
            greased_extensions: false,
        };
        let suite = Ciphersuite::try_from(suite.0).map_err(|e| PeerError::failed("suite", e))?;
        let provider = OpenMlsRustCrypto::default();
        let key_package = key_package_in(provider.crypto(), &keys.key_package)?;
        let reference =
            key_package.hash_ref(provider.crypto()).map_err(|e| PeerError::failed("key package", e))?;
        // There is no constructor, but stores read it back from this.
        let bundle: KeyPackageBundle = serde_json::from_value(serde_json::json!({
            "key_package": key_package,
            "private_init_key": { "vec": keys.init },
            "private_encryption_key": { "key": { "vec": keys.encryption } },
        }))
        .map_err(|e| PeerError::failed("key package", e))?;
        provider
            .storage()
            .write_key_package(&reference, &bundle)
            .map_err(|e| PeerError::failed("key package", e))?;
        let public = key_package.leaf_node().signature_key().as_slice().to_vec();
        let signer = SignatureKeyPair::from_raw(suite.signature_algorithm(), keys.signature.clone(), public);
        Ok(Box::new(OpenMlsMember { provider, signer, settings, suite, group: None }))
    }
}

struct OpenMlsMember {
    provider: OpenMlsRustCrypto,
    signer: SignatureKeyPair,
    settings: Settings,
    suite: Ciphersuite,
    group: Option<MlsGroup>,
}

impl Member for OpenMlsMember {
    fn key_package(&mut self) -> Result<Vec<u8>, PeerError> {
        let bundle = KeyPackage::builder()
            .leaf_node_capabilities(self.capabilities())
            .build(self.suite, &self.provider, &self.signer, self.credential())
            .map_err(|e| PeerError::failed("key package", e))?;
        bytes_of(&MlsMessageOut::from(bundle))
    }

    fn add_psk(&mut self, id: &[u8], secret: &[u8]) -> Result<(), PeerError> {
        self.external_psk(id)?.store(&self.provider, secret).map_err(|e| PeerError::failed("store PSK", e))
    }

    fn create_group(&mut self, group_id: &[u8]) -> Result<(), PeerError> {
        let config = MlsGroupCreateConfig::builder()
            .ciphersuite(self.suite)
            .capabilities(self.capabilities())
            .wire_format_policy(self.wire_format_policy())
            .max_past_epochs(PAST_EPOCHS)
            .number_of_resumption_psks(PAST_EPOCHS)
            .sender_ratchet_configuration(sender_ratchet())
            .build();
        let group = MlsGroup::new_with_group_id(
            &self.provider,
            &self.signer,
            &config,
            GroupId::from_slice(group_id),
            self.credential(),
        )
        .map_err(|e| PeerError::failed("create group", e))?;
        self.group = Some(group);
        Ok(())
    }

    fn join(&mut self, welcome: &[u8], tree: Option<&[u8]>) -> Result<(), PeerError> {
        let MlsMessageBodyIn::Welcome(welcome) = message_in(welcome)?.extract() else {
            return Err(PeerError::Failed("join: not a Welcome".into()));
        };
        let tree = tree.map(tree_in).transpose()?;
        let staged = StagedWelcome::new_from_welcome(&self.provider, &self.join_config(), welcome, tree)
            .map_err(|e| PeerError::failed("join", e))?;
        self.group = Some(staged.into_group(&self.provider).map_err(|e| PeerError::failed("join", e))?);
        Ok(())
    }

    /// OpenMLS removes the earlier self by itself: it looks for a leaf with the same signature key.
    fn external_commit(&mut self, join: ExternalJoin<'_>) -> Result<Vec<u8>, PeerError> {
        let MlsMessageBodyIn::GroupInfo(group_info) = message_in(join.group_info)?.extract() else {
            return Err(PeerError::Failed("external commit: not a GroupInfo".into()));
        };
        let psks = join.psks.iter().map(|id| self.external_psk(id)).collect::<Result<Vec<_>, _>>()?;
        let mut builder = MlsGroup::external_commit_builder().with_config(self.join_config());
        if let Some(tree) = join.tree {
            builder = builder.with_ratchet_tree(tree_in(tree)?);
        }
        let (group, bundle) = builder
            .build_group(&self.provider, group_info, self.credential())
            .map_err(|e| PeerError::failed("external commit", e))?
            .leaf_node_parameters(self.leaf_node_parameters())
            .add_psk_proposals(psks.into_iter().map(PreSharedKeyProposal::new))
            .load_psks(self.provider.storage())
            .map_err(|e| PeerError::failed("external commit", e))?
            .build(self.provider.rand(), self.provider.crypto(), &self.signer, |_| true)
            .map_err(|e| PeerError::failed("external commit", e))?
            .finalize(&self.provider)
            .map_err(|e| PeerError::failed("external commit", e))?;
        self.group = Some(group);
        bytes_of(&bundle.into_commit())
    }

    fn propose(&mut self, proposal: &Proposal) -> Result<Vec<u8>, PeerError> {
        let psk = self.psk_of(proposal)?;
        let parameters = self.leaf_node_parameters();
        let (provider, signer, group) = self.parts()?;
        let message = match proposal {
            Proposal::Add(key_package) => group
                .propose_add_member(provider, signer, &key_package_in(provider.crypto(), key_package)?)
                .map_err(|e| PeerError::failed("propose add", e))?,
            Proposal::Update => group
                .propose_self_update(provider, signer, parameters)
                .map_err(|e| PeerError::failed("propose update", e))?,
            Proposal::Remove(leaf) => group
                .propose_remove_member(provider, signer, LeafNodeIndex::new(*leaf))
                .map_err(|e| PeerError::failed("propose remove", e))?,
            Proposal::ExternalPsk(_) | Proposal::ResumptionPsk(_) => {
                let Some(psk) = psk else { return Err(PeerError::Failed("propose PSK: no id".into())) };
                group
                    .propose_pre_shared_key(provider, signer, psk)
                    .map_err(|e| PeerError::failed("propose PSK", e))?
            }
            Proposal::GroupContextExtensions(extensions) => group
                .propose_group_context_extensions(provider, extensions_in(extensions)?, signer)
                .map_err(|e| PeerError::failed("propose extensions", e))?,
            Proposal::ReInit { .. } => return Err(NO_REINIT),
        };
        bytes_of(&message.0)
    }

    fn commit(&mut self, by_value: &[Proposal], options: CommitOptions) -> Result<Committed, PeerError> {
        if options.separate_welcomes {
            return Err(PeerError::Unsupported("no API for one Welcome per joiner"));
        }
        let psks = by_value.iter().map(|proposal| self.psk_of(proposal)).collect::<Result<Vec<_>, _>>()?;
        let (provider, signer, group) = self.parts()?;
        let mut builder = group.commit_builder().force_self_update(options.force_path);
        for (proposal, psk) in by_value.iter().zip(psks) {
            builder = match proposal {
                Proposal::Add(key_package) => {
                    builder.propose_adds([key_package_in(provider.crypto(), key_package)?])
                }
                Proposal::Remove(leaf) => builder.propose_removals([LeafNodeIndex::new(*leaf)]),
                Proposal::ExternalPsk(_) | Proposal::ResumptionPsk(_) => builder.add_proposals(
                    psk.map(|id| OpenMlsProposal::PreSharedKey(Box::new(PreSharedKeyProposal::new(id)))),
                ),
                Proposal::GroupContextExtensions(extensions) => builder
                    .propose_group_context_extensions(extensions_in(extensions)?)
                    .map_err(|e| PeerError::failed("commit", e))?,
                Proposal::Update => return Err(PeerError::Failed("commit: Update by value".into())),
                Proposal::ReInit { .. } => return Err(NO_REINIT),
            };
        }
        let bundle = builder
            .load_psks(provider.storage())
            .map_err(|e| PeerError::failed("commit", e))?
            .use_ratchet_tree_extension(options.tree_in_welcome)
            .build(provider.rand(), provider.crypto(), signer, |_| true)
            .map_err(|error| match error {
                CreateCommitError::GroupContextExtensionsProposalValidationError(NOT_REQUIRED) => {
                    EXTENSION_NOT_REQUIRED
                }
                error => PeerError::failed("commit", error),
            })?
            .stage_commit(provider)
            .map_err(|e| PeerError::failed("commit", e))?;
        let tree = match (options.tree_in_welcome, group.pending_commit()) {
            (false, Some(staged)) => staged
                .export_ratchet_tree(provider.crypto(), group.export_ratchet_tree())
                .map_err(|e| PeerError::failed("tree of the new epoch", e))?
                .map(|tree| tree.tls_serialize_detached())
                .transpose()
                .map_err(|e| PeerError::failed("tree of the new epoch", e))?,
            _ => None,
        };
        let (commit, welcome, _) = bundle.into_messages();
        Ok(Committed {
            commit: bytes_of(&commit)?,
            welcomes: welcome.iter().map(bytes_of).collect::<Result<_, _>>()?,
            tree,
        })
    }

    fn apply_pending(&mut self) -> Result<Vec<ProposalType>, PeerError> {
        let (provider, _, group) = self.parts()?;
        let Some(staged) = group.pending_commit() else {
            return Err(PeerError::Failed("apply: no pending commit".into()));
        };
        let proposals = proposal_types(staged);
        group.merge_pending_commit(provider).map_err(|e| PeerError::failed("apply", e))?;
        Ok(proposals)
    }

    fn discard_pending(&mut self) -> Result<(), PeerError> {
        let (provider, _, group) = self.parts()?;
        group.clear_pending_commit(provider.storage()).map_err(|e| PeerError::failed("discard", e))
    }

    fn process(&mut self, message: &[u8]) -> Result<Outcome, PeerError> {
        let message =
            message_in(message)?.try_into_protocol_message().map_err(|e| PeerError::failed("process", e))?;
        let (provider, _, group) = self.parts()?;
        let processed = group.process_message(provider, message).map_err(|error| match error {
            ProcessMessageError::InvalidCommit(
                StageCommitError::GroupContextExtensionsProposalValidationError(NOT_REQUIRED),
            ) => EXTENSION_NOT_REQUIRED,
            error => PeerError::failed("process", error),
        })?;
        let aad = processed.aad().to_vec();
        let sender = identity_of(processed.credential().clone())?;
        match processed.into_content() {
            ProcessedMessageContent::ApplicationMessage(message) => {
                Ok(Outcome::Application { plaintext: message.into_bytes(), aad, sender })
            }
            ProcessedMessageContent::ProposalMessage(proposal)
            | ProcessedMessageContent::ExternalJoinProposalMessage(proposal) => {
                let proposal_type = type_of(&proposal);
                if proposal_type == ProposalType::REINIT {
                    return Err(NO_REINIT);
                }
                group
                    .store_pending_proposal(provider.storage(), *proposal)
                    .map_err(|e| PeerError::failed("store proposal", e))?;
                Ok(Outcome::Proposal(proposal_type))
            }
            ProcessedMessageContent::StagedCommitMessage(staged) => {
                if proposal_types(&staged).contains(&ProposalType::REINIT) {
                    return Err(NO_REINIT);
                }
                let outcome =
                    Outcome::Commit { proposals: proposal_types(&staged), removed: staged.self_removed() };
                group.merge_staged_commit(provider, *staged).map_err(|e| PeerError::failed("merge", e))?;
                Ok(outcome)
            }
            other => Err(PeerError::failed("process: unexpected content", other)),
        }
    }

    fn send(&mut self, plaintext: &[u8], aad: &[u8]) -> Result<Vec<u8>, PeerError> {
        let (provider, signer, group) = self.parts()?;
        group.set_aad(aad.to_vec());
        let message =
            group.create_message(provider, signer, plaintext).map_err(|e| PeerError::failed("send", e))?;
        bytes_of(&message)
    }

    fn group_info(&mut self, with_tree: bool) -> Result<Vec<u8>, PeerError> {
        let (provider, signer, group) = self.parts()?;
        let group_info = group
            .export_group_info(provider.crypto(), signer, with_tree)
            .map_err(|e| PeerError::failed("group info", e))?;
        bytes_of(&group_info)
    }

    fn view(&self) -> Result<View, PeerError> {
        let Some(group) = &self.group else { return Err(no_group()) };
        let exported = group
            .export_secret(self.provider.crypto(), EXPORTER_LABEL, EXPORTER_CONTEXT, EXPORTER_LENGTH)
            .map_err(|e| PeerError::failed("export", e))?;
        let members = group
            .members()
            .map(|member| {
                Ok(MemberEntry {
                    leaf_index: member.index.u32(),
                    identity: identity_of(member.credential)?,
                    signature_key: member.signature_key,
                })
            })
            .collect::<Result<_, PeerError>>()?;
        let tree =
            group.export_ratchet_tree().tls_serialize_detached().map_err(|e| PeerError::failed("tree", e))?;
        Ok(View {
            epoch: group.epoch().as_u64(),
            epoch_authenticator: group.epoch_authenticator().as_slice().to_vec(),
            exported,
            members,
            tree,
            extensions: group.extensions().iter().map(extension_out).collect::<Result<_, _>>()?,
        })
    }
}

impl OpenMlsMember {
    fn parts(&mut self) -> Result<(&OpenMlsRustCrypto, &SignatureKeyPair, &mut MlsGroup), PeerError> {
        let Some(group) = &mut self.group else { return Err(no_group()) };
        Ok((&self.provider, &self.signer, group))
    }

    fn credential(&self) -> CredentialWithKey {
        CredentialWithKey {
            credential: BasicCredential::new(self.settings.identity.clone()).into(),
            signature_key: self.signer.to_public_vec().into(),
        }
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::builder()
            .versions(vec![ProtocolVersion::Mls10])
            .ciphersuites(self.provider.crypto().supported_ciphersuites())
            .extensions(vec![ExtensionType::from(PRIVATE_USE_EXTENSION)])
            .proposals(vec![])
            .credentials(vec![CredentialType::Basic])
            .build()
    }

    fn leaf_node_parameters(&self) -> LeafNodeParameters {
        LeafNodeParameters::builder().with_capabilities(self.capabilities()).build()
    }

    fn wire_format_policy(&self) -> WireFormatPolicy {
        match self.settings.handshake {
            WireFormat::PrivateMessage => MIXED_CIPHERTEXT_WIRE_FORMAT_POLICY,
            WireFormat::PublicMessage => MIXED_PLAINTEXT_WIRE_FORMAT_POLICY,
        }
    }

    fn join_config(&self) -> MlsGroupJoinConfig {
        MlsGroupJoinConfig::builder()
            .wire_format_policy(self.wire_format_policy())
            .max_past_epochs(PAST_EPOCHS)
            .number_of_resumption_psks(PAST_EPOCHS)
            .sender_ratchet_configuration(sender_ratchet())
            .build()
    }

    fn external_psk(&self, id: &[u8]) -> Result<PreSharedKeyId, PeerError> {
        Ok(PreSharedKeyId::external(id.to_vec(), self.psk_nonce()?))
    }

    fn psk_of(&self, proposal: &Proposal) -> Result<Option<PreSharedKeyId>, PeerError> {
        match proposal {
            Proposal::ExternalPsk(id) => self.external_psk(id).map(Some),
            Proposal::ResumptionPsk(epoch) => {
                let Some(group) = &self.group else { return Err(no_group()) };
                Ok(Some(PreSharedKeyId::resumption(
                    ResumptionPskUsage::Application,
                    group.group_id().clone(),
                    (*epoch).into(),
                    self.psk_nonce()?,
                )))
            }
            _ => Ok(None),
        }
    }

    fn psk_nonce(&self) -> Result<Vec<u8>, PeerError> {
        self.provider
            .rand()
            .random_vec(self.settings.suite.hash_length())
            .map_err(|e| PeerError::failed("PSK nonce", e))
    }
}

/// Decodes an MLSMessage.
///
/// # Errors
/// [`PeerError::Failed`] with what OpenMLS says.
pub fn message_in(bytes: &[u8]) -> Result<MlsMessageIn, PeerError> {
    MlsMessageIn::tls_deserialize_exact(bytes).map_err(|e| PeerError::failed("decode message", e))
}

/// Decodes a bare `ratchet_tree`.
///
/// # Errors
/// [`PeerError::Failed`] with what OpenMLS says.
pub fn tree_in(bytes: &[u8]) -> Result<RatchetTreeIn, PeerError> {
    RatchetTreeIn::tls_deserialize_exact(bytes).map_err(|e| PeerError::failed("decode tree", e))
}

/// Decodes and validates a KeyPackage.
///
/// # Errors
/// [`PeerError::Failed`] with what OpenMLS says.
pub fn key_package_in(crypto: &impl OpenMlsCrypto, bytes: &[u8]) -> Result<KeyPackage, PeerError> {
    let MlsMessageBodyIn::KeyPackage(key_package) = message_in(bytes)?.extract() else {
        return Err(PeerError::Failed("not a KeyPackage".into()));
    };
    key_package
        .validate(crypto, ProtocolVersion::Mls10)
        .map_err(|e| PeerError::failed("validate key package", e))
}

/// Encodes an MLSMessage.
///
/// # Errors
/// [`PeerError::Failed`] with what OpenMLS says.
pub fn bytes_of(message: &MlsMessageOut) -> Result<Vec<u8>, PeerError> {
    message.to_bytes().map_err(|e| PeerError::failed("encode message", e))
}

fn identity_of(credential: openmls::prelude::Credential) -> Result<Vec<u8>, PeerError> {
    let basic = BasicCredential::try_from(credential).map_err(|e| PeerError::failed("credential", e))?;
    Ok(basic.identity().to_vec())
}

fn proposal_types(staged: &StagedCommit) -> Vec<ProposalType> {
    let mut types: Vec<_> = staged.queued_proposals().map(type_of).collect();
    types.sort_unstable();
    types
}

fn type_of(proposal: &QueuedProposal) -> ProposalType {
    ProposalType(u16::from(proposal.proposal().proposal_type()))
}

/// Through the wire form, so that known types become OpenMLS's own variants.
fn extensions_in(extensions: &[Extension]) -> Result<Extensions<GroupContext>, PeerError> {
    let parsed = extensions
        .iter()
        .map(|extension| {
            let mut bytes = extension.extension_type.to_be_bytes().to_vec();
            bytes.extend(
                extension
                    .data
                    .tls_serialize_detached()
                    .map_err(|e| PeerError::failed("encode extension", e))?,
            );
            OpenMlsExtension::tls_deserialize_exact(bytes)
                .map_err(|e| PeerError::failed("decode extension", e))
        })
        .collect::<Result<Vec<_>, _>>()?;
    Extensions::from_vec(parsed).map_err(|e| PeerError::failed("extensions", e))
}

fn extension_out(extension: &OpenMlsExtension) -> Result<Extension, PeerError> {
    let bytes = extension.tls_serialize_detached().map_err(|e| PeerError::failed("encode extension", e))?;
    let Some(mut rest) = bytes.get(2..) else {
        return Err(PeerError::Failed("encode extension: too short".into()));
    };
    let data = Vec::<u8>::tls_deserialize(&mut rest).map_err(|e| PeerError::failed("encode extension", e))?;
    Ok(Extension { extension_type: u16::from(extension.extension_type()), data })
}

fn sender_ratchet() -> SenderRatchetConfiguration {
    SenderRatchetConfiguration::new(64, 1000)
}

/// How many epochs' message secrets and resumption PSKs a member keeps.
const PAST_EPOCHS: usize = 64;

const NO_REINIT: PeerError =
    PeerError::Unsupported("no API for reinit; it neither commits a ReInit nor closes the group after one");

/// RFC 9420 §12.1.7 names one ground on which a GroupContextExtensions proposal is invalid: a `required_capabilities`
/// extension that some member does not meet. §13.4 asks that every member supports an extension of the GroupContext,
/// and the `capabilities` of its LeafNode are where it says so; §11.1 lets a group require more, it does not have to.
/// OpenMLS refuses an extension that all members support unless `required_capabilities` lists it too.
const EXTENSION_NOT_REQUIRED: PeerError = PeerError::Defect(
    "refuses a GroupContext extension that all members support but required_capabilities does not list \
     (RFC 9420 §12.1.7, §13.4: support in each LeafNode's capabilities is enough)",
);

const NOT_REQUIRED: GroupContextExtensionsProposalValidationError =
    GroupContextExtensionsProposalValidationError::ExtensionNotInRequiredCapabilities;

fn no_group() -> PeerError {
    PeerError::Failed("no group".into())
}
