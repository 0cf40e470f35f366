//! `hushwood discard`: the transport has not taken our commit.

use std::path::PathBuf;

use clap::Args;

use crate::args::Global;
use crate::commits;
use crate::failure::Failure;
use crate::names::GroupName;
use crate::output::{Output, Report};
use crate::room::Room;
use crate::session::Session;

/// Drop a commit of yours that the transport has not taken
///
/// Nothing of the group has changed by it, and nothing does.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  hushwood discard tea")]
pub(crate) struct Discard {
    /// The group
    name: GroupName,
    /// The commit's file, or its id from `group show`, if several of yours wait
    file: Option<PathBuf>,
}

impl Discard {
    pub(crate) fn run(self, global: &Global, output: Output) -> Result<u8, Failure> {
        let mut session = Session::open(global, output)?;
        let id = session.home.retrying(|home| {
            let mut room = Room::open(home, &self.name)?;
            let id = commits::staged(&room, self.file.as_deref())?;
            let step = room.group.discard(&id)?;
            home.commit(step)?;
            Ok(id)
        })?;
        let report = Report::new()
            .line(format!("dropped your commit in `{}`; nobody may receive its file any more", self.name))
            .fact("group", self.name.as_str())
            .fact("commit_id", id.to_string());
        output.finish("discard", &report)
    }
}
