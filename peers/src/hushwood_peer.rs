//! Hushwood as a peer, on each of its providers.
//!
//! After every operation the group is read back from its store, so that a conversation that passes also shows that
//! nothing is lost by a restart at any point.

use std::time::{SystemTime, UNIX_EPOCH};

use hushwood::codec::Decode;
use hushwood::commit::Answers;
use hushwood::credential::{Credential, InsecureAcceptAll, judge};
use hushwood::crypto::{CipherSuiteId, CryptoProvider, Random, Secret, SoftwareSigner};
use hushwood::extension::{ExtensionType, Extensions};
use hushwood::framing::MlsMessage;
use hushwood::group::{
    CommitPlan, EpochChange, Group, GroupInfoOptions, NewGroup, NewProposal, OpenedWelcome, Received,
    StagedExternalJoin, Status, Successor, client,
};
use hushwood::key_package::{KeyPackageBuilder, ValidKeyPackage, validate};
use hushwood::policy::{Grease, Policy, Timestamp};
use hushwood::proposal::ReInit;
use hushwood::schedule::{Psk, ResumptionPskUsage};
use hushwood::tree::{LeafContent, LeafIndex, Supported};
use hushwood::version::ProtocolVersion;
use hushwood_store::MemoryStore;

use crate::peer::{
    CipherSuite, CommitOptions, Committed, Created, EXPORTER_CONTEXT, EXPORTER_LABEL, EXPORTER_LENGTH,
    Extension, ExternalJoin, Member, MemberEntry, Outcome, PRIVATE_USE_EXTENSION, Peer, PeerError, Proposal,
    ProposalType, Settings, View, WireFormat,
};

/// Hushwood on one of its providers.
#[derive(Debug)]
pub struct Hushwood {
    name: &'static str,
    provider: CryptoProvider,
}

impl Hushwood {
    /// On AWS-LC.
    pub fn aws_lc() -> Self {
        Self { name: "hushwood/aws-lc", provider: hushwood_aws_lc::PROVIDER }
    }

    /// In pure Rust.
    pub fn rustcrypto() -> Self {
        Self { name: "hushwood/rustcrypto", provider: hushwood_rustcrypto::PROVIDER }
    }
}

impl Peer for Hushwood {
    fn name(&self) -> &'static str {
        self.name
    }

    fn suites(&self) -> Vec<CipherSuite> {
        self.provider.suites.iter().map(|suite| CipherSuite(suite.id().0)).collect()
    }

    fn client(&self, settings: Settings) -> Result<Box<dyn Member>, PeerError> {
        let signer = new_signer(&self.provider, settings.suite)?;
        Ok(Box::new(HushwoodMember {
            provider: self.provider,
            settings,
            store: MemoryStore::new(),
            signer,
            group: None,
            pending: None,
            past_groups: Vec::new(),
            successor_signer: None,
        }))
    }
}

fn new_signer(provider: &CryptoProvider, suite: CipherSuite) -> Result<SoftwareSigner, PeerError> {
    let Some(suite) = provider.suite(CipherSuiteId(suite.0)) else {
        return Err(PeerError::Unsupported("this provider lacks the suite"));
    };
    SoftwareSigner::generate(suite, &mut random()).map_err(failed("signature key"))
}

fn random() -> impl Random {
    hushwood_rustcrypto::OsRandom
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    Timestamp(since.map(|duration| duration.as_secs()).unwrap_or_default())
}

struct HushwoodMember {
    provider: CryptoProvider,
    settings: Settings,
    store: MemoryStore,
    signer: SoftwareSigner,
    group: Option<Group>,
    /// Our commit that waits.
    pending: Option<hushwood::group::CommitId>,
    /// Groups that this one has grown out of.
    past_groups: Vec<Group>,
    /// The key for the group that replaces this one.
    successor_signer: Option<(CipherSuite, SoftwareSigner)>,
}

