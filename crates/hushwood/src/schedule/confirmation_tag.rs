//! RFC 9420 §6.1: the MAC that shows that all members have arrived at the same epoch.

use hushwood_crypto::{CipherSuite, ct_eq};

use crate::error::{Error, Violation};
use crate::schedule::types::ConfirmationKey;

impl ConfirmationKey {
    /// `MAC(confirmation_key, GroupContext.confirmed_transcript_hash)`, with key and hash of the epoch
    /// that the commit begins.
    #[must_use]
    pub fn tag(&self, suite: &dyn CipherSuite, confirmed_transcript_hash: &[u8]) -> Vec<u8> {
        suite.kdf().mac(self.secret().expose(), &[confirmed_transcript_hash]).as_bytes().to_vec()
    }

    /// Verifies the tag of a commit or a GroupInfo.
    ///
    /// # Errors
    /// [`Violation::ConfirmationTag`].
    pub fn verify(
        &self,
        suite: &dyn CipherSuite,
        confirmed_transcript_hash: &[u8],
        tag: &[u8],
    ) -> Result<(), Error> {
        // RFC 9420 §12.4.2, C313, C342, C415: the tag must be the one we compute, in constant time.
        if !ct_eq(&self.tag(suite, confirmed_transcript_hash), tag) {
            return Err(Violation::ConfirmationTag.into());
        }
        Ok(())
    }
}
