//! What attacks cost: the tables of messages, or a flood. `cargo xtask attack` runs this.

use std::env;
use std::process::ExitCode;
use std::time::Instant;

use test_support::attack::flood::flood;
use test_support::attack::{Siege, joining, messages};

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let number = |name: &str| {
        let place = arguments.iter().position(|argument| argument == name)?;
        arguments.get(place + 1)?.parse::<u64>().ok()
    };
    let begun = Instant::now();
    if let Some(messages) = number("--messages") {
        let flooded = flood(messages, number("--seed").unwrap_or(0));
        println!("{flooded:#?}");
    } else if let Some(members) = number("--members") {
        let siege = Siege::new(usize::try_from(members).unwrap_or(usize::MAX));
        messages::table(&siege).iter().chain(&joining::table(&siege)).for_each(|cost| println!("{cost}"));
    } else {
        eprintln!("usage: attack --members N | --messages N [--seed S]");
        return ExitCode::FAILURE;
    }
    println!("{} s", begun.elapsed().as_secs());
    ExitCode::SUCCESS
}
