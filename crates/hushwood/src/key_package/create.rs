//! RFC 9420 §10: making a KeyPackage.

use hushwood_codec::Writer;
use hushwood_crypto::{
    CipherSuite, CryptoError, HashReference, HpkePrivateKey, HpkePublicKey, Random, Signer, sign_with_label,
};

use crate::error::{ApiMisuse, Error};
use crate::extension::support::{ExtensionPlace, check_placement};
use crate::extension::{ExtensionType, Extensions};
use crate::grease;
use crate::key_package::{KeyPackage, KeyPackagePrivate};
use crate::policy::{Grease, Policy, Timestamp};
use crate::tree::{LeafContent, LeafIndex, LeafNodeSource, Lifetime, UnsignedLeafNode};
use crate::version::ProtocolVersion;

/// A KeyPackage of our own, ready to be published once its private part is stored.
#[derive(Debug)]
pub struct NewKeyPackage {
    /// To be published.
    pub key_package: KeyPackage,
    /// Its reference, by which a Welcome will name it.
    pub reference: HashReference,
    /// To be stored before the KeyPackage is published.
    pub private: KeyPackagePrivate,
}

/// Makes KeyPackages that differ in their keys only.
///
/// The private part must be stored before the KeyPackage is published: a Welcome for a KeyPackage whose
/// keys are lost can't be opened.
///
/// ```
/// use hushwood::credential::Credential;
/// use hushwood::crypto::SoftwareSigner;
/// use hushwood::extension::Extensions;
/// use hushwood::key_package::{KeyPackageBuilder, validate};
/// use hushwood::policy::{Policy, Timestamp};
/// use hushwood::tree::{LeafContent, Supported};
/// use hushwood::unverified::Unverified;
/// use hushwood_rustcrypto::{OsRandom, PROVIDER};
///
/// let suite = PROVIDER.suites[0];
/// let (policy, now) = (Policy::default(), Timestamp(1_780_000_000));
/// let signer = SoftwareSigner::generate(suite, &mut OsRandom)?;
/// let content = LeafContent {
///     credential: Credential::basic("alice"),
///     supported: Supported::new(&PROVIDER),
///     extensions: Extensions::new(),
/// };
/// let new = KeyPackageBuilder::new(suite, content).build(&signer, &policy, now, &mut OsRandom)?;
///
/// // Whoever wants to add Alice validates it, and has the credential judged.
/// let valid = validate(Unverified::new(new.key_package), suite, &policy, now)?;
/// assert_eq!(valid.reference(), &new.reference);
/// assert_eq!(valid.credential_check(now).new.credential, Credential::basic("alice"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct KeyPackageBuilder {
    suite: &'static dyn CipherSuite,
    content: LeafContent,
    extensions: Extensions,
    lifetime: Option<Lifetime>,
}

impl KeyPackageBuilder {
    /// For this suite and a client with this credential, capabilities and leaf extensions.
    #[must_use]
    pub fn new(suite: &'static dyn CipherSuite, content: LeafContent) -> Self {
        Self { suite, content, extensions: Extensions::new(), lifetime: None }
    }

    /// Marks the KeyPackages as of last resort: to be handed out only when there are no others, and
    /// then more than once (RFC 9420 §16.8).
    #[must_use]
    pub fn last_resort(mut self) -> Self {
        self.extensions.set(ExtensionType::LAST_RESORT_KEY_PACKAGE, Vec::new());
        self
    }

    /// Adds an extension to the KeyPackage, of a type that the client's capabilities list (C206).
    #[must_use]
    pub fn extension(mut self, extension_type: ExtensionType, extension_data: Vec<u8>) -> Self {
        self.extensions.set(extension_type, extension_data);
        self
    }

    /// When the KeyPackages are valid. By default from an hour ago, for clocks that are behind, for as
    /// long as the policy says.
    #[must_use]
    pub fn lifetime(mut self, lifetime: Lifetime) -> Self {
        self.lifetime = Some(lifetime);
        self
    }

