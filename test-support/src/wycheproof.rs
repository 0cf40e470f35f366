//! C2SP's Wycheproof: edge cases and known mistakes of every primitive.
//!
//! The interfaces of `hushwood-crypto` are those of RFC 9420, so a case is put into their form: a
//! Diffie-Hellman result is compared after the KEM's key derivation, an AEAD's tag at its ciphertext's
//! end. Cases that have no such form (nonces of other lengths, AES-192) are skipped. Where Wycheproof
//! leaves a verdict open ("acceptable"), this says which one is ours.

use hushwood_crypto::hpke::dhkem_extract_and_expand;
use hushwood_crypto::{
    Aead, BatchItem, CipherSuite, CipherSuiteId, CryptoError, CryptoProvider, HpkePrivateKey, HpkePublicKey,
    Kdf, Secret, Signature, SignaturePublicKey,
};
use wycheproof::{TestResult, aead, ecdh, ecdsa, eddsa, hkdf, mac, xdh};

use crate::random::SeededRandom;
use crate::table::Row;

/// Tries all primitives of the suites that the provider has.
#[must_use]
pub fn run(provider: &CryptoProvider) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut with = |id: CipherSuiteId, name: &str, cases: &dyn Fn(&'static dyn CipherSuite, &mut Row)| {
        if let Some(suite) = provider.suite(id) {
            let mut row = Row::new(format!("wycheproof/{name}"), provider.name);
            cases(suite, &mut row);
            rows.push(row);
        }
    };

    with(X25519_AES128, "x25519", &|suite, row| montgomery(suite, xdh::TestName::X25519, row));
    with(X448_AES256, "x448", &|suite, row| montgomery(suite, xdh::TestName::X448, row));
    with(P256, "ecdh-p256", &|suite, row| nist(suite, ecdh::TestName::EcdhSecp256r1Ecpoint, row));
    with(P384, "ecdh-p384", &|suite, row| nist(suite, ecdh::TestName::EcdhSecp384r1Ecpoint, row));
    with(P521, "ecdh-p521", &|suite, row| nist(suite, ecdh::TestName::EcdhSecp521r1Ecpoint, row));

    with(X25519_AES128, "ed25519", &|suite, row| edwards(suite.signature(), eddsa::TestName::Ed25519, row));
    with(X448_AES256, "ed448", &|suite, row| edwards(suite.signature(), eddsa::TestName::Ed448, row));
    let test = ecdsa::TestName::EcdsaSecp256r1Sha256;
    with(P256, "ecdsa-p256-sha256", &|suite, row| ecdsa_der(suite.signature(), test, row));
    let test = ecdsa::TestName::EcdsaSecp384r1Sha384;
    with(P384, "ecdsa-p384-sha384", &|suite, row| ecdsa_der(suite.signature(), test, row));
    let test = ecdsa::TestName::EcdsaSecp521r1Sha512;
    with(P521, "ecdsa-p521-sha512", &|suite, row| ecdsa_der(suite.signature(), test, row));

    let (gcm, chacha) = (aead::TestName::AesGcm, aead::TestName::ChaCha20Poly1305);
    with(X25519_AES128, "aes-128-gcm", &|suite, row| authenticated(suite.aead(), gcm, row));
    with(X448_AES256, "aes-256-gcm", &|suite, row| authenticated(suite.aead(), gcm, row));
    with(X25519_CHACHA, "chacha20-poly1305", &|suite, row| authenticated(suite.aead(), chacha, row));

    for (id, hash, hkdf_test, mac_test) in [
        (X25519_AES128, "sha256", hkdf::TestName::HkdfSha256, mac::TestName::HmacSha256),
        (P384, "sha384", hkdf::TestName::HkdfSha384, mac::TestName::HmacSha384),
        (X448_AES256, "sha512", hkdf::TestName::HkdfSha512, mac::TestName::HmacSha512),
    ] {
        with(id, &format!("hkdf-{hash}"), &|suite, row| derived(suite.kdf(), hkdf_test, row));
        with(id, &format!("hmac-{hash}"), &|suite, row| tagged(suite.kdf(), mac_test, row));
    }
    rows
}

