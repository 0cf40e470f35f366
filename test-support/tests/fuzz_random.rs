//! Fuzzing for those who have no libFuzzer: seeded changes of the inputs to begin with, few by default.
//! `HUSHWOOD_FUZZ_ROUNDS` says how many for each target, `HUSHWOOD_FUZZ_SEED` which.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test")]

use std::env;
use std::panic::catch_unwind;

use test_support::fuzz_targets::targets;
use test_support::random::SeededRandom;

fn number(variable: &str, otherwise: u64) -> u64 {
    env::var(variable).map_or(otherwise, |text| text.parse().unwrap())
}

fn changed(seed: &[u8], random: &mut SeededRandom) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..=random.below(6) {
        let place = random.below(bytes.len() + 1);
        match random.below(5) {
            0 => bytes.truncate(place),
            1 => bytes.splice(place..place, random.some_bytes(12)).for_each(drop),
            2 => bytes.extend_from_within(place..),
            _ if place < bytes.len() => bytes[place] ^= 1 << random.below(8),
            _ => bytes = random.some_bytes(300),
        }
        bytes.truncate(20_000);
    }
    bytes
}

#[test]
fn every_target_bears_what_chance_makes_of_its_inputs() {
    let rounds = number("HUSHWOOD_FUZZ_ROUNDS", 100);
    let mut random = SeededRandom::new(number("HUSHWOOD_FUZZ_SEED", 1));
    let mut faults = Vec::new();
    for target in targets() {
        let seeds = (target.seeds)();
        for _ in 0..rounds {
            let input = changed(&seeds[random.below(seeds.len())], &mut random);
            if catch_unwind(|| (target.run)(&input)).is_err() {
                faults.push(format!("{}: {}", target.name, hex::encode(&input)));
                break;
            }
        }
    }
    assert_eq!(faults, Vec::<String>::new());
}
