//! The provider without randomness, and with keys that are not allowed. `hushwood-aws-lc` compares it with the
//! other one.

use hushwood_rustcrypto::PROVIDER;
use test_support::table::assert_passed;

#[test]
fn nothing_is_made_without_randomness() {
    assert_passed(&test_support::no_random::run(&PROVIDER), 49);
}

#[test]
fn keys_of_other_forms_are_refused() {
    assert_passed(&test_support::malformed_keys::run(&PROVIDER), 300);
}
