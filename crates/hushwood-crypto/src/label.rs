//! RFC 9420 §5.1.2, §5.1.3, §8: every use of a key says what it is for.
//!
//! Labels are given without their prefix, as the RFC writes them; "MLS 1.0 " is added here, once.

use hushwood_codec::Writer;

use crate::hpke::{HpkeCiphertext, HpkeInfo};
use crate::{CipherSuite, CryptoError, HpkePrivateKey, Secret, SignaturePublicKey, Signer, SignerError};

const PREFIX: &[u8] = b"MLS 1.0 ";

/// `SignWithLabel(SignatureKey, Label, Content)` (RFC 9420 §5.1.2, C038).
///
/// # Errors
/// [`SignerError`] if the signer does not sign, or if `content` is longer than a vector can be.
pub fn sign_with_label(signer: &dyn Signer, label: &str, content: &[u8]) -> Result<Vec<u8>, SignerError> {
    let message = labelled(label, content).ok_or(SignerError)?;
    signer.sign(&message)
}

/// `VerifyWithLabel(VerificationKey, Label, Content, SignatureValue)` (RFC 9420 §5.1.2, C038).
///
/// # Errors
/// [`CryptoError::Signature`], [`CryptoError::PublicKey`].
pub fn verify_with_label(
    suite: &dyn CipherSuite,
    key: &SignaturePublicKey,
    label: &str,
    content: &[u8],
    signature: &[u8],
) -> Result<(), CryptoError> {
    let message = labelled(label, content).ok_or(CryptoError::Length)?;
    suite.signature().verify(key, &message, signature)
}

/// `DecryptWithLabel(PrivateKey, Label, Context, KEMOutput, Ciphertext)` (RFC 9420 §5.1.3, C039).
///
/// To encrypt, prepare an [`HpkeInfo`] once and seal to as many recipients as there are.
///
/// # Errors
/// [`CryptoError::Open`].
pub fn decrypt_with_label(
    suite: &dyn CipherSuite,
    key: &HpkePrivateKey,
    label: &str,
    context: &[u8],
    ciphertext: &HpkeCiphertext,
) -> Result<Secret, CryptoError> {
    HpkeInfo::new(suite, label, context)?.open(key, ciphertext)
}

/// `ExpandWithLabel(Secret, Label, Context, Length)` (RFC 9420 §8).
///
/// # Errors
/// [`CryptoError::Length`] if `length` exceeds 65,535 or 255 times the hash length (C160).
pub fn expand_with_label(
    suite: &dyn CipherSuite,
    secret: &Secret,
    label: &str,
    context: &[u8],
    length: usize,
) -> Result<Secret, CryptoError> {
    suite.kdf().expand(secret.expose(), &[&kdf_label(label, context, length)?], length)
}

/// [`expand_with_label`] of one secret for several labels, contexts and lengths: the secret is prepared once.
///
/// # Errors
/// As there.
pub fn expand_with_labels<const N: usize>(
    suite: &dyn CipherSuite,
    secret: &Secret,
    outputs: [(&str, &[u8], usize); N],
) -> Result<[Secret; N], CryptoError> {
    let infos = outputs.map(|(label, context, length)| kdf_label(label, context, length));
    let mut expansions = [(&[][..], 0); N];
    for ((expansion, info), (.., length)) in expansions.iter_mut().zip(&infos).zip(outputs) {
        *expansion = (info.as_ref().map_err(|error| *error)?, length);
    }
    let secrets = suite.kdf().expand_all(secret.expose(), &expansions)?;
    secrets.try_into().map_err(|_| CryptoError::Provider)
}

/// The encoded `KDFLabel` (RFC 9420 §8).
fn kdf_label(label: &str, context: &[u8], length: usize) -> Result<Vec<u8>, CryptoError> {
    let mut info = Writer::with_capacity(PREFIX.len() + label.len() + context.len() + 12);
    info.value(&u16::try_from(length).map_err(|_| CryptoError::Length)?);
    info.opaque_parts(&[PREFIX, label.as_bytes()]).opaque(context);
    info.finish().map_err(|_| CryptoError::Length)
}

/// `DeriveSecret(Secret, Label)` (RFC 9420 §8).
///
/// # Errors
/// None for the suites of RFC 9420; the signature is that of [`expand_with_label`].
pub fn derive_secret(suite: &dyn CipherSuite, secret: &Secret, label: &str) -> Result<Secret, CryptoError> {
    expand_with_label(suite, secret, label, b"", suite.kdf().length())
}

/// The encoded `SignContent` (RFC 9420 §5.1.2): what [`sign_with_label`] signs, for signatures that are
/// verified in a batch.
///
/// # Errors
/// [`CryptoError::Length`] if `content` is longer than a vector can be.
pub fn sign_content(label: &str, content: &[u8]) -> Result<Vec<u8>, CryptoError> {
    labelled(label, content).ok_or(CryptoError::Length)
}

/// As [`sign_content`], for content that `write` writes: in one buffer, which begins with room for `capacity` bytes.
///
/// # Errors
/// As [`sign_content`].
pub fn sign_content_of(
    label: &str,
    capacity: usize,
    write: impl FnOnce(&mut Writer),
) -> Result<Vec<u8>, CryptoError> {
    let mut writer = Writer::with_capacity(capacity.saturating_add(PREFIX.len() + label.len() + 8));
    writer.opaque_parts(&[PREFIX, label.as_bytes()]).nested(write);
    writer.finish().map_err(|_| CryptoError::Length)
}

/// The encoded `SignContent` or `EncryptContext`: `opaque label<V>; opaque content<V>;`.
fn labelled(label: &str, content: &[u8]) -> Option<Vec<u8>> {
    let mut writer = Writer::with_capacity(PREFIX.len() + label.len() + content.len() + 8);
    writer.opaque_parts(&[PREFIX, label.as_bytes()]).opaque(content);
    writer.finish().ok()
}

/// What stands before a content of so many bytes in it.
pub(crate) fn labelled_without_content(label: &str, content_length: usize) -> Option<Vec<u8>> {
    let mut writer = Writer::with_capacity(PREFIX.len() + label.len() + 8);
    writer.opaque_parts(&[PREFIX, label.as_bytes()]).length(content_length);
    writer.finish().ok()
}
