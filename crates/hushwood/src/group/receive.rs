//! RFC 9420 §6, §12.1, §12.4.2: what arrives for a group, up to the point where somebody has to decide.
//!
//! Nothing is acted on before it is authenticated (C099): parse, group, epoch, decryption or tag,
//! signature. Nothing is consumed before it is accepted (C189, R0).

use std::fmt;

use hushwood_codec::Decode;
use hushwood_crypto::{HashReference, Secret, SignaturePublicKey};

use crate::commit::{Commit, ProposalOrRef};
use crate::credential::{Credential, CredentialCheck, Verdicts};
use crate::error::{Error, NotNow, Violation};
use crate::framing::{
    Authenticated, Content, ContentType, KeySource, MlsMessage, PrivateMessage, PublicMessage, Sender,
    SenderData, Unprotected, external_sender,
};
use crate::group::application::ApplicationMessage;
use crate::group::change::Draft;
use crate::group::message_id::{CommitId, MessageId};
use crate::group::past::PastEpoch;
use crate::group::staged::Moment;
use crate::group::{Group, Status};
use crate::policy::Timestamp;
use crate::proposal::{CachedProposal, Proposal};
use crate::schedule::Psk;
use crate::secret_tree;
use crate::transition::{InstanceId, RecordKind, Step};
use crate::tree::LeafIndex;

/// What a message turned out to be. Nothing has changed yet: offer the message again, and it is the same.
#[derive(Debug)]
pub enum Received {
    /// Application data, sealed until it is accepted.
    Message(ReceivedMessage),
    /// A proposal, to be accepted or refused.
    Proposal(ReceivedProposal),
    /// A commit, to be staged, looked at, and accepted or refused.
    Commit(ReceivedCommit),
    /// A commit of our own came back: apply it.
    OwnCommit(CommitId),
    /// A proposal of our own came back. It is pending already.
    OwnProposal(HashReference),
}

/// Application data whose sender is known. What it says is given by the step that accepts it, and that
/// consumes its key.
pub struct ReceivedMessage {
    instance: InstanceId,
    message: ApplicationMessage,
}

/// A proposal whose sender is known and that is valid by itself. Nothing has changed yet.
#[derive(Debug)]
pub struct ReceivedProposal {
    at: Moment,
    key: Option<HandshakeKey>,
    cached: CachedProposal,
    checks: Vec<CredentialCheck>,
}

/// A commit whose sender is known. Nothing has changed yet.
#[derive(Debug)]
pub struct ReceivedCommit {
    pub(super) at: Moment,
    pub(super) message: Authenticated,
    /// The leaf that has encrypted it, unless it came in public.
    pub(super) encrypted_by: Option<LeafIndex>,
    psks: Vec<Psk>,
}

/// Which handshake key opened a message. It is consumed when the message is accepted.
#[derive(Clone, Copy, Debug)]
struct HandshakeKey {
    leaf: LeafIndex,
    content_type: ContentType,
    generation: u32,
}

impl ReceivedMessage {
    /// The sender's leaf in the epoch of the message.
    #[must_use]
    pub fn sender(&self) -> LeafIndex {
        self.message.sender
    }

    /// Who the sender was in that epoch.
    #[must_use]
    pub fn credential(&self) -> &Credential {
        &self.message.credential
    }
}

impl fmt::Debug for ReceivedMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReceivedMessage").field("sender", &self.message.sender).finish_non_exhaustive()
    }
}

impl ReceivedProposal {
    /// Who made it.
    #[must_use]
    pub fn sender(&self) -> Sender {
        self.cached.sender()
    }

    /// What it proposes.
    #[must_use]
    pub fn proposal(&self) -> &Proposal {
        self.cached.proposal()
    }

    /// Its name.
    #[must_use]
    pub fn reference(&self) -> &HashReference {
        self.cached.reference()
    }

    /// The credentials to judge.
    #[must_use]
    pub fn checks(&self) -> &[CredentialCheck] {
        &self.checks
    }
}

impl ReceivedCommit {
    /// Who made it: a member, or a new member that joins by it.
    #[must_use]
    pub fn sender(&self) -> Sender {
        self.message.content().sender
    }

    /// The pre-shared keys that it uses, apart from resumption keys of this group: supply them as
    /// answers.
    #[must_use]
    pub fn psks(&self) -> &[Psk] {
        &self.psks
    }

