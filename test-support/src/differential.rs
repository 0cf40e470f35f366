//! Two providers, the same input: they must agree on every output and every refusal.

use hushwood_crypto::hpke::HpkeInfo;
use hushwood_crypto::{
    BatchItem, CipherSuite, CryptoError, CryptoProvider, HpkePrivateKey, HpkePublicKey, Secret,
    SignaturePublicKey,
};

use crate::random::SeededRandom;
use crate::table::Row;

/// Gives both providers the same random input, `rounds` times for every suite.
#[must_use]
pub fn run(one: &CryptoProvider, other: &CryptoProvider, rounds: u64) -> Vec<Row> {
    let mut rows = Vec::new();
    for suite in one.suites {
        let mut row = Row::new(format!("{suite:?}: as {}", other.name), one.name);
        let Some(counterpart) = other.suite(suite.id()) else {
            row.skipped += 1;
            continue;
        };
        for seed in 0..rounds {
            let mut round = Round { row: &mut row, seed, random: SeededRandom::new(seed) };
            round.symmetric(*suite, counterpart);
            round.kem(*suite, counterpart);
            round.signature(*suite, counterpart);
            round.swapped(*suite, counterpart);
        }
        rows.push(row);
    }
    rows
}

struct Round<'r> {
    row: &'r mut Row,
    seed: u64,
    random: SeededRandom,
}

