//! The ratchet tree beside a literal reading of RFC 9420: all trees up to eight leaves, or many by chance.
//! `cargo xtask oracle` runs this.

use std::env;
use std::process::ExitCode;
use std::time::Instant;

use test_support::tree_oracle::campaign::{Effort, TREES_OF_A_WORLD, Totals, shapes, world};

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let number = |name: &str| {
        let place = arguments.iter().position(|argument| argument == name)?;
        arguments.get(place + 1)?.parse::<u64>().ok()
    };
    let begun = Instant::now();
    let totals = if arguments.iter().any(|argument| argument == "--shapes") {
        all_shapes(number("--every").unwrap_or(1))
    } else if let Some(trees) = number("--trees") {
        by_chance(trees, number("--seed").unwrap_or(0))
    } else {
        eprintln!("usage: oracle --shapes [--every K] | --trees N [--seed S]");
        return ExitCode::FAILURE;
    };
    println!("{totals}; {} s, no difference", begun.elapsed().as_secs());
    ExitCode::SUCCESS
}

/// Everything for trees up to four leaves; for those of eight every shape, one way to chain it, some mutations and changes.
fn all_shapes(every: u64) -> Totals {
    let mut all = Totals::default();
    for leaves in [1, 2, 4, 8] {
        let some = Effort { every, all_chains: false, mutations: Some(2), changes: Some(1) };
        let effort = if leaves < 8 { Effort::ALL } else { some };
        let totals = shapes(leaves, effort, |totals| println!("{totals}"));
        println!("{leaves} leaves: {totals}");
        all.add(&totals);
    }
    all
}

fn by_chance(trees: u64, seed: u64) -> Totals {
    let mut all = Totals::default();
    for number in 0..trees.div_ceil(TREES_OF_A_WORLD) {
        let seed = seed + number;
        let totals = std::panic::catch_unwind(|| world(seed));
        let Ok(totals) = totals else {
            println!("again with: --trees 1 --seed {seed}");
            std::process::exit(1);
        };
        all.add(&totals);
        if number % 1000 == 999 {
            println!("{all}");
        }
    }
    all
}
