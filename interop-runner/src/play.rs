//! Playing a case: the calls that each step takes, and what has to be true of the answers.
//!
//! After each commit and each join all members have the same epoch authenticator, which is not that of the epoch
//! before. What is read is what was sent. Messages are framed as the case asks for (RFC 9420 §6), and a ratchet tree
//! that was to stand outside does.

use std::collections::{BTreeMap, BTreeSet};

use crate::cast::{Case, Handshakes};
use crate::client::{CallError, Client};
use crate::rpc::{self, Rpc, proto};
use crate::script::{Actor, Extension, Form, NextGroup, Plan, Proposed, Step, StepId};

/// How a case ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// As it should.
    Passed,
    /// A client does not have what it takes.
    Unsupported(Failure),
    /// Something else than it should.
    Failed(Failure),
    /// The time was over before it began.
    NotPlayed,
}

/// Where and why a case ended early.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Failure {
    /// The position of the step; one more than the last is the clearing away.
    pub step: usize,
    /// Why.
    pub trouble: Trouble,
}

/// What went wrong, at whose side.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Trouble {
    /// The actor and the client that plays it; none where no client is at fault.
    pub at: Option<(Actor, usize)>,
    /// The call.
    pub rpc: Option<&'static str>,
    /// What happened.
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum What {
    /// The call did not give an answer.
    Call(CallError),
    /// The answer is wrong.
    Wrong(String),
    /// The clients of the case have nothing in common that the step could use.
    NothingInCommon(&'static str),
    /// The script can't be played.
    Script(String),
}

/// Plays a case and clears away after it. With `verify`, the group's common state is looked at when the script is over:
/// exporters, and messages of everybody to everybody.
pub async fn play(clients: &[Client], case: &Case, verify: bool) -> Verdict {
    let mut stage = Stage::new(clients, case);
    let mut verdict = stage.begin().await;
    if verdict.is_ok() {
        verdict = stage.steps(verify).await;
    }
    let last = case.script.steps().len();
    let cleared = stage.clear_away().await.map_err(|trouble| Failure { step: last, trouble });
    match verdict.and(cleared) {
        Ok(()) => Verdict::Passed,
        Err(failure) if failure.trouble.is_unsupported() => Verdict::Unsupported(failure),
        Err(failure) => Verdict::Failed(failure),
    }
}

struct Stage<'a> {
    clients: &'a [Client],
    case: &'a Case,
    suite: u16,
    group_id: Vec<u8>,
    members: Vec<Actor>,
    authenticator: Vec<u8>,
    states: BTreeMap<Actor, u32>,
    transactions: BTreeMap<Actor, u32>,
    signers: BTreeMap<Actor, Signer>,
    made: Vec<Made>,
    /// States of groups that actors went on from: a client's position and the number.
    left: BTreeSet<(usize, u32)>,
}

/// What a step made.
enum Made {
    Nothing,
    KeyPackage { of: Actor, key_package: Vec<u8> },
    Psk { id: Vec<u8>, secret: Vec<u8> },
    Proposal { message: Vec<u8>, effect: Effect },
    Message { authenticated_data: Vec<u8>, plaintext: Vec<u8>, ciphertext: Vec<u8> },
}

/// What a proposal does to who is in the group.
#[derive(Clone)]
enum Effect {
    None,
    Adds(Actor),
    Removes(Actor),
    GoesOn { suite: u16, group_id: Vec<u8> },
}

#[derive(Clone, Copy)]
struct Signer {
    id: u32,
    index: u32,
}

/// The wire formats of RFC 9420 §6.
#[derive(Clone, Copy, Eq, PartialEq)]
enum WireFormat {
    PublicMessage,
    PrivateMessage,
    Welcome,
    GroupInfo,
    KeyPackage,
}

impl<'a> Stage<'a> {
    fn new(clients: &'a [Client], case: &'a Case) -> Self {
        Self {
            clients,
            case,
            suite: case.suite,
            group_id: Vec::new(),
            members: Vec::new(),
            authenticator: Vec::new(),
            states: BTreeMap::new(),
            transactions: BTreeMap::new(),
            signers: BTreeMap::new(),
            made: Vec::new(),
            left: BTreeSet::new(),
        }
    }

    /// A client that was lost in an earlier case is asked for quickly.
    async fn begin(&self) -> Result<(), Failure> {
        let mut asked = BTreeSet::new();
        for (actor, client) in &self.case.roles {
            if asked.insert(*client) {
                let there = self.client(actor).map(Client::still_there);
                let there = match there {
                    Ok(there) => there.await.map_err(|error| self.trouble(actor, rpc::Name::NAME, error)),
                    Err(trouble) => Err(trouble),
                };
                there.map_err(|trouble| Failure { step: 0, trouble })?;
            }
        }
        Ok(())
    }