    /// The application's data, authenticated with it.
    #[must_use]
    pub fn authenticated_data(&self) -> &[u8] {
        &self.message.content().authenticated_data
    }
}

impl Group {
    /// Takes a message off the wire: an MLSMessage for this group.
    ///
    /// # Errors
    /// Whatever is wrong with the message: [`Error::Decode`], [`Error::Violation`],
    /// [`Error::Unsupported`], [`Error::NotNow`]. Nothing has changed, whatever the error.
    pub fn receive(&self, message: &[u8], now: Timestamp) -> Result<Received, Error> {
        self.check_usable()?;
        let parsed = MlsMessage::from_bytes_with(message, self.policy.decode)?;
        let id = MessageId::of(self.suite(), message);
        let (group_id, epoch, content_type) = match &parsed {
            MlsMessage::PublicMessage(message) => {
                let content = &message.content;
                (&content.group_id, content.epoch, content.content.content_type())
            }
            MlsMessage::PrivateMessage(message) => (&message.group_id, message.epoch, message.content_type),
            MlsMessage::Welcome(_) | MlsMessage::GroupInfo(_) | MlsMessage::KeyPackage(_) => {
                return Err(NotNow::NotForGroup.into());
            }
        };
        // C063: a message of another group.
        if group_id != self.group_id() {
            return Err(NotNow::OtherGroup.into());
        }
        // RFC 9420 §12.1, §12.4.2, C064, C065, C305: handshakes are of the current epoch.
        if epoch > self.epoch() {
            return Err(NotNow::EpochFuture.into());
        }
        if epoch < self.epoch() && content_type != ContentType::Application {
            return Err(NotNow::EpochPast.into());
        }
        if let Some(own) = self.own_messages.get(&id) {
            return Ok(match self.staged.contains_key(&id) {
                true => Received::OwnCommit(id),
                false if own.reference.0.is_empty() => return Err(NotNow::OwnCommitDiscarded.into()),
                false => Received::OwnProposal(own.reference.clone()),
            });
        }
        match (parsed, content_type) {
            (MlsMessage::PrivateMessage(message), ContentType::Application) => {
                self.receive_application(id, message, now)
            }
            (MlsMessage::PrivateMessage(message), _) => {
                let (message, key) = self.open_handshake(message)?;
                self.receive_handshake(message, Some(key), now)
            }
            (MlsMessage::PublicMessage(message), _) => {
                let message = self.open_public(*message)?;
                self.receive_handshake(message, None, now)
            }
            (MlsMessage::Welcome(_) | MlsMessage::GroupInfo(_) | MlsMessage::KeyPackage(_), _) => {
                Err(NotNow::NotForGroup.into())
            }
        }
    }

