//! The provider against published vectors.

use hushwood_rustcrypto::PROVIDER;
use test_support::table::assert_passed;

#[test]
fn passes_wycheproof() {
    assert_passed(&test_support::wycheproof::run(&PROVIDER), 5000);
}

#[test]
fn passes_the_vectors_of_rfc_9180() {
    // Appendix A is always there; the condensed form where the folder of vectors is.
    assert_passed(&[test_support::hpke_vectors::run(&PROVIDER)], 200);
}

#[test]
fn signs_as_rfc_8032_does() {
    assert_passed(&test_support::known_signatures::run(&PROVIDER), 4);
}
