//! RFC 9420 §6.3: messages that are signed and encrypted.
//!
//! Opening takes two steps, for the key of the content depends on who sent it: first the sender data
//! with the epoch's [`SenderDataSecret`], then the content with the [`MessageKey`] that the secret tree
//! has for that sender and generation. Nothing is consumed by either.

use hushwood_codec::{Decode, DecodeLimits, Encode, EncodeError, Reader, Writer};
use hushwood_crypto::{CipherSuite, CryptoError, Random, Secret, expand_with_labels};

use crate::error::{ApiMisuse, Error, Violation};
use crate::framing::content_auth::{
    Authenticated, Unprotected, check_confirmation_tag_presence, check_sender_rules, content_tbs,
};
use crate::framing::padding::check_padding;
use crate::framing::types::{
    AuthenticatedContent, Content, ContentType, FramedContent, FramedContentAuthData, MessageKey,
    PrivateMessage, Sender, SenderData, WireFormat,
};
use crate::policy::Padding;
use crate::schedule::types::SenderDataSecret;

/// What a message of our own is sealed with.
#[derive(Debug)]
pub struct SealingKeys<'a> {
    /// The epoch's secret that hides the sender.
    pub sender_data: &'a SenderDataSecret,
    /// The unused generation of our ratchet that was chosen (C086).
    pub generation: u32,
    /// Its key. It is taken, not borrowed: no second message can be sealed with it (C182).
    pub message: MessageKey,
}

impl PrivateMessage {
    /// Encrypts a message of our own.
    ///
    /// # Errors
    /// [`ApiMisuse::TooLong`]; [`Error::Crypto`] if the randomness fails; [`Error::Bug`] if the message
    /// was signed for another format.
    pub fn protect(
        suite: &dyn CipherSuite,
        message: &Authenticated,
        keys: SealingKeys<'_>,
        padding: Padding,
        random: &mut dyn Random,
    ) -> Result<Self, Error> {
        let content = message.content();
        // RFC 9420 §6.3.2, C092: only members build sender data.
        let Sender::Member(leaf_index) = content.sender else {
            return Err(Error::Bug("only members encrypt"));
        };
        if message.wire_format() != WireFormat::PRIVATE_MESSAGE {
            return Err(Error::Bug("a message signed as public was to be encrypted"));
        }
        // RFC 9420 §6.3.1, C088: a fresh reuse guard, in case that the state was ever rolled back.
        let reuse_guard = random.array()?;

        let mut protected = Self {
            group_id: content.group_id.clone(),
            epoch: content.epoch,
            content_type: content.content.content_type(),
            authenticated_data: content.authenticated_data.clone(),
            encrypted_sender_data: Vec::new(),
            ciphertext: Vec::new(),
        };
        let plaintext = private_message_content(suite, message, padding)?;
        let aad = private_content_aad(&protected)?;
        let nonce = guarded_nonce(&keys.message, reuse_guard);
        let sealed = suite.aead().seal(keys.message.key.expose(), nonce.expose(), &aad, plaintext.expose());
        protected.ciphertext = sealed.map_err(sealing)?;

        let sender_data = SenderData { leaf_index, generation: keys.generation, reuse_guard }.to_bytes()?;
        let aad = sender_data_aad(&protected.group_id, protected.epoch, protected.content_type).finish()?;
        let key = sender_data_key(suite, keys.sender_data, &protected.ciphertext)?;
        let sealed = suite.aead().seal(key.key.expose(), key.nonce.expose(), &aad, &sender_data);
        protected.encrypted_sender_data = sealed.map_err(sealing)?;
        Ok(protected)
    }

    /// Decrypts who sent the message and with which generation. That the leaf is a member's is for the
    /// caller to check (C095).
    ///
    /// # Errors
    /// [`Violation::SenderDoesNotOpen`]; [`Error::Decode`] if a member sealed something else than sender
    /// data.
    pub fn open_sender_data(
        &self,
        suite: &dyn CipherSuite,
        sender_data_secret: &SenderDataSecret,
    ) -> Result<SenderData, Error> {
        let key = sender_data_key(suite, sender_data_secret, &self.ciphertext)?;
        // RFC 9420 §6.3.2, C094: group, epoch and content type are those it was sealed for.
        let aad = sender_data_aad(&self.group_id, self.epoch, self.content_type).finish()?;
        let (key, nonce) = (key.key.expose(), key.nonce.expose());
        let opened = suite.aead().open(key, nonce, &aad, &self.encrypted_sender_data);
        // RFC 9420 §6.3.2, C096: a failure is an error and nothing else.
        let sender_data = opened.map_err(|error| opening(error, Violation::SenderDoesNotOpen))?;
        // C014: bytes behind the structure are refused.
        Ok(SenderData::from_bytes(sender_data.expose())?)
    }