const X25519_AES128: CipherSuiteId = CipherSuiteId::MLS_128_DHKEMX25519_AES128GCM_SHA256_ED25519;
const X25519_CHACHA: CipherSuiteId = CipherSuiteId::MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_ED25519;
const X448_AES256: CipherSuiteId = CipherSuiteId::MLS_256_DHKEMX448_AES256GCM_SHA512_ED448;
const P256: CipherSuiteId = CipherSuiteId::MLS_128_DHKEMP256_AES128GCM_SHA256_P256;
const P384: CipherSuiteId = CipherSuiteId::MLS_256_DHKEMP384_AES256GCM_SHA384_P384;
const P521: CipherSuiteId = CipherSuiteId::MLS_256_DHKEMP521_AES256GCM_SHA512_P521;

/// What is asked of an implementation.
enum Verdict {
    Accept,
    Refuse,
}

fn montgomery(suite: &dyn CipherSuite, name: xdh::TestName, row: &mut Row) {
    let set = xdh::TestSet::load(name).unwrap();
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let verdict = match test.result {
            TestResult::Valid => Verdict::Accept,
            TestResult::Invalid => Verdict::Refuse,
            // RFC 9180 §7.1.4: a shared secret of zero aborts. RFC 7748 §5: points on the twist and u
            // coordinates that are not canonical are computed with.
            TestResult::Acceptable => match test.flags.contains(&xdh::TestFlag::ZeroSharedSecret) {
                true => Verdict::Refuse,
                false => Verdict::Accept,
            },
        };
        let private = Secret::copy_of(&test.private_key);
        let good = diffie_hellman(suite, private, &test.public_key, &test.shared_secret, verdict);
        row.case(good, || format!("{} {}", test.tc_id, test.comment));
    }
}

fn nist(suite: &dyn CipherSuite, name: ecdh::TestName, row: &mut Row) {
    let set = ecdh::TestSet::load(name).unwrap();
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let verdict = match test.result {
            TestResult::Valid => Verdict::Accept,
            TestResult::Invalid => Verdict::Refuse,
            // C033: only uncompressed points are public keys.
            TestResult::Acceptable => {
                assert!(
                    test.flags.contains(&ecdh::TestFlag::CompressedPoint),
                    "an open verdict without rule"
                );
                Verdict::Refuse
            }
        };
        // There, private keys are integers; ours have fixed width.
        let width = suite.kem().private_key_length();
        let digits = test.private_key.iter().position(|byte| *byte != 0).unwrap();
        let digits = &test.private_key[digits..];
        let mut private = Secret::zero(width);
        private.expose_mut()[width - digits.len()..].copy_from_slice(digits);
        let good = diffie_hellman(suite, private, &test.public_key, &test.shared_secret, verdict);
        row.case(good, || format!("{} {}", test.tc_id, test.comment));
    }
}

/// Decapsulates `public`. If that is to be accepted, the shared secret must be the one that the KEM
/// derives from the expected Diffie-Hellman result; if not, every function must refuse the key.
fn diffie_hellman(
    suite: &dyn CipherSuite,
    private: Secret,
    public: &[u8],
    dh: &[u8],
    verdict: Verdict,
) -> bool {
    let (kem, private) = (suite.kem(), HpkePrivateKey(private));
    let public_key = HpkePublicKey(public.to_vec());
    let decap = kem.decap(public, &private);
    let check = kem.check_public_key(&public_key);
    match verdict {
        Verdict::Accept => {
            let own = kem.public_key(&private).unwrap();
            // The KEMs of RFC 9420's suites have the suite's KDF.
            let expected = dhkem_extract_and_expand(
                suite.kdf(),
                kem.id(),
                &Secret::copy_of(dh),
                &[public, &own.0],
                kem.secret_length(),
            );
            decap.is_ok_and(|secret| secret.ct_eq(&expected.unwrap())) && check.is_ok()
        }
        Verdict::Refuse => {
            decap.err() == Some(CryptoError::Open)
                && check == Err(CryptoError::PublicKey)
                && kem.encap(&public_key, &mut SeededRandom::new(0)).err() == Some(CryptoError::PublicKey)
        }
    }
}

fn edwards(scheme: &dyn Signature, name: eddsa::TestName, row: &mut Row) {
    let set = eddsa::TestSet::load(name).unwrap();
    for group in &set.test_groups {
        for test in &group.tests {
            let good = verified(scheme, &group.key.pk, &test.msg, &test.sig, test.result);
            row.case(good, || format!("{} {}", test.tc_id, test.comment));
        }
    }
}