impl HushwoodMember {
    fn policy(&self, ratchet_tree_extension: bool) -> Policy {
        Policy {
            encrypt_handshakes: self.settings.handshake == WireFormat::PrivateMessage,
            ratchet_tree_extension,
            grease: if self.settings.greased_extensions { Grease::Everywhere } else { Grease::Capabilities },
            max_past_epochs: 64,
            max_resumption_psks: 64,
            // The peers' lifetimes are their own.
            max_lifetime: u64::MAX,
            ..Policy::default()
        }
    }

    fn supported(&self) -> Supported {
        let mut supported = Supported::new(&self.provider).preferring(CipherSuiteId(self.settings.suite.0));
        supported.extensions.push(ExtensionType(PRIVATE_USE_EXTENSION));
        supported
    }

    fn credential(&self) -> Credential {
        Credential::basic(self.settings.identity.clone())
    }

    fn content(&self) -> LeafContent {
        LeafContent {
            credential: self.credential(),
            supported: self.supported(),
            extensions: Extensions::new(),
        }
    }

    fn group(&self) -> Result<&Group, PeerError> {
        self.group.as_ref().ok_or_else(no_group)
    }

    /// The group, to be changed; it is put back by [`Self::restart`].
    fn take(&mut self) -> Result<Group, PeerError> {
        self.group.take().ok_or_else(no_group)
    }

    /// Reads the group back from the store.
    fn restart(&mut self, group: Group) -> Result<(), PeerError> {
        let opened = Group::open(&self.store, &self.provider, group.instance());
        self.group = Some(opened.map_err(failed("open"))?);
        Ok(())
    }

    /// Runs an operation on the group and reads the group back, whatever came of it.
    fn with_group<T>(
        &mut self,
        operation: impl FnOnce(&mut Group, &mut MemoryStore, &SoftwareSigner) -> Result<T, PeerError>,
    ) -> Result<T, PeerError> {
        let mut group = self.take()?;
        let result = operation(&mut group, &mut self.store, &self.signer);
        self.restart(group)?;
        result
    }

    fn valid(&self, key_package: &[u8], suite: CipherSuite) -> Result<ValidKeyPackage, PeerError> {
        let MlsMessage::KeyPackage(key_package) =
            MlsMessage::from_bytes(key_package).map_err(failed("key package"))?
        else {
            return Err(PeerError::Failed("not a KeyPackage".into()));
        };
        let Some(suite) = self.provider.suite(CipherSuiteId(suite.0)) else {
            return Err(PeerError::Unsupported("this provider lacks the suite"));
        };
        validate(*key_package, suite, &self.policy(true), now()).map_err(failed("key package"))
    }

