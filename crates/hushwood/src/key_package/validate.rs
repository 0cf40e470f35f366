//! RFC 9420 §10.1: KeyPackage validation.

use hushwood_crypto::{BatchItem, CipherSuite, CryptoError, HashReference, Random, sign_content_of};

use crate::credential::{CredentialCheck, Subject};
use crate::error::{ApiMisuse, Error, Unsupported, Violation};
use crate::extension::ExtensionType;
use crate::extension::support::{ExtensionPlace, check_placement};
use crate::key_package::KeyPackage;
use crate::key_package::private::is_last_resort;
use crate::parallel::map_runs;
use crate::policy::{Policy, Timestamp};
use crate::tree::leaf_node_validation::signed_content;
use crate::tree::{LeafChecks, LeafNodeSource, LeafPlace};
use crate::unverified::Unverified;
use crate::version::ProtocolVersion;

/// A KeyPackage whose signatures and content have been checked: its client can be added.
///
/// Not checked: whether the client is who it says ([`credential_check`](Self::credential_check)), and
/// whether it fits a group, which is checked when it is added to one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ValidKeyPackage {
    key_package: KeyPackage,
    reference: HashReference,
}

/// Validates a KeyPackage before it is used to add its client (RFC 9420 §10.1). `suite` is the one that
/// the KeyPackage names.
///
/// # Errors
/// [`Unsupported::CipherSuite`] if `suite` is another one; [`Violation`]: `KeyPackageVersion`,
/// `KeyPackageSignature`, `HpkePublicKey`, `InitKeyReused`, and those of [`LeafChecks`].
pub fn validate(
    key_package: Unverified<KeyPackage>,
    suite: &dyn CipherSuite,
    policy: &Policy,
    now: Timestamp,
) -> Result<ValidKeyPackage, Error> {
    let checks = KeyPackageChecks(LeafChecks { suite, policy, now, sending: true });
    let key_package = checks.for_add(key_package)?;
    checks.signatures(&key_package)?;
    let reference = key_package.reference(suite)?;
    Ok(ValidKeyPackage { key_package, reference })
}

/// Validates many KeyPackages, as [`validate()`] does each, with their signatures verified together, which is
/// quicker where the suite's scheme allows it.
///
/// # Errors
/// As [`validate()`], if any of them is bad: which it is, [`validate()`] tells; [`CryptoError::Random`].
pub fn validate_many(
    key_packages: Vec<Unverified<KeyPackage>>,
    (suite, policy, now): (&dyn CipherSuite, &Policy, Timestamp),
    random: &mut dyn Random,
) -> Result<Vec<ValidKeyPackage>, Error> {
    let checks = KeyPackageChecks(LeafChecks { suite, policy, now, sending: true });
    let mut valid = Vec::with_capacity(key_packages.len());
    for key_package in key_packages {
        let key_package = checks.for_add(key_package)?;
        let reference = key_package.reference(suite)?;
        valid.push(ValidKeyPackage { key_package, reference });
    }
    let unverified: Vec<_> = valid.iter().map(ValidKeyPackage::key_package).collect();
    checks.signatures_of_many(&unverified, random)?;
    Ok(valid)
}

impl ValidKeyPackage {
    /// The KeyPackage.
    #[must_use]
    pub fn key_package(&self) -> &KeyPackage {
        &self.key_package
    }

    /// The KeyPackage, for an Add.
    #[must_use]
    pub fn into_key_package(self) -> KeyPackage {
        self.key_package
    }

    /// Its reference.
    #[must_use]
    pub fn reference(&self) -> &HashReference {
        &self.reference
    }

    /// True if it is marked as one of last resort: whoever was added with it should update soon
    /// (RFC 9420 §16.8).
    #[must_use]
    pub fn is_last_resort(&self) -> bool {
        is_last_resort(&self.key_package)
    }

    /// The question whether the client is who it says (C046). Ask it before adding the client.
    #[must_use]
    pub fn credential_check(&self, now: Timestamp) -> CredentialCheck {
        let new = self.key_package.leaf_node.claim();
        CredentialCheck { subject: Subject::KeyPackage, old: None, new, now }
    }

    /// Checks, before an Add is sent, that the KeyPackage has not expired since it was validated.
    ///
    /// # Errors
    /// [`ApiMisuse::KeyPackageExpired`].
    pub fn check_lifetime(&self, now: Timestamp) -> Result<(), Error> {
        // RFC 9420 §7.3, C121: what we send is within its lifetime.
        match &self.key_package.leaf_node.leaf_node_source {
            LeafNodeSource::KeyPackage(lifetime) if lifetime.contains(now) => Ok(()),
            _ => Err(ApiMisuse::KeyPackageExpired.into()),
        }
    }
}

