//! Members that show a certificate instead of a name.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use base64ct::Encoding;
use common::Place;
use hushwood_aws_lc::PROVIDER;
use hushwood_crypto::{CipherSuiteId, Signer, SoftwareSigner};
use hushwood_rustcrypto::OsRandom;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, IsCa, Issuer, KeyIdMethod,
    KeyUsagePurpose, PublicKeyData, RevokedCertParams, SanType, SerialNumber, SignatureAlgorithm, SigningKey,
    date_time_ymd,
};

/// A key of a suite, as the generator of certificates wants it.
struct Key {
    signer: SoftwareSigner,
    algorithm: &'static SignatureAlgorithm,
    /// What stands before the private key in PKCS #8.
    prefix: &'static [u8],
}

impl Key {
    fn ed25519() -> Self {
        let suite = PROVIDER.suite(CipherSuiteId::MLS_128_DHKEMX25519_AES128GCM_SHA256_ED25519).unwrap();
        Self {
            signer: SoftwareSigner::generate(suite, &mut OsRandom).unwrap(),
            algorithm: &rcgen::PKCS_ED25519,
            prefix: &[0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20],
        }
    }

    fn p256() -> Self {
        let suite = PROVIDER.suite(CipherSuiteId::MLS_128_DHKEMP256_AES128GCM_SHA256_P256).unwrap();
        Self {
            signer: SoftwareSigner::generate(suite, &mut OsRandom).unwrap(),
            algorithm: &rcgen::PKCS_ECDSA_P256_SHA256,
            prefix: &[
                0x30, 0x41, 2, 1, 0, 0x30, 0x13, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 8, 0x2a, 0x86,
                0x48, 0xce, 0x3d, 3, 1, 7, 4, 0x27, 0x30, 0x25, 2, 1, 1, 4, 0x20,
            ],
        }
    }

    /// As a file.
    fn pem(&self) -> String {
        pem("PRIVATE KEY", &[self.prefix, self.signer.private_key().0.expose()].concat())
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

fn pem(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", base64ct::Base64::encode_string(der))
}

fn params(serial: u64, end: i32) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(end, 1, 1);
    params.serial_number = Some(SerialNumber::from(serial));
    params.key_identifier_method = KeyIdMethod::PreSpecified(serial.to_be_bytes().to_vec());
    params
}

/// A root that certifies people, in `root.pem`.
struct Root {
    params: CertificateParams,
    key: Key,
}

impl Root {
    fn new(place: &Place) -> Self {
        let mut params = params(1, 2100);
        params.distinguished_name.push(DnType::CommonName, "Tea Root");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = Key::ed25519();
        let der = params.self_signed(&key).unwrap().der().to_vec();
        place.write("root.pem", pem("CERTIFICATE", &der).as_bytes());
        Self { params, key }
    }

    /// Writes `NAME.pem` and `NAME.key`.
    fn certify(&self, place: &Place, name: &str, key: &Key, (serial, end): (u64, i32)) {
        let mut params = params(serial, end);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let mail = format!("{name}@example.org");
        params.subject_alt_names = vec![SanType::Rfc822Name(mail.as_str().try_into().unwrap())];
        let issuer = Issuer::from_params(&self.params, &self.key);
        let der = params.signed_by(key, &issuer).unwrap().der().to_vec();
        place.write(&format!("{name}.pem"), pem("CERTIFICATE", &der).as_bytes());
        place.write(&format!("{name}.key"), key.pem().as_bytes());
    }