    fn proposal(&self, proposal: &Proposal) -> Result<NewProposal<'static>, PeerError> {
        let group = self.group()?;
        Ok(match proposal {
            Proposal::Add(key_package) => {
                NewProposal::Add(Box::new(self.valid(key_package, self.settings.suite)?))
            }
            Proposal::Update => NewProposal::Update(Default::default()),
            Proposal::Remove(leaf) => NewProposal::Remove(LeafIndex::new(*leaf)),
            Proposal::ExternalPsk(id) => NewProposal::Psk(Psk::External { psk_id: id.clone() }),
            Proposal::ResumptionPsk(epoch) => NewProposal::Psk(Psk::Resumption {
                usage: ResumptionPskUsage::Application,
                psk_group_id: group.group_id().to_vec(),
                psk_epoch: *epoch,
            }),
            Proposal::ReInit { group_id, suite } => NewProposal::ReInit(ReInit {
                group_id: group_id.clone(),
                version: ProtocolVersion::MLS10,
                cipher_suite: CipherSuiteId(suite.0),
                extensions: Extensions::new(),
            }),
            Proposal::GroupContextExtensions(new) => {
                let mut extensions = Extensions::new();
                for extension in new {
                    extensions.set(ExtensionType(extension.extension_type), extension.data.clone());
                }
                NewProposal::GroupContextExtensions(extensions)
            }
        })
    }

    fn new_key_package(&mut self, suite: CipherSuite, signer: &SoftwareSigner) -> Result<Vec<u8>, PeerError> {
        let Some(suite) = self.provider.suite(CipherSuiteId(suite.0)) else {
            return Err(PeerError::Unsupported("this provider lacks the suite"));
        };
        let new = KeyPackageBuilder::new(suite, self.content())
            .build(signer, &self.policy(true), now(), &mut random())
            .map_err(failed("key package"))?;
        let step = client::keep_key_package(new).map_err(failed("key package"))?;
        step.commit(&mut self.store).map_err(failed("key package"))
    }

    fn open_welcome(
        &mut self,
        welcome: &[u8],
        tree: Option<&[u8]>,
        of_current: bool,
    ) -> Result<Group, PeerError> {
        let policy = self.policy(true);
        let opened =
            OpenedWelcome::open(welcome, &self.store, &self.provider, &policy).map_err(failed("join"))?;
        let answers = Answers::from_store(&self.store, opened.psks()).map_err(failed("join"))?;
        let parent = if of_current { self.group.as_ref() } else { None };
        let staged = opened.stage(&answers, tree, parent, now(), &mut random()).map_err(failed("join"))?;
        let verdicts = judge(staged.checks(), &InsecureAcceptAll);
        let step = staged.accept(&verdicts, &self.store, &mut random()).map_err(failed("join"))?;
        step.commit(&mut self.store).map_err(failed("join"))
    }

    /// Goes over to a group that has grown out of the current one.
    fn succeed(&mut self, group: Group) -> Result<(), PeerError> {
        self.past_groups.extend(self.group.take());
        self.restart(group)
    }

    fn created(change: EpochChange) -> Created {
        Created {
            welcomes: change.welcomes.into_iter().map(|welcome| welcome.message).collect(),
            tree: change.ratchet_tree,
        }
    }

    fn successor(
        &self,
        key_packages: &[Vec<u8>],
        suite: CipherSuite,
        tree_in_welcome: bool,
    ) -> Result<Successor, PeerError> {
        let valid = key_packages.iter().map(|key_package| self.valid(key_package, suite));
        let mut successor =
            Successor::new(self.credential(), self.supported(), valid.collect::<Result<Vec<_>, _>>()?);
        successor.policy = self.policy(tree_in_welcome);
        Ok(successor)
    }
}

impl Member for HushwoodMember {
    fn key_package(&mut self) -> Result<Vec<u8>, PeerError> {
        let new = KeyPackageBuilder::new(
            self.provider.suite(CipherSuiteId(self.settings.suite.0)).ok_or_else(no_group)?,
            self.content(),
        )
        .build(&self.signer, &self.policy(true), now(), &mut random())
        .map_err(failed("key package"))?;
        let step = client::keep_key_package(new).map_err(failed("key package"))?;
        step.commit(&mut self.store).map_err(failed("key package"))
    }

    fn add_psk(&mut self, id: &[u8], secret: &[u8]) -> Result<(), PeerError> {
        let step = client::keep_psk(id, &Secret::copy_of(secret)).map_err(failed("psk"))?;
        step.commit(&mut self.store).map_err(failed("psk"))
    }

    fn create_group(&mut self, group_id: &[u8]) -> Result<(), PeerError> {
        let suite = self.provider.suite(CipherSuiteId(self.settings.suite.0)).ok_or_else(no_group)?;
        let mut settings = NewGroup::new(suite, self.credential(), self.supported());
        settings.group_id = Some(group_id.to_vec());
        settings.policy = self.policy(true);
        let step =
            Group::create(settings, &self.signer, now(), &mut random()).map_err(failed("create group"))?;
        let group = step.commit(&mut self.store).map_err(failed("create group"))?;
        self.restart(group)
    }

    fn join(&mut self, welcome: &[u8], tree: Option<&[u8]>) -> Result<(), PeerError> {
        let group = self.open_welcome(welcome, tree, false)?;
        self.restart(group)
    }