/// The checks of a KeyPackage that need no group.
#[derive(Clone, Copy, Debug)]
pub struct KeyPackageChecks<'a>(pub LeafChecks<'a>);

impl KeyPackageChecks<'_> {
    /// What an Add is made from, but for the signatures.
    fn for_add(&self, key_package: Unverified<KeyPackage>) -> Result<KeyPackage, Error> {
        let key_package = key_package.into_unchecked();
        if key_package.cipher_suite != self.0.suite.id() {
            return Err(Unsupported::CipherSuite.into());
        }
        // RFC 9420 §7.3, C121: what is going to be sent in an Add is within its lifetime.
        self.content(&key_package)?;
        Ok(key_package)
    }

    /// Checks everything but the two signatures.
    ///
    /// # Errors
    /// [`Violation`]: `KeyPackageVersion`, `KeyPackageSuite`, `HpkePublicKey`, `InitKeyReused`,
    /// `CapabilitiesLackExtension`, `ExtensionMisplaced`, and those of [`LeafChecks::alone`].
    pub fn content(&self, key_package: &KeyPackage) -> Result<(), Violation> {
        let LeafChecks { suite, policy, .. } = self.0;
        // RFC 9420 §10, C204: the version is that of the message around it, and there is only one.
        if key_package.version != ProtocolVersion::MLS10 {
            return Err(Violation::KeyPackageVersion);
        }
        // RFC 9420 §10.1, C210: the suite is the group's.
        if key_package.cipher_suite != suite.id() {
            return Err(Violation::KeyPackageSuite);
        }
        // RFC 9420 §10, C200: the init key is one of the suite's KEM.
        if suite.kem().check_public_key(&key_package.init_key).is_err() {
            return Err(Violation::HpkePublicKey);
        }
        // RFC 9420 §10.1, C211: the leaf is valid for a KeyPackage.
        self.0.alone(&key_package.leaf_node, LeafPlace::KeyPackage)?;
        // RFC 9420 §10.1, C213: the init key is not the leaf's encryption key.
        if key_package.init_key == key_package.leaf_node.encryption_key {
            return Err(Violation::InitKeyReused);
        }
        check_placement(&key_package.extensions, ExtensionPlace::KeyPackage)?;
        // RFC 9420 §10, C206. Q: Extensions must be listed in the capabilities, and unknown ones ignored
        // (C207): which, for an unknown one that is not listed? A: It is ignored, unless the policy is
        // strict; known implementations do not list their GREASE.
        let capabilities = &key_package.leaf_node.capabilities;
        let listed = match policy.require_listed_unknown_extensions {
            true => capabilities.lists_extensions(&key_package.extensions),
            false => {
                let marker = ExtensionType::LAST_RESORT_KEY_PACKAGE;
                key_package.extensions.get(marker).is_none() || capabilities.supports_extension(marker)
            }
        };
        if !listed {
            return Err(Violation::CapabilitiesLackExtension);
        }
        Ok(())
    }

    /// Verifies the signatures of the KeyPackage and of its leaf.
    ///
    /// # Errors
    /// [`Violation::LeafSignature`], [`Violation::KeyPackageSignature`],
    /// [`Violation::SignaturePublicKey`].
    pub fn signatures(&self, key_package: &KeyPackage) -> Result<(), Error> {
        self.0.signature(&key_package.leaf_node, LeafPlace::KeyPackage)?;
        let key = &key_package.leaf_node.signature_key;
        let signed = key_package_content(key_package)?;
        // RFC 9420 §10, §10.1, C203, C212: signed with the leaf's key.
        match self.0.suite.signature().verify(key, &signed, &key_package.signature) {
            Ok(()) => Ok(()),
            Err(_) => Err(Violation::KeyPackageSignature.into()),
        }
    }

    /// Verifies the signatures of many KeyPackages together.
    ///
    /// # Errors
    /// Those of [`signatures`](Self::signatures), for the first bad one.
    pub fn signatures_of_many(
        &self,
        key_packages: &[&KeyPackage],
        random: &mut dyn Random,
    ) -> Result<(), Error> {
        // Few enough that what is signed does not pile up, enough to gain from being together.
        const TOGETHER: usize = 512;
        /// For fewer than this no thread is woken.
        const FEW: usize = 16;
        map_runs(key_packages, (FEW, TOGETHER), (self.0.suite, random), |key_packages, random| {
            let signed = key_packages.iter().map(|key_package| {
                let leaf = signed_content(&key_package.leaf_node, LeafPlace::KeyPackage)?;
                Ok((leaf, key_package_content(key_package)?))
            });
            let signed = signed.collect::<Result<Vec<_>, Error>>()?;
            let items = key_packages.iter().zip(&signed).flat_map(|(key_package, (leaf, whole))| {
                let key = &key_package.leaf_node.signature_key;
                [
                    BatchItem { key, message: leaf, signature: &key_package.leaf_node.signature },
                    BatchItem { key, message: whole, signature: &key_package.signature },
                ]
            });
            let items: Vec<BatchItem<'_>> = items.collect();
            let Err(bad) = self.0.suite.signature().verify_batch(&items, random) else {
                return Ok(Vec::<()>::new());
            };
            if let Some(key_package) = key_packages.get(bad / 2) {
                self.signatures(key_package)?;
            }
            // A batch that refuses what the single check accepts would let members disagree.
            Err(CryptoError::Provider.into())
        })?;
        Ok(())
    }
}

