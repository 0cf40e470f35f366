//! The one entry for developers: `cargo xtask help` lists what there is.

mod attack;
mod bench;
mod crash;
mod e2e;
mod fuzz;
mod hostile;
mod interop;
mod layers;
mod lint;
mod load;
mod mutants;
mod oracle;
mod peers;
mod postgres;
mod report;
mod requirements;
mod run;
mod sections;
mod sim;
mod sources;
mod test;
mod thief;
mod vectors;
mod wasm;

use std::process::ExitCode;

use clap::Parser;

/// What a developer of Hushwood runs. Each command fails when something is wrong.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Xtask {
    /// Everything: lint, unit and integration tests, vectors, peers, interop; ends with a summary
    Test,
    /// Format, layers, sections, clippy, documentation; licences and bans where cargo-deny is installed
    Lint,
    /// Check that no module of the protocol names one that stands after it
    Layers,
    /// Check the table of sections and files in ARCHITECTURE.md, or write it anew
    Sections(sections::Args),
    /// Check that every row of the requirements (spec/) has its code and its tests
    Requirements(requirements::Args),
    /// Run the official test vectors on every provider and print the table; or make such files (`--generate`)
    Vectors(vectors::Args),
    /// Play against other implementations of MLS (arguments go to the program `peers`)
    Peers(peers::Args),
    /// Play clients of the working group's interop interface against each other (arguments go to `interop-runner`)
    Interop(interop::Args),
    /// Time Hushwood, alone or beside other implementations (arguments go to the program `bench`)
    Bench(bench::Args),
    /// Kill a client at its writes, fail them, lose power (arguments go to the program `crash`)
    Crash(crash::Args),
    /// Play what a member that means harm can make to honest ones (arguments go to the program `hostile`)
    Hostile(hostile::Args),
    /// Kill bots, nodes and databases at random (arguments go to the program `e2e`)
    E2e(e2e::Args),
    /// Measure the delivery service under load and under a flood (arguments go to the program `load`)
    Load(load::Args),
    /// Run every fuzz target for some seconds
    Fuzz(fuzz::Args),
    /// Run the simulated world (arguments go to the program `sim`)
    Sim(sim::Args),
    /// Change the protocol in one place, and see that its tests notice (cargo-mutants)
    Mutants(mutants::Args),
    /// Count what attacks cost, or flood a member with messages (arguments go to the program `attack`)
    Attack(attack::Args),
    /// Compare the ratchet tree with a literal reading of the RFC (arguments go to the program `oracle`)
    Oracle(oracle::Args),
    /// Find PostgreSQL for the tests of the delivery service, or put Debian's into target/tools
    Postgres,
    /// Steal a client's disk, memory and passphrase (arguments go to the program `thief`)
    Thief(thief::Args),
    /// Look whether time tells secrets, for an hour or so (arguments go to the program `timing`)
    Timing(thief::Args),
    /// Build the protocol with the pure-Rust provider for wasm32-unknown-unknown
    Wasm(wasm::Args),
}

fn main() -> ExitCode {
    let done = match Xtask::parse() {
        Xtask::Test => test::test(),
        Xtask::Lint => lint::lint(),
        Xtask::Layers => layers::layers(),
        Xtask::Sections(args) => sections::sections(&args),
        Xtask::Requirements(args) => requirements::requirements(&args),
        Xtask::Vectors(args) => vectors::vectors(&args),
        Xtask::Peers(args) => peers::peers(&args),
        Xtask::Interop(args) => interop::interop(&args),
        Xtask::Bench(args) => bench::bench(&args),
        Xtask::Crash(args) => crash::crash(&args),
        Xtask::Hostile(args) => hostile::hostile(&args),
        Xtask::E2e(args) => e2e::e2e(&args),
        Xtask::Load(args) => load::load(&args),
        Xtask::Fuzz(args) => fuzz::fuzz(&args),
        Xtask::Sim(args) => sim::sim(&args),
        Xtask::Mutants(args) => mutants::mutants(&args),
        Xtask::Attack(args) => attack::attack(&args),
        Xtask::Oracle(args) => oracle::oracle(&args),
        Xtask::Postgres => postgres::postgres(),
        Xtask::Thief(args) => thief::thief(&args),
        Xtask::Timing(args) => thief::timing(&args),
        Xtask::Wasm(args) => wasm::wasm(&args),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
