//! Every mutation at every place of the hostile member, in small groups; larger ones are `cargo xtask hostile`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use hostile::campaign::{Report, Settings, Shape};
use hostile::{Family, families, play};
use hushwood_crypto::CryptoProvider;

/// Plays these families with the hostile member at each place.
fn everywhere(provider: CryptoProvider, size: usize, shape: Shape, families: &[Family]) -> Report {
    let mut report = Report::default();
    for position in 0..size {
        report.add(play(&Settings { provider, size, position, shape }, families));
    }
    report
}

/// All families, or those whose names say so.
fn of(names: &[&str]) -> Vec<Family> {
    let mut all = families::all();
    all.retain(|family| names.is_empty() || names.contains(&family.name));
    all
}

fn assert_refused(report: &Report) {
    println!("{}", report.in_words());
    assert!(report.failures.is_empty(), "{}", report.failures.join("\n"));
    assert!(report.cases > 1000);
}

const REAL: CryptoProvider = hushwood_aws_lc::PROVIDER;
const FAKE: CryptoProvider = test_support::fake_crypto::PROVIDER;

#[test]
fn two_members_with_cryptography() {
    assert_refused(&everywhere(REAL, 2, Shape::Full, &of(&[])));
}

#[test]
fn three_members_without_cryptography() {
    assert_refused(&everywhere(FAKE, 3, Shape::Full, &of(&[])));
}

#[test]
fn three_members_with_cryptography() {
    let families = of(&["path", "leaf", "external commit in place of a member", "Welcome and its commit"]);
    assert_refused(&everywhere(REAL, 3, Shape::Holed, &families));
}

#[test]
fn four_members_without_cryptography() {
    assert_refused(&everywhere(FAKE, 4, Shape::Full, &of(&[])));
}

#[test]
fn five_members_in_a_tree_with_holes_without_cryptography() {
    let mut report = Report::default();
    for position in [0, 2, 4] {
        let settings = Settings { provider: FAKE, size: 5, position, shape: Shape::Holed };
        report.add(play(&settings, &of(&[])));
    }
    assert_refused(&report);
}

#[test]
fn seven_members_in_a_sparse_tree_without_cryptography() {
    let families = of(&["path", "path with Add", "Add", "list", "list by reference", "tree in a Welcome"]);
    assert_refused(&everywhere(FAKE, 7, Shape::Sparse, &families));
}

#[test]
fn nine_members_and_their_trees_without_cryptography() {
    let families = of(&["path", "tree in a Welcome", "tree in a GroupInfo"]);
    assert_refused(&everywhere(FAKE, 9, Shape::Holed, &families));
}

#[test]
fn seventeen_members_without_cryptography() {
    let mut report = Report::default();
    for position in [0, 8, 16] {
        let settings = Settings { provider: FAKE, size: 17, position, shape: Shape::Holed };
        report.add(play(&settings, &of(&["path", "tree in a Welcome"])));
    }
    assert_refused(&report);
}
