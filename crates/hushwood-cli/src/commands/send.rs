//! `hushwood send`: an application message.

use std::path::PathBuf;

use clap::Args;
use hushwood_crypto::Secret;

use crate::args::Global;
use crate::commits;
use crate::failure::Failure;
use crate::files;
use crate::names::GroupName;
use crate::output::{Destination, Output, Report};
use crate::progress::Progress;
use crate::room::Room;
use crate::session::Session;
use crate::system::OsRandom;
use crate::text;

/// Encrypt a message or a file to a group
///
/// Anything up to 16 MiB. The message goes to standard output; you keep no way of reading it.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  echo hello | hushwood send tea > m1\n  hushwood send tea photo.jpg --out photo.mls\n  hushwood send tea --armor < note.txt | mail phone@example.org"
)]
pub(crate) struct Send {
    /// The group
    name: GroupName,
    /// The file; standard input by default
    file: Option<PathBuf>,
    /// Text that travels beside the message, readable by everybody and protected from changes
    #[arg(long, value_name = "TEXT", default_value = "")]
    aad: String,
    #[command(flatten)]
    destination: Destination,
}

impl Send {
    pub(crate) fn run(self, global: &Global, output: Output) -> Result<u8, Failure> {
        self.destination.check(output)?;
        let plaintext = Secret::new(files::read(self.file.as_deref())?);
        let mut session = Session::open(global, output)?;
        let Session { home, identity, .. } = &mut session;
        let progress = Progress::start(output, "encrypting");
        let (outgoing, epoch) = home.retrying(|home| {
            let mut room = Room::open_active(home, &self.name)?;
            let epoch = room.group.epoch();
            let signer = identity.signer(room.group.suite())?;
            let step = room.group.encrypt(plaintext.expose(), self.aad.as_bytes(), signer, &mut OsRandom)?;
            Ok((home.commit(step)?, epoch))
        })?;
        drop(progress);
        let report = Report::new()
            .line(format!("{} to `{}`, epoch {epoch}", text::size(plaintext.len()), self.name))
            .fact("group", self.name.as_str())
            .fact("epoch", epoch);
        let written = self.destination.write(output, &outgoing.message, report);
        let report = written.map_err(|failure| failure.kept(&self.name))?;
        commits::acknowledge(&mut session, &self.name, &[outgoing])?;
        output.finish("send", &report)
    }
}