    async fn steps(&mut self, verify: bool) -> Result<(), Failure> {
        let steps = self.case.script.steps();
        for (position, step) in steps.iter().enumerate() {
            let made = self.step(step).await.map_err(|trouble| Failure { step: position, trouble })?;
            self.made.push(made);
        }
        if verify {
            self.verify().await.map_err(|trouble| Failure { step: steps.len(), trouble })?;
        }
        Ok(())
    }

    async fn step(&mut self, step: &Step) -> Result<Made, Trouble> {
        match step {
            Step::CreateGroup { actor, members } => {
                self.create_group(actor, members).await?;
                Ok(Made::Nothing)
            }
            Step::CreateKeyPackage { actor } => {
                let key_package = self.create_key_package(actor).await?;
                Ok(Made::KeyPackage { of: actor.clone(), key_package })
            }
            Step::StorePsk { actors } => self.store_psk(actors).await,
            Step::Propose { actor, what } => self.propose(actor, what).await,
            Step::ProposeAsNewMember { joiner, via } => self.propose_as_new_member(joiner, via).await,
            Step::AddExternalSigner { actor, signer } => self.add_external_signer(actor, signer).await,
            Step::ProposeFromOutside { signer, via, what } => {
                self.propose_from_outside(signer, via, what).await
            }
            Step::Commit { actor, plan } => {
                self.commit(actor, plan).await?;
                Ok(Made::Nothing)
            }
            Step::ExternalJoin { joiner, via, psks, remove_prior, external_tree } => {
                let psks = psks.iter().map(|psk| self.psk(*psk)).collect::<Result<_, _>>()?;
                self.external_join(joiner, via, psks, *remove_prior, *external_tree).await?;
                Ok(Made::Nothing)
            }
            Step::Protect { actor, authenticated_data, plaintext } => {
                self.protect(actor, authenticated_data.as_bytes(), plaintext.as_bytes()).await
            }
            Step::Unprotect { actor, message } => {
                let Some(Made::Message { authenticated_data, plaintext, ciphertext }) = self.made(*message)
                else {
                    return Err(missing(*message, "a message"));
                };
                self.unprotect(actor, authenticated_data, plaintext, ciphertext).await?;
                Ok(Made::Nothing)
            }
            Step::Branch { actor, extensions, form } => {
                self.branch(actor, extensions, *form).await?;
                Ok(Made::Nothing)
            }
            Step::ReInit { proposal, committer, welcomer, form } => {
                self.reinit(*proposal, committer, welcomer, *form).await?;
                Ok(Made::Nothing)
            }
        }
    }

    async fn create_group(&mut self, actor: &Actor, members: &[Actor]) -> Result<(), Trouble> {
        self.group_id = fresh_name()?;
        let request = proto::CreateGroupRequest {
            group_id: self.group_id.clone(),
            cipher_suite: self.suite.into(),
            encrypt_handshake: self.case.handshakes.encrypted(),
            identity: identity(actor),
        };
        let answer = self.ask::<rpc::CreateGroup>(actor, request).await?;
        self.states.insert(actor.clone(), answer.state_id);
        self.members = vec![actor.clone()];
        if members.is_empty() {
            return Ok(());
        }
        let mut by_value = Vec::new();
        for member in members {
            let key_package = self.create_key_package(member).await?;
            by_value.push(describe_add(key_package));
        }
        self.commit_and_handle(actor, &[], by_value, Form::default(), &[], members).await
    }

    async fn create_key_package(&mut self, actor: &Actor) -> Result<Vec<u8>, Trouble> {
        let request =
            proto::CreateKeyPackageRequest { cipher_suite: self.suite.into(), identity: identity(actor) };
        let answer = self.ask::<rpc::CreateKeyPackage>(actor, request).await?;
        self.framed::<rpc::CreateKeyPackage>(actor, &answer.key_package, WireFormat::KeyPackage)?;
        self.transactions.insert(actor.clone(), answer.transaction_id);
        Ok(answer.key_package)
    }

    async fn store_psk(&mut self, actors: &[Actor]) -> Result<Made, Trouble> {
        let (id, secret) = (random_bytes()?, random_bytes()?);
        for actor in actors {
            let holder = self.states.get(actor).or_else(|| self.transactions.get(actor));
            let request = proto::StorePskRequest {
                state_or_transaction_id: holder.copied().unwrap_or_default(),
                psk_id: id.clone(),
                psk_secret: secret.clone(),
            };
            self.ask::<rpc::StorePSK>(actor, request).await?;
        }
        Ok(Made::Psk { id, secret })
    }

