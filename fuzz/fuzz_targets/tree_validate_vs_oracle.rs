//! libFuzzer on `test_support::fuzz_targets`.
#![no_main]

hushwood_fuzz::fuzz!("tree_validate_vs_oracle");
