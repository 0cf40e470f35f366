//! RFC 9420 §9, §9.1: how secrets of the tree and keys of messages are derived.

use hushwood_crypto::{CipherSuite, Secret, expand_with_labels};

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
    /// The roots of a leaf's ratchets, for handshakes and for application data, from the leaf's secret (C180).
    pub(super) fn roots(suite: &dyn CipherSuite, leaf_secret: &Secret) -> Result<[Self; 2], Error> {
        let outputs = ["handshake", "application"].map(|label| (label, &b""[..], suite.kdf().length()));
        let secrets = expand_with_labels(suite, leaf_secret, outputs)?;
        Ok(secrets.map(|secret| Self { generation: 0, secret }))
    }

    /// The key and nonce of this generation.
    pub(super) fn message_key(&self, suite: &dyn CipherSuite) -> Result<MessageKey, Error> {
        let (key, nonce) = (suite.aead().key_length(), suite.aead().nonce_length());
        let [key, nonce] = self.derive(suite, [("key", key), ("nonce", nonce)])?;
        Ok(MessageKey { key, nonce })
    }

    /// The ratchet one generation on.
    pub(super) fn next(&self, suite: &dyn CipherSuite) -> Result<Self, Error> {
        let [secret] = self.derive(suite, [("secret", suite.kdf().length())])?;
        Ok(Self { generation: self.next_generation()?, secret })
    }

    /// [`message_key`](Self::message_key) and [`next`](Self::next).
    pub(super) fn turn(&self, suite: &dyn CipherSuite) -> Result<(MessageKey, Self), Error> {
        let (key, nonce) = (suite.aead().key_length(), suite.aead().nonce_length());
        let outputs = [("key", key), ("nonce", nonce), ("secret", suite.kdf().length())];
        let [key, nonce, secret] = self.derive(suite, outputs)?;
        Ok((MessageKey { key, nonce }, Self { generation: self.next_generation()?, secret }))
    }

    /// Callers refuse the last generation before they ask for its successor (C183).
    fn next_generation(&self) -> Result<u32, Error> {
        self.generation.checked_add(1).ok_or(Error::Bug("a ratchet was moved off its end"))
    }

    /// `DeriveTreeSecret(Secret, Label, Generation, Length)` for several labels and lengths (C181).
    fn derive<const N: usize>(
        &self,
        suite: &dyn CipherSuite,
        outputs: [(&str, usize); N],
    ) -> Result<[Secret; N], Error> {
        let context = self.generation.to_be_bytes();
        let outputs = outputs.map(|(label, length)| (label, &context[..], length));
        Ok(expand_with_labels(suite, &self.secret, outputs)?)
    }
}

/// The secrets of a node's children, left and right (C180).
pub(super) fn children(suite: &dyn CipherSuite, node_secret: &Secret) -> Result<(Secret, Secret), Error> {
    let length = suite.kdf().length();
    let outputs = [("tree", &b"left"[..], length), ("tree", &b"right"[..], length)];
    let [left, right] = expand_with_labels(suite, node_secret, outputs)?;
    Ok((left, right))
}
