//! What is timed: comparison of tags, the check of padding, decryption that fails.
//!
//! Each comes with a control, which does the same with a leak in it, and must be found out.

use std::hint::black_box;

use hushwood::framing::types::MessageKey;
use hushwood::framing::{ContentType, PrivateMessage};
use hushwood::tree::LeafIndex;
use hushwood_codec::{DecodeLimits, Writer};
use hushwood_crypto::hpke::{HpkeCiphertext, HpkeInfo};
use hushwood_crypto::{CipherSuite, CipherSuiteId, CryptoProvider, HpkePrivateKey, Secret, ct_eq};
use test_support::random::SeededRandom;

use super::{Class, t_value};

/// Something that is timed.
pub struct Subject {
    /// What it is.
    pub name: String,
    /// Whether time has to tell: a control.
    pub leaks: bool,
    /// Takes so many samples: the t-value.
    pub run: Box<dyn Fn(usize) -> f64>,
}

fn subject(name: impl Into<String>, leaks: bool, run: impl Fn(usize) -> f64 + 'static) -> Subject {
    Subject { name: name.into(), leaks, run: Box::new(run) }
}

/// All of them.
#[must_use]
pub fn all() -> Vec<Subject> {
    let mut subjects = Vec::from(tags());
    for provider in [hushwood_aws_lc::PROVIDER, hushwood_rustcrypto::PROVIDER] {
        for suite in [1, 3] {
            subjects.extend(aead_tag(&provider, suite));
        }
        subjects.extend(padding(&provider));
        for suite in [1, 2] {
            subjects.extend(decapsulation(&provider, suite));
        }
    }
    subjects
}

/// Two tags that differ in the first byte, or in the last.
fn tags() -> [Subject; 2] {
    fn timed(samples: usize, equal: fn(&[u8], &[u8]) -> bool) -> f64 {
        let tags = ([0x5a_u8; 32], [0x5a_u8; 32]);
        let prepare = |class: Class, tags: &mut ([u8; 32], [u8; 32])| {
            tags.1 = tags.0;
            tags.1[if class == Class::A { 0 } else { 31 }] ^= 1;
        };
        t_value(samples, tags, prepare, |(left, right)| {
            // One comparison is about as long as it takes to look at the clock.
            for _ in 0..16 {
                black_box(equal(black_box(left), black_box(right)));
            }
        })
    }
    [
        subject("tag comparison: first byte wrong, last byte wrong", false, |samples| timed(samples, ct_eq)),
        subject("tag comparison, control: byte by byte up to the first that differs", true, |samples| {
            timed(samples, |left, right| left.iter().zip(right).all(|(left, right)| black_box(left) == right))
        }),
    ]
}

/// The tag of an AEAD: wrong in the first byte, or in the last.
fn aead_tag(provider: &CryptoProvider, suite: u16) -> [Subject; 1] {
    let suite = provider.suite(CipherSuiteId(suite)).expect("the provider has the suite");
    let name =
        format!("tag of AEAD {}, {}: first byte wrong, last byte wrong", suite.aead().id(), provider.name);
    [subject(name, false, move |samples| {
        let (key, nonce) = (vec![1; suite.aead().key_length()], vec![2; suite.aead().nonce_length()]);
        let sealed = suite.aead().seal(&key, &nonce, b"", &[3; 64]).unwrap();
        let prepare = |class: Class, ciphertext: &mut Vec<u8>| {
            ciphertext.copy_from_slice(&sealed);
            ciphertext[if class == Class::A { 64 } else { 79 }] ^= 1;
        };
        t_value(samples, sealed.clone(), prepare, |ciphertext| {
            black_box(suite.aead().open(&key, &nonce, b"", ciphertext).is_err());
        })
    })]
}

/// How much padding there is.
const PADDING: usize = 4096;

/// A message whose padding is not zero in its first byte, or in its last.
fn padding(provider: &CryptoProvider) -> [Subject; 2] {
    let suite = provider.suites[0];
    let name = format!("padding, {}: first byte not zero, last byte not zero", provider.name);
    let control = format!("padding, {}, control: up to the first that is not zero", provider.name);
    [
        subject(name, false, move |samples| {
            let padded = Padded::new(suite);
            let key = || MessageKey { key: Secret::new(vec![1; 16]), nonce: Secret::new(vec![2; 12]) };
            let sender = hushwood::framing::types::SenderData {
                leaf_index: LeafIndex::new(0),
                generation: 0,
                reuse_guard: [0; 4],
            };
            let prepare = |class: Class, message: &mut PrivateMessage| padded.write(class, message);
            t_value(samples, padded.zero.clone(), prepare, |message| {
                let opened = message.clone().open(suite, sender, key(), b"context", DecodeLimits::default());
                assert!(black_box(opened).is_err());
            })
        }),
        subject(control, true, move |samples| {
            let padded = Padded::new(suite);
            let aad = aad(&padded.zero);
            let prepare = |class: Class, message: &mut PrivateMessage| padded.write(class, message);
            t_value(samples, padded.zero.clone(), prepare, |message| {
                let opened = suite.aead().open(&[1; 16], &[2; 12], &aad, &message.ciphertext).unwrap();
                let padding = &opened.expose()[opened.len() - PADDING..];
                black_box(padding.iter().position(|byte| *black_box(byte) != 0));
            })
        }),
    ]
}

/// RFC 9420 §6.3.1: what a member with the keys can make.
struct Padded {
    /// With good padding.
    zero: PrivateMessage,
    /// Where the ciphertexts of the classes differ from that: in one byte, and in the tag.
    differences: [(usize, Vec<u8>); 2],
}

