//! A provider that writes down what it encrypts with, and that can be made to deceive one recipient.
//!
//! What a thread does goes into that thread's notes: [`take`] gives them, and begins anew. So a test that wants to know
//! what one operation has encrypted does it on one thread, with a pool of one thread for the protocol's own
//! ([`rayon`](https://docs.rs/rayon)).
//!
//! A process that is going to be killed writes them to a file as well ([`write_to`]), each before it is made: so what it
//! has used is known afterwards ([`read_from`]).

use std::cell::RefCell;
use std::fs::File;
use std::io::Write;
use std::sync::Mutex;

use hushwood_crypto::{
    Aead, CipherSuite, CipherSuiteId, CryptoError, CryptoProvider, Hash, HpkePrivateKey, HpkePublicKey, Kdf,
    Kem, Random, Secret, Signature,
};

/// One encryption: what stands for its key, and its nonce.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Seal {
    /// A hash of the key: no key is kept.
    pub key: u128,
    /// The nonce.
    pub nonce: u128,
}

/// What a thread has noted, and what it is to do.
#[derive(Debug, Default)]
struct Notes {
    seals: Vec<Seal>,
    encapsulations: u32,
    deceive: Option<u32>,
    deceived: bool,
}

thread_local! {
    static NOTES: RefCell<Notes> = RefCell::default();
}

/// Where the notes of all threads go as well.
static FILE: Mutex<Option<File>> = Mutex::new(None);

/// What stands in a file of notes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Note {
    /// What follows belongs to what has this number.
    Mark(u64),
    /// An encryption.
    Seal(Seal),
}

/// From now on, whatever is encrypted is written to this file before.
pub fn write_to(file: File) {
    *FILE.lock().unwrap() = Some(file);
}

/// Writes a number into the file: what follows belongs to it.
pub fn mark(number: u64) {
    write(Note::Mark(number));
}

fn write(note: Note) {
    let (kind, key, nonce) = match note {
        Note::Mark(number) => (0, u128::from(number), 0),
        Note::Seal(Seal { key, nonce }) => (1, key, nonce),
    };
    if let Some(file) = &mut *FILE.lock().unwrap() {
        let line = [&[kind], key.to_le_bytes().as_slice(), &nonce.to_le_bytes()].concat();
        file.write_all(&line).unwrap();
    }
}

/// What such a file says. What was cut off in the middle does not count: it was not made.
#[must_use]
pub fn read_from(bytes: &[u8]) -> Vec<Note> {
    let number = |bytes: &[u8]| u128::from_le_bytes(bytes.try_into().unwrap());
    let note = |line: &[u8]| match line[0] {
        0 => Note::Mark(u64::try_from(number(&line[1..17])).unwrap()),
        _ => Note::Seal(Seal { key: number(&line[1..17]), nonce: number(&line[17..]) }),
    };
    bytes.chunks_exact(33).map(note).collect()
}

/// What this thread has encrypted since it was asked last.
pub fn take() -> Vec<Seal> {
    NOTES.with_borrow_mut(|notes| std::mem::take(&mut notes.seals))
}

/// From now on, the encapsulation with this number, counted from 0, is to another key: whoever it is for gets a secret
/// that is not the sender's. `None` ends it. Tells whether somebody has been deceived since the last call.
pub fn deceive(number: Option<u32>) -> bool {
    NOTES.with_borrow_mut(|notes| {
        (notes.encapsulations, notes.deceive) = (0, number);
        std::mem::take(&mut notes.deceived)
    })
}

/// The same suites, recorded. To be called once for a provider and kept: what it makes lives as long as the process.
#[must_use]
pub fn recorded(provider: &CryptoProvider) -> CryptoProvider {
    let suites = provider.suites.iter().map(|suite| {
        let suite: &'static dyn CipherSuite = Box::leak(Box::new(Recorded(*suite)));
        suite
    });
    let suites: Vec<_> = suites.collect();
    CryptoProvider { name: provider.name, suites: Box::leak(suites.into_boxed_slice()) }
}