fn ecdsa_der(scheme: &dyn Signature, name: ecdsa::TestName, row: &mut Row) {
    let set = ecdsa::TestSet::load(name).unwrap();
    for group in &set.test_groups {
        for test in &group.tests {
            let good = verified(scheme, &group.key.key, &test.msg, &test.sig, test.result);
            row.case(good, || format!("{} {}", test.tc_id, test.comment));
        }
    }
}

/// Verifies alone and in a batch; no file of ours has an open verdict.
fn verified(
    scheme: &dyn Signature,
    key: &[u8],
    message: &[u8],
    signature: &[u8],
    result: TestResult,
) -> bool {
    assert_ne!(result, TestResult::Acceptable, "an open verdict without rule");
    let key = SignaturePublicKey(key.to_vec());
    let item = BatchItem { key: &key, message, signature };
    let alone = scheme.verify(&key, message, signature);
    let batch = scheme.verify_batch(&[item, item], &mut SeededRandom::new(0));
    let key = scheme.check_public_key(&key);
    match result {
        TestResult::Valid => alone.is_ok() && batch.is_ok() && key.is_ok(),
        _ => alone.is_err() && batch == Err(0),
    }
}

fn authenticated(cipher: &dyn Aead, name: aead::TestName, row: &mut Row) {
    let set = aead::TestSet::load(name).unwrap();
    for group in &set.test_groups {
        if group.key_size / 8 != cipher.key_length() {
            continue;
        }
        for test in &group.tests {
            let open = |sealed: &[u8]| cipher.open(&test.key, &test.nonce, &test.aad, sealed);
            let sealed = cipher.seal(&test.key, &test.nonce, &test.aad, &test.pt);
            let expected = [test.ct.as_slice(), &test.tag].concat();
            if group.nonce_size / 8 != cipher.nonce_length() {
                // Nonces of other lengths don't occur in MLS. That they are refused is looked at.
                assert_eq!(
                    (sealed, open(&expected).err()),
                    (Err(CryptoError::Provider), Some(CryptoError::Provider))
                );
                row.skipped += 1;
                continue;
            }
            let opened = open(&expected);
            let good = match test.result {
                TestResult::Valid => {
                    sealed.as_ref() == Ok(&expected)
                        && opened.is_ok_and(|plaintext| plaintext.expose() == test.pt.as_slice())
                }
                TestResult::Invalid => opened.err() == Some(CryptoError::Open),
                TestResult::Acceptable => panic!("an open verdict without rule"),
            };
            row.case(good, || format!("{} {}", test.tc_id, test.comment));
        }
    }
}

fn derived(kdf: &dyn Kdf, name: hkdf::TestName, row: &mut Row) {
    let set = hkdf::TestSet::load(name).unwrap();
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let (ikm, info) = (test.ikm.split_at(test.ikm.len() / 2), test.info.split_at(test.info.len() / 2));
        let prk = kdf.extract(&test.salt, &[ikm.0, ikm.1]);
        let okm = kdf.expand(prk.expose(), &[info.0, info.1], test.size);
        let good = match test.result {
            TestResult::Valid => okm.is_ok_and(|okm| okm.expose() == test.okm.as_slice()),
            TestResult::Invalid => okm.err() == Some(CryptoError::Length),
            TestResult::Acceptable => panic!("an open verdict without rule"),
        };
        row.case(good, || format!("{} {}", test.tc_id, test.comment));
    }
}

fn tagged(kdf: &dyn Kdf, name: mac::TestName, row: &mut Row) {
    let set = mac::TestSet::load(name).unwrap();
    for group in &set.test_groups {
        for test in &group.tests {
            let message = test.msg.split_at(test.msg.len() / 2);
            let mac = kdf.mac(&test.key, &[message.0, message.1]);
            let good = match test.result {
                // Some cases have a truncated tag.
                TestResult::Valid => mac.as_bytes()[..group.tag_size / 8] == **test.tag,
                TestResult::Invalid => mac.as_bytes()[..group.tag_size / 8] != **test.tag,
                TestResult::Acceptable => panic!("an open verdict without rule"),
            };
            row.case(good, || format!("{} {}", test.tc_id, test.comment));
        }
    }
}