    async fn propose(&mut self, actor: &Actor, what: &Proposed) -> Result<Made, Trouble> {
        let state_id = self.state(actor)?;
        let mut effect = Effect::None;
        let (name, answer) = match what {
            Proposed::Add(step) => {
                let (of, key_package) = self.key_package(*step)?;
                effect = Effect::Adds(of);
                let request = proto::AddProposalRequest { state_id, key_package };
                (rpc::AddProposal::NAME, self.ask::<rpc::AddProposal>(actor, request).await?)
            }
            Proposed::Update => {
                let request = proto::UpdateProposalRequest { state_id };
                (rpc::UpdateProposal::NAME, self.ask::<rpc::UpdateProposal>(actor, request).await?)
            }
            Proposed::Remove(removed) => {
                effect = Effect::Removes(removed.clone());
                let request = proto::RemoveProposalRequest { state_id, removed_id: identity(removed) };
                (rpc::RemoveProposal::NAME, self.ask::<rpc::RemoveProposal>(actor, request).await?)
            }
            Proposed::ExternalPsk(step) => {
                let psk_id = self.psk(*step)?.psk_id;
                let request = proto::ExternalPskProposalRequest { state_id, psk_id };
                (rpc::ExternalPSKProposal::NAME, self.ask::<rpc::ExternalPSKProposal>(actor, request).await?)
            }
            Proposed::ResumptionPsk(epoch_id) => {
                let request = proto::ResumptionPskProposalRequest { state_id, epoch_id: *epoch_id };
                let answer = self.ask::<rpc::ResumptionPSKProposal>(actor, request).await?;
                (rpc::ResumptionPSKProposal::NAME, answer)
            }
            Proposed::GroupContextExtensions(list) => {
                let extensions = extensions(list);
                let request = proto::GroupContextExtensionsProposalRequest { state_id, extensions };
                let answer = self.ask::<rpc::GroupContextExtensionsProposal>(actor, request).await?;
                (rpc::GroupContextExtensionsProposal::NAME, answer)
            }
            Proposed::ReInit(next) => {
                let (suite, group_id) = self.next_group(next)?;
                effect = Effect::GoesOn { suite, group_id: group_id.clone() };
                let extensions = extensions(&next.extensions);
                let request = proto::ReInitProposalRequest {
                    state_id,
                    cipher_suite: suite.into(),
                    group_id,
                    extensions,
                };
                (rpc::ReInitProposal::NAME, self.ask::<rpc::ReInitProposal>(actor, request).await?)
            }
        };
        self.framed_as(actor, name, &answer.proposal, self.handshakes())?;
        Ok(Made::Proposal { message: answer.proposal, effect })
    }

    async fn propose_as_new_member(&mut self, joiner: &Actor, via: &Actor) -> Result<Made, Trouble> {
        let info = self.group_info(via, false).await?;
        let request =
            proto::NewMemberAddProposalRequest { group_info: info.group_info, identity: identity(joiner) };
        let answer = self.ask::<rpc::NewMemberAddProposal>(joiner, request).await?;
        self.framed::<rpc::NewMemberAddProposal>(joiner, &answer.proposal, WireFormat::PublicMessage)?;
        self.transactions.insert(joiner.clone(), answer.transaction_id);
        Ok(Made::Proposal { message: answer.proposal, effect: Effect::Adds(joiner.clone()) })
    }

    async fn add_external_signer(&mut self, actor: &Actor, signer: &Actor) -> Result<Made, Trouble> {
        let request = proto::CreateExternalSignerRequest {
            cipher_suite: self.suite.into(),
            identity: identity(signer),
        };
        let created = self.ask::<rpc::CreateExternalSigner>(signer, request).await?;
        let request = proto::AddExternalSignerRequest {
            state_id: self.state(actor)?,
            external_sender: created.external_sender,
        };
        let answer = self.ask::<rpc::AddExternalSigner>(actor, request).await?;
        self.framed::<rpc::AddExternalSigner>(actor, &answer.proposal, self.handshakes())?;
        let index = u32::try_from(self.signers.len()).unwrap_or(u32::MAX);
        self.signers.insert(signer.clone(), Signer { id: created.signer_id, index });
        Ok(Made::Proposal { message: answer.proposal, effect: Effect::None })
    }

    async fn propose_from_outside(
        &mut self,
        signer: &Actor,
        via: &Actor,
        what: &Proposed,
    ) -> Result<Made, Trouble> {
        let info = self.group_info(via, true).await?;
        let (description, effect) = self.describe(what)?;
        let Some(Signer { id, index }) = self.signers.get(signer).copied() else {
            return Err(Trouble::script(format!("{signer} is no external sender")));
        };
        let request = proto::ExternalSignerProposalRequest {
            signer_id: id,
            signer_index: index,
            group_info: info.group_info,
            ratchet_tree: info.ratchet_tree,
            description: Some(description),
        };
        let answer = self.ask::<rpc::ExternalSignerProposal>(signer, request).await?;
        self.framed::<rpc::ExternalSignerProposal>(signer, &answer.proposal, WireFormat::PublicMessage)?;
        Ok(Made::Proposal { message: answer.proposal, effect })
    }

