//! The provider against published vectors.

use hushwood_aws_lc::PROVIDER;
use test_support::table::assert_passed;

#[test]
fn passes_wycheproof() {
    assert_passed(&test_support::wycheproof::run(&PROVIDER), 5000);
}

#[test]
fn passes_the_vectors_of_rfc_9180() {
    let rows = test_support::hpke_vectors::run(&PROVIDER);
    // Without the folder of vectors there are no rows; a note has been printed.
    assert_passed(&rows, rows.len() * 100);
}

#[test]
fn signs_as_rfc_8032_does() {
    assert_passed(&test_support::known_signatures::run(&PROVIDER), 4);
}