/// A suite whose AEAD and KEM pass through the notes.
struct Recorded(&'static dyn CipherSuite);

impl CipherSuite for Recorded {
    fn id(&self) -> CipherSuiteId {
        self.0.id()
    }
    fn hash(&self) -> &dyn Hash {
        self.0.hash()
    }
    fn kdf(&self) -> &dyn Kdf {
        self.0.kdf()
    }
    fn aead(&self) -> &dyn Aead {
        self
    }
    fn kem(&self) -> &dyn Kem {
        self
    }
    fn signature(&self) -> &dyn Signature {
        self.0.signature()
    }
}

impl Recorded {
    fn note(&self, key: &[u8], nonce: &[u8]) {
        let number = |bytes: &[u8]| {
            let mut number = [0; 16];
            let length = bytes.len().min(16);
            number[..length].copy_from_slice(&bytes[..length]);
            u128::from_le_bytes(number)
        };
        let key = number(self.0.hash().hash(&[b"a key that was used", key]).as_bytes());
        let seal = Seal { key, nonce: number(nonce) };
        write(Note::Seal(seal));
        NOTES.with_borrow_mut(|notes| notes.seals.push(seal));
    }
}

impl Aead for Recorded {
    fn id(&self) -> u16 {
        self.0.aead().id()
    }
    fn key_length(&self) -> usize {
        self.0.aead().key_length()
    }
    fn nonce_length(&self) -> usize {
        self.0.aead().nonce_length()
    }
    fn tag_length(&self) -> usize {
        self.0.aead().tag_length()
    }
    fn seal(&self, key: &[u8], nonce: &[u8], aad: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, CryptoError> {
        self.note(key, nonce);
        self.0.aead().seal(key, nonce, aad, plaintext)
    }
    fn open(&self, key: &[u8], nonce: &[u8], aad: &[u8], ciphertext: &[u8]) -> Result<Secret, CryptoError> {
        self.0.aead().open(key, nonce, aad, ciphertext)
    }
}

impl Kem for Recorded {
    fn id(&self) -> u16 {
        self.0.kem().id()
    }
    fn secret_length(&self) -> usize {
        self.0.kem().secret_length()
    }
    fn encapsulation_length(&self) -> usize {
        self.0.kem().encapsulation_length()
    }
    fn public_key_length(&self) -> usize {
        self.0.kem().public_key_length()
    }
    fn private_key_length(&self) -> usize {
        self.0.kem().private_key_length()
    }
    fn derive_key_pair(&self, ikm: &[u8]) -> Result<(HpkePrivateKey, HpkePublicKey), CryptoError> {
        self.0.kem().derive_key_pair(ikm)
    }
    fn encap(&self, key: &HpkePublicKey, random: &mut dyn Random) -> Result<(Secret, Vec<u8>), CryptoError> {
        let to_another = NOTES.with_borrow_mut(|notes| {
            let number = notes.encapsulations;
            notes.encapsulations += 1;
            notes.deceived |= notes.deceive == Some(number);
            notes.deceive == Some(number)
        });
        if to_another {
            let (_, other) = self.0.kem().derive_key_pair(&key.0)?;
            return self.0.kem().encap(&other, random);
        }
        self.0.kem().encap(key, random)
    }
    fn decap(&self, encapsulation: &[u8], key: &HpkePrivateKey) -> Result<Secret, CryptoError> {
        self.0.kem().decap(encapsulation, key)
    }
    fn public_key(&self, key: &HpkePrivateKey) -> Result<HpkePublicKey, CryptoError> {
        self.0.kem().public_key(key)
    }
    fn check_public_key(&self, key: &HpkePublicKey) -> Result<(), CryptoError> {
        self.0.kem().check_public_key(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_crypto::PROVIDER;
    use crate::random::SeededRandom;

    #[test]
    fn what_was_written_to_a_file_is_read_back_and_what_was_cut_off_is_left_out() {
        let provider = recorded(&PROVIDER);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes");
        write_to(File::create(&path).unwrap());
        mark(7);
        provider.suites[0].aead().seal(&[9; 16], &[2; 12], b"", b"tea").unwrap();
        *FILE.lock().unwrap() = None;
        let bytes = std::fs::read(&path).unwrap();
        let ours = take().into_iter().next_back().unwrap();
        let notes = read_from(&bytes);
        assert_eq!(notes[0], Note::Mark(7));
        // Tests of other threads may write as well.
        assert!(notes.contains(&Note::Seal(ours)));
        assert_eq!(read_from(&bytes[..bytes.len() - 1]).len(), notes.len() - 1);
    }

    #[test]
    fn an_encryption_is_noted_and_a_deceived_recipient_gets_another_secret() {
        let provider = recorded(&PROVIDER);
        let suite = provider.suites[0];
        take();
        suite.aead().seal(&[1; 16], &[2; 12], b"", b"tea").unwrap();
        suite.aead().seal(&[1; 16], &[3; 12], b"", b"tea").unwrap();
        let [one, other] = take()[..] else { panic!("two encryptions") };
        assert_eq!(one.key, other.key);
        assert_ne!(one.nonce, other.nonce);
        assert!(take().is_empty());

        let mut random = SeededRandom::new(1);
        let (private, public) = suite.kem().derive_key_pair(&[5; 32]).unwrap();
        deceive(Some(1));
        for honest in [true, false, true] {
            let (secret, encapsulation) = suite.kem().encap(&public, &mut random).unwrap();
            let got = suite.kem().decap(&encapsulation, &private).unwrap();
            assert_eq!(secret.expose() == got.expose(), honest);
        }
        assert!(deceive(None));
        assert!(!deceive(None));
    }
}
