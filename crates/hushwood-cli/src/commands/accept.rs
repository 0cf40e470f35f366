//! `hushwood accept`: the transport has taken our commit.

use std::path::PathBuf;

use clap::Args;

use crate::args::Global;
use crate::commits;
use crate::failure::Failure;
use crate::names::GroupName;
use crate::output::{Folder, Output, Report};
use crate::room::Room;
use crate::session::Session;

/// Apply a commit of yours that the transport has taken
///
/// Begins the next epoch and writes NAME-E.welcome for those who join, and NAME-E.tree where trees are written
/// apart. If the transport took another commit for this epoch, `receive` that one instead: yours is then
/// void.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  hushwood accept tea")]
pub(crate) struct Accept {
    /// The group
    name: GroupName,
    /// The commit's file, or its id from `group show`, if several of yours wait
    file: Option<PathBuf>,
    #[command(flatten)]
    folder: Folder,
}

impl Accept {
    pub(crate) fn run(self, global: &Global, output: Output) -> Result<u8, Failure> {
        let mut session = Session::open(global, output)?;
        let room = Room::open(&session.home, &self.name)?;
        let id = commits::staged(&room, self.file.as_deref())?;
        self.folder.check(&[self.name.file(room.group.epoch(), "welcome")])?;
        let report = Report::new().fact("group", self.name.as_str()).fact("commit_id", id.to_string());
        let report = commits::apply(&mut session, &self.name, &self.folder, id, report)?;
        output.finish("accept", &report)
    }
}