    async fn commit(&mut self, actor: &Actor, plan: &Plan) -> Result<(), Trouble> {
        let (mut by_reference, mut by_value, mut effects) = (Vec::new(), Vec::new(), Vec::new());
        for step in &plan.by_reference {
            let (message, effect) = self.proposal(*step)?;
            by_reference.push(message);
            effects.push(effect);
        }
        for what in &plan.by_value {
            let (description, effect) = self.describe(what)?;
            by_value.push(description);
            effects.push(effect);
        }
        let (mut joiners, mut leavers) = (Vec::new(), Vec::new());
        for effect in effects {
            match effect {
                Effect::Adds(actor) if !plan.absent.contains(&actor) => joiners.push(actor),
                Effect::Removes(actor) => leavers.push(actor),
                Effect::Adds(_) | Effect::None | Effect::GoesOn { .. } => {}
            }
        }
        self.commit_and_handle(actor, &by_reference, by_value, plan.form, &leavers, &joiners).await
    }

    /// A commit, up to where all who are in the group afterwards have its epoch.
    async fn commit_and_handle(
        &mut self,
        committer: &Actor,
        by_reference: &[Vec<u8>],
        by_value: Vec<proto::ProposalDescription>,
        form: Form,
        leavers: &[Actor],
        joiners: &[Actor],
    ) -> Result<(), Trouble> {
        let request = proto::CommitRequest {
            state_id: self.state(committer)?,
            by_reference: by_reference.to_vec(),
            by_value,
            force_path: form.force_path,
            external_tree: form.external_tree,
        };
        let made = self.ask::<rpc::Commit>(committer, request).await?;
        self.framed::<rpc::Commit>(committer, &made.commit, self.handshakes())?;
        let mut ratchet_tree = Vec::new();
        if !joiners.is_empty() {
            self.framed::<rpc::Commit>(committer, &made.welcome, WireFormat::Welcome)?;
            ratchet_tree = self.tree::<rpc::Commit>(committer, made.ratchet_tree, form.external_tree)?;
        }

        let request = proto::HandlePendingCommitRequest { state_id: self.state(committer)? };
        let answer = self.ask::<rpc::HandlePendingCommit>(committer, request).await?;
        self.states.insert(committer.clone(), answer.state_id);
        self.new_epoch::<rpc::HandlePendingCommit>(committer, answer.epoch_authenticator)?;

        self.members.retain(|member| !leavers.contains(member));
        self.handle_commit(committer, by_reference, &made.commit).await?;

        for joiner in joiners {
            let Some(transaction_id) = self.transactions.get(joiner).copied() else {
                return Err(Trouble::script(format!("{joiner} has no KeyPackage")));
            };
            let request = proto::JoinGroupRequest {
                transaction_id,
                welcome: made.welcome.clone(),
                encrypt_handshake: self.case.handshakes.encrypted(),
                identity: identity(joiner),
                ratchet_tree: ratchet_tree.clone(),
            };
            let answer = self.ask::<rpc::JoinGroup>(joiner, request).await?;
            self.states.insert(joiner.clone(), answer.state_id);
            self.same_epoch::<rpc::JoinGroup>(joiner, &answer.epoch_authenticator)?;
            self.members.push(joiner.clone());
        }
        Ok(())
    }

    /// Everybody but the committer handles it.
    async fn handle_commit(
        &mut self,
        committer: &Actor,
        proposals: &[Vec<u8>],
        commit: &[u8],
    ) -> Result<(), Trouble> {
        for member in self.others(committer) {
            let request = proto::HandleCommitRequest {
                state_id: self.state(&member)?,
                proposal: proposals.to_vec(),
                commit: commit.to_vec(),
            };
            let answer = self.ask::<rpc::HandleCommit>(&member, request).await?;
            self.same_epoch::<rpc::HandleCommit>(&member, &answer.epoch_authenticator)?;
            self.states.insert(member, answer.state_id);
        }
        Ok(())
    }

    async fn external_join(
        &mut self,
        joiner: &Actor,
        via: &Actor,
        psks: Vec<proto::PreSharedKey>,
        remove_prior: bool,
        external_tree: bool,
    ) -> Result<(), Trouble> {
        let info = self.group_info(via, external_tree).await?;
        let request = proto::ExternalJoinRequest {
            group_info: info.group_info,
            ratchet_tree: info.ratchet_tree,
            encrypt_handshake: self.case.handshakes.encrypted(),
            identity: identity(joiner),
            remove_prior,
            psks,
        };
        let answer = self.ask::<rpc::ExternalJoin>(joiner, request).await?;
        // RFC 9420 §12.4.3.2: an external commit is a PublicMessage.
        self.framed::<rpc::ExternalJoin>(joiner, &answer.commit, WireFormat::PublicMessage)?;
        self.leave_behind(joiner);
        self.states.insert(joiner.clone(), answer.state_id);
        self.new_epoch::<rpc::ExternalJoin>(joiner, answer.epoch_authenticator)?;
        if !self.members.contains(joiner) {
            self.members.push(joiner.clone());
        }
        self.handle_commit(joiner, &[], &answer.commit).await
    }

