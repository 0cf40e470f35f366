//! RFC 9420 §5.3: certificate chains that are accepted, and a mutation for every way to be refused.

use hushwood_crypto::{CipherSuiteId, Signer, SoftwareSigner};
use hushwood_rustcrypto::{OsRandom, PROVIDER};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CustomExtension, DnType,
    ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer, KeyIdMethod, KeyUsagePurpose, NameConstraints,
    PublicKeyData, RevokedCertParams, SanType, SerialNumber, SignatureAlgorithm, SigningKey, date_time_ymd,
};

use super::*;
use crate::credential::Subject;
use crate::tree::LeafIndex;

/// In June 2026.
const NOW: Timestamp = Timestamp(1_780_300_000);
/// In June 2036.
const MUCH_LATER: Timestamp = Timestamp(2_095_900_000);

/// A key of a suite, as the generator of certificates wants it.
struct Key {
    signer: SoftwareSigner,
    algorithm: &'static SignatureAlgorithm,
}

impl Key {
    fn new(suite: CipherSuiteId, algorithm: &'static SignatureAlgorithm) -> Self {
        let suite = PROVIDER.suite(suite).unwrap();
        Self { signer: SoftwareSigner::generate(suite, &mut OsRandom).unwrap(), algorithm }
    }

    fn ed25519() -> Self {
        Self::new(CipherSuiteId::MLS_128_DHKEMX25519_AES128GCM_SHA256_ED25519, &rcgen::PKCS_ED25519)
    }

    fn p256() -> Self {
        Self::new(CipherSuiteId::MLS_128_DHKEMP256_AES128GCM_SHA256_P256, &rcgen::PKCS_ECDSA_P256_SHA256)
    }

    fn p384() -> Self {
        Self::new(CipherSuiteId::MLS_256_DHKEMP384_AES256GCM_SHA384_P384, &rcgen::PKCS_ECDSA_P384_SHA384)
    }

    fn public(&self) -> SignaturePublicKey {
        self.signer.public_key().clone()
    }
}

impl PublicKeyData for Key {
    fn der_bytes(&self) -> &[u8] {
        &self.signer.public_key().0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.algorithm
    }
}

impl SigningKey for Key {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        Ok(self.signer.sign(message).unwrap())
    }
}

fn params(name: &str, serial: u64) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(2026, 1, 1);
    params.not_after = date_time_ymd(2027, 1, 1);
    params.serial_number = Some(SerialNumber::from(serial));
    params.key_identifier_method = KeyIdMethod::PreSpecified(serial.to_be_bytes().to_vec());
    params
}

fn ca(name: &str, serial: u64) -> CertificateParams {
    let mut params = params(name, serial);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_after = date_time_ymd(2036, 1, 1);
    params
}

fn alice() -> CertificateParams {
    let mut params = params("alice", 3);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.subject_alt_names = vec![
        SanType::DnsName("Phone.Alice.example".try_into().unwrap()),
        SanType::Rfc822Name("alice@example.org".try_into().unwrap()),
    ];
    params
}

/// Root, intermediate CA and Alice, before anything is signed.
struct Chain {
    root: (CertificateParams, Key),
    intermediate: (CertificateParams, Key),
    leaf: (CertificateParams, Key),
}

impl Chain {
    fn new() -> Self {
        Self {
            root: (ca("root", 1), Key::ed25519()),
            intermediate: (ca("intermediate", 2), Key::ed25519()),
            leaf: (alice(), Key::ed25519()),
        }
    }

    fn root_der(&self) -> Vec<u8> {
        self.root.0.self_signed(&self.root.1).unwrap().der().to_vec()
    }

    fn intermediate_der(&self) -> Vec<u8> {
        let issuer = Issuer::from_params(&self.root.0, &self.root.1);
        self.intermediate.0.signed_by(&self.intermediate.1, &issuer).unwrap().der().to_vec()
    }

    fn leaf_der(&self) -> Vec<u8> {
        let issuer = Issuer::from_params(&self.intermediate.0, &self.intermediate.1);
        self.leaf.0.signed_by(&self.leaf.1, &issuer).unwrap().der().to_vec()
    }