    /// Makes a KeyPackage with fresh keys.
    ///
    /// # Errors
    /// [`ApiMisuse::CapabilitiesInsufficient`] if suite, credential or extensions are not among what is
    /// supported; [`ApiMisuse::ExtensionMisplaced`]; [`ApiMisuse::KeyPackageExpired`] for a lifetime
    /// that is over or longer than the policy allows; [`Error::Signer`]; [`Error::Crypto`] if the
    /// randomness fails.
    pub fn build(
        &self,
        signer: &dyn Signer,
        policy: &Policy,
        now: Timestamp,
        random: &mut dyn Random,
    ) -> Result<NewKeyPackage, Error> {
        let lifetime = self.checked_lifetime(policy, now)?;
        self.check_extensions()?;
        // RFC 9420 §10, C201: the init key is used by no other KeyPackage; it is random.
        let (init_private, init_key) = fresh_key_pair(self.suite, random)?;
        let (encryption_private, encryption_key) = fresh_key_pair(self.suite, random)?;
        // RFC 9420 §10.1, C213: the two keys differ, unless the randomness repeats itself.
        if init_key == encryption_key {
            return Err(CryptoError::Random.into());
        }
        let source = LeafNodeSource::KeyPackage(lifetime);
        let mut leaf = UnsignedLeafNode::new(&self.content, encryption_key, source, policy, random)?;
        let mut extensions = self.extensions.clone();
        if policy.grease == Grease::Everywhere {
            // RFC 9420 §10, §13.5, C206, C208: GREASE here too, listed in the leaf's capabilities.
            let extension = grease::extension(random)?;
            leaf.list_extension(extension.extension_type);
            extensions.set(extension.extension_type, extension.extension_data);
        }
        let leaf_node = leaf.sign(signer, (&[], LeafIndex::new(0)))?;
        let mut key_package = KeyPackage {
            version: ProtocolVersion::MLS10,
            cipher_suite: self.suite.id(),
            init_key,
            leaf_node,
            extensions,
            signature: Vec::new(),
        };
        let mut tbs = Writer::new();
        key_package.encode_tbs(&mut tbs);
        key_package.signature = sign_with_label(signer, "KeyPackageTBS", &tbs.finish()?)?;
        let reference = key_package.reference(self.suite)?;
        let private = KeyPackagePrivate::new(key_package.clone(), init_private, encryption_private);
        Ok(NewKeyPackage { key_package, reference, private })
    }

    fn checked_lifetime(&self, policy: &Policy, now: Timestamp) -> Result<Lifetime, Error> {
        const CLOCK_SKEW: u64 = 60 * 60;
        let lifetime = self.lifetime.unwrap_or(Lifetime {
            not_before: now.0.saturating_sub(CLOCK_SKEW),
            not_after: now.0.saturating_add(policy.lifetime),
        });
        // RFC 9420 §7.2, §7.3, C110, C121: what we would refuse we do not make.
        let length = lifetime.not_after.checked_sub(lifetime.not_before);
        let allowed = length.is_some_and(|length| length <= policy.max_lifetime);
        if !allowed || now.0 > lifetime.not_after {
            return Err(ApiMisuse::KeyPackageExpired.into());
        }
        Ok(lifetime)
    }

    fn check_extensions(&self) -> Result<(), Error> {
        // RFC 9420 §13.4, C215: everything in a KeyPackage is supported.
        let supported = &self.content.supported;
        if !supported.suites.contains(&self.suite.id()) {
            return Err(ApiMisuse::CapabilitiesInsufficient.into());
        }
        if check_placement(&self.extensions, ExtensionPlace::KeyPackage).is_err() {
            return Err(ApiMisuse::ExtensionMisplaced.into());
        }
        // RFC 9420 §10, C206: extension types are listed in the leaf's capabilities.
        match self.extensions.iter().all(|extension| supported.supports_extension(extension.extension_type)) {
            true => Ok(()),
            false => Err(ApiMisuse::CapabilitiesInsufficient.into()),
        }
    }
}

/// A key pair of the suite's KEM from fresh randomness.
pub(crate) fn fresh_key_pair(
    suite: &dyn CipherSuite,
    random: &mut dyn Random,
) -> Result<(HpkePrivateKey, HpkePublicKey), Error> {
    let ikm = random.secret(suite.kem().private_key_length())?;
    Ok(suite.kem().derive_key_pair(ikm.expose())?)
}