    async fn protect(
        &self,
        actor: &Actor,
        authenticated_data: &[u8],
        plaintext: &[u8],
    ) -> Result<Made, Trouble> {
        let request = proto::ProtectRequest {
            state_id: self.state(actor)?,
            authenticated_data: authenticated_data.to_vec(),
            plaintext: plaintext.to_vec(),
        };
        let answer = self.ask::<rpc::Protect>(actor, request).await?;
        self.framed::<rpc::Protect>(actor, &answer.ciphertext, WireFormat::PrivateMessage)?;
        Ok(Made::Message {
            authenticated_data: authenticated_data.to_vec(),
            plaintext: plaintext.to_vec(),
            ciphertext: answer.ciphertext,
        })
    }

    async fn unprotect(
        &self,
        actor: &Actor,
        authenticated_data: &[u8],
        plaintext: &[u8],
        ciphertext: &[u8],
    ) -> Result<(), Trouble> {
        let request =
            proto::UnprotectRequest { state_id: self.state(actor)?, ciphertext: ciphertext.to_vec() };
        let answer = self.ask::<rpc::Unprotect>(actor, request).await?;
        if answer.plaintext != plaintext {
            return Err(self.wrong::<rpc::Unprotect>(actor, "the plaintext is not what was sent"));
        }
        if answer.authenticated_data != authenticated_data {
            return Err(self.wrong::<rpc::Unprotect>(actor, "the authenticated data is not what was sent"));
        }
        Ok(())
    }

    async fn branch(&mut self, actor: &Actor, list: &[Extension], form: Form) -> Result<(), Trouble> {
        let mut key_packages = Vec::new();
        for member in self.others(actor) {
            key_packages.push(self.create_key_package(&member).await?);
        }
        self.group_id = fresh_name()?;
        let request = proto::CreateBranchRequest {
            state_id: self.state(actor)?,
            group_id: self.group_id.clone(),
            extensions: extensions(list),
            key_packages,
            force_path: form.force_path,
            external_tree: form.external_tree,
        };
        let made = self.ask::<rpc::CreateBranch>(actor, request).await?;
        let (welcome, ratchet_tree) = self.successor::<rpc::CreateBranch>(actor, made, form.external_tree)?;
        for member in self.others(actor) {
            let request = proto::HandleBranchRequest {
                state_id: self.state(&member)?,
                transaction_id: self.transactions.get(&member).copied().unwrap_or_default(),
                welcome: welcome.clone(),
                ratchet_tree: ratchet_tree.clone(),
            };
            let answer = self.ask::<rpc::HandleBranch>(&member, request).await?;
            self.same_epoch::<rpc::HandleBranch>(&member, &answer.epoch_authenticator)?;
            self.leave_behind(&member);
            self.states.insert(member, answer.state_id);
        }
        Ok(())
    }

    async fn reinit(
        &mut self,
        proposal: StepId,
        committer: &Actor,
        welcomer: &Actor,
        form: Form,
    ) -> Result<(), Trouble> {
        let (proposal, effect) = self.proposal(proposal)?;
        let Effect::GoesOn { suite, group_id } = effect else {
            return Err(Trouble::script("the proposal is no ReInit".into()));
        };
        let mut last = self.commit_reinit(committer, proposal).await?;
        let Some((reinit_id, _)) = last.remove(welcomer) else {
            return Err(Trouble::script(format!("{welcomer} is no member")));
        };
        let request = proto::ReInitWelcomeRequest {
            reinit_id,
            key_package: last.values().map(|(_, key_package)| key_package.clone()).collect(),
            force_path: form.force_path,
            external_tree: form.external_tree,
        };
        let made = self.ask::<rpc::ReInitWelcome>(welcomer, request).await?;
        (self.suite, self.group_id) = (suite, group_id);
        let (welcome, ratchet_tree) =
            self.successor::<rpc::ReInitWelcome>(welcomer, made, form.external_tree)?;
        for (member, (reinit_id, _)) in last {
            let request = proto::HandleReInitWelcomeRequest {
                reinit_id,
                welcome: welcome.clone(),
                ratchet_tree: ratchet_tree.clone(),
            };
            let answer = self.ask::<rpc::HandleReInitWelcome>(&member, request).await?;
            self.same_epoch::<rpc::HandleReInitWelcome>(&member, &answer.epoch_authenticator)?;
            self.leave_behind(&member);
            self.states.insert(member, answer.state_id);
        }
        Ok(())
    }

