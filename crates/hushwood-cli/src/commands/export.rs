//! `hushwood export`: a secret for another use.

use std::path::PathBuf;

use clap::Args;

use crate::args::Global;
use crate::failure::Failure;
use crate::files::{self, Readers};
use crate::names::GroupName;
use crate::output::{self, Output, Report};
use crate::room::Room;
use crate::session::Session;
use crate::text;

/// Print a secret that all members of a group share in this epoch
///
/// For other programs: a file's key, a call's key. It changes with every epoch; choose a label that
/// nobody else uses.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  hushwood export tea backup --length 32 --raw > backup.key")]
pub(crate) struct Export {
    /// The group
    name: GroupName,
    /// What it is for
    label: String,
    /// What it is for, more closely
    #[arg(long, value_name = "TEXT", default_value = "")]
    context: String,
    /// How many bytes
    #[arg(long, default_value_t = 32)]
    length: u16,
    /// The bytes themselves instead of hexadecimal
    #[arg(long)]
    raw: bool,
    /// Write to this file, readable by you only, instead of standard output
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Overwrite a file that exists
    #[arg(long)]
    force: bool,
}

impl Export {
    pub(crate) fn run(self, global: &Global, output: Output) -> Result<u8, Failure> {
        let session = Session::open(global, output)?;
        let room = Room::open_active(&session.home, &self.name)?;
        let secret = room.group.export(&self.label, self.context.as_bytes(), usize::from(self.length))?;
        let mut report = Report::new().fact("group", self.name.as_str()).fact("epoch", room.group.epoch());
        let hex = text::hex(secret.expose());
        match &self.out {
            Some(path) => {
                let line = format!("{hex}\n").into_bytes();
                let bytes = if self.raw { secret.expose() } else { line.as_slice() };
                files::write(path, bytes, Readers::Owner, self.force)?;
                let place = path.display().to_string();
                report = report.line(format!("wrote {place}")).fact("file", place);
            }
            None if output.json => report = report.fact("secret", hex),
            None if self.raw => output::write_stdout(secret.expose())?,
            None => report = report.line(hex),
        }
        output.finish("export", &report)
    }
}
