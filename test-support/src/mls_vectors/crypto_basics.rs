//! `crypto-basics.json`: RFC 9420 §5.1, §5.2, §8, §9.1.

use hushwood::tree::KeyPair;
use hushwood_crypto::hpke::{HpkeCiphertext, HpkeInfo};
use hushwood_crypto::{
    CipherSuite, CryptoProvider, HpkePrivateKey, HpkePublicKey, SignaturePrivateKey, SignaturePublicKey,
    Signer, SoftwareSigner, decrypt_with_label, derive_secret, expand_with_label, ref_hash, sign_with_label,
    verify_with_label,
};
use serde::{Deserialize, Serialize};

use super::{Checks, Generator, Hex};
use crate::random::SeededRandom;
use crate::table::Row;

#[derive(Deserialize, Serialize)]
struct Vector {
    cipher_suite: u16,
    ref_hash: RefHash,
    expand_with_label: ExpandWithLabel,
    derive_secret: DeriveSecret,
    derive_tree_secret: DeriveTreeSecret,
    sign_with_label: SignWithLabel,
    encrypt_with_label: EncryptWithLabel,
}

#[derive(Deserialize, Serialize)]
struct RefHash {
    label: String,
    value: Hex,
    out: Hex,
}

#[derive(Deserialize, Serialize)]
struct ExpandWithLabel {
    secret: Hex,
    label: String,
    context: Hex,
    length: usize,
    out: Hex,
}

#[derive(Deserialize, Serialize)]
struct DeriveSecret {
    secret: Hex,
    label: String,
    out: Hex,
}

#[derive(Deserialize, Serialize)]
struct DeriveTreeSecret {
    secret: Hex,
    label: String,
    generation: u32,
    length: usize,
    out: Hex,
}

#[derive(Deserialize, Serialize)]
struct SignWithLabel {
    #[serde(rename = "priv")]
    private: Hex,
    #[serde(rename = "pub")]
    public: Hex,
    content: Hex,
    label: String,
    signature: Hex,
}

#[derive(Deserialize, Serialize)]
struct EncryptWithLabel {
    #[serde(rename = "priv")]
    private: Hex,
    #[serde(rename = "pub")]
    public: Hex,
    label: String,
    context: Hex,
    plaintext: Hex,
    kem_output: Hex,
    ciphertext: Hex,
}

/// Runs the file.
#[must_use]
pub fn run(provider: &CryptoProvider, json: &str) -> Row {
    let case = |vector: &Vector, suite: &'static dyn CipherSuite, checks: &mut Checks<'_>| {
        vector.derivations(suite, checks);
        vector.sign_with_label.run(suite, checks);
        vector.encrypt_with_label.run(suite, checks);
    };
    super::for_each_suite("crypto-basics", provider, json, |vector| vector.cipher_suite, case)
}

/// Makes a file.
pub(super) fn generate(generator: &Generator) -> String {
    generator.each_suite("crypto-basics", |suite, random| vec![Vector::generate(suite, random)])
}

impl Vector {
    fn generate(suite: &'static dyn CipherSuite, random: &mut SeededRandom) -> Self {
        let length = suite.kdf().length();
        let (label, value) = ("RefHash".to_owned(), Hex(random.bytes(length)));
        let out = Hex(ref_hash(suite, &label, &value.0).unwrap().0);
        let ref_hash = RefHash { label, value, out };

        let (secret, label, context) =
            (Hex(random.bytes(length)), "Expand".to_owned(), Hex(random.bytes(33)));
        let out = expand_with_label(suite, &secret.secret(), &label, &context.0, 20).unwrap();
        let expand_with_label = ExpandWithLabel { secret, label, context, length: 20, out: Hex::of(&out) };

        let (secret, label) = (Hex(random.bytes(length)), "Derive".to_owned());
        let out = Hex::of(&hushwood_crypto::derive_secret(suite, &secret.secret(), &label).unwrap());
        let derive_secret = DeriveSecret { secret, label, out };

        let (secret, label, generation) =
            (Hex(random.bytes(length)), "DeriveTree".to_owned(), 0x0102_0304_u32);
        let context = generation.to_be_bytes();
        let out = hushwood_crypto::expand_with_label(suite, &secret.secret(), &label, &context, 24).unwrap();
        let derive_tree_secret =
            DeriveTreeSecret { secret, label, generation, length: 24, out: Hex::of(&out) };

        Self {
            cipher_suite: suite.id().0,
            ref_hash,
            expand_with_label,
            derive_secret,
            derive_tree_secret,
            sign_with_label: SignWithLabel::generate(suite, random),
            encrypt_with_label: EncryptWithLabel::generate(suite, random),
        }
    }