/// What `key_package.signature` signs: the encoded `SignContent` over `KeyPackageTBS`.
fn key_package_content(key_package: &KeyPackage) -> Result<Vec<u8>, Error> {
    Ok(sign_content_of("KeyPackageTBS", 640, |writer| key_package.encode_tbs(writer))?)
}

#[cfg(test)]
mod tests {
    use hushwood_codec::{Decode, Encode};
    use hushwood_crypto::SoftwareSigner;
    use test_support::assert_breaks;

    use super::*;
    use crate::credential::{Credential, CredentialType};
    use crate::extension::Extensions;
    use crate::key_package::{KeyPackageBuilder, KeyPackagePrivate, NewKeyPackage};
    use crate::testing::{NoRandom, SUITE, StuckRandom, ToyRandom, signer};
    use crate::tree::{LeafContent, Lifetime, Supported};

    const NOW: Timestamp = Timestamp(1_000_000);

    fn content() -> LeafContent {
        let supported = Supported {
            suites: vec![SUITE.id()],
            extensions: vec![ExtensionType::LAST_RESORT_KEY_PACKAGE],
            proposals: vec![],
            credentials: vec![CredentialType::BASIC],
        };
        LeafContent { credential: Credential::basic("alice"), supported, extensions: Extensions::new() }
    }

    fn make(builder: &KeyPackageBuilder, policy: &Policy) -> (NewKeyPackage, SoftwareSigner) {
        let mut random = ToyRandom(0);
        let signer = signer(&mut random);
        (builder.build(&signer, policy, NOW, &mut random).unwrap(), signer)
    }

    fn sign(key_package: &mut KeyPackage, signer: &SoftwareSigner) {
        use hushwood_crypto::Signer;

        key_package.signature = signer.sign(&key_package_content(key_package).unwrap()).unwrap();
    }

    /// The result for a valid KeyPackage after a change to it that its maker signed.
    fn changed(change: impl FnOnce(&mut KeyPackage)) -> Result<(), Error> {
        let policy = Policy::default();
        let (new, signer) = make(&KeyPackageBuilder::new(SUITE, content()), &policy);
        let mut key_package = new.key_package;
        change(&mut key_package);
        sign(&mut key_package, &signer);
        validate(Unverified::new(key_package), SUITE, &policy, NOW).map(drop)
    }

    #[test]
    fn a_key_package_we_make_is_valid_under_the_strictest_policy() {
        let policy = Policy {
            require_listed_unknown_extensions: true,
            refuse_listed_defaults: true,
            ..Policy::default()
        };
        let (new, _) = make(&KeyPackageBuilder::new(SUITE, content()).last_resort(), &policy);
        let valid = validate(Unverified::new(new.key_package.clone()), SUITE, &policy, NOW).unwrap();
        assert_eq!(valid.reference(), &new.reference);
        assert!(valid.is_last_resort() && new.private.is_last_resort());
        // C208: the marker and a GREASE extension.
        assert_eq!(new.key_package.extensions.iter().len(), 2);
        let check = valid.credential_check(NOW);
        assert_eq!(check.new.credential, Credential::basic("alice"));
    }

    #[test]
    fn a_version_other_than_the_messages_is_refused() {
        let other = changed(|key_package| key_package.version = ProtocolVersion(2));
        assert_breaks!(other.unwrap_err(), Violation::KeyPackageVersion, "C204");
    }

    #[test]
    fn a_malformed_init_key_is_refused() {
        let short = changed(|key_package| key_package.init_key.0.truncate(31));
        assert_breaks!(short.unwrap_err(), Violation::HpkePublicKey, "C032", "C200");
    }

