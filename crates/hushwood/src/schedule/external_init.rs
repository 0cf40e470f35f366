//! RFC 9420 §8, §8.3: the external key pair, and the init secret of an external commit.

use hushwood_crypto::hpke::HpkeContext;
use hushwood_crypto::{CipherSuite, CryptoError, HpkePrivateKey, HpkePublicKey, Random};

use crate::error::{Error, Violation};
use crate::proposal::ExternalInit;
use crate::schedule::types::{ExternalSecret, InitSecret};

impl ExternalSecret {
    /// `external_priv, external_pub`: the key pair of all members of this epoch. The public key goes into
    /// the `external_pub` extension of a GroupInfo.
    ///
    /// # Errors
    /// [`Error::Crypto`] from a provider that breaks its contract.
    pub fn key_pair(&self, suite: &dyn CipherSuite) -> Result<(HpkePrivateKey, HpkePublicKey), Error> {
        Ok(suite.kem().derive_key_pair(self.secret().expose())?)
    }
}

impl InitSecret {
    /// The init secret of our own external commit, and the proposal that tells it to the members (C168).
    ///
    /// # Errors
    /// [`Violation::HpkePublicKey`] if the group's key is not allowed; [`Error::Crypto`] if the randomness
    /// fails.
    pub fn external_sender(
        suite: &dyn CipherSuite,
        external_pub: &HpkePublicKey,
        random: &mut dyn Random,
    ) -> Result<(Self, ExternalInit), Error> {
        let sender = HpkeContext::sender(suite, external_pub, b"", None, random);
        let (kem_output, context) = sender.map_err(|error| match error {
            CryptoError::PublicKey => Violation::HpkePublicKey.into(),
            other => Error::from(other),
        })?;
        Ok((Self::export(suite, &context)?, ExternalInit { kem_output }))
    }

    /// The init secret of a received external commit (C168).
    ///
    /// # Errors
    /// [`Violation::ExternalInit`] if it does not decapsulate (C169).
    pub fn external_receiver(
        suite: &dyn CipherSuite,
        external: &ExternalSecret,
        proposal: &ExternalInit,
    ) -> Result<Self, Error> {
        let (external_priv, _) = external.key_pair(suite)?;
        // RFC 9420 §8.3, C169: a KEM output of the wrong length, or one that does not decapsulate.
        let receiver = HpkeContext::receiver(suite, &proposal.kem_output, &external_priv, b"", None);
        let context = receiver.map_err(|error| match error {
            CryptoError::Open | CryptoError::PublicKey => Violation::ExternalInit.into(),
            other => Error::from(other),
        })?;
        Self::export(suite, &context)
    }

    fn export(suite: &dyn CipherSuite, context: &HpkeContext<'_>) -> Result<Self, Error> {
        Ok(Self::new(context.export(b"MLS 1.0 external init secret", suite.kdf().length())?))
    }
}
