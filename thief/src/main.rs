//! Steals a client's disk, memory and passphrase, and looks at what it gives; exits with 1 if it is too much.

#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "a program for tests")]

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::{Parser, Subcommand};
use hushwood_crypto::{CipherSuiteId, CryptoProvider};

use thief::census::{self, Census, Program, client};
use thief::forward::{Tally, conversation};
use thief::lockout;
use thief::recorder::{aws_lc, rustcrypto};
use thief::world::Renewal;

/// Whether secrets die on time.
#[derive(Parser)]
#[command(name = "cargo xtask thief", bin_name = "cargo xtask thief")]
struct Args {
    #[command(subcommand)]
    what: Option<What>,
    /// Everything follows from it
    #[arg(long, value_name = "N", default_value_t = 1, global = true)]
    seed: u64,
    /// `aws-lc` or `rustcrypto`
    #[arg(long, value_name = "NAME", default_value = "aws-lc", global = true)]
    provider: String,
    /// Number of the cipher suite
    #[arg(long, value_name = "N", default_value_t = 1, global = true)]
    suite: u16,
}

#[derive(Subcommand)]
enum What {
    /// Steal after each step of conversations, and try everything that was read or sent
    Forward {
        /// Until so many messages have been read or sent
        #[arg(long, value_name = "N", default_value_t = 2_000)]
        messages: u64,
        /// Steps of a conversation
        #[arg(long, value_name = "N", default_value_t = 200)]
        steps: u32,
    },
    /// Steal before an update, and follow the group with the copy
    Lockout {
        /// How many conversations
        #[arg(long, value_name = "N", default_value_t = 60)]
        runs: u64,
    },
    /// Search memory and files of a client after each of its steps
    Census {
        /// How many conversations
        #[arg(long, value_name = "N", default_value_t = 4)]
        runs: u64,
        /// Steps of each
        #[arg(long, value_name = "N", default_value_t = 100)]
        steps: u32,
        /// Do not keep freed blocks until the step is over
        #[arg(long)]
        without_shim: bool,
    },
    /// The client of the census
    #[command(hide = true, name = "serve-census")]
    Serve { socket: PathBuf, store: PathBuf, backend: String, number: u16, dice: u64 },
}

fn main() -> ExitCode {
    let args = Args::parse();
    let setting = (provider(&args.provider), CipherSuiteId(args.suite));
    let good = match args.what {
        Some(What::Serve { socket, store, backend, number, dice }) => {
            client::serve(&socket, &store, (provider(&backend), CipherSuiteId(number)), dice);
            true
        }
        Some(What::Forward { messages, steps }) => forward(setting, args.seed, messages, steps),
        Some(What::Lockout { runs }) => shut_out(setting, args.seed, runs),
        Some(What::Census { runs, steps, without_shim }) => {
            count(&args.provider, setting.1, args.seed, (runs, steps), without_shim)
        }
        None => {
            let good = [
                forward(setting, args.seed, 2_000, 200),
                shut_out(setting, args.seed, 60),
                count(&args.provider, setting.1, args.seed, (4, 100), false),
            ];
            good == [true; 3]
        }
    };
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn provider(name: &str) -> CryptoProvider {
    if name == "rustcrypto" { rustcrypto() } else { aws_lc() }
}

/// What is derived is told of to the thread that asked: so there is one for each conversation.
fn alone<T: Send>(what: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread starts").install(what)
}

fn forward(setting: (CryptoProvider, CipherSuiteId), seed: u64, messages: u64, steps: u32) -> bool {
    let (begun, mut all) = (Instant::now(), Tally::default());
    for seed in seed.. {
        if all.done >= messages {
            break;
        }
        let tally = alone(|| conversation(setting.0, setting.1, seed, steps));
        if tally.failures() > 0 {
            println!("FAILED with --seed {seed} --steps {steps}: {tally:?}");
        }
        all = all.and(tally);
    }
    println!("forward: {all:?}, {} s", begun.elapsed().as_secs());
    all.failures() == 0
}

fn shut_out((provider, suite): (CryptoProvider, CipherSuiteId), seed: u64, runs: u64) -> bool {
    let (begun, mut shut_out, mut read_on, mut messages) = (Instant::now(), 0, 0, (0, 0, 0));
    for seed in seed..seed + runs {
        let renewal = Renewal::ALL[usize::try_from(seed % 3).expect("small")];
        let outcome = alone(|| lockout::run(provider, suite, renewal, seed));
        let control = alone(|| lockout::control(provider, suite, seed));
        if !outcome.shut_out() || !control.read_on() {
            println!("FAILED with --seed {seed} --runs 1: {outcome:?}, control {control:?}");
        }
        shut_out += u64::from(outcome.shut_out());
        read_on += u64::from(control.read_on());
        messages.0 += outcome.after;
        messages.1 += outcome.read_before;
        messages.2 += control.read_before;
    }
    println!(
        "lockout: shut out in {shut_out} of {runs} runs, of {} messages after the update none was read, of those \
         before it {}; with messages alone the thief read on in {read_on} of {runs}, {} messages; {} s",
        messages.0,
        messages.1,
        messages.2,
        begun.elapsed().as_secs()
    );
    (shut_out, read_on) == (runs, runs)
}

fn count(
    provider: &str,
    suite: CipherSuiteId,
    seed: u64,
    (runs, steps): (u64, u32),
    without_shim: bool,
) -> bool {
    let begun = Instant::now();
    let path = std::env::current_exe().expect("this program has a path");
    let folder = path.parent().expect("this program is in a folder").to_owned();
    let shim = match without_shim {
        true => None,
        false => Some(census::built_shim(&folder).expect("the C compiler works")),
    };
    let program = Program { path, shim };
    let mut all = Census::default();
    for seed in seed..seed + runs {
        all = all.and(census::run(&program, provider, suite, seed, steps));
    }
    print!("census: {all}");
    println!("census: {} found that should be gone, {} s", all.failures(), begun.elapsed().as_secs());
    all.failures() == 0
}