    /// Decrypts the content. `group_context` is that of the message's epoch, encoded.
    ///
    /// # Errors
    /// [`Violation::ContentDoesNotOpen`]; [`Violation::Padding`]; [`Error::Decode`] or
    /// [`Error::Unsupported`] if a member sealed what is no content.
    pub fn open(
        self,
        suite: &dyn CipherSuite,
        sender: SenderData,
        key: MessageKey,
        group_context: &[u8],
        limits: DecodeLimits,
    ) -> Result<Unprotected, Error> {
        // RFC 9420 §6.3.1, C089, C306: group, epoch, content type and authenticated data are those it was
        // sealed for.
        let aad = private_content_aad(&self)?;
        let nonce = guarded_nonce(&key, sender.reuse_guard);
        let opened = suite.aead().open(key.key.expose(), nonce.expose(), &aad, &self.ciphertext);
        let plaintext = opened.map_err(|error| opening(error, Violation::ContentDoesNotOpen))?;

        // RFC 9420 §6.3, C097: the type outside says how to read what is inside.
        let mut reader = Reader::new(plaintext.expose(), limits)?;
        let content = Content::decode_selected(self.content_type, &mut reader)?;
        let auth = FramedContentAuthData::decode_for(self.content_type, &mut reader)?;
        check_padding(reader.take_rest()?)?;

        // RFC 9420 §6.3.2, C066, C090: what was signed is a message of this member, with the
        // authenticated data outside.
        let content = FramedContent {
            group_id: self.group_id,
            epoch: self.epoch,
            sender: Sender::Member(sender.leaf_index),
            authenticated_data: self.authenticated_data,
            content,
        };
        check_sender_rules(&content, WireFormat::PRIVATE_MESSAGE)?;
        check_confirmation_tag_presence(&content, auth.confirmation_tag.as_ref())?;
        let content_tbs = content_tbs(WireFormat::PRIVATE_MESSAGE, &content, group_context)?;
        let message = AuthenticatedContent { wire_format: WireFormat::PRIVATE_MESSAGE, content, auth };
        Ok(Unprotected::new(message, content_tbs))
    }
}

/// The encoded `PrivateMessageContent`: content, auth data, and zeros (C085).
fn private_message_content(
    suite: &dyn CipherSuite,
    message: &Authenticated,
    padding: Padding,
) -> Result<Secret, Error> {
    let (content, auth) = (&message.content().content, message.auth());
    let tag = auth.confirmation_tag.as_ref().map_or(0, Vec::len);
    let room = content.room().saturating_add(auth.signature.len()).saturating_add(tag).saturating_add(16);
    // Room for everything at once, padding included: a growing buffer would leave the text behind where it was.
    let mut writer = Writer::with_capacity(padding.padded_length(room, suite.aead()).unwrap_or(room));
    content.encode_selected(&mut writer);
    writer.value(auth);
    let padded_length = padding.padded_length(writer.len(), suite.aead())?;
    writer.zeros(padded_length.saturating_sub(writer.len()));
    Ok(Secret::new(writer.finish()?))
}

/// The encoded `SenderDataAAD`, which is also how a `PrivateContentAAD` begins.
fn sender_data_aad(group_id: &[u8], epoch: u64, content_type: ContentType) -> Writer {
    let mut aad = Writer::with_capacity(group_id.len().saturating_add(16));
    aad.opaque(group_id).value(&epoch).value(&content_type);
    aad
}

/// The encoded `PrivateContentAAD`.
fn private_content_aad(message: &PrivateMessage) -> Result<Vec<u8>, EncodeError> {
    let mut aad = sender_data_aad(&message.group_id, message.epoch, message.content_type);
    aad.opaque(&message.authenticated_data);
    aad.finish()
}

/// The nonce of the ratchet, its first four bytes XORed with the reuse guard.
fn guarded_nonce(key: &MessageKey, reuse_guard: [u8; 4]) -> Secret {
    let mut nonce = key.nonce.duplicate();
    nonce.expose_mut().iter_mut().zip(reuse_guard).for_each(|(byte, guard)| *byte ^= guard);
    nonce
}

/// `sender_data_key` and `sender_data_nonce` of the message with this ciphertext (RFC 9420 §6.3.2).
///
/// # Errors
/// [`Error::Crypto`] from a provider that breaks its contract.
pub fn sender_data_key(
    suite: &dyn CipherSuite,
    sender_data_secret: &SenderDataSecret,
    ciphertext: &[u8],
) -> Result<MessageKey, Error> {
    // C093: the first `KDF.Nh` bytes, or the whole if it is shorter.
    let sample = ciphertext.get(..suite.kdf().length()).unwrap_or(ciphertext);
    let secret = sender_data_secret.secret();
    let lengths = (suite.aead().key_length(), suite.aead().nonce_length());
    let [key, nonce] =
        expand_with_labels(suite, secret, [("key", sample, lengths.0), ("nonce", sample, lengths.1)])?;
    Ok(MessageKey { key, nonce })
}

fn sealing(error: CryptoError) -> Error {
    match error {
        CryptoError::InputTooLong => ApiMisuse::TooLong.into(),
        other => other.into(),
    }
}

/// What does not open is the sender's fault, whatever about it the AEAD found wrong.
fn opening(error: CryptoError, violation: Violation) -> Error {
    match error {
        CryptoError::Open | CryptoError::InputTooLong => violation.into(),
        other => other.into(),
    }
}
