//! RFC 9420 §7.3: leaf node validation.
//!
//! In two groups. [`LeafChecks`] are those of the leaf alone; the signature is apart, so that the many
//! leaves of a tree can be verified together. What the rest of the group asks of a leaf is
//! [`GroupParameters::check`](crate::tree::GroupParameters::check), and what compares leaves with each
//! other is checked where a tree changes.

use hushwood_codec::Writer;
use hushwood_crypto::{BatchItem, CipherSuite, CryptoError, Random, sign_content_of};

use crate::credential::x509::check_binding;
use crate::credential::{Claim, Credential};
use crate::error::{Error, Violation};
use crate::extension::support::{ExtensionPlace, check_placement};
use crate::policy::{Policy, Timestamp};
use crate::tree::packed::PackedLeaf;
use crate::tree::{LeafIndex, LeafNode, LeafNodeSource, Lifetime};
use crate::version::ProtocolVersion;

/// Where a leaf is found: it says which source the leaf must have, and what its signature covers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LeafPlace<'a> {
    /// In a KeyPackage, on its own or in an Add.
    KeyPackage,
    /// In an Update of the member at this leaf of this group.
    Update(&'a [u8], LeafIndex),
    /// In the path of a Commit by the member at this leaf of this group.
    Commit(&'a [u8], LeafIndex),
    /// In the tree of this group, at this leaf.
    Tree(&'a [u8], LeafIndex),
}

/// The checks that need nothing but the leaf.
#[derive(Clone, Copy, Debug)]
pub struct LeafChecks<'a> {
    /// The group's suite, or the KeyPackage's.
    pub suite: &'a dyn CipherSuite,
    /// The limits on lifetimes, and how strict to be.
    pub policy: &'a Policy,
    /// The current time.
    pub now: Timestamp,
    /// Whether we are about to send the leaf: lifetimes are then always checked (C121).
    pub sending: bool,
}

impl LeafChecks<'_> {
    /// Checks everything about the leaf but its signature.
    ///
    /// The form of the signature key is checked with the signature, which needs it anyway.
    ///
    /// # Errors
    /// [`Violation`]: `LeafSource`, `HpkePublicKey`, `CapabilitiesLackGroup`,
    /// `CapabilitiesLackCredential`, `CapabilitiesLackExtension`, `CapabilitiesListDefault`,
    /// `ExtensionMisplaced`, `LeafLifetime`, `LeafLifetimeRange`, `X509`.
    pub fn alone(&self, leaf: &LeafNode, place: LeafPlace<'_>) -> Result<(), Violation> {
        // RFC 9420 §7.3, C123, C124, C126, C205: the source is the one of the place.
        match (&leaf.leaf_node_source, place) {
            (LeafNodeSource::KeyPackage(lifetime), LeafPlace::KeyPackage | LeafPlace::Tree(..)) => {
                self.lifetime(*lifetime, place)?;
            }
            (LeafNodeSource::Update, LeafPlace::Update(..) | LeafPlace::Tree(..))
            | (LeafNodeSource::Commit { .. }, LeafPlace::Commit(..) | LeafPlace::Tree(..)) => {}
            (_, LeafPlace::KeyPackage | LeafPlace::Update(..) | LeafPlace::Commit(..)) => {
                return Err(Violation::LeafSource);
            }
        }
        // RFC 9420 §5.1.1, C032: the encryption key is one of the suite's KEM.
        if self.suite.kem().check_public_key(&leaf.encryption_key).is_err() {
            return Err(Violation::HpkePublicKey);
        }
        self.capabilities(leaf)
    }

    fn capabilities(&self, leaf: &LeafNode) -> Result<(), Violation> {
        let capabilities = &leaf.capabilities;
        // RFC 9420 §11.1, C105: at a minimum, all members support the group's version and suite.
        let version = ProtocolVersion::MLS10;
        if !capabilities.supports_version(version) || !capabilities.supports_suite(self.suite.id()) {
            return Err(Violation::CapabilitiesLackGroup);
        }
        // RFC 9420 §7.2, C107: the type of the leaf's own credential is listed.
        if !capabilities.supports_credential(leaf.credential.credential_type()) {
            return Err(Violation::CapabilitiesLackCredential);
        }
        // RFC 9420 §5.3, C043 to C045: a certificate is for the leaf's signature key. Who certifies it is
        // for the application to judge.
        if let Credential::X509 { certificates } = &leaf.credential
            && check_binding(certificates, &leaf.signature_key).is_err()
        {
            return Err(Violation::X509);
        }
        // RFC 9420 §7.2, C103. Q: Default types must not be listed; is a leaf that does invalid?
        // A: No rule says so, and others do it, so only a strict policy refuses.
        if self.policy.refuse_listed_defaults && capabilities.lists_default() {
            return Err(Violation::CapabilitiesListDefault);
        }
        // C375: extensions of other structures have no place in a leaf.
        check_placement(&leaf.extensions, ExtensionPlace::LeafNode)?;
        // RFC 9420 §7.2, §7.3, C106, C206: the leaf's own extensions, unless default, are listed.
        if !capabilities.lists_extensions(&leaf.extensions) {
            return Err(Violation::CapabilitiesLackExtension);
        }
        Ok(())
    }

    fn lifetime(&self, lifetime: Lifetime, place: LeafPlace<'_>) -> Result<(), Violation> {
        // RFC 9420 §7.2, C111: a lifetime does not end before it begins.
        let Some(length) = lifetime.not_after.checked_sub(lifetime.not_before) else {
            return Err(Violation::LeafLifetimeRange);
        };
        // RFC 9420 §7.2, C110: nor is it longer than the application allows.
        if length > self.policy.max_lifetime {
            return Err(Violation::LeafLifetimeRange);
        }
        // RFC 9420 §7.3, C121: leaves that we send are within their lifetime. C122: received ones should
        // be, but those of a group that is older than their lifetime can't.
        let check = match place {
            LeafPlace::KeyPackage => self.sending || self.policy.check_lifetime_on_add,
            LeafPlace::Tree(..) => self.policy.check_lifetime_in_tree,
            LeafPlace::Update(..) | LeafPlace::Commit(..) => false,
        };
        if check && !lifetime.contains(self.now) {
            return Err(Violation::LeafLifetime);
        }
        Ok(())
    }

    /// Verifies the leaf's signature.
    ///
    /// # Errors
    /// [`Violation::LeafSignature`], [`Violation::SignaturePublicKey`].
    pub fn signature(&self, leaf: &LeafNode, place: LeafPlace<'_>) -> Result<(), Error> {
        let signed = signed_content(leaf, place)?;
        verified(self.suite.signature().verify(&leaf.signature_key, &signed, &leaf.signature))
    }

    /// Verifies the signatures of many leaves together.
    ///
    /// # Errors
    /// Those of [`signature`](Self::signature), for the first bad one.
    pub fn signatures(
        &self,
        leaves: &[(LeafNode, LeafPlace<'_>)],
        random: &mut dyn Random,
    ) -> Result<(), Error> {
        for leaves in leaves.chunks(TOGETHER) {
            let signed = leaves.iter().map(|(leaf, place)| signed_content(leaf, *place));
            let signed = signed.collect::<Result<Vec<_>, Error>>()?;
            let items = leaves.iter().zip(&signed).map(|((leaf, _), message)| BatchItem {
                key: &leaf.signature_key,
                message,
                signature: &leaf.signature,
            });
            self.batch(&items.collect::<Vec<_>>(), random)?;
        }
        Ok(())
    }

    /// The same for leaves of one tree as it keeps them, which are not parsed for it.
    pub(crate) fn packed_signatures(
        &self,
        group_id: &[u8],
        leaves: &[(LeafIndex, &PackedLeaf)],
        random: &mut dyn Random,
    ) -> Result<(), Error> {
        for leaves in leaves.chunks(TOGETHER) {
            let mut signed = Vec::with_capacity(leaves.len());
            for (index, leaf) in leaves {
                let leaf = leaf.signed()?;
                let place = (group_id, *index);
                let write = |writer: &mut Writer| leaf.encode_tbs(writer, place);
                let message = sign_content_of("LeafNodeTBS", leaf.room(group_id), write)?;
                signed.push((leaf, message));
            }
            let items = signed.iter().map(|(leaf, message)| BatchItem {
                key: &leaf.key,
                message,
                signature: leaf.signature,
            });
            self.batch(&items.collect::<Vec<_>>(), random)?;
        }
        Ok(())
    }

    fn batch(&self, items: &[BatchItem<'_>], random: &mut dyn Random) -> Result<(), Error> {
        let scheme = self.suite.signature();
        let Err(bad) = scheme.verify_batch(items, random) else { return Ok(()) };
        let item = items.get(bad).ok_or(CryptoError::Provider)?;
        verified(scheme.verify(item.key, item.message, item.signature))?;
        // A batch that refuses what the single check accepts would let members disagree.
        Err(CryptoError::Provider.into())
    }
}

/// Few enough that what is signed does not pile up, enough to gain from being together.
const TOGETHER: usize = 1024;

/// What `leaf.signature` signs: the encoded `SignContent` over `LeafNodeTBS` (RFC 9420 §7.2).
pub(crate) fn signed_content(leaf: &LeafNode, place: LeafPlace<'_>) -> Result<Vec<u8>, Error> {
    let place = match place {
        // A leaf from a KeyPackage is bound to no place.
        LeafPlace::KeyPackage => (&[][..], LeafIndex::new(0)),
        LeafPlace::Update(group_id, leaf_index)
        | LeafPlace::Commit(group_id, leaf_index)
        | LeafPlace::Tree(group_id, leaf_index) => (group_id, leaf_index),
    };
    // Room for most leaves: keys, a credential, capabilities.
    Ok(sign_content_of("LeafNodeTBS", 480, |writer| leaf.encode_tbs(writer, place))?)
}

/// What is said of a leaf whose signature was verified so.
fn verified(verification: Result<(), CryptoError>) -> Result<(), Error> {
    match verification {
        Ok(()) => Ok(()),
        // RFC 9420 §5.1.1, C035, C202: the signature key is one of the suite's scheme.
        Err(CryptoError::PublicKey) => Err(Violation::SignaturePublicKey.into()),
        // RFC 9420 §7.3, C115, and with the place in what is signed, C112.
        Err(_) => Err(Violation::LeafSignature.into()),
    }
}

impl LeafNode {
    /// What the leaf claims, for the application to judge (RFC 9420 §5.3.1).
    #[must_use]
    pub fn claim(&self) -> Claim {
        Claim { credential: self.credential.clone(), signature_key: self.signature_key.clone() }
    }
}

impl Lifetime {
    /// True from the first to the last valid second.
    #[must_use]
    pub fn contains(&self, now: Timestamp) -> bool {
        (self.not_before..=self.not_after).contains(&now.0)
    }
}

#[cfg(test)]
mod tests {
    use hushwood_crypto::SignaturePublicKey;
    use test_support::assert_breaks;

    use super::*;
    use crate::credential::{Certificate, CredentialType};
    use crate::extension::{ExtensionType, Extensions};
    use crate::policy::Grease;
    use crate::testing::{SUITE, ToyRandom, hpke_key, signer};
    use crate::tree::{LeafContent, Supported, UnsignedLeafNode};

    const GROUP: &[u8] = b"group";
    const PLACE: LeafIndex = LeafIndex::new(5);
    const OWN: ExtensionType = ExtensionType(0xF00D);

    fn key_package_source() -> LeafNodeSource {
        LeafNodeSource::KeyPackage(Lifetime { not_before: 100, not_after: 200 })
    }

    fn leaf(source: LeafNodeSource, policy: &Policy) -> LeafNode {
        let mut random = ToyRandom(0);
        let mut extensions = Extensions::new();
        extensions.set(OWN, vec![1]);
        extensions.set(ExtensionType::APPLICATION_ID, vec![2]);
        let supported = Supported {
            suites: vec![SUITE.id()],
            extensions: vec![OWN],
            proposals: vec![],
            credentials: vec![CredentialType::BASIC],
        };
        let content = LeafContent { credential: Credential::basic("alice"), supported, extensions };
        let leaf = UnsignedLeafNode::new(&content, hpke_key(1), source, policy, &mut random).unwrap();
        leaf.sign(&signer(&mut random), (GROUP, PLACE)).unwrap()
    }

    fn checks(policy: &Policy) -> LeafChecks<'_> {
        LeafChecks { suite: SUITE, policy, now: Timestamp(150), sending: false }
    }

    /// The result for a valid leaf of a KeyPackage after a change to it.
    fn changed(change: impl FnOnce(&mut LeafNode)) -> Result<(), Violation> {
        let policy = Policy::default();
        let mut leaf = leaf(key_package_source(), &policy);
        change(&mut leaf);
        checks(&policy).alone(&leaf, LeafPlace::KeyPackage)
    }

    #[test]
    fn a_leaf_we_make_is_valid_with_grease_and_without() {
        for (grease, extensions, credentials) in
            [(Grease::Everywhere, 3, 2), (Grease::Capabilities, 2, 2), (Grease::Nowhere, 2, 1)]
        {
            let policy = Policy { grease, ..Policy::default() };
            let leaf = leaf(key_package_source(), &policy);
            assert_eq!(checks(&policy).alone(&leaf, LeafPlace::KeyPackage), Ok(()));
            assert_eq!(checks(&policy).signature(&leaf, LeafPlace::KeyPackage), Ok(()));
            assert_eq!(leaf.extensions.iter().len(), extensions);
            assert_eq!(leaf.capabilities.credentials.len(), credentials);
        }
    }

    #[test]
    fn a_source_other_than_the_places_is_refused() {
        let policy = Policy::default();
        let commit = LeafNodeSource::Commit { parent_hash: vec![] };
        let sources = [key_package_source(), LeafNodeSource::Update, commit];
        let places =
            [LeafPlace::KeyPackage, LeafPlace::Update(GROUP, PLACE), LeafPlace::Commit(GROUP, PLACE)];
        let rows = ["C123", "C124", "C126"];
        for (i, source) in sources.iter().enumerate() {
            let leaf = leaf(source.clone(), &policy);
            for (j, place) in places.iter().enumerate() {
                let found = checks(&policy).alone(&leaf, *place);
                match i == j {
                    true => assert_eq!(found, Ok(())),
                    false => assert_breaks!(found.unwrap_err(), Violation::LeafSource, rows[j]),
                }
            }
            assert_eq!(checks(&policy).alone(&leaf, LeafPlace::Tree(GROUP, PLACE)), Ok(()));
        }
    }

    #[test]
    fn a_malformed_encryption_key_is_refused() {
        assert_breaks!(
            changed(|leaf| leaf.encryption_key.0.truncate(31)).unwrap_err(),
            Violation::HpkePublicKey,
            "C032",
            "C202"
        );
    }

    #[test]
    fn a_malformed_signature_key_is_refused_with_the_signature() {
        let policy = Policy::default();
        let mut leaf = leaf(LeafNodeSource::Update, &policy);
        leaf.signature_key = SignaturePublicKey(vec![1]);
        let place = LeafPlace::Update(GROUP, PLACE);
        let refused = checks(&policy).signature(&leaf, place).unwrap_err();
        assert_breaks!(refused, Violation::SignaturePublicKey, "C035", "C202");
        let packed = PackedLeaf::new(&leaf).unwrap();
        let all = checks(&policy).signatures(&[(leaf, place)], &mut ToyRandom(0));
        assert_eq!(all, Err(Violation::SignaturePublicKey.into()));
        let refused = checks(&policy).packed_signatures(GROUP, &[(PLACE, &packed)], &mut ToyRandom(0));
        assert_eq!(refused, Err(Violation::SignaturePublicKey.into()));
    }

    #[test]
    fn capabilities_without_the_suite_or_version_are_refused() {
        let suite = changed(|leaf| leaf.capabilities.cipher_suites.clear()).unwrap_err();
        assert_breaks!(suite, Violation::CapabilitiesLackGroup, "C105");
        let version = changed(|leaf| leaf.capabilities.versions.clear()).unwrap_err();
        assert_breaks!(version, Violation::CapabilitiesLackGroup, "C105");
    }

    #[test]
    fn a_credential_whose_type_is_not_listed_is_refused() {
        let lacking = changed(|leaf| leaf.credential = Credential::X509 { certificates: vec![] });
        assert_breaks!(lacking.unwrap_err(), Violation::CapabilitiesLackCredential, "C107");
    }

    #[test]
    fn a_certificate_chain_that_is_not_for_the_leafs_key_is_refused() {
        for der in
            [None, Some(vec![]), Some(include_bytes!("../credential/x509/testdata/p521-leaf.der").to_vec())]
        {
            let certificates = der.into_iter().map(|cert_data| Certificate { cert_data }).collect();
            let refused = changed(|leaf| {
                leaf.capabilities.credentials.push(CredentialType::X509);
                leaf.credential = Credential::X509 { certificates };
            });
            assert_breaks!(refused.unwrap_err(), Violation::X509, "C043", "C044", "C045");
        }
    }

    #[test]
    fn an_extension_that_is_not_listed_is_refused_whatever_it_is() {
        for value in [0x000A, 0x0A0A, 0xF00E] {
            let unlisted = changed(|leaf| {
                leaf.capabilities.extensions = vec![OWN];
                leaf.extensions = Extensions::new();
                leaf.extensions.set(ExtensionType(value), vec![]);
            });
            assert_breaks!(unlisted.unwrap_err(), Violation::CapabilitiesLackExtension, "C106");
        }
    }

    #[test]
    fn a_group_extension_in_a_leaf_is_refused() {
        let misplaced = changed(|leaf| leaf.extensions.set(ExtensionType::RATCHET_TREE, vec![]));
        assert_breaks!(misplaced.unwrap_err(), Violation::ExtensionMisplaced, "C375");
    }

    #[test]
    fn unknown_values_in_capabilities_are_ignored() {
        let unknown = changed(|leaf| {
            leaf.capabilities.versions.push(ProtocolVersion(0x0A0A));
            leaf.capabilities.cipher_suites.push(hushwood_crypto::CipherSuiteId(0x0A0A));
            leaf.capabilities.proposals.push(crate::proposal::ProposalType(0x0A0A));
            leaf.capabilities.credentials.push(CredentialType(0x0A0A));
            leaf.capabilities.extensions.push(ExtensionType(0x0A0A));
        });
        assert_eq!(unknown, Ok(()));
    }

    #[test]
    fn listed_default_types_are_tolerated_unless_the_policy_is_strict() {
        let mut policy = Policy::default();
        let mut leaf = leaf(key_package_source(), &policy);
        leaf.capabilities.proposals.push(crate::proposal::ProposalType::ADD);
        assert_eq!(checks(&policy).alone(&leaf, LeafPlace::KeyPackage), Ok(()));
        policy.refuse_listed_defaults = true;
        let refused = Err(Violation::CapabilitiesListDefault);
        assert_eq!(checks(&policy).alone(&leaf, LeafPlace::KeyPackage), refused);
    }

    #[test]
    fn a_lifetime_that_ends_before_it_begins_or_is_too_long_is_refused() {
        let range = |not_before, not_after| {
            changed(|leaf| {
                leaf.leaf_node_source = LeafNodeSource::KeyPackage(Lifetime { not_before, not_after });
            })
        };
        let most = Policy::default().max_lifetime;
        assert_eq!(range(100, 100 + most), Ok(()));
        assert_breaks!(range(100, 101 + most).unwrap_err(), Violation::LeafLifetimeRange, "C110", "C111");
        assert_breaks!(range(200, 199).unwrap_err(), Violation::LeafLifetimeRange, "C110", "C111");
        assert_breaks!(range(u64::MAX, 0).unwrap_err(), Violation::LeafLifetimeRange, "C110", "C111");
        assert_breaks!(range(0, u64::MAX).unwrap_err(), Violation::LeafLifetimeRange, "C110", "C111");
    }

    #[test]
    fn without_a_maximum_every_lifetime_is_taken_that_ends_after_it_begins() {
        let result = |not_before, not_after| {
            let policy = Policy { max_lifetime: u64::MAX, ..Policy::default() };
            let leaf = leaf(LeafNodeSource::KeyPackage(Lifetime { not_before, not_after }), &policy);
            checks(&policy).alone(&leaf, LeafPlace::KeyPackage)
        };
        assert_eq!(result(0, u64::MAX), Ok(()));
        assert_eq!(result(0, u64::MAX - 1), Ok(()));
        assert_eq!(result(200, 199), Err(Violation::LeafLifetimeRange));
        assert_eq!(result(0, 149), Err(Violation::LeafLifetime));
    }

    #[test]
    fn a_leaf_outside_its_lifetime_is_refused_where_the_policy_looks() {
        let policy = Policy::default();
        let leaf = leaf(key_package_source(), &policy);
        let result = |policy: &Policy, place, now, sending| {
            let suite = SUITE;
            LeafChecks { suite, policy, now: Timestamp(now), sending }.alone(&leaf, place)
        };
        let add = LeafPlace::KeyPackage;
        for (now, want) in [
            (99, Err(Violation::LeafLifetime)),
            (100, Ok(())),
            (200, Ok(())),
            (201, Err(Violation::LeafLifetime)),
        ] {
            assert_eq!(result(&policy, add, now, false), want);
        }
        let late = Policy { check_lifetime_on_add: false, ..Policy::default() };
        assert_eq!(result(&late, add, 201, false), Ok(()));
        assert_breaks!(result(&late, add, 201, true).unwrap_err(), Violation::LeafLifetime, "C122");
        let tree = LeafPlace::Tree(GROUP, PLACE);
        assert_eq!(result(&policy, tree, 201, false), Ok(()));
        let strict = Policy { check_lifetime_in_tree: true, ..Policy::default() };
        assert_breaks!(result(&strict, tree, 201, false).unwrap_err(), Violation::LeafLifetime, "C122");
    }

    #[test]
    fn a_change_of_any_field_breaks_the_signature() {
        let policy = Policy::default();
        let place = LeafPlace::Update(GROUP, PLACE);
        let good = leaf(LeafNodeSource::Update, &policy);
        assert_eq!(checks(&policy).signature(&good, place), Ok(()));
        let changes: [fn(&mut LeafNode); 7] = [
            |leaf| leaf.encryption_key.0[0] ^= 1,
            |leaf| leaf.signature_key.0[0] ^= 1,
            |leaf| leaf.credential = Credential::basic("mallory"),
            |leaf| leaf.capabilities.proposals.clear(),
            |leaf| leaf.leaf_node_source = LeafNodeSource::Commit { parent_hash: vec![] },
            |leaf| leaf.extensions.remove(OWN),
            |leaf| leaf.signature[0] ^= 1,
        ];
        for change in changes {
            let mut leaf = good.clone();
            change(&mut leaf);
            assert_breaks!(
                checks(&policy).signature(&leaf, place).unwrap_err(),
                Violation::LeafSignature,
                "C113",
                "C115"
            );
        }
    }

    #[test]
    fn a_leaf_moved_to_another_group_or_position_does_not_verify() {
        let policy = Policy::default();
        let leaf = leaf(LeafNodeSource::Update, &policy);
        for place in [LeafPlace::Tree(b"other", PLACE), LeafPlace::Tree(GROUP, LeafIndex::new(4))] {
            assert_breaks!(
                checks(&policy).signature(&leaf, place).unwrap_err(),
                Violation::LeafSignature,
                "C112"
            );
        }
        assert_eq!(checks(&policy).signature(&leaf, LeafPlace::Tree(GROUP, PLACE)), Ok(()));
    }

    #[test]
    fn one_bad_signature_among_many_is_found() {
        let policy = Policy::default();
        let good = leaf(LeafNodeSource::Update, &policy);
        let mut bad = good.clone();
        bad.signature[0] ^= 1;
        let place = LeafPlace::Tree(GROUP, PLACE);
        let mut parsed = vec![(good.clone(), place); 2500];
        assert_eq!(checks(&policy).signatures(&parsed, &mut ToyRandom(0)), Ok(()));
        parsed[2400].0 = bad.clone();
        assert_eq!(
            checks(&policy).signatures(&parsed, &mut ToyRandom(0)),
            Err(Violation::LeafSignature.into())
        );
        let [good, bad] = [good, bad].map(|leaf| PackedLeaf::new(&leaf).unwrap());
        let mut leaves = vec![(PLACE, &good); 2500];
        assert_eq!(checks(&policy).packed_signatures(GROUP, &leaves, &mut ToyRandom(0)), Ok(()));
        leaves[2400].1 = &bad;
        let refused = Err(Violation::LeafSignature.into());
        assert_eq!(checks(&policy).packed_signatures(GROUP, &leaves, &mut ToyRandom(0)), refused);
        // The group and the place are signed as well.
        let elsewhere = checks(&policy).packed_signatures(b"other", &[(PLACE, &good)], &mut ToyRandom(0));
        assert_eq!(elsewhere, refused);
        let elsewhere = [(LeafIndex::new(4), &good)];
        assert_eq!(checks(&policy).packed_signatures(GROUP, &elsewhere, &mut ToyRandom(0)), refused);
    }
}