    /// Accepts application data: gives it, and consumes its key (RFC 9420 §9.2). It stays readable from the
    /// store until it is acknowledged.
    ///
    /// # Errors
    /// [`NotNow::KeyUsed`] if it was accepted meanwhile; [`NotNow::EpochPast`] if its epoch has been
    /// forgotten meanwhile; [`NotNow::Stale`] if it was received by another group.
    pub fn accept_message(
        &mut self,
        received: ReceivedMessage,
    ) -> Result<Step<'_, ApplicationMessage>, Error> {
        self.check_usable()?;
        let ReceivedMessage { instance, message } = received;
        if instance != self.instance {
            return Err(NotNow::Stale.into());
        }
        // The group may have moved: what the key's use consumes is computed from where it is now.
        let epoch = message.epoch;
        let is_current = epoch == self.epoch();
        let tree = match is_current {
            true => &self.active_member()?.secret_tree,
            false => &self.past.epoch(epoch)?.secret_tree,
        };
        let application = ContentType::Application;
        let change = tree.consumption(message.sender, application, message.generation, &self.policy)?;
        let mut draft = Draft::new(self);
        match is_current {
            true => draft.secret_tree(epoch, change)?,
            false => draft.past_secret_tree(epoch, change)?,
        }
        draft.put(RecordKind::Inbox, *message.id.as_bytes(), message.to_record()?);
        Ok(self.step(draft, message))
    }

    /// Accepts a proposal: it waits for a commit from now on, and its key is consumed.
    ///
    /// # Errors
    /// [`NotNow::Stale`] if the epoch has ended; [`Violation::CredentialRefused`] and others if a verdict
    /// refuses; [`NotNow::Limit`] if too many proposals wait.
    pub fn accept_proposal(
        &mut self,
        received: ReceivedProposal,
        verdicts: &Verdicts,
    ) -> Result<Step<'_, HashReference>, Error> {
        self.check_usable()?;
        if !self.is_at(&received.at) {
            return Err(NotNow::Stale.into());
        }
        verdicts.confirm(&received.checks)?;
        let reference = received.cached.reference().clone();
        let mut draft = Draft::new(self);
        if let Some(key) = received.key {
            let tree = &self.active_member()?.secret_tree;
            let change = tree.consumption(key.leaf, key.content_type, key.generation, &self.policy)?;
            draft.secret_tree(self.epoch(), change)?;
        }
        draft.proposal(&self.proposals, received.cached, &self.policy)?;
        Ok(self.step(draft, reference))
    }

    /// Application data, of this epoch or of a past one (RFC 9420 §15.3).
    fn receive_application(
        &self,
        id: MessageId,
        message: PrivateMessage,
        now: Timestamp,
    ) -> Result<Received, Error> {
        let epoch = message.epoch;
        let suite = self.suite();
        let keys = self.application_keys(epoch, now)?;
        let sender_data = message.open_sender_data(suite, keys.sender_data)?;
        let sender = sender_data.leaf_index;
        // C098: our own message came back to us.
        if sender == keys.own_leaf {
            return Err(NotNow::OwnMessage.into());
        }
        let (signature_key, credential) = self.member_at(epoch, sender)?;
        let (application, generation) = (ContentType::Application, sender_data.generation);
        let message_key = keys.secret_tree.key_of(sender, application, generation, &self.policy)?;
        let unprotected =
            message.open(suite, sender_data, message_key, keys.context_bytes, self.policy.decode)?;
        let authenticated = unprotected.verify_signature(suite, &signature_key)?.into_inner();
        let Content::Application(plaintext) = authenticated.content.content else {
            return Err(Error::Bug("an application message opened as something else"));
        };
        let message = ApplicationMessage {
            id,
            sender,
            credential,
            epoch,
            generation: sender_data.generation,
            plaintext: Secret::new(plaintext),
            authenticated_data: authenticated.content.authenticated_data,
        };
        Ok(Received::Message(ReceivedMessage { instance: self.instance, message }))
    }

    /// What it takes to open the application messages of an epoch.
    fn application_keys(&self, epoch: u64, now: Timestamp) -> Result<EpochKeys<'_>, Error> {
        if epoch == self.epoch() {
            let member = self.active_member()?;
            return Ok(EpochKeys {
                sender_data: &member.state.secrets.sender_data,
                secret_tree: &member.secret_tree,
                context_bytes: &self.public.context_bytes,
                own_leaf: self.own_leaf,
            });
        }
        let past = self.past.epoch(epoch)?;
        // C193: the window is bounded in time, even where nobody came to erase what is behind it.
        if now.0.saturating_sub(past.ended) > self.policy.max_past_epoch_age {
            return Err(NotNow::EpochPast.into());
        }
        Ok(EpochKeys::of(past))
    }

    /// The key and credential of a member in an epoch.
    fn member_at(&self, epoch: u64, leaf: LeafIndex) -> Result<(SignaturePublicKey, Credential), Error> {
        if epoch != self.epoch() {
            let member = self.past.member(leaf, epoch, self.tree())?;
            return Ok((member.signature_key, member.credential));
        }
        // RFC 9420 §6.1, §6.3.2, C067, C095: the sender's leaf must not be blank.
        self.tree().identity(leaf)?.ok_or(Violation::SenderBlank.into())
    }

    /// Opens an encrypted handshake message of the current epoch, without consuming its key.
    fn open_handshake(&self, message: PrivateMessage) -> Result<(Authenticated, HandshakeKey), Error> {
        let suite = self.suite();
        let member = self.active_member()?;
        let content_type = message.content_type;
        let sender_data: SenderData = message.open_sender_data(suite, &member.state.secrets.sender_data)?;
        let leaf = sender_data.leaf_index;
        // C098: a handshake of ours that the store does not know: sent before our state was lost.
        if leaf == self.own_leaf {
            return Err(NotNow::OwnMessage.into());
        }
        let (signature_key, _) = self.member_at(self.epoch(), leaf)?;
        let key = HandshakeKey { leaf, content_type, generation: sender_data.generation };
        let message_key = member.secret_tree.key_of(leaf, content_type, key.generation, &self.policy)?;
        let context = &self.public.context_bytes;
        let unprotected = message.open(suite, sender_data, message_key, context, self.policy.decode)?;
        Ok((unprotected.verify_signature(suite, &signature_key)?, key))
    }

    /// Checks the tag and signature of a public message of the current epoch.
    fn open_public(&self, message: PublicMessage) -> Result<Authenticated, Error> {
        let member = self.active_member()?;
        let membership_key = &member.state.secrets.membership;
        let context = &self.public.context_bytes;
        let unprotected = message.unprotect(self.suite(), membership_key, context)?;
        verify_sender(&self.public, unprotected)
    }

    /// A handshake message whose sender is authenticated.
    fn receive_handshake(
        &self,
        message: Authenticated,
        key: Option<HandshakeKey>,
        now: Timestamp,
    ) -> Result<Received, Error> {
        // RFC 9420 §12.4.2, C314, C315: a group that has ended is changed no more.
        if !matches!(self.status, Status::Active) {
            return Err(NotNow::GroupEnded.into());
        }
        let sender = message.content().sender;
        match &message.content().content {
            Content::Application(_) => Err(Error::Bug("application data came as a handshake")),
            Content::Proposal(_) => {
                let checks = self.checks(now, false);
                let cached = CachedProposal::check(&message, &checks)?;
                let credentials = checks.credential_checks(cached.proposal(), sender)?;
                let received = ReceivedProposal { at: self.here(), key, cached, checks: credentials };
                Ok(Received::Proposal(received))
            }
            Content::Commit(commit) => {
                let psks = self.psks_needed(commit);
                let encrypted_by = key.map(|key| key.leaf);
                Ok(Received::Commit(ReceivedCommit { at: self.here(), message, encrypted_by, psks }))
            }
        }
    }

    /// The proposals that a commit refers to and that have not arrived (RFC 9420 §12.4, C293): to be got from
    /// the transport or from other members and received, then the commit can be received again.
    #[must_use]
    pub fn missing_proposals(&self, received: &ReceivedCommit) -> Vec<HashReference> {
        match &received.message.content().content {
            Content::Commit(commit) => self.proposals.missing(&commit.proposals),
            Content::Application(_) | Content::Proposal(_) => Vec::new(),
        }
    }

    /// The pre-shared keys of a commit that this group does not hold itself.
    fn psks_needed(&self, commit: &Commit) -> Vec<Psk> {
        let proposals = commit.proposals.iter().filter_map(|committed| match committed {
            ProposalOrRef::Proposal(proposal) => Some(proposal),
            ProposalOrRef::Reference(reference) => {
                self.proposals.get(reference).map(CachedProposal::proposal)
            }
        });
        let psks = proposals.filter_map(|proposal| match proposal {
            Proposal::Psk(psk) => Some(&psk.psk.psk),
            _ => None,
        });
        psks.filter(|psk| self.own_resumption_psk(psk).is_none()).cloned().collect()
    }
}