    fn validator(&self) -> X509Validator {
        X509Validator::new(&PROVIDER, &[&self.root_der()]).unwrap()
    }

    fn claim(&self) -> Claim {
        claim(&[self.leaf_der(), self.intermediate_der()], &self.leaf.1)
    }

    fn validate(&self) -> Result<BTreeSet<Identity>, X509Error> {
        self.validator().validate(&self.claim(), NOW)
    }

    fn crl(&self, issuer: &(CertificateParams, Key), revoked: &[u64]) -> Vec<u8> {
        let revoked = revoked.iter().map(|serial| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: date_time_ymd(2026, 2, 1),
            reason_code: None,
            invalidity_date: None,
        });
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2026, 5, 1),
            next_update: date_time_ymd(2026, 7, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: issuer.0.key_identifier_method.clone(),
        };
        params.signed_by(&Issuer::from_params(&issuer.0, &issuer.1)).unwrap().der().to_vec()
    }
}

fn claim(certificates: &[Vec<u8>], key: &Key) -> Claim {
    let certificates = certificates.iter().map(|der| Certificate { cert_data: der.clone() }).collect();
    Claim { credential: Credential::X509 { certificates }, signature_key: key.public() }
}

/// The result for a valid chain after a change to it.
fn changed(change: impl FnOnce(&mut Chain)) -> Result<BTreeSet<Identity>, X509Error> {
    let mut chain = Chain::new();
    change(&mut chain);
    chain.validate()
}

/// The result for a valid chain after a change to its bytes.
fn changed_der(change: impl FnOnce(&mut Vec<Vec<u8>>)) -> Result<BTreeSet<Identity>, X509Error> {
    let chain = Chain::new();
    let mut certificates = vec![chain.leaf_der(), chain.intermediate_der()];
    change(&mut certificates);
    chain.validator().validate(&claim(&certificates, &chain.leaf.1), NOW)
}

#[test]
fn a_chain_to_a_trusted_root_is_accepted_and_names_its_owner() {
    let identities = Chain::new().validate().unwrap();
    let names =
        [Identity::Dns("phone.alice.example".to_owned()), Identity::Email("alice@example.org".to_owned())];
    assert_eq!(identities, BTreeSet::from(names));
}

#[test]
fn chains_of_every_scheme_and_of_mixed_schemes_are_accepted() {
    for key in [Key::ed25519, Key::p256, Key::p384] {
        for issuer in [Key::ed25519, Key::p256, Key::p384] {
            assert!(changed(|chain| (chain.leaf.1, chain.intermediate.1) = (key(), issuer())).is_ok());
        }
    }
}

#[test]
fn chains_of_p521_and_ed448_made_elsewhere_are_accepted() {
    let chains: [(&[u8], &[u8]); 2] = [
        (include_bytes!("testdata/p521-root.der"), include_bytes!("testdata/p521-leaf.der")),
        (include_bytes!("testdata/ed448-root.der"), include_bytes!("testdata/ed448-leaf.der")),
    ];
    for (root, leaf) in chains {
        let key = ParsedCertificate::parse(leaf).unwrap().key().unwrap().to_vec();
        let certificates = vec![Certificate { cert_data: leaf.to_vec() }];
        let claim =
            Claim { credential: Credential::X509 { certificates }, signature_key: SignaturePublicKey(key) };
        let validator = X509Validator::new(&PROVIDER, &[root]).unwrap();
        let identities = validator.validate(&claim, MUCH_LATER).unwrap();
        assert_eq!(identities, BTreeSet::from([Identity::Email("alice@example.org".to_owned())]));
    }
}

