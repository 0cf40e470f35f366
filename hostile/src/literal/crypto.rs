//! RFC 9420 §5: labels, signatures, encryption and references, written down again from the RFC.
//!
//! Taken from the provider are hash, KDF, AEAD, KEM and signature scheme, and HPKE (RFC 9180) from `hushwood-crypto`.

use hushwood_codec::Writer;
use hushwood_crypto::hpke::{HpkeCiphertext, HpkeContext, HpkeInfo};
use hushwood_crypto::{
    CipherSuite, HpkePrivateKey, HpkePublicKey, Secret, SignaturePrivateKey, SignaturePublicKey,
};
use test_support::random::SeededRandom;

/// A suite.
pub type Suite = &'static dyn CipherSuite;

/// A key pair: private and public key as bytes, so that it can be copied.
#[derive(Clone)]
pub struct Key {
    /// The private key.
    pub private: Vec<u8>,
    /// The public key.
    pub public: Vec<u8>,
}

impl Key {
    /// A fresh key of the suite's KEM.
    pub fn hpke(suite: Suite, random: &mut SeededRandom) -> Self {
        Self::derived(suite, &random.bytes(suite.kdf().length()))
    }

    /// `KEM.DeriveKeyPair(ikm)`.
    pub fn derived(suite: Suite, ikm: &[u8]) -> Self {
        let (private, public) = suite.kem().derive_key_pair(ikm).expect("the KEM derives");
        Self { private: private.0.expose().to_vec(), public: public.0 }
    }

    /// A fresh key of the suite's signature scheme.
    pub fn signature(suite: Suite, random: &mut SeededRandom) -> Self {
        let (private, public) = suite.signature().generate(random).expect("the scheme generates");
        Self { private: private.0.expose().to_vec(), public: public.0 }
    }

    /// The public key, as one for encryption.
    pub fn hpke_public(&self) -> HpkePublicKey {
        HpkePublicKey(self.public.clone())
    }

    /// The public key, as one for signatures.
    pub fn signature_public(&self) -> SignaturePublicKey {
        SignaturePublicKey(self.public.clone())
    }
}

/// What a writer has written.
pub fn written(write: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut writer = Writer::new();
    write(&mut writer);
    writer.finish().expect("no vector is too long")
}

fn labelled(label: &str) -> Vec<u8> {
    ["MLS 1.0 ".as_bytes(), label.as_bytes()].concat()
}

/// `SignWithLabel(SignatureKey, Label, Content)` (§5.1.2).
pub fn sign(suite: Suite, key: &Key, label: &str, content: &[u8]) -> Vec<u8> {
    let message = written(|w| _ = w.opaque(&labelled(label)).opaque(content));
    let key = SignaturePrivateKey(Secret::copy_of(&key.private));
    suite.signature().sign(&key, &message).expect("the scheme signs")
}

fn encrypt_context(label: &str, context: &[u8]) -> Vec<u8> {
    written(|w| _ = w.opaque(&labelled(label)).opaque(context))
}

/// `EncryptWithLabel(PublicKey, Label, Context, Plaintext)` (§5.1.3).
pub fn encrypt(
    suite: Suite,
    (key, label, context): (&HpkePublicKey, &str, &[u8]),
    plaintext: &[u8],
    random: &mut SeededRandom,
) -> HpkeCiphertext {
    let info = HpkeInfo::raw(suite, &encrypt_context(label, context));
    info.seal(key, plaintext, random).unwrap_or_else(|_| {
        // To a key that is none, nothing can be encrypted: whoever means harm writes something else.
        HpkeCiphertext { kem_output: random.bytes(32), ciphertext: random.bytes(plaintext.len() + 16) }
    })
}

/// `DecryptWithLabel(PrivateKey, Label, Context, KEMOutput, Ciphertext)` (§5.1.3).
pub fn decrypt(
    suite: Suite,
    (key, label, context): (&[u8], &str, &[u8]),
    ciphertext: &HpkeCiphertext,
) -> Option<Vec<u8>> {
    let info = HpkeInfo::raw(suite, &encrypt_context(label, context));
    let opened = info.open(&HpkePrivateKey(Secret::copy_of(key)), ciphertext).ok()?;
    Some(opened.expose().to_vec())
}

/// `RefHash(label, value)` (§5.2).
pub fn reference(suite: Suite, label: &str, value: &[u8]) -> Vec<u8> {
    hash(suite, &written(|w| _ = w.opaque(label.as_bytes()).opaque(value)))
}

/// `Hash(value)`.
pub fn hash(suite: Suite, value: &[u8]) -> Vec<u8> {
    suite.hash().hash(&[value]).as_bytes().to_vec()
}

/// `KDF.Extract(salt, ikm)`.
pub fn extract(suite: Suite, salt: &[u8], ikm: &[u8]) -> Vec<u8> {
    suite.kdf().extract(salt, &[ikm]).expose().to_vec()
}

/// `ExpandWithLabel(Secret, Label, Context, Length)` (§8).
pub fn expand(suite: Suite, secret: &[u8], label: &str, context: &[u8], length: usize) -> Vec<u8> {
    let length_field = u16::try_from(length).expect("a length of the protocol");
    let info = written(|w| _ = w.value(&length_field).opaque(&labelled(label)).opaque(context));
    suite.kdf().expand(secret, &[&info], length).expect("the KDF expands").expose().to_vec()
}

/// `DeriveSecret(Secret, Label)` (§8).
pub fn derive(suite: Suite, secret: &[u8], label: &str) -> Vec<u8> {
    expand(suite, secret, label, b"", suite.kdf().length())
}

/// `MAC(key, data)`: HMAC with the suite's hash (§5.1).
pub fn mac(suite: Suite, key: &[u8], data: &[u8]) -> Vec<u8> {
    suite.kdf().mac(key, &[data]).as_bytes().to_vec()
}

/// `AEAD.Seal(key, nonce, aad, plaintext)`.
pub fn seal(suite: Suite, (key, nonce): (&[u8], &[u8]), aad: &[u8], plaintext: &[u8]) -> Vec<u8> {
    suite.aead().seal(key, nonce, aad, plaintext).expect("the AEAD seals")
}

/// `AEAD.Open(key, nonce, aad, ciphertext)`.
pub fn open(suite: Suite, (key, nonce): (&[u8], &[u8]), aad: &[u8], ciphertext: &[u8]) -> Option<Vec<u8>> {
    Some(suite.aead().open(key, nonce, aad, ciphertext).ok()?.expose().to_vec())
}

/// `SetupBaseS(external_pub, "")` and the exported init secret (§8.3): what to send, and the secret.
pub fn external_init(
    suite: Suite,
    external_pub: &HpkePublicKey,
    random: &mut SeededRandom,
) -> (Vec<u8>, Vec<u8>) {
    let (kem_output, context) =
        HpkeContext::sender(suite, external_pub, b"", None, random).expect("the key is one");
    (kem_output, exported_init(suite, &context))
}

/// `SetupBaseR(kem_output, external_priv, "")` and the exported init secret (§8.3).
pub fn external_init_received(suite: Suite, key: &Key, kem_output: &[u8]) -> Vec<u8> {
    let private = HpkePrivateKey(Secret::copy_of(&key.private));
    let context = HpkeContext::receiver(suite, kem_output, &private, b"", None).expect("it decapsulates");
    exported_init(suite, &context)
}

fn exported_init(suite: Suite, context: &HpkeContext<'_>) -> Vec<u8> {
    let exported = context.export(b"MLS 1.0 external init secret", suite.kdf().length());
    exported.expect("the KDF expands").expose().to_vec()
}
