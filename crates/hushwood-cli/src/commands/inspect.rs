//! `hushwood inspect`: any MLS object as readable text.

use std::path::PathBuf;

use clap::Args;

use crate::failure::Failure;
use crate::files;
use crate::inspect::{self, Kind};
use crate::output::Output;
use crate::text;

/// Show any MLS object as readable text, or with --json as JSON
///
/// Needs no home and no passphrase, and shows no secret. Says also what can be told of its validity
/// without the keys of a group; "valid" in the JSON sums it up.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  hushwood inspect phone.kp\n  hushwood send tea < note.txt | hushwood inspect\n  hushwood inspect --as ratchet-tree tea-3.tree"
)]
pub(crate) struct Inspect {
    /// The file; standard input by default
    file: Option<PathBuf>,
    /// What the bytes are, where they do not say so themselves
    #[arg(long = "as", value_name = "KIND")]
    kind: Option<Kind>,
    /// Show long values whole
    #[arg(long)]
    full: bool,
}

impl Inspect {
    pub(crate) fn run(self, output: Output) -> Result<u8, Failure> {
        let file = self.file.as_deref();
        let bytes = files::read_object(file)?;
        let report = inspect::describe(&bytes, self.kind, self.full, text::now())
            .map_err(|failure| failure.about(files::shown(file)))?;
        output.finish("inspect", &report)
    }
}
