//! RFC 9420 §9, §9.1: how secrets of the tree and keys of messages are derived.

use hushwood_crypto::{CipherSuite, Secret, expand_with_label};

use crate::error::Error;
use crate::framing::types::{ContentType, MessageKey};

/// Which of a leaf's two ratchets.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum RatchetType {
    /// For proposals and commits.
    Handshake,
    /// For application data.
    Application,
}

impl From<ContentType> for RatchetType {
    // RFC 9420 §6.3.1, C086.
    fn from(content_type: ContentType) -> Self {
        match content_type {
            ContentType::Application => Self::Application,
            ContentType::Proposal | ContentType::Commit => Self::Handshake,
        }
    }
}

/// A sender ratchet: `ratchet_secret_[N]_[generation]`. What came before it is gone.
#[derive(Debug)]
pub(super) struct Ratchet {
    /// The first generation whose key can still be derived.
    pub(super) generation: u32,
    pub(super) secret: Secret,
}

impl Ratchet {
    /// The root of a leaf's ratchet, from the leaf's secret (C180).
    pub(super) fn root(
        suite: &dyn CipherSuite,
        leaf_secret: &Secret,
        ratchet_type: RatchetType,
    ) -> Result<Self, Error> {
        let label = match ratchet_type {
            RatchetType::Handshake => "handshake",
            RatchetType::Application => "application",
        };
        let secret = expand_with_label(suite, leaf_secret, label, b"", suite.kdf().length())?;
        Ok(Self { generation: 0, secret })
    }

    /// The key and nonce of this generation.
    pub(super) fn message_key(&self, suite: &dyn CipherSuite) -> Result<MessageKey, Error> {
        Ok(MessageKey {
            key: self.derive(suite, "key", suite.aead().key_length())?,
            nonce: self.derive(suite, "nonce", suite.aead().nonce_length())?,
        })
    }

    /// The ratchet one generation on.
    pub(super) fn next(&self, suite: &dyn CipherSuite) -> Result<Self, Error> {
        // Callers refuse the last generation before they ask for its successor (C183).
        let generation =
            self.generation.checked_add(1).ok_or(Error::Bug("a ratchet was moved off its end"))?;
        Ok(Self { generation, secret: self.derive(suite, "secret", suite.kdf().length())? })
    }

    /// `DeriveTreeSecret(Secret, Label, Generation, Length)` (C181).
    fn derive(&self, suite: &dyn CipherSuite, label: &str, length: usize) -> Result<Secret, Error> {
        Ok(expand_with_label(suite, &self.secret, label, &self.generation.to_be_bytes(), length)?)
    }
}

/// The secrets of a node's children, left and right (C180).
pub(super) fn children(suite: &dyn CipherSuite, node_secret: &Secret) -> Result<(Secret, Secret), Error> {
    let length = suite.kdf().length();
    let left = expand_with_label(suite, node_secret, "tree", b"left", length)?;
    let right = expand_with_label(suite, node_secret, "tree", b"right", length)?;
    Ok((left, right))
}