    fn external_commit(&mut self, join: ExternalJoin<'_>) -> Result<Vec<u8>, PeerError> {
        let mut settings =
            hushwood::group::ExternalJoin::new(self.provider, self.credential(), self.supported());
        settings.policy = self.policy(true);
        settings.resync = join.resync.map(LeafIndex::new);
        let psks: Vec<_> = join.psks.iter().map(|id| Psk::External { psk_id: id.clone() }).collect();
        settings.answers = Answers::from_store(&self.store, &psks).map_err(failed("external commit"))?;
        settings.psks = psks;
        let staged = StagedExternalJoin::stage(
            join.group_info,
            join.tree,
            settings,
            &self.signer,
            now(),
            &mut random(),
        )
        .map_err(failed("external commit"))?;
        let verdicts = judge(staged.checks(), &InsecureAcceptAll);
        let step = staged.accept(&verdicts, &self.store, &mut random()).map_err(failed("external commit"))?;
        let (group, outgoing) = step.commit(&mut self.store).map_err(failed("external commit"))?;
        self.restart(group)?;
        Ok(outgoing.message)
    }

    fn propose(&mut self, proposal: &Proposal) -> Result<Vec<u8>, PeerError> {
        let proposal = self.proposal(proposal)?;
        self.with_group(|group, store, signer| {
            let step =
                group.propose(proposal, b"", signer, now(), &mut random()).map_err(failed("propose"))?;
            Ok(step.commit(store).map_err(failed("propose"))?.message)
        })
    }

    fn commit(&mut self, by_value: &[Proposal], options: CommitOptions) -> Result<Committed, PeerError> {
        let proposals = by_value.iter().map(|proposal| self.proposal(proposal));
        let proposals = proposals.collect::<Result<Vec<_>, _>>()?;
        let pending = self.group()?.pending_proposals().filter_map(|pending| match pending.proposal {
            hushwood::proposal::Proposal::Psk(psk) => Some(psk.psk.psk.clone()),
            _ => None,
        });
        let own = proposals.iter().filter_map(|proposal| match proposal {
            NewProposal::Psk(psk) => Some(psk.clone()),
            _ => None,
        });
        let psks: Vec<_> = pending.chain(own).collect();
        let answers = Answers::from_store(&self.store, &psks).map_err(failed("commit"))?;
        let policy = self.policy(options.tree_in_welcome);
        let plan = CommitPlan {
            proposals,
            omit_path: !options.force_path,
            welcome_per_joiner: options.separate_welcomes,
            ..CommitPlan::default()
        };
        let (id, commit, welcomes, tree) = self.with_group(|group, store, signer| {
            group.set_policy(policy).map_err(failed("policy"))?.commit(store).map_err(failed("policy"))?;
            let step =
                group.commit(plan, &answers, signer, now(), &mut random()).map_err(failed("commit"))?;
            let staged = step.commit(store).map_err(failed("commit"))?;
            // The Welcome is sealed until the commit is applied. To look at it before, the state is copied,
            // and the copy applies it.
            let mut copy = store.snapshot();
            let change = group.apply(&staged.id, now()).map_err(failed("apply"))?;
            let (writes, pending) = change.begin();
            drop(pending);
            hushwood::transition::Persist::persist(&mut copy, &writes).map_err(failed("apply"))?;
            let welcomes = outbox(&copy, group)?;
            Ok((staged.id, staged.outgoing.message, welcomes, staged.change.ratchet_tree))
        })?;
        self.pending = Some(id);
        Ok(Committed { commit, welcomes, tree })
    }