    /// The old group's last commit: everybody's number and KeyPackage for the next group.
    async fn commit_reinit(
        &mut self,
        committer: &Actor,
        proposal: Vec<u8>,
    ) -> Result<BTreeMap<Actor, (u32, Vec<u8>)>, Trouble> {
        let request = proto::CommitRequest {
            state_id: self.state(committer)?,
            by_reference: vec![proposal.clone()],
            ..proto::CommitRequest::default()
        };
        let commit = self.ask::<rpc::ReInitCommit>(committer, request).await?.commit;
        self.framed::<rpc::ReInitCommit>(committer, &commit, self.handshakes())?;
        let request = proto::HandlePendingCommitRequest { state_id: self.state(committer)? };
        let answer = self.ask::<rpc::HandlePendingReInitCommit>(committer, request).await?;
        self.new_epoch::<rpc::HandlePendingReInitCommit>(committer, answer.epoch_authenticator)?;
        self.framed::<rpc::HandlePendingReInitCommit>(
            committer,
            &answer.key_package,
            WireFormat::KeyPackage,
        )?;
        let mut all = BTreeMap::from([(committer.clone(), (answer.reinit_id, answer.key_package))]);
        for member in self.others(committer) {
            let request = proto::HandleCommitRequest {
                state_id: self.state(&member)?,
                proposal: vec![proposal.clone()],
                commit: commit.clone(),
            };
            let answer = self.ask::<rpc::HandleReInitCommit>(&member, request).await?;
            self.same_epoch::<rpc::HandleReInitCommit>(&member, &answer.epoch_authenticator)?;
            self.framed::<rpc::HandleReInitCommit>(&member, &answer.key_package, WireFormat::KeyPackage)?;
            all.insert(member, (answer.reinit_id, answer.key_package));
        }
        Ok(all)
    }

    /// A group that grew out of ours, at the one who made it: its Welcome and tree.
    fn successor<R: Rpc>(
        &mut self,
        actor: &Actor,
        made: proto::CreateSubgroupResponse,
        external_tree: bool,
    ) -> Result<(Vec<u8>, Vec<u8>), Trouble> {
        self.framed::<R>(actor, &made.welcome, WireFormat::Welcome)?;
        let ratchet_tree = self.tree::<R>(actor, made.ratchet_tree, external_tree)?;
        self.leave_behind(actor);
        self.states.insert(actor.clone(), made.state_id);
        self.new_epoch::<R>(actor, made.epoch_authenticator)?;
        Ok((made.welcome, ratchet_tree))
    }

    async fn group_info(
        &self,
        via: &Actor,
        external_tree: bool,
    ) -> Result<proto::GroupInfoResponse, Trouble> {
        let request = proto::GroupInfoRequest { state_id: self.state(via)?, external_tree };
        let mut info = self.ask::<rpc::GroupInfo>(via, request).await?;
        self.framed::<rpc::GroupInfo>(via, &info.group_info, WireFormat::GroupInfo)?;
        info.ratchet_tree = self.tree::<rpc::GroupInfo>(via, info.ratchet_tree, external_tree)?;
        Ok(info)
    }

    /// What the working group's scenarios call verifying the common state: the same authenticator and exporter at all
    /// members, and a message of each read by all others.
    async fn verify(&mut self) -> Result<(), Trouble> {
        let mut exported: Option<Vec<u8>> = None;
        for member in &self.members {
            let state_id = self.state(member)?;
            let answer = self.ask::<rpc::StateAuth>(member, proto::StateAuthRequest { state_id }).await?;
            self.same_epoch::<rpc::StateAuth>(member, &answer.state_auth_secret)?;
            let request = proto::ExportRequest {
                state_id,
                label: "interop".into(),
                context: self.group_id.clone(),
                key_length: 32,
            };
            let secret = self.ask::<rpc::Export>(member, request).await?.exported_secret;
            if secret.len() != 32 || exported.as_ref().is_some_and(|exported| *exported != secret) {
                return Err(
                    self.wrong::<rpc::Export>(member, "the exported secret is not that of the others")
                );
            }
            exported = Some(secret);
        }
        for sender in self.members.clone() {
            let made = self.protect(&sender, b"for all", b"everybody reads this").await?;
            let Made::Message { authenticated_data, plaintext, ciphertext } = made else { continue };
            for receiver in self.others(&sender) {
                self.unprotect(&receiver, &authenticated_data, &plaintext, &ciphertext).await?;
            }
        }
        Ok(())
    }

    /// Frees every state. States that actors went on from may be gone already.
    async fn clear_away(&self) -> Result<(), Trouble> {
        let mut freed = BTreeSet::new();
        let mut trouble = Ok(());
        for (actor, state_id) in &self.states {
            let client = self.case.roles.get(actor).copied().unwrap_or_default();
            if self.clients.get(client).is_some_and(Client::is_silent) {
                continue;
            }
            if freed.insert((client, *state_id)) {
                let answer = self.ask::<rpc::Free>(actor, proto::FreeRequest { state_id: *state_id }).await;
                trouble = trouble.and(answer.map(|_| ()));
            }
        }
        for (client, state_id) in self.left.difference(&freed) {
            if let Some(client) = self.clients.get(*client).filter(|client| !client.is_silent()) {
                // Nothing is promised about these.
                let _ = client.call::<rpc::Free>(proto::FreeRequest { state_id: *state_id }).await;
            }
        }
        trouble
    }

    fn leave_behind(&mut self, actor: &Actor) {
        if let (Some(client), Some(state_id)) = (self.case.roles.get(actor), self.states.get(actor)) {
            self.left.insert((*client, *state_id));
        }
    }