    #[test]
    fn an_init_key_that_is_also_the_leafs_key_is_refused() {
        let same = changed(|key_package| key_package.init_key = key_package.leaf_node.encryption_key.clone());
        assert_breaks!(same.unwrap_err(), Violation::InitKeyReused, "C213");
    }

    #[test]
    fn a_group_extension_in_a_key_package_is_refused() {
        for value in 1..=5 {
            let misplaced = changed(|key_package| key_package.extensions.set(ExtensionType(value), vec![]));
            assert_breaks!(misplaced.unwrap_err(), Violation::ExtensionMisplaced, "C375");
        }
    }

    #[test]
    fn a_key_package_of_another_suite_than_it_is_validated_for_is_refused() {
        for value in [0, 2, 0x0A0A] {
            let suite = hushwood_crypto::CipherSuiteId(value);
            let other = changed(|key_package| key_package.cipher_suite = suite);
            assert_eq!(other, Err(Unsupported::CipherSuite.into()));
        }
    }

    #[test]
    fn a_leaf_from_an_update_is_refused() {
        let source = changed(|key_package| key_package.leaf_node.leaf_node_source = LeafNodeSource::Update);
        assert_breaks!(source.unwrap_err(), Violation::LeafSource, "C123", "C205");
    }

    #[test]
    fn a_leaf_with_a_bad_signature_is_refused() {
        let bad = changed(|key_package| key_package.leaf_node.signature[0] ^= 1);
        assert_breaks!(bad.unwrap_err(), Violation::LeafSignature, "C115", "C211");
    }

    #[test]
    fn a_leaf_whose_signature_key_is_none_is_refused() {
        for length in [0, 31, 33] {
            let bad = changed(|key_package| key_package.leaf_node.signature_key.0.resize(length, 1));
            assert_breaks!(bad.unwrap_err(), Violation::SignaturePublicKey, "C035", "C202");
        }
    }

    #[test]
    fn a_bad_signature_is_refused_alone_and_among_many() {
        let policy = Policy::default();
        let (new, _) = make(&KeyPackageBuilder::new(SUITE, content()), &policy);
        let mut bad = new.key_package.clone();
        bad.signature[0] ^= 1;
        let refused = validate(Unverified::new(bad.clone()), SUITE, &policy, NOW).map(drop);
        assert_breaks!(refused.clone().unwrap_err(), Violation::KeyPackageSignature, "C203", "C212");
        let checks = KeyPackageChecks(LeafChecks { suite: SUITE, policy: &policy, now: NOW, sending: false });
        let mut many = vec![&new.key_package; 700];
        assert_eq!(checks.signatures_of_many(&many, &mut ToyRandom(0)), Ok(()));
        many[600] = &bad;
        assert_eq!(checks.signatures_of_many(&many, &mut ToyRandom(0)), refused);
    }

    #[test]
    fn unknown_extensions_need_not_be_listed_unless_the_policy_is_strict() {
        let policy = Policy::default();
        let (new, signer) = make(&KeyPackageBuilder::new(SUITE, content()), &policy);
        let mut key_package = new.key_package;
        key_package.extensions.set(ExtensionType(0xF0F0), vec![1, 2]);
        sign(&mut key_package, &signer);
        let result = |policy| validate(Unverified::new(key_package.clone()), SUITE, policy, NOW).map(drop);
        assert_eq!(result(&policy), Ok(()));
        let strict = Policy { require_listed_unknown_extensions: true, ..Policy::default() };
        assert_breaks!(result(&strict).unwrap_err(), Violation::CapabilitiesLackExtension, "C206");
    }

    #[test]
    fn a_known_extension_that_is_not_listed_is_refused() {
        let mut content = content();
        content.supported.extensions.clear();
        let policy = Policy::default();
        let (new, signer) = make(&KeyPackageBuilder::new(SUITE, content), &policy);
        let mut key_package = new.key_package;
        key_package.extensions.set(ExtensionType::LAST_RESORT_KEY_PACKAGE, vec![]);
        sign(&mut key_package, &signer);
        let result = validate(Unverified::new(key_package), SUITE, &policy, NOW).map(drop);
        assert_breaks!(result.unwrap_err(), Violation::CapabilitiesLackExtension, "C206", "C211");
    }

    #[test]
    fn an_expired_key_package_is_refused_before_it_is_used() {
        let policy = Policy { check_lifetime_on_add: false, ..Policy::default() };
        let (new, _) = make(&KeyPackageBuilder::new(SUITE, content()), &policy);
        let later = Timestamp(NOW.0 + policy.lifetime + 1);
        let result = |now| validate(Unverified::new(new.key_package.clone()), SUITE, &policy, now);
        assert_breaks!(result(later).map(drop).unwrap_err(), Violation::LeafLifetime, "C122", "C211");
        let valid = result(NOW).unwrap();
        assert_eq!(valid.check_lifetime(NOW), Ok(()));
        assert_eq!(valid.check_lifetime(later), Err(ApiMisuse::KeyPackageExpired.into()));
    }