    fn derivations(&self, suite: &dyn CipherSuite, checks: &mut Checks<'_>) {
        let RefHash { label, value, out } = &self.ref_hash;
        checks.equal("RefHash", &ref_hash(suite, label, &value.0).unwrap().0, out);

        let ExpandWithLabel { secret, label, context, length, out } = &self.expand_with_label;
        let expanded = expand_with_label(suite, &secret.secret(), label, &context.0, *length).unwrap();
        checks.equal("ExpandWithLabel", expanded.expose(), out);

        let DeriveSecret { secret, label, out } = &self.derive_secret;
        let derived = derive_secret(suite, &secret.secret(), label).unwrap();
        checks.equal("DeriveSecret", derived.expose(), out);

        let DeriveTreeSecret { secret, label, generation, length, out } = &self.derive_tree_secret;
        let context = generation.to_be_bytes();
        let derived = expand_with_label(suite, &secret.secret(), label, &context, *length).unwrap();
        checks.equal("DeriveTreeSecret", derived.expose(), out);
    }
}

impl SignWithLabel {
    fn generate(suite: &'static dyn CipherSuite, random: &mut SeededRandom) -> Self {
        let signer = SoftwareSigner::generate(suite, random).unwrap();
        let (content, label) = (Hex(random.bytes(64)), "Sign".to_owned());
        Self {
            private: Hex::of(&signer.private_key().0),
            public: Hex(signer.public_key().0.clone()),
            signature: Hex(sign_with_label(&signer, &label, &content.0).unwrap()),
            content,
            label,
        }
    }

    fn run(&self, suite: &'static dyn CipherSuite, checks: &mut Checks<'_>) {
        let key = SignaturePublicKey(self.public.0.clone());
        let verify = |signature: &[u8]| {
            verify_with_label(suite, &key, &self.label, &self.content.0, signature).is_ok()
        };
        checks.good("VerifyWithLabel", verify(&self.signature.0));
        let signer = SoftwareSigner::new(suite, SignaturePrivateKey(self.private.secret())).unwrap();
        let signature = sign_with_label(&signer, &self.label, &self.content.0).unwrap();
        checks.good("SignWithLabel", verify(&signature));
        let other = verify_with_label(suite, &key, "Other", &self.content.0, &signature);
        checks.good("another label", other.is_err());
    }
}

impl EncryptWithLabel {
    fn generate(suite: &'static dyn CipherSuite, random: &mut SeededRandom) -> Self {
        let keys = KeyPair::generate(suite, random).unwrap();
        let (label, context) = ("Encrypt".to_owned(), Hex(random.bytes(40)));
        let plaintext = Hex(random.bytes(50));
        let info = HpkeInfo::new(suite, &label, &context.0).unwrap();
        let sealed = info.seal(&keys.public, &plaintext.0, random).unwrap();
        Self {
            private: Hex::of(&keys.private.0),
            public: Hex(keys.public.0),
            label,
            context,
            plaintext,
            kem_output: Hex(sealed.kem_output),
            ciphertext: Hex(sealed.ciphertext),
        }
    }

    fn run(&self, suite: &dyn CipherSuite, checks: &mut Checks<'_>) {
        let key = HpkePrivateKey(self.private.secret());
        let mut opens = |what: &str, ciphertext: &HpkeCiphertext| {
            let opened = decrypt_with_label(suite, &key, &self.label, &self.context.0, ciphertext);
            checks.good(what, opened.is_ok_and(|opened| opened.expose() == self.plaintext.0));
            let other = decrypt_with_label(suite, &key, "Other", &self.context.0, ciphertext);
            checks.good("another label", other.is_err());
        };
        let (kem_output, ciphertext) = (self.kem_output.0.clone(), self.ciphertext.0.clone());
        opens("DecryptWithLabel", &HpkeCiphertext { kem_output, ciphertext });
        let public = HpkePublicKey(self.public.0.clone());
        let info = HpkeInfo::new(suite, &self.label, &self.context.0).unwrap();
        opens("EncryptWithLabel", &info.seal(&public, &self.plaintext.0, &mut SeededRandom::new(1)).unwrap());
    }
}
