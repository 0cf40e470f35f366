//! A client whose private keys the vectors tell, so that whoever reads them can be it.

use hushwood::credential::Credential;
use hushwood::extension::Extensions;
use hushwood::framing::MlsMessage;
use hushwood::key_package::KeyPackageBuilder;
use hushwood::policy::{Policy, Timestamp};
use hushwood::tree::{LeafContent, Supported};
use hushwood::unverified::Unverified;
use hushwood_codec::Encode;
use hushwood_crypto::{CipherSuite, CryptoProvider, SoftwareSigner};

use super::Hex;
use crate::random::SeededRandom;

/// A KeyPackage, and its private keys.
pub(super) struct Newcomer {
    /// An MLSMessage.
    pub(super) key_package: Hex,
    pub(super) signature_priv: Hex,
    pub(super) encryption_priv: Hex,
    pub(super) init_priv: Hex,
}

/// When the vectors' conversations take place. Fixed, so that they are the same on any day, and past, so that
/// clients with a clock find the lifetimes begun.
pub(super) const NOW: Timestamp = Timestamp(1_700_000_000);

/// With lifetimes that outlast the vectors, and GREASE where all implementations bear it.
pub(super) fn policy() -> Policy {
    const CENTURY: u64 = 100 * 365 * 24 * 60 * 60;
    Policy {
        lifetime: CENTURY,
        max_lifetime: 2 * CENTURY,
        grease: hushwood::policy::Grease::Capabilities,
        ..Policy::default()
    }
}

impl Newcomer {
    pub(super) fn new(
        provider: &CryptoProvider,
        suite: &'static dyn CipherSuite,
        random: &mut SeededRandom,
    ) -> Self {
        let signer = SoftwareSigner::generate(suite, random).unwrap();
        let content = LeafContent {
            credential: Credential::basic("passive"),
            supported: Supported::new(provider),
            extensions: Extensions::new(),
        };
        let new = KeyPackageBuilder::new(suite, content).build(&signer, &policy(), NOW, random).unwrap();
        let message = MlsMessage::KeyPackage(Box::new(Unverified::new(new.key_package)));
        Self {
            key_package: Hex(message.to_bytes().unwrap()),
            signature_priv: Hex::of(&signer.private_key().0),
            encryption_priv: Hex::of(&new.private.encryption_key().0),
            init_priv: Hex::of(&new.private.init_key().0),
        }
    }
}
