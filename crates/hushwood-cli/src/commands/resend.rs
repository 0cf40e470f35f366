//! `hushwood resend`: what was made and not surely written.

use clap::Args;
use hushwood::framing::{ContentType, MlsMessage};
use hushwood::group::{Outgoing, Unacknowledged};
use hushwood_codec::Decode;

use crate::args::Global;
use crate::commits;
use crate::failure::Failure;
use crate::names::GroupName;
use crate::output::{Folder, Output, Report};
use crate::room::Room;
use crate::session::Session;

/// Write again what was made and not surely written
///
/// After a crash or a full disk, messages, commits and Welcomes that were made wait to be written.
/// The transport may get the same message twice; receivers refuse the second.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  hushwood resend tea --out /mnt/shared/tea")]
pub(crate) struct Resend {
    /// The group
    name: GroupName,
    #[command(flatten)]
    folder: Folder,
}

impl Resend {
    pub(crate) fn run(self, global: &Global, output: Output) -> Result<u8, Failure> {
        let mut session = Session::open(global, output)?;
        self.folder.check(&[])?;
        let room = Room::open(&session.home, &self.name)?;
        let mut report = Report::new().fact("group", self.name.as_str());
        let mut places = Vec::new();
        for kept in room.group.unacknowledged(&session.home.store)? {
            let Unacknowledged::Outgoing(outgoing) = kept else { continue };
            let place =
                self.folder.write(&file(&self.name, &outgoing), &outgoing.message)?.display().to_string();
            report = report.line(format!("wrote {place}"));
            places.push(place);
            commits::acknowledge(&mut session, &self.name, &[outgoing])?;
        }
        if places.is_empty() {
            report = report.line("nothing waits to be written");
        }
        output.finish("resend", &report.fact("files", places))
    }
}

/// A name that says what it is.
fn file(name: &GroupName, outgoing: &Outgoing) -> String {
    let id = outgoing.id.to_string();
    let id = id.get(..8).unwrap_or_default();
    let message = MlsMessage::from_bytes(&outgoing.message);
    let (epoch, extension) = match &message {
        Ok(MlsMessage::PrivateMessage(message)) => (message.epoch, extension(message.content_type)),
        Ok(MlsMessage::PublicMessage(message)) => {
            (message.content.epoch, extension(message.content.content.content_type()))
        }
        _ => (0, "welcome"),
    };
    match extension {
        "commit" | "proposal" | "message" => name.file(epoch, &format!("{id}.{extension}")),
        _ => format!("{}-{id}.{extension}", name.as_str()),
    }
}

fn extension(content_type: ContentType) -> &'static str {
    match content_type {
        ContentType::Application => "message",
        ContentType::Proposal => "proposal",
        ContentType::Commit => "commit",
    }
}