impl Round<'_> {
    fn same<T: PartialEq>(&mut self, what: &str, one: T, other: T) {
        let seed = self.seed;
        self.row.case(one == other, || format!("{what}, seed {seed}"));
    }

    fn symmetric(&mut self, one: &dyn CipherSuite, other: &dyn CipherSuite) {
        let (a, b, c) =
            (self.random.some_bytes(200), self.random.some_bytes(200), self.random.some_bytes(200));
        let parts: [&[u8]; 3] = [&a, &b, &c];
        let whole = [a.as_slice(), &b, &c].concat();
        self.same("hash", one.hash().hash(&parts), other.hash().hash(&[&whole]));
        self.same("mac", one.kdf().mac(&a, &[&b, &c]), other.kdf().mac(&a, &[&b, &c]));
        let extracted = one.kdf().extract(&a, &[&b, &c]);
        self.same("extract", extracted.expose(), other.kdf().extract(&a, &[&b, &c]).expose());
        let length = self.random.below(256 * one.kdf().length() + 2);
        let expand = |suite: &dyn CipherSuite| {
            suite.kdf().expand(extracted.expose(), &[&a, &b], length).map(|okm| okm.expose().to_vec())
        };
        self.same("expand", expand(one), expand(other));
        // Together as one by one, whoever prepares the key for all.
        let prk = extracted.expose();
        let together = one.kdf().expand_all(prk, &[(&a, length), (&b, 1), (&whole, 40)]);
        let apart =
            [(&a, length), (&b, 1), (&whole, 40)].map(|(info, n)| other.kdf().expand(prk, &[info], n));
        let apart: Result<Vec<Secret>, CryptoError> = apart.into_iter().collect();
        let bytes =
            |secrets: Vec<Secret>| secrets.iter().map(|one| one.expose().to_vec()).collect::<Vec<_>>();
        self.same("expand_all", together.map(bytes), apart.map(bytes));
        self.aead(one, other, &whole);
    }

    fn aead(&mut self, one: &dyn CipherSuite, other: &dyn CipherSuite, plaintext: &[u8]) {
        let key = self.random.bytes(one.aead().key_length());
        let nonce = self.random.bytes(one.aead().nonce_length());
        let aad = self.random.some_bytes(50);
        let sealed = one.aead().seal(&key, &nonce, &aad, plaintext).expect("sealed");
        self.same("seal", Ok(&sealed), other.aead().seal(&key, &nonce, &aad, plaintext).as_ref());
        let open = |suite: &dyn CipherSuite, sealed: &[u8]| {
            suite.aead().open(&key, &nonce, &aad, sealed).map(|secret| secret.expose().to_vec())
        };
        self.same("open", open(other, &sealed), Ok(plaintext.to_vec()));
        let mut altered = sealed;
        let bit = self.random.below(altered.len() * 8);
        altered[bit / 8] ^= 1 << (bit % 8);
        self.same("altered", open(one, &altered), open(other, &altered));
        altered.truncate(self.random.below(altered.len()));
        self.same("truncated", open(one, &altered), open(other, &altered));
        let wrong = &key[1..];
        self.same(
            "wrong key",
            one.aead().seal(wrong, &nonce, &aad, plaintext),
            other.aead().seal(wrong, &nonce, &aad, plaintext),
        );
        self.same(
            "wrong nonce",
            one.aead().seal(&key, &nonce[1..], &aad, plaintext),
            other.aead().seal(&key, &nonce[1..], &aad, plaintext),
        );
    }

    fn kem(&mut self, one: &dyn CipherSuite, other: &dyn CipherSuite) {
        let ikm = self.random.bytes(one.kem().private_key_length());
        let (private, public) = one.kem().derive_key_pair(&ikm).expect("derived");
        let (other_private, other_public) = other.kem().derive_key_pair(&ikm).expect("derived");
        self.same("derived private key", private.0.expose(), other_private.0.expose());
        self.same("derived public key", &public, &other_public);
        self.same("public key", other.kem().public_key(&private), Ok(public.clone()));
        self.same("lengths", lengths(one), lengths(other));

        let ephemeral = self.random.clone();
        let (secret, encapsulation) = one.kem().encap(&public, &mut ephemeral.clone()).expect("encap");
        let (other_secret, other_encapsulation) =
            other.kem().encap(&public, &mut ephemeral.clone()).expect("encap");
        self.same("encapsulation", &encapsulation, &other_encapsulation);
        self.same("secret", secret.expose(), other_secret.expose());
        self.decap(one, other, &encapsulation, &private);

        // What is refused: random bytes, a bit changed, another length, private keys out of range.
        let random = self.random.bytes(encapsulation.len());
        let mut altered = encapsulation.clone();
        let bit = self.random.below(altered.len() * 8);
        altered[bit / 8] ^= 1 << (bit % 8);
        let shorter = &encapsulation[..self.random.below(encapsulation.len())];
        let longer = [encapsulation.as_slice(), &[0]].concat();
        for key in [&random, &altered, shorter, &longer] {
            self.decap(one, other, key, &private);
            let key = HpkePublicKey(key.to_vec());
            self.same("check", one.kem().check_public_key(&key), other.kem().check_public_key(&key));
            let encap = |suite: &dyn CipherSuite| {
                let encap = suite.kem().encap(&key, &mut ephemeral.clone());
                encap.map(|(secret, enc)| (secret.expose().to_vec(), enc))
            };
            self.same("encap to any", encap(one), encap(other));
        }
        for fill in [0x00, 0xff] {
            let private = HpkePrivateKey(Secret::new(vec![fill; one.kem().private_key_length()]));
            self.same("extreme", one.kem().public_key(&private), other.kem().public_key(&private));
            self.decap(one, other, &encapsulation, &private);
        }
        let short = HpkePrivateKey(Secret::copy_of(&private.0.expose()[1..]));
        self.same("short", one.kem().public_key(&short), other.kem().public_key(&short));
    }

    fn decap(&mut self, one: &dyn CipherSuite, other: &dyn CipherSuite, enc: &[u8], key: &HpkePrivateKey) {
        let decap =
            |suite: &dyn CipherSuite| suite.kem().decap(enc, key).map(|secret| secret.expose().to_vec());
        self.same("decap", decap(one), decap(other));
    }

    fn signature(&mut self, one: &dyn CipherSuite, other: &dyn CipherSuite) {
        let seed = self.random.clone();
        let (private, public) = one.signature().generate(&mut seed.clone()).expect("generated");
        let (other_private, other_public) = other.signature().generate(&mut seed.clone()).expect("generated");
        self.same("generated private key", private.0.expose(), other_private.0.expose());
        self.same("generated public key", &public, &other_public);
        self.same("public key", other.signature().public_key(&private), Ok(public.clone()));

        let message = self.random.some_bytes(300);
        let signature = one.signature().sign(&private, &message).expect("signed");
        let other_signature = other.signature().sign(&private, &message).expect("signed");
        self.same("verify", other.signature().verify(&public, &message, &signature), Ok(()));
        self.same("verify", one.signature().verify(&public, &message, &other_signature), Ok(()));

        let mut altered = signature.clone();
        let bit = self.random.below(altered.len() * 8);
        altered[bit / 8] ^= 1 << (bit % 8);
        let verify = |suite: &dyn CipherSuite, key: &SignaturePublicKey, signature: &[u8]| {
            suite.signature().verify(key, &message, signature)
        };
        self.same("altered", verify(one, &public, &altered), verify(other, &public, &altered));
        let shorter = &signature[..self.random.below(signature.len())];
        self.same("truncated", verify(one, &public, shorter), verify(other, &public, shorter));

        let mut altered_key = public.clone();
        let bit = self.random.below(altered_key.0.len() * 8);
        altered_key.0[bit / 8] ^= 1 << (bit % 8);
        for key in [altered_key, SignaturePublicKey(self.random.bytes(public.0.len()))] {
            self.same("other key", verify(one, &key, &signature), verify(other, &key, &signature));
            self.same(
                "check",
                one.signature().check_public_key(&key),
                other.signature().check_public_key(&key),
            );
        }

        let good = BatchItem { key: &public, message: &message, signature: &signature };
        let bad = BatchItem { signature: &altered, ..good };
        let mut items = [good; 5];
        let index = self.random.below(items.len());
        items[index] = bad;
        let mut random = self.random.clone();
        self.same("batch", one.signature().verify_batch(&items, &mut random), Err(index));
        self.same("batch", other.signature().verify_batch(&items, &mut random), Err(index));
    }

    /// HPKE from one to the other, and back.
    fn swapped(&mut self, one: &dyn CipherSuite, other: &dyn CipherSuite) {
        let ikm = self.random.bytes(one.kem().private_key_length());
        let (private, public) = one.kem().derive_key_pair(&ikm).expect("derived");
        let (context, plaintext) = (self.random.some_bytes(100), self.random.some_bytes(100));
        for (sender, receiver) in [(one, other), (other, one)] {
            let sealed = HpkeInfo::new(sender, "UpdatePathNode", &context)
                .and_then(|info| info.seal(&public, &plaintext, &mut self.random))
                .expect("sealed");
            let opened =
                hushwood_crypto::decrypt_with_label(receiver, &private, "UpdatePathNode", &context, &sealed);
            self.same("HPKE", opened.map(|secret| secret.expose().to_vec()), Ok(plaintext.clone()));
        }
    }
}

fn lengths(suite: &dyn CipherSuite) -> [usize; 10] {
    [
        suite.hash().length(),
        suite.kdf().length(),
        suite.aead().key_length(),
        suite.aead().nonce_length(),
        suite.aead().tag_length(),
        suite.kem().secret_length(),
        suite.kem().encapsulation_length(),
        suite.kem().public_key_length(),
        suite.kem().private_key_length(),
        usize::from(suite.kem().id()) << 32
            | usize::from(suite.kdf().id()) << 16
            | usize::from(suite.aead().id()),
    ]
}
