//! RFC 9420 §5.1.2, §5.1.3: what was made for one use is good for no other.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use hushwood::codec::Writer;
use hushwood_crypto::hpke::{HpkeContext, HpkeInfo};
use hushwood_crypto::{
    CryptoError, Signer, SoftwareSigner, decrypt_with_label, expand_with_label, sign_with_label,
    verify_with_label,
};
use hushwood_rustcrypto::PROVIDER;
use test_support::random::SeededRandom;

/// The labels of RFC 9420 §17.6 and §17.7.
const SIGNATURES: [&str; 4] = ["FramedContentTBS", "LeafNodeTBS", "KeyPackageTBS", "GroupInfoTBS"];
const ENCRYPTIONS: [&str; 2] = ["UpdatePathNode", "Welcome"];

#[test]
fn a_signature_under_one_label_verifies_under_no_other() {
    for suite in PROVIDER.suites.iter().copied() {
        let signer = SoftwareSigner::generate(suite, &mut SeededRandom::new(1)).unwrap();
        let key = signer.public_key();
        for label in SIGNATURES {
            let signature = sign_with_label(&signer, label, b"content").unwrap();
            for other in SIGNATURES {
                let verified = verify_with_label(suite, key, other, b"content", &signature);
                let want = if other == label { Ok(()) } else { Err(CryptoError::Signature) };
                assert_eq!(verified, want, "{label} as {other}");
            }
            let other_content = verify_with_label(suite, key, label, b"contents", &signature);
            assert_eq!(other_content, Err(CryptoError::Signature));
            // The prefix is part of it: a signature over the bare content, or with a bare label, is another.
            let mut bare = Writer::new();
            bare.opaque(label.as_bytes()).opaque(b"content");
            for signed in [b"content".to_vec(), bare.finish().unwrap()] {
                let signature = signer.sign(&signed).unwrap();
                let verified = verify_with_label(suite, key, label, b"content", &signature);
                assert_eq!(verified, Err(CryptoError::Signature));
            }
        }
    }
}

#[test]
fn a_ciphertext_opens_under_its_label_and_context_only() {
    for suite in PROVIDER.suites.iter().copied() {
        let mut random = SeededRandom::new(2);
        let (private, public) = suite.kem().derive_key_pair(&[3; 66]).unwrap();
        for label in ENCRYPTIONS {
            let info = HpkeInfo::new(suite, label, b"context").unwrap();
            let sealed = info.seal(&public, b"secret", &mut random).unwrap();
            for other in ENCRYPTIONS {
                let opened = decrypt_with_label(suite, &private, other, b"context", &sealed);
                match other == label {
                    true => assert_eq!(opened.unwrap().expose(), b"secret"),
                    false => assert_eq!(opened.err(), Some(CryptoError::Open)),
                }
            }
            for context in [&b""[..], b"contexts", b"contex"] {
                let opened = decrypt_with_label(suite, &private, label, context, &sealed);
                assert_eq!(opened.err(), Some(CryptoError::Open));
            }
        }
    }
}

/// C040: `SealBase(pkR, EncryptContext, "", pt)`.
#[test]
fn the_info_is_the_encrypt_context_and_there_is_no_other_associated_data() {
    for suite in PROVIDER.suites.iter().copied() {
        let (private, public) = suite.kem().derive_key_pair(&[3; 66]).unwrap();
        let info = HpkeInfo::new(suite, "Welcome", b"context").unwrap();
        let sealed = info.seal(&public, b"secret", &mut SeededRandom::new(3)).unwrap();
        let mut encrypt_context = Writer::new();
        encrypt_context.opaque(b"MLS 1.0 Welcome").opaque(b"context");
        let encrypt_context = encrypt_context.finish().unwrap();
        let receiver =
            || HpkeContext::receiver(suite, &sealed.kem_output, &private, &encrypt_context, None).unwrap();
        assert_eq!(receiver().open(b"", &sealed.ciphertext).unwrap().expose(), b"secret");
        assert_eq!(receiver().open(b"aad", &sealed.ciphertext).err(), Some(CryptoError::Open));
    }
}

/// C160: `KDFLabel.length` is a uint16, and HKDF gives 255 hashes.
#[test]
fn more_is_not_derived_than_the_kdf_gives() {
    for suite in PROVIDER.suites.iter().copied() {
        let length = suite.kdf().length();
        let secret = hushwood_crypto::Secret::zero(length);
        let derive = |length| expand_with_label(suite, &secret, "label", b"", length).map(|okm| okm.len());
        assert_eq!(derive(255 * length), Ok(255 * length));
        for more in [255 * length + 1, 65_535, 65_536, 1 << 20] {
            assert_eq!(derive(more), Err(CryptoError::Length));
        }
    }
}