/// Verifies the signature of a public message with the key of its sender (RFC 9420 §6.1), before anybody looks at what
/// it proposes (§12.4.2, C307).
pub(crate) fn verify_sender(
    state: &crate::commit::state::PublicState,
    message: Unprotected,
) -> Result<Authenticated, Error> {
    let key = match message.key_source()? {
        // C067, C068.
        KeySource::Member(leaf) => state.tree.identity(leaf)?.ok_or(Violation::SenderBlank)?.0,
        // C069, C070.
        KeySource::ExternalSender(index) => external_sender(&state.context.extensions, index)?.signature_key,
        // C074, C076.
        KeySource::Message(key) => key.clone(),
    };
    message.verify_signature(state.suite, &key)
}

/// The keys of one epoch.
struct EpochKeys<'g> {
    sender_data: &'g crate::schedule::SenderDataSecret,
    secret_tree: &'g secret_tree::SecretTree,
    context_bytes: &'g [u8],
    own_leaf: LeafIndex,
}

impl<'g> EpochKeys<'g> {
    fn of(past: &'g PastEpoch) -> Self {
        Self {
            sender_data: &past.sender_data,
            secret_tree: &past.secret_tree,
            context_bytes: &past.context_bytes,
            own_leaf: past.own_leaf,
        }
    }
}

#[cfg(test)]
mod tests;
