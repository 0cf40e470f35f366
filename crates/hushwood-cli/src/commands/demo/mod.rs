//! `hushwood demo`: seven members, a conversation, an eavesdropper, a thief, and two proofs.

mod member;
mod play;
mod proofs;
mod served;
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
    after_help = "Examples:\n  hushwood demo\n  hushwood demo --server   # through a server, which is killed in the middle\n  hushwood demo --keep     # leaves the homes there, to look around"
)]
pub(crate) struct Demo {
    /// Leave the homes where they are; their passphrases are the members' names
    #[arg(long)]
    keep: bool,
    /// Through a delivery service that is a process of its own, and is killed once; without the proofs
    #[arg(long)]
    server: bool,
}

impl Demo {
    pub(crate) fn run(self, output: Output) -> Result<u8, Failure> {
        let start = Instant::now();
        let folder = folder()?;
        let mut stage = Stage::new(&folder, output);
        let outcome = match self.server {
            true => served::play(&mut stage),
            false => play::play(&mut stage),
        };
        let report = stage.close();
        if !self.keep {
            // What is left behind is sealed; that it could not be removed changes nothing of the proofs.
            let _ = std::fs::remove_dir_all(&folder);
        }
        outcome?;
        let seconds = start.elapsed().as_secs_f64();
        let end = if self.server { "Nothing was lost." } else { "Both proofs hold." };
        let mut report = report.line(format!("\n{end} Done in {seconds:.1} seconds."));
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
