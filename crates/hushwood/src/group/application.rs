//! RFC 9420 §15: application messages, and what is kept of messages until the application has them.

use hushwood_codec::Encode;
use hushwood_crypto::{Random, Secret, Signer};

use crate::credential::Credential;
use crate::error::{ApiMisuse, Error, NotNow, StoreReadError};
use crate::framing::{
    Content, ContentType, FramedContent, MlsMessage, PrivateMessage, SealingKeys, Sender, Signed, WireFormat,
};
use crate::group::change::Draft;
use crate::group::message_id::MessageId;
use crate::group::record::{read, record};
use crate::group::{Group, encode};
use crate::transition::{RecordKind, Records, Step};
use crate::tree::LeafIndex;

/// A message to be sent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Outgoing {
    /// Its idempotency id: the store keeps the message under it until it is acknowledged.
    pub id: MessageId,
    /// An MLSMessage, for the transport.
    pub message: Vec<u8>,
}

/// A message that was received and decrypted.
#[derive(Debug)]
pub struct ApplicationMessage {
    /// Its idempotency id: the store keeps the message under it until it is acknowledged.
    pub id: MessageId,
    /// The sender's leaf in the epoch of the message.
    pub sender: LeafIndex,
    /// Who the sender was in that epoch.
    pub credential: Credential,
    /// The epoch it was sent in; the current one or a past one.
    pub epoch: u64,
    /// How many messages the sender sent in that epoch before this one.
    pub generation: u32,
    /// What was sent, without padding.
    pub plaintext: Secret,
    /// Data that was authenticated and not encrypted.
    pub authenticated_data: Vec<u8>,
}

/// A message that the store keeps because the application has not acknowledged it.
#[derive(Debug)]
pub enum Unacknowledged {
    /// To be sent.
    Outgoing(Outgoing),
    /// Received.
    Incoming(ApplicationMessage),
}

impl Group {
    /// Encrypts an application message (RFC 9420 §6.3).
    ///
    /// `authenticated_data` travels in the clear and is authenticated with the message.
    ///
    /// # Errors
    /// [`NotNow::ProposalPending`] if proposals wait: commit them first. [`ApiMisuse::TooLong`],
    /// [`ApiMisuse::TooMuchEncrypted`], [`ApiMisuse::SignerMismatch`], [`NotNow::GroupEnded`],
    /// [`Error::Signer`], [`Error::Crypto`].
    pub fn encrypt(
        &mut self,
        plaintext: &[u8],
        authenticated_data: &[u8],
        signer: &dyn Signer,
        random: &mut dyn Random,
    ) -> Result<Step<'_, Outgoing>, Error> {
        self.check_sending()?;
        self.check_signer(signer)?;
        // RFC 9420 §12.4, C290: who has seen a valid proposal commits before sending data.
        if self.proposals.iter().next().is_some() {
            return Err(NotNow::ProposalPending.into());
        }
        // C091, C404: the policy's limit is far below that of the AEAD.
        if plaintext.len() > self.policy.max_message {
            return Err(ApiMisuse::TooLong.into());
        }
        let member = self.active_member()?;
        let suite = self.suite();
        let (generation, message_key, change) =
            member.secret_tree.seal_key(self.own_leaf, ContentType::Application)?;
        // RFC 9420 §15.2, C405: no more per epoch than the AEAD's bounds allow.
        if generation >= self.policy.max_epoch_messages {
            return Err(ApiMisuse::TooMuchEncrypted.into());
        }
        let content = FramedContent {
            group_id: self.group_id().to_vec(),
            epoch: self.epoch(),
            sender: Sender::Member(self.own_leaf),
            authenticated_data: authenticated_data.to_vec(),
            content: Content::Application(plaintext.to_vec()),
        };
        let signed = Signed::sign(signer, WireFormat::PRIVATE_MESSAGE, content, &self.public.context_bytes)?;
        let keys =
            SealingKeys { sender_data: &member.state.secrets.sender_data, generation, message: message_key };
        let message =
            PrivateMessage::protect(suite, &signed.complete(None)?, keys, self.policy.padding, random)?;
        let message = encode(&MlsMessage::PrivateMessage(message))?;
        let id = MessageId::of(suite, &message);

        let mut draft = Draft::new(self);
        draft.secret_tree(self.epoch(), change)?;
        draft.outbox(id, &message)?;
        Ok(self.step(draft, Outgoing { id, message }))
    }

    /// Forgets a message that the application has dealt with: it has been sent, or what it said has been
    /// shown or stored. Erases it from the store.
    ///
    /// # Errors
    /// [`NotNow::Reopen`].
    pub fn acknowledge(&mut self, id: &MessageId) -> Result<Step<'_, ()>, Error> {
        self.check_usable()?;
        let mut draft = Draft::new(self);
        draft.erase(RecordKind::Inbox, *id.as_bytes());
        draft.erase(RecordKind::Outbox, *id.as_bytes());
        Ok(self.step(draft, ()))
    }

    /// The messages that have not been acknowledged, as after a restart.
    ///
    /// # Errors
    /// [`Error::StoreRead`].
    pub fn unacknowledged(&self, store: &dyn Records) -> Result<Vec<Unacknowledged>, Error> {
        let corrupt = || Error::from(StoreReadError::Corrupt);
        let mut messages = Vec::new();
        for (id, value) in store.list(self.instance, RecordKind::Outbox)? {
            let id = MessageId::read(&id).ok_or_else(corrupt)?;
            let message = read(&value, |reader| reader.opaque().map(<[u8]>::to_vec))?;
            messages.push(Unacknowledged::Outgoing(Outgoing { id, message }));
        }
        for (id, value) in store.list(self.instance, RecordKind::Inbox)? {
            let id = MessageId::read(&id).ok_or_else(corrupt)?;
            messages.push(Unacknowledged::Incoming(ApplicationMessage::from_record(id, &value)?));
        }
        Ok(messages)
    }
}

impl ApplicationMessage {
    pub(super) fn to_record(&self) -> Result<Secret, Error> {
        let credential = self.credential.to_bytes()?;
        let lengths = [credential.len(), self.plaintext.len(), self.authenticated_data.len()];
        record(lengths.into_iter().fold(32, usize::saturating_add), |writer| {
            writer.value(&self.sender).raw(&credential).value(&self.epoch).value(&self.generation);
            writer.value(&self.plaintext).opaque(&self.authenticated_data);
        })
    }

    fn from_record(id: MessageId, value: &Secret) -> Result<Self, Error> {
        use hushwood_codec::Decode;
        read(value, |reader| {
            Ok(Self {
                id,
                sender: LeafIndex::decode(reader)?,
                credential: Credential::decode(reader)?,
                epoch: u64::decode(reader)?,
                generation: u32::decode(reader)?,
                plaintext: Secret::copy_of(reader.opaque()?),
                authenticated_data: Vec::decode(reader)?,
            })
        })
    }
}