#[test]
fn a_certificate_for_another_key_is_refused() {
    let chain = Chain::new();
    let mut claim = chain.claim();
    claim.signature_key = Key::ed25519().public();
    assert_eq!(chain.validator().validate(&claim, NOW), Err(X509Error::KeyMismatch));
    claim.signature_key = Key::p256().public();
    assert_eq!(chain.validator().validate(&claim, NOW), Err(X509Error::KeyMismatch));
    let Credential::X509 { certificates } = &chain.claim().credential else { unreachable!() };
    assert_eq!(check_binding(certificates, &chain.leaf.1.public()), Ok(()));
    assert_eq!(check_binding(certificates, &claim.signature_key), Err(X509Error::KeyMismatch));
    assert_eq!(check_binding(&[], &claim.signature_key), Err(X509Error::Empty));
}

#[test]
fn a_key_of_another_algorithm_with_the_same_bytes_is_refused() {
    // X25519 instead of Ed25519: the last arc of the OID 1.3.101.112 becomes 110.
    let refused = changed_der(|certificates| {
        let key = [&[0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00][..]].concat();
        let at = certificates[0].windows(key.len()).position(|window| window == key).unwrap();
        certificates[0][at + 6] = 0x6e;
    });
    assert_eq!(refused, Err(X509Error::KeyMismatch));
}

#[test]
fn an_empty_chain_and_one_that_does_not_begin_with_its_owner_are_refused() {
    assert_eq!(changed_der(Vec::clear), Err(X509Error::Empty));
    assert_eq!(changed_der(|certificates| certificates.reverse()), Err(X509Error::KeyMismatch));
}

#[test]
fn a_chain_longer_than_allowed_is_refused() {
    let filled = |count: usize| {
        changed_der(|certificates| {
            let intermediate = certificates[1].clone();
            certificates.resize(count, intermediate);
        })
    };
    assert!(filled(8).is_ok());
    assert_eq!(filled(9), Err(X509Error::TooLong));
    assert_eq!(filled(1000), Err(X509Error::TooLong));
    assert_eq!(changed_der(|c| c.push(vec![0; 64 << 10])), Err(X509Error::TooLong));
    let chain = Chain::new();
    let validator = chain.validator().limits(1, 64 << 10);
    assert_eq!(validator.validate(&chain.claim(), NOW), Err(X509Error::TooLong));
}

#[test]
fn a_missing_intermediate_is_refused_unless_the_client_has_it() {
    let chain = Chain::new();
    let short = claim(&[chain.leaf_der()], &chain.leaf.1);
    assert_eq!(chain.validator().validate(&short, NOW), Err(X509Error::Untrusted));
    let validator = chain.validator().intermediate(&chain.intermediate_der());
    assert!(validator.validate(&short, NOW).is_ok());
}

#[test]
fn a_chain_to_another_root_is_refused() {
    let chain = Chain::new();
    let other = Chain::new();
    // Same name, other key: the signature does not verify.
    assert_eq!(other.validator().validate(&chain.claim(), NOW), Err(X509Error::Signature));
    let none = X509Validator::new(&PROVIDER, &[]).unwrap();
    assert_eq!(none.validate(&chain.claim(), NOW), Err(X509Error::Untrusted));
}

#[test]
fn a_self_signed_certificate_is_refused() {
    let (params, key) = (alice(), Key::ed25519());
    let der = params.self_signed(&key).unwrap().der().to_vec();
    let claim = claim(&[der], &key);
    assert_eq!(Chain::new().validator().validate(&claim, NOW), Err(X509Error::Untrusted));
}

#[test]
fn certificates_outside_their_validity_are_refused_wherever_in_the_chain() {
    let chain = Chain::new();
    let at = |now| chain.validator().validate(&chain.claim(), Timestamp(now)).map(drop);
    assert_eq!(at(1_767_225_599), Err(X509Error::NotYetValid));
    assert_eq!(at(1_767_225_600), Ok(()));
    assert_eq!(at(1_798_761_600), Ok(()));
    assert_eq!(at(1_798_761_601), Err(X509Error::Expired));
    let expired = changed(|chain| chain.intermediate.0.not_after = date_time_ymd(2026, 2, 1));
    assert_eq!(expired, Err(X509Error::Expired));
    let early = changed(|chain| chain.intermediate.0.not_before = date_time_ymd(2026, 12, 1));
    assert_eq!(early, Err(X509Error::NotYetValid));
}