    fn apply_pending(&mut self) -> Result<Vec<ProposalType>, PeerError> {
        let Some(id) = self.pending.take() else {
            return Err(PeerError::Failed("apply: no commit".into()));
        };
        self.with_group(|group, store, _| {
            let step = group.apply(&id, now()).map_err(failed("apply"))?;
            let change = step.commit(store).map_err(failed("apply"))?;
            for welcome in &change.welcomes {
                let step = group.acknowledge(&welcome.id).map_err(failed("acknowledge"))?;
                step.commit(store).map_err(failed("acknowledge"))?;
            }
            Ok(types(&change))
        })
    }

    fn discard_pending(&mut self) -> Result<(), PeerError> {
        let Some(id) = self.pending.take() else {
            return Err(PeerError::Failed("discard: no commit".into()));
        };
        self.with_group(|group, store, _| {
            group.discard(&id).map_err(failed("discard"))?.commit(store).map_err(failed("discard"))
        })
    }

    fn process(&mut self, message: &[u8]) -> Result<Outcome, PeerError> {
        self.with_group(|group, store, _| match group.receive(message, now()).map_err(failed("process"))? {
            Received::Message(received) => {
                let said = group
                    .accept_message(received)
                    .map_err(failed("process"))?
                    .commit(store)
                    .map_err(failed("process"))?;
                let Credential::Basic { identity } = said.credential else {
                    return Err(PeerError::Failed("process: not a Basic credential".into()));
                };
                Ok(Outcome::Application {
                    plaintext: said.plaintext.expose().to_vec(),
                    aad: said.authenticated_data,
                    sender: identity,
                })
            }
            Received::Proposal(received) => {
                let proposal_type = ProposalType(received.proposal().proposal_type().0);
                let verdicts = judge(received.checks(), &InsecureAcceptAll);
                let step = group.accept_proposal(received, &verdicts).map_err(failed("process"))?;
                step.commit(store).map_err(failed("process"))?;
                Ok(Outcome::Proposal(proposal_type))
            }
            Received::Commit(received) => {
                let answers = Answers::from_store(store, received.psks()).map_err(failed("process"))?;
                let staged = group
                    .stage_commit(&received, &answers, now(), &mut random())
                    .map_err(failed("process"))?;
                let verdicts = judge(staged.checks(), &InsecureAcceptAll);
                let step = group.accept_commit(staged, &verdicts, now()).map_err(failed("process"))?;
                let change = step.commit(store).map_err(failed("process"))?;
                Ok(Outcome::Commit { proposals: types(&change), removed: change.status == Status::Removed })
            }
            other => Err(PeerError::failed("process: unexpected content", other)),
        })
    }

    fn send(&mut self, plaintext: &[u8], aad: &[u8]) -> Result<Vec<u8>, PeerError> {
        self.with_group(|group, store, signer| {
            let step = group.encrypt(plaintext, aad, signer, &mut random()).map_err(failed("send"))?;
            Ok(step.commit(store).map_err(failed("send"))?.message)
        })
    }

    fn group_info(&mut self, with_tree: bool) -> Result<Vec<u8>, PeerError> {
        let options = GroupInfoOptions { ratchet_tree: with_tree, external_pub: true };
        self.group()?.group_info(options, &self.signer, &mut random()).map_err(failed("group info"))
    }

    fn view(&self) -> Result<View, PeerError> {
        let group = self.group()?;
        let exported =
            group.export(EXPORTER_LABEL, EXPORTER_CONTEXT, EXPORTER_LENGTH).map_err(failed("export"))?;
        let members = group.members().map(|member| {
            let member = member.map_err(failed("members"))?;
            let Credential::Basic { identity } = &member.leaf.credential else {
                return Err(PeerError::Failed("members: not a Basic credential".into()));
            };
            Ok(MemberEntry {
                leaf_index: member.index.number(),
                identity: identity.clone(),
                signature_key: member.leaf.signature_key.0.clone(),
            })
        });
        let extensions = group.context().extensions.iter().map(|extension| Extension {
            extension_type: extension.extension_type.0,
            data: extension.extension_data.clone(),
        });
        Ok(View {
            epoch: group.epoch(),
            epoch_authenticator: group.epoch_authenticator().map_err(failed("epoch authenticator"))?.to_vec(),
            exported: exported.expose().to_vec(),
            members: members.collect::<Result<_, PeerError>>()?,
            tree: group.ratchet_tree().map_err(failed("tree"))?,
            extensions: extensions.collect(),
        })
    }