    async fn ask<R: Rpc>(&self, actor: &Actor, request: R::Request) -> Result<R::Response, Trouble> {
        self.client(actor)?.call::<R>(request).await.map_err(|error| self.trouble(actor, R::NAME, error))
    }

    fn client(&self, actor: &Actor) -> Result<&'a Client, Trouble> {
        let client = self.case.roles.get(actor).and_then(|client| self.clients.get(*client));
        client.ok_or_else(|| Trouble::script(format!("nobody plays {actor}")))
    }

    fn trouble(&self, actor: &Actor, rpc: &'static str, error: CallError) -> Trouble {
        Trouble { at: self.place(actor), rpc: Some(rpc), what: What::Call(error) }
    }

    fn wrong<R: Rpc>(&self, actor: &Actor, what: &str) -> Trouble {
        self.wrong_of(actor, R::NAME, what)
    }

    fn wrong_of(&self, actor: &Actor, rpc: &'static str, what: &str) -> Trouble {
        Trouble { at: self.place(actor), rpc: Some(rpc), what: What::Wrong(what.to_owned()) }
    }

    fn place(&self, actor: &Actor) -> Option<(Actor, usize)> {
        self.case.roles.get(actor).map(|client| (actor.clone(), *client))
    }

    /// The first authenticator of an epoch.
    fn new_epoch<R: Rpc>(&mut self, actor: &Actor, authenticator: Vec<u8>) -> Result<(), Trouble> {
        if authenticator.is_empty() {
            return Err(self.wrong::<R>(actor, "the epoch authenticator is empty"));
        }
        if authenticator == self.authenticator {
            return Err(self.wrong::<R>(actor, "the epoch authenticator is that of the epoch before"));
        }
        self.authenticator = authenticator;
        Ok(())
    }

    fn same_epoch<R: Rpc>(&self, actor: &Actor, authenticator: &[u8]) -> Result<(), Trouble> {
        if authenticator == self.authenticator {
            return Ok(());
        }
        Err(self.wrong::<R>(actor, "the epoch authenticator is not that of the others"))
    }

    fn framed<R: Rpc>(&self, actor: &Actor, message: &[u8], format: WireFormat) -> Result<(), Trouble> {
        self.framed_as(actor, R::NAME, message, format)
    }

    /// RFC 9420 §6: an MLSMessage begins with the version and the wire format.
    fn framed_as(
        &self,
        actor: &Actor,
        rpc: &'static str,
        message: &[u8],
        format: WireFormat,
    ) -> Result<(), Trouble> {
        if message.starts_with(&[0, 1, 0, format.code()]) {
            return Ok(());
        }
        let what = if message.is_empty() { "is empty" } else { "is something else" };
        Err(self.wrong_of(actor, rpc, &format!("where a {} is expected, the message {what}", format.name())))
    }

    /// The tree outside, where it was asked for; what comes unasked is not passed on.
    fn tree<R: Rpc>(&self, actor: &Actor, tree: Vec<u8>, outside: bool) -> Result<Vec<u8>, Trouble> {
        match (outside, tree.is_empty()) {
            (true, true) => {
                Err(self.wrong::<R>(actor, "the ratchet tree was to be outside and is not there"))
            }
            (true, false) => Ok(tree),
            (false, _) => Ok(Vec::new()),
        }
    }

    fn handshakes(&self) -> WireFormat {
        match self.case.handshakes {
            Handshakes::Private => WireFormat::PrivateMessage,
            Handshakes::Public => WireFormat::PublicMessage,
        }
    }

    fn state(&self, actor: &Actor) -> Result<u32, Trouble> {
        self.states.get(actor).copied().ok_or_else(|| Trouble::script(format!("{actor} is in no group")))
    }

    fn others(&self, actor: &Actor) -> Vec<Actor> {
        self.members.iter().filter(|member| *member != actor).cloned().collect()
    }

    fn made(&self, step: StepId) -> Option<&Made> {
        self.made.get(step.index())
    }

    fn key_package(&self, step: StepId) -> Result<(Actor, Vec<u8>), Trouble> {
        match self.made(step) {
            Some(Made::KeyPackage { of, key_package }) => Ok((of.clone(), key_package.clone())),
            _ => Err(missing(step, "a KeyPackage")),
        }
    }

    fn psk(&self, step: StepId) -> Result<proto::PreSharedKey, Trouble> {
        match self.made(step) {
            Some(Made::Psk { id, secret }) => {
                Ok(proto::PreSharedKey { psk_id: id.clone(), psk_secret: secret.clone() })
            }
            _ => Err(missing(step, "a pre-shared key")),
        }
    }

    fn proposal(&self, step: StepId) -> Result<(Vec<u8>, Effect), Trouble> {
        match self.made(step) {
            Some(Made::Proposal { message, effect }) => Ok((message.clone(), effect.clone())),
            _ => Err(missing(step, "a proposal")),
        }
    }

    /// A proposal in the words of the interface.
    fn describe(&self, what: &Proposed) -> Result<(proto::ProposalDescription, Effect), Trouble> {
        let of = |kind: &str| proto::ProposalDescription {
            proposal_type: kind.as_bytes().to_vec(),
            ..proto::ProposalDescription::default()
        };
        Ok(match what {
            Proposed::Add(step) => {
                let (of, key_package) = self.key_package(*step)?;
                (describe_add(key_package), Effect::Adds(of))
            }
            Proposed::Update => {
                return Err(Trouble::script("an Update is never by value".into()));
            }
            Proposed::Remove(actor) => {
                let description = proto::ProposalDescription { removed_id: identity(actor), ..of("remove") };
                (description, Effect::Removes(actor.clone()))
            }
            Proposed::ExternalPsk(step) => {
                let psk_id = self.psk(*step)?.psk_id;
                (proto::ProposalDescription { psk_id, ..of("externalPSK") }, Effect::None)
            }
            Proposed::ResumptionPsk(epoch) => {
                (proto::ProposalDescription { epoch_id: *epoch, ..of("resumptionPSK") }, Effect::None)
            }
            Proposed::GroupContextExtensions(list) => {
                let extensions = extensions(list);
                let kind = "groupContextExtensions";
                (proto::ProposalDescription { extensions, ..of(kind) }, Effect::None)
            }
            Proposed::ReInit(next) => {
                let (suite, group_id) = self.next_group(next)?;
                let description = proto::ProposalDescription {
                    extensions: extensions(&next.extensions),
                    group_id: group_id.clone(),
                    cipher_suite: suite.into(),
                    ..of("reinit")
                };
                (description, Effect::GoesOn { suite, group_id })
            }
        })
    }

    /// The suite and group ID of a ReInit. Another suite is the next one that all clients of the case have.
    fn next_group(&self, next: &NextGroup) -> Result<(u16, Vec<u8>), Trouble> {
        let mut group_id = self.group_id.clone();
        if next.change_group_id {
            group_id.extend(b"++");
        }
        if !next.change_suite {
            return Ok((self.suite, group_id));
        }
        let clients = self.case.clients();
        let clients: Vec<_> = clients.iter().filter_map(|client| self.clients.get(*client)).collect();
        let common = |suite: &u16| clients.iter().all(|client| client.suites.contains(suite));
        let of_first = clients.first().map(|client| client.suites.as_slice()).unwrap_or_default();
        let later = of_first.iter().filter(|suite| **suite > self.suite);
        let earlier = of_first.iter().filter(|suite| **suite < self.suite);
        match later.chain(earlier).copied().find(common) {
            Some(suite) => Ok((suite, group_id)),
            None => Err(Trouble {
                at: None,
                rpc: None,
                what: What::NothingInCommon("the clients have no second suite in common"),
            }),
        }
    }
}

