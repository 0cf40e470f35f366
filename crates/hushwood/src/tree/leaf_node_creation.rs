//! RFC 9420 §7.2, §7.5: making leaves of our own.

use hushwood_crypto::{HpkePublicKey, Random, SignaturePublicKey, Signer};

use crate::credential::x509::check_binding;
use crate::credential::{Credential, PRIVATE_USE_FIRST};
use crate::error::{ApiMisuse, Error};
use crate::extension::support::{ExtensionPlace, check_placement};
use crate::extension::{ExtensionType, Extensions};
use crate::grease;
use crate::policy::{Grease, Policy};
use crate::tree::leaf_node_validation::{LeafPlace, signed_content};
use crate::tree::{LeafIndex, LeafNode, LeafNodeSource, Supported};

/// What a client says of itself in its leaves, apart from keys.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LeafContent {
    /// Who the client is.
    pub credential: Credential,
    /// What it supports.
    pub supported: Supported,
    /// Further information: [`APPLICATION_ID`](crate::extension::ExtensionType::APPLICATION_ID) or
    /// types that `supported` lists.
    pub extensions: Extensions,
}

/// A leaf that has yet to be signed: not a [`LeafNode`] until it is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct UnsignedLeafNode(LeafNode);

impl UnsignedLeafNode {
    /// A new leaf. GREASE is added to what it lists if the policy has it (C109, C386).
    ///
    /// # Errors
    /// [`ApiMisuse::CapabilitiesInsufficient`] if the content uses what it does not support;
    /// [`ApiMisuse::ExtensionMisplaced`], [`ApiMisuse::TypeNotPrivate`]; [`Error::Crypto`] if the randomness fails.
    pub fn new(
        content: &LeafContent,
        encryption_key: HpkePublicKey,
        source: LeafNodeSource,
        policy: &Policy,
        random: &mut dyn Random,
    ) -> Result<Self, Error> {
        // RFC 9420 §17, C023, C391: nobody could read a credential of another type.
        if let Credential::Custom { credential_type, .. } = &content.credential
            && credential_type.0 < PRIVATE_USE_FIRST
        {
            return Err(ApiMisuse::TypeNotPrivate.into());
        }
        // RFC 9420 §7.2, C106, C107: what the leaf uses, its capabilities list.
        let mut capabilities = content.supported.capabilities();
        if check_placement(&content.extensions, ExtensionPlace::LeafNode).is_err() {
            return Err(ApiMisuse::ExtensionMisplaced.into());
        }
        let listed = capabilities.supports_credential(content.credential.credential_type())
            && capabilities.lists_extensions(&content.extensions);
        if !listed {
            return Err(ApiMisuse::CapabilitiesInsufficient.into());
        }
        let mut extensions = content.extensions.clone();
        if policy.grease != Grease::Nowhere {
            capabilities.grease(random)?;
        }
        if policy.grease == Grease::Everywhere {
            // RFC 9420 §13.5, C386: GREASE among the extensions is listed like a real extension.
            let extension = grease::extension(random)?;
            capabilities.list_extension(extension.extension_type);
            extensions.set(extension.extension_type, extension.extension_data);
        }
        Ok(Self(LeafNode {
            encryption_key,
            // Set when signed.
            signature_key: SignaturePublicKey(Vec::new()),
            credential: content.credential.clone(),
            capabilities,
            leaf_node_source: source,
            extensions,
            signature: Vec::new(),
        }))
    }

    /// A leaf that says what `old` says, with a fresh key: for an Update or the path of a Commit.
    #[must_use]
    pub fn successor(old: &LeafNode, encryption_key: HpkePublicKey, source: LeafNodeSource) -> Self {
        Self(LeafNode { encryption_key, leaf_node_source: source, signature: Vec::new(), ..old.clone() })
    }

    /// Sets the source, when the parent hash is known (RFC 9420 §7.5, C131).
    pub fn set_source(&mut self, source: LeafNodeSource) {
        self.0.leaf_node_source = source;
    }

    /// Sets the key, when the path is made (RFC 9420 §7.5, C131).
    pub(crate) fn set_encryption_key(&mut self, encryption_key: HpkePublicKey) {
        self.0.encryption_key = encryption_key;
    }

    /// Lists an extension type that the KeyPackage around the leaf uses (C206).
    pub(crate) fn list_extension(&mut self, extension_type: ExtensionType) {
        self.0.capabilities.list_extension(extension_type);
    }

    /// The leaf as it is so far.
    #[must_use]
    pub fn inspect(&self) -> &LeafNode {
        &self.0
    }

    /// Signs the leaf; its signature key becomes the signer's. `place` is the group and the leaf's
    /// position in it, of no effect for a leaf with source key_package (C112).
    ///
    /// # Errors
    /// [`ApiMisuse::SignerMismatch`] if the leaf's certificate is for another key; [`Error::Signer`];
    /// [`ApiMisuse::TooLong`].
    pub fn sign(self, signer: &dyn Signer, place: (&[u8], LeafIndex)) -> Result<LeafNode, Error> {
        let mut leaf = self.0;
        leaf.signature_key = signer.public_key().clone();
        // RFC 9420 §5.3, C043: a certificate is for the leaf's signature key.
        if let Credential::X509 { certificates } = &leaf.credential
            && check_binding(certificates, &leaf.signature_key).is_err()
        {
            return Err(ApiMisuse::SignerMismatch.into());
        }
        leaf.signature = signer.sign(&signed_content(&leaf, LeafPlace::Tree(place.0, place.1))?)?;
        Ok(leaf)
    }
}
