//! Signature keys that are not in the store (RFC 9750 §8.3.3, A011).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::{Disk, Person, SERVICE, World, invited_by_all};
use hushwood::crypto::{SignaturePublicKey, SignerError};
use hushwood_client::{Core, Error, Identity, Provider, Trust};
use hushwood_crypto::{CipherSuiteId, Signer, SoftwareSigner};
use hushwood_rustcrypto::PROVIDER;
use test_support::random::SeededRandom;

/// A key in a chip, which counts what it signs.
#[derive(Clone)]
struct Chip {
    key: Arc<SoftwareSigner>,
    signed: Arc<AtomicUsize>,
}

impl Chip {
    fn new(seed: u64, suite: u16) -> Self {
        let suite = PROVIDER.suite(CipherSuiteId(suite)).unwrap();
        let key = SoftwareSigner::generate(suite, &mut SeededRandom::new(seed)).unwrap();
        Self { key: Arc::new(key), signed: Arc::default() }
    }

    fn signed(&self) -> usize {
        self.signed.load(Ordering::Relaxed)
    }

    fn private_key(&self) -> &[u8] {
        self.key.private_key().0.expose()
    }
}

impl Signer for Chip {
    fn public_key(&self) -> &SignaturePublicKey {
        self.key.public_key()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignerError> {
        self.signed.fetch_add(1, Ordering::Relaxed);
        self.key.sign(message)
    }
}

fn open(disk: &Disk, seed: u64, chips: Option<(&Chip, &Chip)>) -> Result<Core, Error> {
    let provider = Provider::new(PROVIDER, SeededRandom::new(seed));
    let provider = match chips {
        Some((groups, service)) => provider.with_signers(groups.clone(), service.clone()),
        None => provider,
    };
    let identity = Identity { person: "bob".to_owned(), service: SERVICE.to_owned() };
    Core::open(Box::new(disk.clone()), provider, &identity, Trust::on_first_use(), invited_by_all())
}

#[test]
fn keys_of_a_chip_sign_everything_and_are_never_in_the_store() {
    let mut world = World::new();
    let (groups, service) = (Chip::new(11, 1), Chip::new(12, 1));
    let disk = Disk::default();
    disk.state().rows = Some(BTreeMap::new());
    let mut bob = Person::of("bob", disk.clone(), open(&disk, 1, Some((&groups, &service))).unwrap());
    let mut alice = Person::with("alice", 2, invited_by_all(), Trust::on_first_use);
    bob.sync(&mut world);
    let now = world.now;
    let room = alice.does(|core| core.create_room("tea", now));
    alice.done(&mut world, |core| core.invite(&room, "bob"));
    bob.sync(&mut world);
    let before = (groups.signed(), service.signed());
    assert!(before.0 > 20 && before.1 > 0, "{before:?}");
    bob.core = open(&disk, 3, Some((&groups, &service))).unwrap();
    bob.say(&mut world, &room, "signed by a chip");
    bob.done(&mut world, |core| core.renew(&room));
    assert!(groups.signed() > before.0 + 2);
    alice.sync(&mut world);
    assert_eq!(alice.texts(), [("bob".to_owned(), "signed by a chip".to_owned())]);
    let contacts = alice.does(|core| core.contacts(&room));
    let bobs = contacts.iter().find(|one| one.member.person == "bob").unwrap();
    assert_eq!(&bobs.claim.signature_key, groups.public_key());
    for chip in [&groups, &service] {
        assert!(!disk.state().has(chip.private_key()));
        assert!(disk.state().has(&chip.public_key().0), "it knows whose it is");
    }

    // It is no other key's store.
    let other = Chip::new(13, 1);
    for chips in [None, Some((&other, &service)), Some((&groups, &other))] {
        assert_eq!(open(&disk, 4, chips).map(drop), Err(Error::OtherSigner));
    }
}

#[test]
fn a_store_with_keys_of_its_own_keeps_them_and_a_signer_of_another_scheme_is_refused() {
    let (groups, service) = (Chip::new(11, 1), Chip::new(12, 1));
    let disk = Disk::default();
    open(&disk, 1, None).unwrap();
    assert_eq!(open(&disk, 2, Some((&groups, &service))).map(drop), Err(Error::OtherSigner));
    open(&disk, 3, None).unwrap();
    // The suite of new stores has Ed25519, this chip has P-256.
    let p256 = Chip::new(14, 2);
    for chips in [(&p256, &service), (&groups, &p256)] {
        assert_eq!(open(&Disk::default(), 4, Some(chips)).map(drop), Err(Error::OtherSigner));
    }
}