    fn reinit_key_package(&mut self) -> Result<Vec<u8>, PeerError> {
        let Status::Reinitialised(reinit) = self.group()?.status() else {
            return Err(PeerError::Failed("reinit: the group goes on".into()));
        };
        let suite = CipherSuite(reinit.cipher_suite.0);
        let signer = new_signer(&self.provider, suite)?;
        let key_package = self.new_key_package(suite, &signer)?;
        self.successor_signer = Some((suite, signer));
        Ok(key_package)
    }

    fn reinit_create(
        &mut self,
        key_packages: &[Vec<u8>],
        tree_in_welcome: bool,
    ) -> Result<Created, PeerError> {
        let Status::Reinitialised(reinit) = self.group()?.status() else {
            return Err(PeerError::Failed("reinit: the group goes on".into()));
        };
        let suite = CipherSuite(reinit.cipher_suite.0);
        let signer = new_signer(&self.provider, suite)?;
        let successor = self.successor(key_packages, suite, tree_in_welcome)?;
        let step = self
            .group()?
            .reinit((&self.provider, &self.store), successor, &signer, now(), &mut random())
            .map_err(failed("reinit"))?;
        let (group, change) = step.commit(&mut self.store).map_err(failed("reinit"))?;
        self.signer = signer;
        self.settings.suite = suite;
        self.succeed(group)?;
        Ok(Self::created(change))
    }

    fn reinit_join(&mut self, welcome: &[u8], tree: Option<&[u8]>) -> Result<(), PeerError> {
        let group = self.open_welcome(welcome, tree, true)?;
        if let Some((suite, signer)) = self.successor_signer.take() {
            self.settings.suite = suite;
            self.signer = signer;
        }
        self.succeed(group)
    }

    fn branch_create(
        &mut self,
        group_id: &[u8],
        key_packages: &[Vec<u8>],
        tree_in_welcome: bool,
    ) -> Result<Created, PeerError> {
        let mut successor = self.successor(key_packages, self.settings.suite, tree_in_welcome)?;
        successor.group_id = Some(group_id.to_vec());
        let step =
            self.group()?.branch(successor, &self.signer, now(), &mut random()).map_err(failed("branch"))?;
        let (group, change) = step.commit(&mut self.store).map_err(failed("branch"))?;
        self.succeed(group)?;
        Ok(Self::created(change))
    }

    fn branch_join(&mut self, welcome: &[u8], tree: Option<&[u8]>) -> Result<(), PeerError> {
        let group = self.open_welcome(welcome, tree, true)?;
        self.succeed(group)
    }
}

/// The Welcomes among the messages of a store that wait to be sent.
fn outbox(store: &MemoryStore, group: &Group) -> Result<Vec<Vec<u8>>, PeerError> {
    let mut welcomes = Vec::new();
    for waiting in group.unacknowledged(store).map_err(failed("outbox"))? {
        if let hushwood::group::Unacknowledged::Outgoing(outgoing) = waiting
            && matches!(MlsMessage::from_bytes(&outgoing.message), Ok(MlsMessage::Welcome(_)))
        {
            welcomes.push(outgoing.message);
        }
    }
    Ok(welcomes)
}

fn types(change: &EpochChange) -> Vec<ProposalType> {
    let mut types: Vec<_> = change.proposals.iter().map(|proposal| ProposalType(proposal.0)).collect();
    types.sort_unstable();
    types
}

fn no_group() -> PeerError {
    PeerError::Failed("no group".into())
}

fn failed<E: std::fmt::Debug>(operation: &'static str) -> impl FnOnce(E) -> PeerError {
    move |error| PeerError::failed(operation, error)
}