    #[test]
    fn a_key_package_that_would_be_refused_is_not_made() {
        let policy = Policy::default();
        let mut random = ToyRandom(0);
        let signer = signer(&mut random);
        let mut error = |builder: KeyPackageBuilder| {
            builder.build(&signer, &policy, NOW, &mut random).map(drop).unwrap_err()
        };
        let builder = || KeyPackageBuilder::new(SUITE, content());
        let unlisted = builder().extension(ExtensionType(0xF0F0), vec![]);
        assert_eq!(error(unlisted), ApiMisuse::CapabilitiesInsufficient.into());
        let misplaced = builder().extension(ExtensionType::EXTERNAL_PUB, vec![]);
        assert_eq!(error(misplaced), ApiMisuse::ExtensionMisplaced.into());
        let over = builder().lifetime(Lifetime { not_before: 0, not_after: NOW.0 - 1 });
        assert_eq!(error(over), ApiMisuse::KeyPackageExpired.into());
        let long = builder().lifetime(Lifetime { not_before: 0, not_after: u64::MAX });
        assert_eq!(error(long), ApiMisuse::KeyPackageExpired.into());
        let mut x509 = content();
        x509.credential = Credential::X509 { certificates: vec![] };
        assert_eq!(error(KeyPackageBuilder::new(SUITE, x509)), ApiMisuse::CapabilitiesInsufficient.into());
        let mut other_suite = content();
        other_suite.supported.suites.clear();
        let other_suite = KeyPackageBuilder::new(SUITE, other_suite);
        assert_eq!(error(other_suite), ApiMisuse::CapabilitiesInsufficient.into());
        // C023: not of the reserved type, whatever the application says it supports.
        let mut reserved = content();
        reserved.supported.extensions.push(ExtensionType(0));
        let in_key_package =
            KeyPackageBuilder::new(SUITE, reserved.clone()).extension(ExtensionType(0), vec![]);
        assert_eq!(error(in_key_package), ApiMisuse::CapabilitiesInsufficient.into());
        reserved.extensions.set(ExtensionType(0), vec![]);
        let in_leaf = KeyPackageBuilder::new(SUITE, reserved);
        assert_eq!(error(in_leaf), ApiMisuse::CapabilitiesInsufficient.into());
        // C391: nor of a type that only we would know how to read.
        for value in [0, 5, 0xEFFF] {
            let credential_type = CredentialType(value);
            let mut custom = content();
            custom.supported.credentials.push(credential_type);
            custom.credential = Credential::Custom { credential_type, data: vec![] };
            let custom = KeyPackageBuilder::new(SUITE, custom);
            assert_eq!(error(custom), ApiMisuse::TypeNotPrivate.into());
        }
    }

    #[test]
    fn failed_or_repeating_randomness_makes_no_key_package() {
        let signer = signer(&mut ToyRandom(0));
        let builder = KeyPackageBuilder::new(SUITE, content());
        let policy = Policy::default();
        let none = builder.build(&signer, &policy, NOW, &mut NoRandom).map(drop);
        assert_eq!(none, Err(CryptoError::Random.into()));
        let stuck = builder.build(&signer, &policy, NOW, &mut StuckRandom).map(drop);
        assert_eq!(stuck, Err(CryptoError::Random.into()));
    }

    #[test]
    fn the_private_part_survives_storage_and_prints_no_key() {
        let (new, _) = make(&KeyPackageBuilder::new(SUITE, content()), &Policy::default());
        let bytes = new.private.to_bytes().unwrap();
        let read = KeyPackagePrivate::from_bytes(&bytes).unwrap();
        assert_eq!(read.key_package(), &new.key_package);
        assert_eq!(read.init_key().0.expose(), new.private.init_key().0.expose());
        assert_eq!(read.encryption_key().0.expose(), new.private.encryption_key().0.expose());
        assert_eq!(read.not_after(), NOW.0 + Policy::default().lifetime);
        let printed = format!("{:?}", HidePublic(&read));
        assert!(printed.contains("Secret(..)"));
    }

    struct HidePublic<'a>(&'a KeyPackagePrivate);

    impl std::fmt::Debug for HidePublic<'_> {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            write!(f, "{:?} {:?}", self.0.init_key(), self.0.encryption_key())
        }
    }
}
