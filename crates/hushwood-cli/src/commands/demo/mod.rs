//! `hushwood demo`: seven members, a conversation, an eavesdropper, a thief, and two proofs.

mod member;
mod play;
mod proofs;
mod stage;
mod thief;
mod wire;

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use hushwood_crypto::Random;

use crate::failure::Failure;
use crate::output::Output;
use crate::system::{self, OsRandom};
use crate::text;

use stage::Stage;

/// Show what it does: seven members, an eavesdropper, a thief, and two proofs
///
/// Everything is real: each member has a sealed home of its own in a temporary folder, and whatever
/// passes between them is seen by the eavesdropper. Exits with 1 if a proof fails.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  hushwood demo\n  hushwood demo --keep     # leaves the homes there, to look around"
)]
pub(crate) struct Demo {
    /// Leave the homes where they are; their passphrases are the members' names
    #[arg(long)]
    keep: bool,
}

impl Demo {
    pub(crate) fn run(self, output: Output) -> Result<u8, Failure> {
        let start = Instant::now();
        let folder = folder()?;
        let mut stage = Stage::new(&folder, output);
        let outcome = play::play(&mut stage);
        let report = stage.close();
        if !self.keep {
            // What is left behind is sealed; that it could not be removed changes nothing of the proofs.
            let _ = std::fs::remove_dir_all(&folder);
        }
        outcome?;
        let seconds = start.elapsed().as_secs_f64();
        let mut report = report.line(format!("\nBoth proofs hold. Done in {seconds:.1} seconds."));
        if self.keep {
            let place = folder.display().to_string();
            report = report.line(format!("The homes are in {place}.")).fact("folder", place);
        }
        output.finish("demo", &report.fact("seconds", seconds))
    }
}

fn folder() -> Result<PathBuf, Failure> {
    let random: &mut dyn Random = &mut OsRandom;
    let tag = random.array::<6>().map_err(hushwood::error::Error::from)?;
    let folder = std::env::temp_dir().join(format!("hushwood-demo-{}", text::hex(&tag)));
    system::create_private_folder(&folder).map_err(|error| Failure::path("can't make", &folder, &error))?;
    Ok(folder)
}
