//! libFuzzer on `test_support::fuzz_targets`.
#![no_main]

hushwood_fuzz::fuzz!("provider_diff");
