//! `hushwood group-info`: what it takes to join from outside.

use clap::Args;
use hushwood::group::GroupInfoOptions;

use crate::args::Global;
use crate::failure::Failure;
use crate::files::{self, Readers};
use crate::names::GroupName;
use crate::output::{Destination, Output, Report};
use crate::room::Room;
use crate::session::Session;
use crate::system::OsRandom;

/// Make a group info: with it, others can join without being invited
///
/// Good for the current epoch. It lists the members; give it to whom you would let in.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  hushwood group-info tea > tea.info     # others: hushwood join tea.info")]
pub(crate) struct GroupInfoCommand {
    /// The group
    name: GroupName,
    /// Leave the tree out; `--tree-to` writes it apart
    #[arg(long)]
    no_tree: bool,
    /// Write the tree to this file
    #[arg(long, value_name = "FILE")]
    tree_to: Option<std::path::PathBuf>,
    /// Leave the external key out: it informs, and nobody can join by it
    #[arg(long)]
    no_join: bool,
    #[command(flatten)]
    destination: Destination,
}

impl GroupInfoCommand {
    pub(crate) fn run(self, global: &Global, output: Output) -> Result<u8, Failure> {
        self.destination.check(output)?;
        let Session { home, identity, .. } = Session::open(global, output)?;
        let room = Room::open_active(&home, &self.name)?;
        let signer = identity.signer(room.group.suite())?;
        let options = GroupInfoOptions { ratchet_tree: !self.no_tree, external_pub: !self.no_join };
        let message = room.group.group_info(options, signer, &mut OsRandom)?;
        let epoch = room.group.epoch();
        let mut report = Report::new()
            .line(format!("group info of `{}`, epoch {epoch}", self.name))
            .fact("group", self.name.as_str())
            .fact("epoch", epoch);
        if let Some(path) = &self.tree_to {
            let tree = room.group.ratchet_tree()?;
            files::write(path, &tree, Readers::Everybody, self.destination.force)?;
            let place = path.display().to_string();
            report = report.line(format!("wrote {place}")).fact("tree", place);
        }
        output.finish("group-info", &self.destination.write(output, &message, report)?)
    }
}
