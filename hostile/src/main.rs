//! Plays all mutations in groups of many sizes; exits with 1 if something was not refused as it should be.

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;

use hostile::campaign::{Report, Settings, Shape};
use hostile::{families, play};

/// A hostile member.
#[derive(Parser)]
#[command(name = "cargo xtask hostile", bin_name = "cargo xtask hostile")]
struct Args {
    /// Sizes of groups
    #[arg(long, value_name = "N,N", value_delimiter = ',', default_value = "2,3,4,5,7,8,9,16,17")]
    sizes: Vec<usize>,
    /// Only the place of the hostile member with this number
    #[arg(long, value_name = "LEAF")]
    position: Option<usize>,
    /// Only families whose name begins with this
    #[arg(long, value_name = "NAME", default_value = "")]
    family: String,
    /// Without cryptography, which is faster
    #[arg(long)]
    fake_crypto: bool,
    /// List the mutations, by family, with the rows that are to be named
    #[arg(long)]
    list: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let mut families = families::all();
    families.retain(|family| family.name.starts_with(&args.family));
    if args.list {
        for family in &families {
            println!("{} ({:?})", family.name, family.to);
            for mutation in &family.mutations {
                println!("  {} {}", mutation.row, mutation.name);
            }
        }
        return ExitCode::SUCCESS;
    }
    let provider =
        if args.fake_crypto { test_support::fake_crypto::PROVIDER } else { hushwood_aws_lc::PROVIDER };
    let start = Instant::now();
    let mut total = Report::default();
    for size in &args.sizes {
        let mut of_size = Report::default();
        for position in (0..*size).filter(|position| args.position.is_none_or(|only| only == *position)) {
            for shape in Shape::ALL {
                of_size.add(play(&Settings { provider, size: *size, position, shape }, &families));
            }
        }
        for failure in &of_size.failures {
            println!("FAILED {failure}");
        }
        println!(
            "{size} members: {} cases, {} failures, {:.1} s",
            of_size.cases,
            of_size.failures.len(),
            start.elapsed().as_secs_f64()
        );
        total.add(of_size);
    }
    println!("{}", total.in_words());
    if total.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
