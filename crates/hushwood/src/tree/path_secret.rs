//! RFC 9420 §7.4: path secrets and the key pairs that come from them.

use hushwood_crypto::{
    CipherSuite, CryptoError, HpkePrivateKey, HpkePublicKey, Random, Secret, derive_secret,
};

use crate::error::{Error, Violation};
use crate::schedule::CommitSecret;

/// `path_secret[n]`: gives the key pair of one node on a path, and the path secret of the next one up.
///
/// Erased when dropped; only key pairs outlive the commit (C141).
#[derive(Debug)]
pub struct PathSecret(Secret);

/// The encryption keys of a node.
#[derive(Debug)]
pub struct KeyPair {
    /// The public key, as it is in the tree.
    pub public: HpkePublicKey,
    /// The private key.
    pub private: HpkePrivateKey,
}

impl PathSecret {
    /// `path_secret[0]`, sampled at random.
    ///
    /// # Errors
    /// [`Error::Crypto`] if the randomness fails.
    pub fn generate(suite: &dyn CipherSuite, random: &mut dyn Random) -> Result<Self, Error> {
        Ok(Self(random.secret(suite.kdf().length())?))
    }

    /// A path secret that was decrypted from an UpdatePath or from GroupSecrets.
    ///
    /// # Errors
    /// [`Violation::PathSecret`] if it has the wrong length.
    pub fn received(suite: &dyn CipherSuite, secret: Secret) -> Result<Self, Error> {
        // RFC 9420 §7.4, C140: path secrets are as long as the KDF's output.
        match secret.len() == suite.kdf().length() {
            true => Ok(Self(secret)),
            false => Err(Violation::PathSecret.into()),
        }
    }

    /// `path_secret[n+1] = DeriveSecret(path_secret[n], "path")`.
    pub(crate) fn next(&self, suite: &dyn CipherSuite) -> Result<Self, Error> {
        Ok(Self(derive_secret(suite, &self.0, "path")?))
    }

    /// `KEM.DeriveKeyPair(DeriveSecret(path_secret[n], "node"))`: the keys of the node.
    ///
    /// # Errors
    /// [`Error::Crypto`] from a provider that breaks its contract.
    pub fn key_pair(&self, suite: &dyn CipherSuite) -> Result<KeyPair, Error> {
        let node_secret = derive_secret(suite, &self.0, "node")?;
        KeyPair::derive(suite, &node_secret)
    }

    /// The secret, to be encrypted.
    pub(crate) fn secret(&self) -> &Secret {
        &self.0
    }

    /// The bare secret, for the structure that carries it.
    #[must_use]
    pub fn into_secret(self) -> Secret {
        self.0
    }

    /// A second copy: for a joiner's GroupSecrets.
    pub(crate) fn duplicate(&self) -> Self {
        Self(self.0.duplicate())
    }

    /// The path secret that comes after the last one of a path is the `commit_secret` (C300).
    pub(crate) fn into_commit_secret(self) -> CommitSecret {
        CommitSecret::new(self.0)
    }
}

impl KeyPair {
    /// A fresh key pair.
    ///
    /// # Errors
    /// [`Error::Crypto`] if the randomness fails.
    pub fn generate(suite: &dyn CipherSuite, random: &mut dyn Random) -> Result<Self, Error> {
        Self::derive(suite, &random.secret(suite.kem().private_key_length())?)
    }

    fn derive(suite: &dyn CipherSuite, secret: &Secret) -> Result<Self, Error> {
        let (private, public) = suite.kem().derive_key_pair(secret.expose())?;
        Ok(Self { public, private })
    }

    /// A second copy, for the next epoch's keys while those of this one are still in use.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self { public: self.public.clone(), private: HpkePrivateKey(self.private.0.duplicate()) }
    }
}

/// What did not open is the peer's fault (C139); anything else is ours.
pub(crate) fn open_error(error: CryptoError) -> Error {
    match error {
        CryptoError::Open => Violation::PathSecret.into(),
        other => other.into(),
    }
}