#[test]
fn a_certificate_that_is_no_ca_does_not_sign_others() {
    let no_ca = changed(|chain| chain.intermediate.0.is_ca = IsCa::ExplicitNoCa);
    assert_eq!(no_ca, Err(X509Error::BasicConstraints));
    let absent = changed(|chain| {
        chain.intermediate.0.is_ca = IsCa::NoCa;
        chain.intermediate.0.key_usages.clear();
    });
    assert_eq!(absent, Err(X509Error::BasicConstraints));
}

#[test]
fn a_ca_is_no_member() {
    let ca = changed(|chain| chain.leaf.0.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
    assert_eq!(ca, Err(X509Error::BasicConstraints));
}

#[test]
fn a_path_longer_than_a_ca_allows_is_refused() {
    let limited = |length| {
        changed(|chain| {
            // Root, a CA that allows `length` more, the intermediate, Alice.
            chain.intermediate.0.is_ca = IsCa::Ca(BasicConstraints::Constrained(length));
        })
    };
    assert!(limited(0).is_ok());
    let chain = Chain::new();
    let mut upper = (ca("upper", 9), Key::ed25519());
    for (length, want) in [(0, Err(X509Error::PathLength)), (1, Ok(()))] {
        upper.0.is_ca = IsCa::Ca(BasicConstraints::Constrained(length));
        let root = Issuer::from_params(&chain.root.0, &chain.root.1);
        let upper_der = upper.0.signed_by(&upper.1, &root).unwrap().der().to_vec();
        let issuer = Issuer::from_params(&upper.0, &upper.1);
        let lower = chain.intermediate.0.signed_by(&chain.intermediate.1, &issuer).unwrap().der().to_vec();
        let claim = claim(&[chain.leaf_der(), lower, upper_der], &chain.leaf.1);
        assert_eq!(chain.validator().validate(&claim, NOW).map(drop), want);
    }
}

#[test]
fn a_key_usage_that_does_not_allow_the_use_is_refused() {
    let member = changed(|chain| chain.leaf.0.key_usages = vec![KeyUsagePurpose::KeyEncipherment]);
    assert_eq!(member, Err(X509Error::KeyUsage));
    let ca = changed(|chain| chain.intermediate.0.key_usages = vec![KeyUsagePurpose::DigitalSignature]);
    assert_eq!(ca, Err(X509Error::BasicConstraints));
    assert!(changed(|chain| chain.leaf.0.key_usages.clear()).is_ok());
    assert!(changed(|chain| chain.intermediate.0.key_usages.clear()).is_ok());
}

#[test]
fn an_extended_key_usage_for_something_else_is_refused() {
    use ExtendedKeyUsagePurpose as Purpose;

    let with = |purposes: Vec<Purpose>| changed(|chain| chain.leaf.0.extended_key_usages = purposes);
    assert_eq!(with(vec![Purpose::ServerAuth]), Err(X509Error::KeyUsage));
    assert_eq!(with(vec![Purpose::CodeSigning, Purpose::TimeStamping]), Err(X509Error::KeyUsage));
    assert!(with(vec![Purpose::ServerAuth, Purpose::ClientAuth]).is_ok());
    assert!(with(vec![Purpose::EmailProtection]).is_ok());
    assert!(with(vec![Purpose::Any]).is_ok());
    let mut chain = Chain::new();
    chain.leaf.0.extended_key_usages = vec![Purpose::EmailProtection];
    let strict = chain.validator().extended_key_usages([CLIENT_AUTH.to_vec()]);
    assert_eq!(strict.validate(&chain.claim(), NOW), Err(X509Error::KeyUsage));
}

#[test]
fn names_outside_a_cas_constraints_are_refused() {
    let constrained = |subtree: &str| {
        changed(|chain| {
            chain.intermediate.0.name_constraints = Some(NameConstraints {
                permitted_subtrees: vec![GeneralSubtree::DnsName(subtree.to_owned())],
                excluded_subtrees: vec![],
            });
        })
    };
    assert!(constrained("alice.example").is_ok());
    assert_eq!(constrained("bob.example"), Err(X509Error::NameConstraints));
}

#[test]
fn revoked_certificates_are_refused_wherever_in_the_chain() {
    let chain = Chain::new();
    let with = |issuer, revoked: &[u64]| {
        let validator = chain.validator().crl(&chain.crl(issuer, revoked)).unwrap();
        validator.validate(&chain.claim(), NOW).map(drop)
    };
    assert_eq!(with(&chain.intermediate, &[3]), Err(X509Error::Revoked));
    assert_eq!(with(&chain.root, &[2]), Err(X509Error::Revoked));
    assert_eq!(with(&chain.intermediate, &[2, 4]), Ok(()));
    assert_eq!(with(&chain.root, &[3]), Ok(()));
}

#[test]
fn a_crl_that_its_issuer_did_not_sign_is_refused() {
    let chain = Chain::new();
    let forger = (chain.intermediate.0.clone(), Key::ed25519());
    let validator = chain.validator().crl(&chain.crl(&forger, &[])).unwrap();
    assert_eq!(validator.validate(&chain.claim(), NOW), Err(X509Error::Signature));
    assert_eq!(chain.validator().crl(&[0x30, 0]).map(drop), Err(X509Error::Malformed));
}

#[test]
fn where_a_revocation_status_is_required_a_missing_or_outdated_crl_is_refused() {
    let chain = Chain::new();
    let none = chain.validator().require_revocation_status();
    assert_eq!(none.validate(&chain.claim(), NOW), Err(X509Error::RevocationUnknown));
    let (upper, lower) = (chain.crl(&chain.root, &[]), chain.crl(&chain.intermediate, &[]));
    let half = chain.validator().crl(&lower).unwrap().require_revocation_status();
    assert_eq!(half.validate(&chain.claim(), NOW), Err(X509Error::RevocationUnknown));
    let both = chain.validator().crl(&lower).unwrap().crl(&upper).unwrap().require_revocation_status();
    assert!(both.validate(&chain.claim(), NOW).is_ok());
    let outdated = Timestamp(1_783_000_000);
    assert_eq!(both.validate(&chain.claim(), outdated), Err(X509Error::RevocationUnknown));
}

#[test]
fn bytes_behind_or_missing_from_a_certificate_are_refused_wherever_in_the_chain() {
    for position in [0, 1] {
        assert_eq!(changed_der(|c| c[position].push(0)), Err(X509Error::Malformed));
        assert_eq!(changed_der(|c| c[position].truncate(200)), Err(X509Error::Malformed));
        assert_eq!(changed_der(|c| c[position].clear()), Err(X509Error::Malformed));
        let two_in_one = changed_der(|c| {
            let copy = c[position].clone();
            c[position].extend(copy);
        });
        assert_eq!(two_in_one, Err(X509Error::Malformed));
    }
}

#[test]
fn a_length_that_is_longer_than_der_allows_is_refused() {
    let padded = changed_der(|certificates| {
        let der = &mut certificates[0];
        assert_eq!(der[..2], [0x30, 0x82]);
        der.splice(1..2, [0x83, 0x00]);
    });
    assert_eq!(padded, Err(X509Error::Malformed));
    let indefinite = changed_der(|certificates| {
        let der = &mut certificates[0];
        der.splice(1..4, [0x80]);
        der.extend([0, 0]);
    });
    assert_eq!(indefinite, Err(X509Error::Malformed));
}

#[test]
fn no_flipped_bit_anywhere_is_accepted() {
    let chain = Chain::new();
    let validator = chain.validator();
    let good = [chain.leaf_der(), chain.intermediate_der()];
    for position in [0, 1] {
        for bit in 0..good[position].len() * 8 {
            let mut certificates = good.clone();
            certificates[position][bit / 8] ^= 1 << (bit % 8);
            let result = validator.validate(&claim(&certificates, &chain.leaf.1), NOW);
            assert!(result.is_err(), "bit {bit} of certificate {position}");
        }
    }
}

#[test]
fn an_extension_twice_or_an_unknown_critical_one_is_refused() {
    let extension = |last: u64, critical| {
        let mut extension = CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99999, last], vec![5, 0]);
        extension.set_criticality(critical);
        extension
    };
    let with = |extensions| changed(|chain| chain.leaf.0.custom_extensions = extensions);
    assert!(with(vec![extension(1, false), extension(2, false)]).is_ok());
    assert_eq!(with(vec![extension(1, false), extension(1, false)]), Err(X509Error::Malformed));
    assert_eq!(with(vec![extension(1, true)]), Err(X509Error::Malformed));
}

