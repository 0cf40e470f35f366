//! The provider against the other one, without randomness, and with keys that are not allowed.

use hushwood_aws_lc::PROVIDER;
use test_support::table::assert_passed;

#[test]
fn agrees_with_the_pure_rust_provider_in_all_suites() {
    let rows = test_support::differential::run(&PROVIDER, &hushwood_rustcrypto::PROVIDER, 40);
    assert_eq!(rows.len(), 7);
    assert_passed(&rows, 7 * 40 * 40);
}

#[test]
fn nothing_is_made_without_randomness() {
    assert_passed(&test_support::no_random::run(&PROVIDER), 49);
}

#[test]
fn keys_of_other_forms_are_refused() {
    assert_passed(&test_support::malformed_keys::run(&PROVIDER), 300);
}
