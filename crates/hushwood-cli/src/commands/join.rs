//! `hushwood join`: by a Welcome, or from outside by a group info.

use std::path::PathBuf;

use clap::Args;
use hushwood::commit::Answers;
use hushwood::error::Error;
use hushwood::framing::MlsMessage;
use hushwood::group::{Group, OpenedWelcome};
use hushwood::policy::Policy;
use hushwood_codec::Decode;

use crate::args::Global;
use crate::events;
use crate::failure::Failure;
use crate::files;
use crate::home::Home;
use crate::names::{self, GroupName};
use crate::output::{Folder, Output, Report};
use crate::pins::Judge;
use crate::policy_args::PolicyArgs;
use crate::progress::Progress;
use crate::room::Room;
use crate::session::Session;
use crate::system::{OsRandom, PROVIDER};
use crate::text;

/// Join a group: by a Welcome, or from outside by a group info
///
/// A Welcome is enough. With a group info you let yourself in: NAME-E.commit is written, which the
/// members have to receive; if the transport does not take it, `group forget` the group and start anew.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  hushwood join tea-0.welcome\n  hushwood join tea-0.welcome --tree tea-0.tree --name kitchen\n  hushwood join tea.info            # writes tea-7.commit\n  hushwood join tea.info --resync   # after your state was lost or left behind"
)]
pub(crate) struct Join {
    /// A Welcome or a group info; standard input by default
    file: Option<PathBuf>,
    /// The group's name in this home; by default the file's name up to its last `-`
    #[arg(long)]
    name: Option<GroupName>,
    /// The tree, if it came apart
    #[arg(long, value_name = "FILE")]
    tree: Option<PathBuf>,
    /// Join from outside in place of the member that you were
    #[arg(long)]
    resync: bool,
    /// Join from outside with a pre-shared key, by its name
    #[arg(long, value_name = "NAME")]
    psk: Vec<String>,
    #[command(flatten)]
    policy: PolicyArgs,
    #[command(flatten)]
    folder: Folder,
}

impl Join {
    pub(crate) fn run(self, global: &Global, output: Output) -> Result<u8, Failure> {
        let file = self.file.as_deref();
        let message = files::read_object(file)?;
        let tree = self.tree.as_deref().map(|path| files::read_object(Some(path))).transpose()?;
        let parsed = MlsMessage::from_bytes(&message)
            .map_err(|error| Failure::from(Error::from(error)).about(files::shown(file)))?;
        let name = match &self.name {
            Some(name) => name.clone(),
            None => GroupName::of_file(file)?,
        };
        let mut session = Session::open(global, output)?;
        let progress = Progress::start(output, "joining");
        let report = match parsed {
            MlsMessage::Welcome(_) => self.welcome(&mut session, &name, (&message, tree.as_deref()))?,
            MlsMessage::GroupInfo(_) => {
                return Err(Failure::refused("joining from outside is not there yet"));
            }
            MlsMessage::PublicMessage(_) | MlsMessage::PrivateMessage(_) | MlsMessage::KeyPackage(_) => {
                return Err(Failure::refused(format!(
                    "{} is neither a Welcome nor a group info",
                    files::shown(file)
                ))
                .advise("`hushwood inspect FILE` shows what it is"));
            }
        };
        drop(progress);
        output.finish("join", &report)
    }

    fn welcome(
        &self,
        session: &mut Session,
        name: &GroupName,
        (message, tree): (&[u8], Option<&[u8]>),
    ) -> Result<Report, Failure> {
        let (inviter, first_uses) = session.home.retrying(|home| {
            let mut rows = home.begin()?;
            names::check_free(home, name)?;
            let policy = self.policy.apply(Policy::default());
            let opened = OpenedWelcome::open(message, &home.store, PROVIDER, &policy)?;
            let answers = Answers::from_store(&home.store, opened.psks())?;
            let parent = parent(home, &opened)?;
            let staged = opened.stage(&answers, tree, parent.as_ref(), text::now(), &mut OsRandom)?;
            let judge = Judge::new(home);
            let verdicts = judge.judge(staged.checks())?;
            let first_uses = events::first_uses(&judge.first_uses(&mut rows)?);
            let signer = staged.signer();
            let step = staged.accept(&verdicts, &home.store, &mut OsRandom)?;
            home.commit_named(step, rows, name)?;
            Ok((signer, first_uses))
        })?;
        let room = Room::open(&session.home, name)?;
        let line = format!("joined `{name}`, invited by {}", room.who(inviter)?);
        Ok(joined(first_uses.add_to(Report::new().line(line)), &room)?
            .fact("inviter", room.member_json(inviter)?))
    }
}

/// The group that a Welcome continues, where it is a branch or a reinitialisation.
fn parent(home: &Home, opened: &OpenedWelcome) -> Result<Option<Group>, Failure> {
    let Some(parent) = opened.parent() else { return Ok(None) };
    let Some(instance) = Group::instance_of(&home.store, &parent.group_id)? else {
        return Err(Failure::refused("it continues a group that this home does not have")
            .advise("join with the home that is a member of the old group"));
    };
    Ok(Some(Group::open(&home.store, PROVIDER, instance)?))
}

fn joined(report: Report, room: &Room) -> Result<Report, Failure> {
    let mut names = Vec::new();
    for member in room.group.members() {
        names.push(crate::room::credential_name(&member?.leaf.credential));
    }
    Ok(report
        .line(format!("epoch {}, members: {}", room.group.epoch(), names.join(", ")))
        .fact("group", room.name.as_str())
        .fact("group_id", text::hex(room.group.group_id()))
        .fact("epoch", room.group.epoch())
        .fact("members", names))
}
