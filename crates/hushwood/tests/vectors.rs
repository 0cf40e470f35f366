//! The working group's test vectors for RFC 9420.

use hushwood_crypto::CryptoProvider;
use test_support::mls_vectors;
use test_support::table::assert_passed;

fn all_vectors_pass(provider: &CryptoProvider) {
    if test_support::vectors::folder().is_none() {
        return;
    }
    let rows = mls_vectors::run_all(provider);
    assert_eq!(rows.len(), mls_vectors::files().len());
    assert!(rows.iter().all(|row| row.skipped == 0 && row.passed > 0));
    assert_passed(&rows, 10_000);
}

#[test]
fn all_vectors_pass_in_all_suites_with_aws_lc() {
    all_vectors_pass(&hushwood_aws_lc::PROVIDER);
}

#[test]
fn all_vectors_pass_in_all_suites_with_rustcrypto() {
    all_vectors_pass(&hushwood_rustcrypto::PROVIDER);
}