impl Padded {
    fn new(suite: &dyn CipherSuite) -> Self {
        let mut content = Writer::new();
        content.opaque(b"text").opaque(&[7; 64]).zeros(PADDING);
        let mut content = content.finish().unwrap();
        let mut zero = PrivateMessage {
            group_id: b"group".to_vec(),
            epoch: 3,
            content_type: ContentType::Application,
            authenticated_data: Vec::new(),
            encrypted_sender_data: Vec::new(),
            ciphertext: Vec::new(),
        };
        let aad = aad(&zero);
        let seal = |content: &[u8]| suite.aead().seal(&[1; 16], &[2; 12], &aad, content).unwrap();
        zero.ciphertext = seal(&content);
        let differences = [content.len() - PADDING, content.len() - 1].map(|at| {
            content[at] = 1;
            let tag = seal(&content)[content.len()..].to_vec();
            content[at] = 0;
            (at, tag)
        });
        Self { zero, differences }
    }

    /// From the same memory for both, or the caches would tell; and read once before it is timed, as what was written last
    /// is read more slowly.
    fn write(&self, class: Class, message: &mut PrivateMessage) {
        let ciphertext = &mut message.ciphertext;
        ciphertext.copy_from_slice(&self.zero.ciphertext);
        let (at, tag) = &self.differences[usize::from(class == Class::B)];
        ciphertext[*at] ^= 1;
        let tag_at = ciphertext.len() - tag.len();
        ciphertext[tag_at..].copy_from_slice(tag);
        black_box(ciphertext.iter().fold(0_u8, |sum, byte| sum.wrapping_mul(3) ^ byte));
    }
}

/// `PrivateContentAAD`.
fn aad(message: &PrivateMessage) -> Vec<u8> {
    let mut aad = Writer::new();
    aad.opaque(&message.group_id).value(&message.epoch).value(&message.content_type);
    aad.opaque(&message.authenticated_data);
    aad.finish().unwrap()
}

/// An HPKE ciphertext with a wrong tag, or with an encapsulation to another key.
fn decapsulation(provider: &CryptoProvider, suite: u16) -> [Subject; 3] {
    let suite = provider.suite(CipherSuiteId(suite)).expect("the provider has the suite");
    let kem = format!("KEM {:#06x}, {}", suite.kem().id(), provider.name);
    let scene = move || {
        let mut random = SeededRandom::new(4);
        let (private, public) = suite.kem().derive_key_pair(&[5; 32]).unwrap();
        let (_, other) = suite.kem().derive_key_pair(&[6; 32]).unwrap();
        let info = HpkeInfo::new(suite, "UpdatePathNode", b"context").unwrap();
        let mut tag = info.seal(&public, &[7; 32], &mut random).unwrap();
        *tag.ciphertext.last_mut().unwrap() ^= 1;
        let key = info.seal(&other, &[7; 32], &mut random).unwrap();
        (private, info, tag, key)
    };
    fn copy(to: &mut HpkeCiphertext, from: &HpkeCiphertext) {
        to.kem_output.copy_from_slice(&from.kem_output);
        to.ciphertext.copy_from_slice(&from.ciphertext);
        // What was written last is read more slowly: so it is read before it is timed.
        let read = to.kem_output.iter().chain(&to.ciphertext);
        black_box(read.fold(0_u8, |sum, byte| sum.wrapping_mul(3) ^ byte));
    }
    [
        subject(format!("decryption that fails, {kem}: wrong tag, other recipient"), false, move |samples| {
            let (private, info, tag, key) = scene();
            let prepare = |class: Class, ciphertext: &mut HpkeCiphertext| {
                copy(ciphertext, if class == Class::A { &tag } else { &key });
            };
            t_value(samples, tag.clone(), prepare, |ciphertext| {
                assert!(black_box(info.open(&private, ciphertext)).is_err());
            })
        }),
        subject(
            format!("decapsulation, {kem}: one private key, random private keys"),
            false,
            move |samples| {
                let (private, _, tag, _) = scene();
                let mut random = SeededRandom::new(8);
                let keys: Vec<Vec<u8>> = (0..256)
                    .map(|_| suite.kem().derive_key_pair(&random.bytes(32)).unwrap().0.0.expose().to_vec())
                    .collect();
                let mut next = 0;
                let prepare = |class: Class, key: &mut HpkePrivateKey| {
                    next = (next + 1) % keys.len();
                    let bytes = if class == Class::A { private.0.expose() } else { &keys[next] };
                    key.0.expose_mut().copy_from_slice(bytes);
                };
                let key = HpkePrivateKey(private.0.duplicate());
                t_value(samples, key, prepare, |key| {
                    black_box(suite.kem().decap(&tag.kem_output, key).unwrap());
                })
            },
        ),
        subject(
            format!("decryption that fails, {kem}, control: no AEAD for another recipient"),
            true,
            move |samples| {
                let (private, info, tag, key) = scene();
                let prepare = |class: Class, ciphertext: &mut HpkeCiphertext| {
                    copy(ciphertext, if class == Class::A { &tag } else { &key });
                };
                t_value(samples, tag.clone(), prepare, |ciphertext| {
                    if ciphertext.kem_output == key.kem_output {
                        black_box(suite.kem().decap(&ciphertext.kem_output, &private).unwrap());
                    } else {
                        assert!(black_box(info.open(&private, ciphertext)).is_err());
                    }
                })
            },
        ),
    ]
}
