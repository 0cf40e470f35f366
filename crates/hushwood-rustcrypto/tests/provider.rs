//! The provider without randomness. It is compared with the other one in `hushwood-aws-lc`.

use hushwood_rustcrypto::PROVIDER;
use test_support::table::assert_passed;

#[test]
fn nothing_is_made_without_randomness() {
    assert_passed(&test_support::no_random::run(&PROVIDER), 49);
}