    /// Writes `revoked.pem`.
    fn revoke(&self, place: &Place, serial: u64) {
        let revoked = RevokedCertParams {
            serial_number: SerialNumber::from(serial),
            revocation_time: date_time_ymd(2021, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2021, 1, 1),
            next_update: date_time_ymd(2100, 1, 1),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: vec![revoked],
            key_identifier_method: KeyIdMethod::PreSpecified(1_u64.to_be_bytes().to_vec()),
        };
        let issuer = Issuer::from_params(&self.params, &self.key);
        let der = list.signed_by(&issuer).unwrap().der().to_vec();
        place.write("revoked.pem", pem("X509 CRL", &der).as_bytes());
    }
}

/// `ada` has a certificate, `ben` a name; `ben` trusts the root.
fn ada_and_ben(test: &str) -> (Place, Root, Key) {
    let place = Place::with_key_file(test);
    let (root, key) = (Root::new(&place), Key::ed25519());
    root.certify(&place, "ada", &key, (2, 2100));
    let made = place.run("--home ada identity new --certificate ada.pem --certificate-key ada.key").ok_text();
    assert!(made.starts_with("x509:ada@example.org, at home in ada\n"), "{made}");
    place.run("--home ben identity new ben").ok();
    for home in ["ada", "ben"] {
        place.run(&format!("--home {home} key-package --out {home}.kp")).ok();
    }
    place.run("--home ben trust add root.pem").ok();
    (place, root, key)
}

#[test]
fn who_has_a_certificate_from_a_trusted_root_is_a_member_like_others() {
    let (place, root, key) = ada_and_ben("certified");
    place.run("--home ben group create tea").ok();
    place.run("--home ben invite tea ada.kp").ok();
    place.run("--home ada join tea-0.welcome").ok();
    let message = place.run_with("--home ada send tea", b"certainly").ok();
    assert_eq!(place.run_with("--home ben receive", &message).ok_text(), "x509:ada@example.org: certainly\n");
    let members = place.run("--home ben --json group members tea").ok_json();
    assert_eq!(
        (&members["members"][1]["trust"], &members["members"][0]["own"]),
        (&"certified".into(), &true.into())
    );

    // A newer certificate for the same key and names comes with the next update, and no other does.
    root.certify(&place, "other", &key, (3, 2100));
    assert!(
        place
            .run("--home ada identity renew --certificate other.pem")
            .fails(1)
            .contains("names somebody else")
    );
    root.certify(&place, "ada", &key, (4, 2100));
    place.run("--home ada identity renew --certificate ada.pem").ok();
    place.run("--home ada update tea").ok();
    place.run("--home ada accept tea").ok();
    let told = place.run("--home ben receive tea-1.commit").ok_text();
    assert!(told.contains("new keys of x509:ada@example.org"), "{told}");
    let shown = place.run("--home ada group-info tea").ok();
    assert!(place.run_with("inspect", &shown).ok_text().contains("names: x509:ada@example.org"));
    place.run("--home ben remove tea ada@example.org").ok();
}

#[test]
fn a_certificate_that_nobody_vouches_for_is_refused_with_the_reason() {
    let (place, root, _) = ada_and_ben("uncertified");
    place.run("--home ben group create tea").ok();
    let listed = place.run("--home ben --json trust list").ok_json();
    let fingerprint = listed["trusted"][0]["fingerprint"].as_str().unwrap();
    place.run(&format!("--home ben trust remove {}", &fingerprint[..8])).ok();
    let refused = place.run("--home ben invite tea ada.kp").fails(1);
    assert!(refused.contains("x509:ada@example.org") && refused.contains("hushwood trust add"), "{refused}");
    assert!(!place.path("tea-0.commit").exists());

    root.revoke(&place, 2);
    place.run("--home ben trust add root.pem revoked.pem").ok();
    let refused = place.run("--home ben invite tea ada.kp").fails(1);
    assert!(refused.contains("was revoked"), "{refused}");
    assert!(place.run("--home ben trust add ada.key").fails(1).contains("what to do"));
}

#[test]
fn nobody_passes_for_somebody_with_a_certificate() {
    let (place, _, _) = ada_and_ben("passing");
    let made = place.run("--home thief identity new x509:ada@example.org").ok_text();
    assert!(made.starts_with("x509<003A>ada@example.org, "), "{made}");
    place.run("--home thief key-package --out thief.kp").ok();
    place.run("--home ben group create tea").ok();
    let told = place.run("--home ben invite tea thief.kp ada.kp").ok_text();
    assert!(
        told.contains("added x509<003A>ada@example.org") && told.contains("added x509:ada@example.org"),
        "{told}"
    );
}

#[test]
fn the_key_must_be_the_certificates_and_the_suite_the_keys() {
    let place = Place::with_key_file("keys");
    let (root, key) = (Root::new(&place), Key::p256());
    root.certify(&place, "ada", &key, (2, 2100));
    root.certify(&place, "old", &key, (3, 2021));
    place.write("other.key", Key::p256().pem().as_bytes());
    let new = |arguments: &str| place.run(&format!("--home ada identity new {arguments}"));
    assert!(new("--certificate ada.pem --certificate-key other.key").fails(1).contains("not the key"));
    assert!(new("--certificate ada.pem --certificate-key ada.pem").fails(1).contains("openssl pkcs8"));
    assert!(new("--certificate old.pem --certificate-key old.key").fails(1).contains("ended at 2021-01-01"));
    new("--certificate ada.pem").fails(2);
    new("ada --certificate ada.pem --certificate-key ada.key").fails(2);
    assert!(!place.path("ada").exists());
    new("--certificate ada.pem --certificate-key ada.key").ok();
    assert!(place.run("--home ada group create tea").fails(1).contains("--suite 2"));
    place.run("--home ada group create tea --suite 2").ok();
    place.run_with("--home ada send tea", b"alone").ok();
}
