//! Kills a client at every write, and looks at what is left; exits with 1 if something is lost, torn or used twice.

use std::process::ExitCode;

use clap::Parser;

use crash::campaign::{Campaign, Sizes};
use crash::process::{CLIENT, Programs, serve};
use crash::scenarios::{ALL, Scenario};
use crash::shim;

/// Crashes at every write.
#[derive(Parser)]
#[command(name = "cargo xtask crash", bin_name = "cargo xtask crash")]
struct Args {
    /// Everything, not a sample: hours on two cores
    #[arg(long)]
    campaign: bool,
    /// One scenario only; `list` lists them
    #[arg(long, value_name = "S")]
    scenario: Option<String>,
    /// One part of several: of all scenarios, the first, the N-th after it, and so on
    #[arg(long, value_name = "I/N", value_parser = part)]
    part: Option<(usize, usize)>,
    /// Everything follows from it
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// How many are played at once
    #[arg(long, value_name = "N", default_value_t = 2)]
    threads: usize,
    /// Stop after so long, and say what was done
    #[arg(long, value_name = "SECONDS")]
    seconds: Option<u64>,
}

fn part(text: &str) -> Result<(usize, usize), String> {
    let numbers = text.split_once('/').and_then(|(part, of)| Some((part.parse().ok()?, of.parse().ok()?)));
    numbers.filter(|(part, of)| (1..=*of).contains(part)).ok_or_else(|| "a part is 1/4, for example".into())
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some(CLIENT) {
        return match serve(&arguments.next().unwrap_or_default()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("error: {error}");
                ExitCode::FAILURE
            }
        };
    }
    let args = Args::parse();
    let (part, of) = args.part.unwrap_or((1, 1));
    let scenarios: Vec<&Scenario> = match args.scenario.as_deref() {
        None => ALL.iter().skip(part - 1).step_by(of).collect(),
        Some("list") => {
            ALL.iter().for_each(|scenario| println!("{}", scenario.name));
            return ExitCode::SUCCESS;
        }
        Some(name) => match Scenario::named(name) {
            Some(scenario) => vec![scenario],
            None => {
                eprintln!("error: there is no scenario {name}; `--scenario list` lists them");
                return ExitCode::from(2);
            }
        },
    };
    let programs = match programs() {
        Ok(programs) => programs,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::from(2);
        }
    };
    let sizes = if args.campaign { Sizes::CAMPAIGN } else { Sizes::SAMPLE };
    let Args { seed, threads, seconds, .. } = args;
    let campaign = Campaign { programs, scenarios, seed, threads, sizes, seconds };
    match campaign.run().found {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

fn programs() -> Result<Programs, String> {
    let crash = std::env::current_exe().map_err(|error| error.to_string())?;
    let folder = crash.parent().ok_or("this program is in no folder")?;
    let shim = shim::built(folder).map_err(|error| error.to_string())?;
    Ok(Programs { crash, shim })
}