#[test]
fn without_alternative_names_the_common_name_counts_and_with_them_it_does_not() {
    let common = changed(|chain| chain.leaf.0.subject_alt_names.clear());
    assert_eq!(common, Ok(BTreeSet::from([Identity::CommonName("alice".to_owned())])));
    let nobody = changed(|chain| {
        chain.leaf.0.subject_alt_names.clear();
        chain.leaf.0.distinguished_name = rcgen::DistinguishedName::new();
    });
    assert_eq!(nobody, Err(X509Error::NoIdentity));
    let zero = changed(|chain| {
        chain.leaf.0.subject_alt_names =
            vec![SanType::Rfc822Name("alice@example.org\0.evil.example".try_into().unwrap())];
    });
    assert_eq!(zero, Err(X509Error::Malformed));
}

#[test]
fn the_other_kinds_of_names_are_presented() {
    let identities = changed(|chain| {
        chain.leaf.0.subject_alt_names = vec![
            SanType::URI("im:alice@example.org".try_into().unwrap()),
            SanType::IpAddress([192, 0, 2, 1].into()),
            SanType::OtherName((
                vec![1, 3, 6, 1, 5, 5, 7, 8, 5],
                rcgen::OtherNameValue::Utf8String("alice@example.org".to_owned()),
            )),
        ];
    });
    let identities = identities.unwrap();
    assert!(identities.contains(&Identity::Uri("im:alice@example.org".to_owned())));
    assert!(identities.contains(&Identity::Ip([192, 0, 2, 1].into())));
    assert!(
        identities
            .iter()
            .any(|identity| matches!(identity, Identity::Other { oid, .. } if oid == "1.3.6.1.5.5.7.8.5"))
    );
}

