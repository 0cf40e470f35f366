//! RFC 9420 §10, §16.8: the private part of a KeyPackage of our own, to be kept until it is used.

use hushwood_codec::{Decode, DecodeError, Element, Encode, Reader, Writer};
use hushwood_crypto::{CipherSuite, HpkePrivateKey, HpkePublicKey, Secret};

use crate::error::{ApiMisuse, Error};
use crate::extension::ExtensionType;
use crate::key_package::KeyPackage;
use crate::tree::LeafNodeSource;

/// What it takes to join with a KeyPackage that this client made.
///
/// Erased when dropped. The encoding is for the store, which seals it; it is never sent.
#[derive(Debug)]
pub struct KeyPackagePrivate {
    key_package: KeyPackage,
    init_key: HpkePrivateKey,
    encryption_key: HpkePrivateKey,
}

impl KeyPackagePrivate {
    pub(super) fn new(
        key_package: KeyPackage,
        init_key: HpkePrivateKey,
        encryption_key: HpkePrivateKey,
    ) -> Self {
        Self { key_package, init_key, encryption_key }
    }

    /// A KeyPackage and its private keys that were made elsewhere: for a client that moves in from another
    /// implementation with KeyPackages that are published already. To make new ones there is
    /// [`KeyPackageBuilder`](crate::key_package::KeyPackageBuilder).
    ///
    /// # Errors
    /// [`ApiMisuse::PrivateKeyMismatch`] if a key is not that of the KeyPackage, or the KeyPackage is of
    /// another suite.
    pub fn from_parts(
        key_package: KeyPackage,
        init_key: HpkePrivateKey,
        encryption_key: HpkePrivateKey,
        suite: &dyn CipherSuite,
    ) -> Result<Self, Error> {
        let same = |private, public: &HpkePublicKey| {
            suite.kem().public_key(private).is_ok_and(|computed| computed == *public)
        };
        let leaf_key = &key_package.leaf_node.encryption_key;
        let same_keys = same(&init_key, &key_package.init_key) && same(&encryption_key, leaf_key);
        match key_package.cipher_suite == suite.id() && same_keys {
            true => Ok(Self { key_package, init_key, encryption_key }),
            false => Err(ApiMisuse::PrivateKeyMismatch.into()),
        }
    }

    /// The KeyPackage, as it was published.
    #[must_use]
    pub fn key_package(&self) -> &KeyPackage {
        &self.key_package
    }

    /// The key that Welcomes are opened with.
    #[must_use]
    pub fn init_key(&self) -> &HpkePrivateKey {
        &self.init_key
    }

    /// The private key of the leaf, which becomes the member's.
    #[must_use]
    pub fn encryption_key(&self) -> &HpkePrivateKey {
        &self.encryption_key
    }

    /// The private key of the leaf, for the tree it came into; the init key is erased (C209).
    #[must_use]
    pub fn into_encryption_key(self) -> HpkePrivateKey {
        self.encryption_key
    }

    /// True for a KeyPackage of last resort, which is kept when it is used (RFC 9420 §16.8).
    #[must_use]
    pub fn is_last_resort(&self) -> bool {
        is_last_resort(&self.key_package)
    }

    /// The last second at which the KeyPackage is valid: past it, this can be erased.
    #[must_use]
    pub fn not_after(&self) -> u64 {
        match &self.key_package.leaf_node.leaf_node_source {
            LeafNodeSource::KeyPackage(lifetime) => lifetime.not_after,
            LeafNodeSource::Update | LeafNodeSource::Commit { .. } => 0,
        }
    }
}

/// True for a KeyPackage that is marked as one of last resort.
pub(crate) fn is_last_resort(key_package: &KeyPackage) -> bool {
    key_package.extensions.get(ExtensionType::LAST_RESORT_KEY_PACKAGE).is_some()
}

impl Encode for KeyPackagePrivate {
    fn encode(&self, writer: &mut Writer) {
        writer.value(&self.key_package).value(&self.init_key.0).value(&self.encryption_key.0);
    }
}

impl Decode for KeyPackagePrivate {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let key_package = KeyPackage::decode(reader.field("KeyPackagePrivate.key_package"))?;
        let init_key = Secret::copy_of(reader.field("KeyPackagePrivate.init_key").opaque()?);
        let encryption_key = Secret::copy_of(reader.field("KeyPackagePrivate.encryption_key").opaque()?);
        Ok(Self {
            key_package,
            init_key: HpkePrivateKey(init_key),
            encryption_key: HpkePrivateKey(encryption_key),
        })
    }
}

impl Element for KeyPackagePrivate {}
