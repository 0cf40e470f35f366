//! KeyPackages that were made by another implementation.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use hushwood::crypto::{CipherSuiteId, HpkePrivateKey};
use hushwood::error::ApiMisuse;
use hushwood::group::client;
use hushwood::key_package::{KeyPackagePrivate, NewKeyPackage};
use test_support::actor::{Actor, assert_agree};

fn actor(name: &str, suite: CipherSuiteId) -> Actor {
    Actor::new(name, hushwood_rustcrypto::PROVIDER, suite, u64::try_from(name.len()).unwrap())
}

#[test]
fn a_key_package_moves_in_with_its_own_keys_only() {
    for suite in (1..=7).map(CipherSuiteId) {
        let (mut alice, mut elsewhere, mut bob) =
            (actor("alice", suite), actor("elsewhere", suite), actor("bob", suite));
        let message = elsewhere.key_package();
        let (reference, private) = client::key_packages(&elsewhere.store).unwrap().remove(0);
        let key_package = private.key_package().clone();
        let init_key = || HpkePrivateKey(private.init_key().0.duplicate());
        let encryption_key = || HpkePrivateKey(private.encryption_key().0.duplicate());

        let swapped =
            KeyPackagePrivate::from_parts(key_package.clone(), encryption_key(), init_key(), bob.suite);
        assert_eq!(swapped.unwrap_err(), ApiMisuse::PrivateKeyMismatch.into());
        let other = bob.provider.suites.iter().find(|other| other.id() != suite).unwrap();
        let misplaced =
            KeyPackagePrivate::from_parts(key_package.clone(), init_key(), encryption_key(), *other);
        assert_eq!(misplaced.unwrap_err(), ApiMisuse::PrivateKeyMismatch.into());

        let private =
            KeyPackagePrivate::from_parts(key_package.clone(), init_key(), encryption_key(), bob.suite);
        let new = NewKeyPackage { key_package, reference, private: private.unwrap() };
        let kept = client::keep_key_package(new).unwrap().commit(&mut bob.store).unwrap();
        assert_eq!(kept, message);
        alice.create();
        let (_, change) = alice.invite(&[message]).unwrap();
        bob.join(&change.welcomes[0].message, None).unwrap();
        assert_agree(&[&alice, &bob]);
    }
}