fn judge(validator: &X509Validator, old: Option<Claim>, new: Claim) -> Verdict {
    let subject = Subject::Updated(LeafIndex::new(0));
    validator.judge(&CredentialCheck { subject, old, new, now: NOW })
}

#[test]
fn a_successor_names_the_same_whether_or_not_the_old_certificate_expired() {
    let mut chain = Chain::new();
    let validator = chain.validator();
    let new = chain.claim();
    assert_eq!(judge(&validator, None, new.clone()), Verdict::Accept);
    chain.leaf.0.not_after = date_time_ymd(2026, 1, 2);
    let expired = chain.claim();
    assert_eq!(judge(&validator, Some(expired.clone()), new.clone()), Verdict::Accept);
    assert_eq!(judge(&validator, Some(new.clone()), expired.clone()), Verdict::Refuse);
    chain.leaf.0.subject_alt_names.pop();
    let fewer_names = chain.claim();
    assert_eq!(judge(&validator, Some(fewer_names.clone()), new.clone()), Verdict::Refuse);
    let user = validator.user(&new.credential);
    assert!(user.is_some());
    // The expired certificate named the same.
    assert_eq!(user, validator.user(&expired.credential));
    assert_ne!(user, validator.user(&fewer_names.credential));
    assert_eq!(validator.user(&Credential::basic("alice")), None);
}

#[test]
fn basic_credentials_are_refused() {
    let chain = Chain::new();
    let basic = Claim { credential: Credential::basic("alice"), signature_key: chain.leaf.1.public() };
    assert_eq!(chain.validator().validate(&basic, NOW), Err(X509Error::OtherType));
    assert_eq!(judge(&chain.validator(), Some(basic.clone()), chain.claim()), Verdict::Refuse);
    assert_eq!(judge(&chain.validator(), None, basic), Verdict::Refuse);
}
