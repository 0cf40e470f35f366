//! The two providers side by side: what one says, the other says.

use arbitrary::Unstructured;
use hushwood_crypto::{
    CipherSuite, HpkePrivateKey, HpkePublicKey, Secret, SignaturePrivateKey, SignaturePublicKey,
};

use super::mutation::{below, mutate};
use crate::random::SeededRandom;

/// One operation on any input.
pub(super) fn provider_diff(data: &[u8]) {
    let choices = &mut Unstructured::new(data);
    let suites = hushwood_rustcrypto::PROVIDER.suites;
    let id = suites[below(choices, suites.len())].id();
    let both = [&hushwood_aws_lc::PROVIDER, &hushwood_rustcrypto::PROVIDER];
    let [one, other] = both.map(|provider| provider.suite(id).expect("both have all suites"));
    match below(choices, 7) {
        0 => {
            let parts: Vec<Vec<u8>> = (0..3).map(|_| some(choices)).collect();
            let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
            assert_eq!(one.hash().hash(&parts), other.hash().hash(&parts));
            assert_eq!(one.kdf().mac(parts[0], &parts[1..]), other.kdf().mac(parts[0], &parts[1..]));
        }
        1 => {
            let (salt, ikm) = (some(choices), some(choices));
            same(&one.kdf().extract(&salt, &[&ikm]), &other.kdf().extract(&salt, &[&ikm]));
        }
        2 => {
            let (prk, info) = (sized(choices, one.kdf().length()), some(choices));
            let length = below(choices, 70 * one.kdf().length() * 4);
            match [one, other].map(|suite| suite.kdf().expand(&prk, &[&info], length)) {
                [Ok(one), Ok(other)] => same(&one, &other),
                [one, other] => assert_eq!(one.err(), other.err()),
            }
        }
        3 => aead(one, other, choices),
        4 => kem(one, other, choices),
        5 => signature(one, other, choices),
        _ => keys(one, other, choices),
    }
}

fn aead(one: &dyn CipherSuite, other: &dyn CipherSuite, choices: &mut Unstructured<'_>) {
    let (key, nonce) = (sized(choices, one.aead().key_length()), sized(choices, one.aead().nonce_length()));
    let (aad, plaintext) = (some(choices), some(choices));
    let sealed = one.aead().seal(&key, &nonce, &aad, &plaintext);
    assert_eq!(sealed, other.aead().seal(&key, &nonce, &aad, &plaintext));
    let changed = mutate(&sealed.unwrap_or_default(), choices);
    match [one, other].map(|suite| suite.aead().open(&key, &nonce, &aad, &changed)) {
        [Ok(one), Ok(other)] => same(&one, &other),
        [one, other] => assert_eq!(one.err(), other.err()),
    }
}

fn kem(one: &dyn CipherSuite, other: &dyn CipherSuite, choices: &mut Unstructured<'_>) {
    let ikm = sized(choices, one.kem().private_key_length());
    let (private, public) = one.kem().derive_key_pair(&ikm).expect("any bytes make keys");
    let (again, same_public) = other.kem().derive_key_pair(&ikm).expect("any bytes make keys");
    same(&private.0, &again.0);
    assert_eq!(public, same_public);
    let random = &mut SeededRandom::new(1);
    let (_, encapsulation) = one.kem().encap(&public, random).expect("a valid key");
    let changed = mutate(&encapsulation, choices);
    match [one, other].map(|suite| suite.kem().decap(&changed, &private)) {
        [Ok(one), Ok(other)] => same(&one, &other),
        [one, other] => assert_eq!(one.is_err(), other.is_err()),
    }
}

fn signature(one: &dyn CipherSuite, other: &dyn CipherSuite, choices: &mut Unstructured<'_>) {
    let (private, public) = one.signature().generate(&mut SeededRandom::new(2)).expect("random bytes");
    let message = some(choices);
    let signature = other.signature().sign(&private, &message).expect("a valid key");
    assert_eq!(one.signature().verify(&public, &message, &signature), Ok(()));
    let signature = mutate(&signature, choices);
    let public = SignaturePublicKey(mutate(&public.0, choices));
    let verdicts = [one, other].map(|suite| suite.signature().verify(&public, &message, &signature).is_ok());
    assert_eq!(verdicts[0], verdicts[1]);
}

/// Keys from anywhere.
fn keys(one: &dyn CipherSuite, other: &dyn CipherSuite, choices: &mut Unstructured<'_>) {
    let (length, public_length) = (one.kem().private_key_length(), one.kem().public_key_length());
    let length = length + below(choices, 2);
    let private = sized(choices, length);
    let of =
        |suite: &dyn CipherSuite| suite.kem().public_key(&HpkePrivateKey(Secret::copy_of(&private))).ok();
    assert_eq!(of(one), of(other));
    let of = |suite: &dyn CipherSuite| {
        suite.signature().public_key(&SignaturePrivateKey(Secret::copy_of(&private))).ok()
    };
    assert_eq!(of(one), of(other));
    let key = HpkePublicKey(sized(choices, public_length));
    assert_eq!(one.kem().check_public_key(&key).is_ok(), other.kem().check_public_key(&key).is_ok());
    let key = SignaturePublicKey(key.0);
    assert_eq!(
        one.signature().check_public_key(&key).is_ok(),
        other.signature().check_public_key(&key).is_ok()
    );
}

fn same(one: &Secret, other: &Secret) {
    assert_eq!(one.expose(), other.expose());
}

fn some(choices: &mut Unstructured<'_>) -> Vec<u8> {
    let length = below(choices, 200);
    sized(choices, length)
}

/// So many bytes, with zeros where the input ends.
fn sized(choices: &mut Unstructured<'_>, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    choices.fill_buffer(&mut bytes).expect("it gives zeros at the end");
    bytes
}
