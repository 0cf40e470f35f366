//! Keys that some library takes and RFC 9420 does not allow (C032, C033, C035): other encodings of a good
//! point, points of small order, private keys of another length, pre-shared keys that are none (RFC 9180 §5.1).

use hushwood_crypto::hpke::{HpkeContext, Psk};
use hushwood_crypto::{
    CipherSuite, CryptoError, CryptoProvider, HpkePrivateKey, HpkePublicKey, Secret, SignaturePrivateKey,
    SignaturePublicKey,
};

use crate::random::SeededRandom;
use crate::table::Row;

/// Offers them to every function that takes a key, for every suite.
#[must_use]
pub fn run(provider: &CryptoProvider) -> Vec<Row> {
    let mut row = Row::new("malformed keys", provider.name);
    for suite in provider.suites {
        let mut test = Test { suite: *suite, row: &mut row };
        test.private_keys();
        test.pre_shared_keys();
        if NIST_KEMS.contains(&suite.kem().id()) {
            test.other_encodings_of_points();
        }
        for key in small_order_keys(suite.signature()) {
            test.small_order(key);
        }
    }
    vec![row]
}

/// RFC 9180 §7.1: P-256, P-384, P-521.
const NIST_KEMS: [u16; 3] = [0x0010, 0x0011, 0x0012];

struct Test<'r> {
    suite: &'static dyn CipherSuite,
    row: &'r mut Row,
}

impl Test<'_> {
    /// Too short, or without an identifier.
    fn pre_shared_keys(&mut self) {
        let (suite, random) = (self.suite, &mut SeededRandom::new(1));
        let (private, public) = suite.kem().derive_key_pair(&[1; 66]).expect("a key pair is made");
        let good = Secret::copy_of(&[1; 32]);
        let psk = Psk { key: &good, id: b"id" };
        let sender = HpkeContext::sender(suite, &public, b"", Some(psk), random);
        let (enc, _) = sender.expect("a good key is taken");
        for (length, id) in [(0, &b""[..]), (0, b"id"), (31, b"id"), (32, b"")] {
            let (key, what) = (Secret::zero(length), format!("PSK of {length} bytes"));
            let psk = Psk { key: &key, id };
            let sender = HpkeContext::sender(suite, &public, b"", Some(psk), random);
            self.refused(&what, sender, CryptoError::PreSharedKey);
            let receiver = HpkeContext::receiver(suite, &enc, &private, b"", Some(psk));
            self.refused(&what, receiver, CryptoError::PreSharedKey);
        }
    }

    fn refused<T>(&mut self, what: &str, result: Result<T, CryptoError>, error: CryptoError) {
        let suite = self.suite;
        self.row.case(result.err() == Some(error), || format!("{suite:?}: {what}"));
    }

    fn private_keys(&mut self) {
        let (kem, scheme) = (self.suite.kem(), self.suite.signature());
        let (good_kem, good_public) = kem.derive_key_pair(&[1; 66]).unwrap();
        let (_, encapsulation) = kem.encap(&good_public, &mut SeededRandom::new(2)).unwrap();
        for bytes in other_lengths(good_kem.0.expose()) {
            let key = HpkePrivateKey(Secret::new(bytes));
            self.refused("public key of KEM key", kem.public_key(&key), CryptoError::PrivateKey);
            self.refused("decap", kem.decap(&encapsulation, &key), CryptoError::PrivateKey);
        }
        let (good, _) = scheme.generate(&mut SeededRandom::new(3)).unwrap();
        for bytes in other_lengths(good.0.expose()) {
            let key = SignaturePrivateKey(Secret::new(bytes));
            self.refused("public key of signature key", scheme.public_key(&key), CryptoError::PrivateKey);
            self.refused("sign", scheme.sign(&key, b""), CryptoError::PrivateKey);
        }
    }

    /// SEC 1 §2.3.3: compressed, hybrid, and the point at infinity.
    fn other_encodings_of_points(&mut self) {
        let (kem, scheme) = (self.suite.kem(), self.suite.signature());
        let (private, public) = scheme.generate(&mut SeededRandom::new(4)).unwrap();
        let signature = scheme.sign(&private, b"message").unwrap();
        let private = HpkePrivateKey(private.0);
        let (x, y) = public.0[1..].split_at((public.0.len() - 1) / 2);
        let odd = y.last().unwrap() & 1;
        let compressed = [&[2 + odd], x].concat();
        let hybrid = [&[6 + odd], x, y].concat();
        let infinity = vec![0; public.0.len()];
        for point in [compressed, hybrid, infinity, vec![0], vec![]] {
            let key = SignaturePublicKey(point.clone());
            let verified = scheme.verify(&key, b"message", &signature);
            self.refused("verify", verified, CryptoError::PublicKey);
            self.refused("signature key", scheme.check_public_key(&key), CryptoError::PublicKey);
            self.refused("decap", kem.decap(&point, &private), CryptoError::Open);
            let key = HpkePublicKey(point);
            self.refused("KEM key", kem.check_public_key(&key), CryptoError::PublicKey);
            self.refused("encap", kem.encap(&key, &mut SeededRandom::new(5)), CryptoError::PublicKey);
        }
    }

    /// Under such a key, the neutral point and zero would be a signature for any message.
    fn small_order(&mut self, key: Vec<u8>) {
        let scheme = self.suite.signature();
        let mut signature = vec![0; 2 * key.len()];
        signature[0] = 1;
        let key = SignaturePublicKey(key);
        self.refused("small order", scheme.check_public_key(&key), CryptoError::PublicKey);
        for message in [&b"one"[..], b"two", b"three", b"four", b"five", b"six", b"seven", b"eight"] {
            let verified = scheme.verify(&key, message, &signature);
            self.refused("small order, verify", verified, CryptoError::PublicKey);
        }
    }
}

/// One byte less at either end, one more at either end, none.
fn other_lengths(key: &[u8]) -> [Vec<u8>; 5] {
    [key[1..].to_vec(), key[..key.len() - 1].to_vec(), [&[0], key].concat(), [key, &[0]].concat(), Vec::new()]
}

/// The points with y = 1, -1 and 0 of the Edwards curve whose keys have this length.
fn small_order_keys(scheme: &dyn hushwood_crypto::Signature) -> Vec<Vec<u8>> {
    let length = scheme.generate(&mut SeededRandom::new(6)).unwrap().1.0.len();
    let mut minus_one = vec![0xff; length];
    match length {
        32 => {
            minus_one[0] = 0xec;
            minus_one[31] = 0x7f;
        }
        57 => {
            minus_one[0] = 0xfe;
            minus_one[28] = 0xfe;
            minus_one[56] = 0;
        }
        _ => return Vec::new(),
    }
    let (mut one, zero, mut zero_negative) = (vec![0; length], vec![0; length], vec![0; length]);
    one[0] = 1;
    zero_negative[length - 1] = 0x80;
    vec![one, minus_one, zero, zero_negative]
}