fn missing(step: StepId, what: &str) -> Trouble {
    Trouble::script(format!("{step} did not make {what}"))
}

fn identity(actor: &Actor) -> Vec<u8> {
    actor.name().as_bytes().to_vec()
}

fn describe_add(key_package: Vec<u8>) -> proto::ProposalDescription {
    proto::ProposalDescription {
        proposal_type: b"add".to_vec(),
        key_package,
        ..proto::ProposalDescription::default()
    }
}

fn extensions(list: &[Extension]) -> Vec<proto::Extension> {
    list.iter()
        .map(|Extension { extension_type, data }| proto::Extension {
            extension_type: u32::from(*extension_type),
            extension_data: data.to_vec(),
        })
        .collect()
}

fn random_bytes() -> Result<Vec<u8>, Trouble> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| Trouble::script(format!("no randomness: {error}")))?;
    Ok(bytes.to_vec())
}

/// A group ID that no other case has, in letters.
fn fresh_name() -> Result<Vec<u8>, Trouble> {
    let bytes = random_bytes()?;
    Ok(bytes.iter().take(16).map(|byte| format!("{byte:02x}")).collect::<String>().into_bytes())
}

impl WireFormat {
    fn code(self) -> u8 {
        match self {
            Self::PublicMessage => 1,
            Self::PrivateMessage => 2,
            Self::Welcome => 3,
            Self::GroupInfo => 4,
            Self::KeyPackage => 5,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::PublicMessage => "PublicMessage",
            Self::PrivateMessage => "PrivateMessage",
            Self::Welcome => "Welcome",
            Self::GroupInfo => "GroupInfo",
            Self::KeyPackage => "KeyPackage",
        }
    }
}

impl Trouble {
    fn script(why: String) -> Self {
        Self { at: None, rpc: None, what: What::Script(why) }
    }

    /// True if a client does not have what it takes, which is no mistake.
    fn is_unsupported(&self) -> bool {
        matches!(self.what, What::Call(CallError::Unimplemented(_)) | What::NothingInCommon(_))
    }
}

impl std::fmt::Display for What {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Call(error) => error.fmt(f),
            Self::Wrong(what) | Self::Script(what) => f.write_str(what),
            Self::NothingInCommon(what) => f.write_str(what),
        }
    }
}
