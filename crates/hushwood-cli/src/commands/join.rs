//! `hushwood join`: by a Welcome, or from outside by a group info.

use std::path::PathBuf;

use clap::Args;
use hushwood::credential::CredentialValidator;
use hushwood::error::Error;
use hushwood::extension::ExtensionType;
use hushwood::framing::MlsMessage;
use hushwood::group::{ExternalJoin, Group, OpenedWelcome, StagedExternalJoin};
use hushwood::policy::Policy;
use hushwood::tree::{LeafIndex, Node, NodeIndex};
use hushwood::welcome::GroupInfo;
use hushwood_codec::Decode;

use crate::args::Global;
use crate::commits;
use crate::events;
use crate::failure::Failure;
use crate::files;
use crate::home::Home;
use crate::names::{self, GroupName};
use crate::output::{Folder, Output, Report};
use crate::pins::Judge;
use crate::policy_args::PolicyArgs;
use crate::progress::Progress;
use crate::psks;
use crate::room::Room;
use crate::session::{self, Session};
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
            MlsMessage::GroupInfo(info) => {
                self.external(&mut session, &name, (&message, tree.as_deref()), info.inspect())?
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
            let answers = psks::answers(home, opened.psks())?;
            let parent = parent(home, &opened)?;
            let judge = Judge::new(home);
            let users: &dyn CredentialValidator = &judge;
            let parent = parent.as_ref().map(|group| (group, users));
            let staged = opened.stage(&answers, tree, parent, text::now(), &mut OsRandom)?;
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

    fn external(
        &self,
        session: &mut Session,
        name: &GroupName,
        (message, tree): (&[u8], Option<&[u8]>),
        info: &GroupInfo,
    ) -> Result<Report, Failure> {
        let suite = session::suite(info.group_context.cipher_suite)?;
        let ended = info.group_context.epoch;
        self.folder.check(&[name.file(ended, "commit")])?;
        let Session { home, identity } = session;
        let signer = identity.signer(suite)?;
        let psks: Vec<_> = self
            .psk
            .iter()
            .map(|psk| hushwood::schedule::Psk::External { psk_id: psk.as_bytes().to_vec() })
            .collect();
        let resync = match self.resync {
            true => Some(own_leaf(home, info, tree, signer)?),
            false => None,
        };
        let (outgoing, first_uses) = home.retrying(|home| {
            let mut rows = home.begin()?;
            self.check_name(home, name, info)?;
            let content = identity.leaf_content();
            let settings = ExternalJoin {
                policy: self.policy.apply(Policy::default()),
                resync,
                answers: psks::answers(home, &psks)?,
                psks: psks.clone(),
                ..ExternalJoin::new(*PROVIDER, content.credential, content.supported)
            };
            let staged =
                StagedExternalJoin::stage(message, tree, settings, signer, text::now(), &mut OsRandom)?;
            let judge = Judge::new(home);
            let verdicts = judge.judge(staged.checks())?;
            let first_uses = events::first_uses(&judge.first_uses(&mut rows)?);
            let step = staged.accept(&verdicts, &home.store, &mut OsRandom)?;
            let (_, outgoing) = home.commit_named(step, rows, name)?;
            Ok((outgoing, first_uses))
        })?;
        forget_replaced(home)?;
        let written = self.folder.write(&name.file(ended, "commit"), &outgoing.message);
        let place = written.map_err(|failure| failure.kept(name))?.display().to_string();
        commits::acknowledge(session, name, &[outgoing])?;
        let room = Room::open(&session.home, name)?;
        let report = Report::new()
            .line(format!("joined `{name}` from outside; wrote {place}: the members have to receive it"))
            .fact("commit", place);
        joined(first_uses.add_to(report), &room)
    }

    /// A name may be taken again by the group that it already stands for.
    fn check_name(&self, home: &Home, name: &GroupName, info: &GroupInfo) -> Result<(), Failure> {
        let current = Group::instance_of(&home.store, &info.group_context.group_id)?;
        match (self.resync, current, names::find(home, name)) {
            (true, Some(current), Ok(named)) if current == named => Ok(()),
            _ => names::check_free(home, name),
        }
    }
}

/// Erases the state that this one has replaced, now that no name leads to it: its keys would still open what was sent
/// before.
fn forget_replaced(home: &mut Home) -> Result<(), Failure> {
    home.retrying(|home| {
        for (_, instance) in Group::superseded(&home.store)? {
            if names::of(home, instance)?.is_none() {
                let step = Group::open(&home.store, PROVIDER, instance)?.forget(&home.store)?;
                home.commit(step)?;
            }
        }
        Ok(())
    })
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

/// The leaf at which this home stands in the group, by its key.
fn own_leaf(
    home: &Home,
    info: &GroupInfo,
    tree: Option<&[u8]>,
    signer: &dyn hushwood_crypto::Signer,
) -> Result<LeafIndex, Failure> {
    let missing =
        || Failure::refused("you are no member of this group any more").advise("join without `--resync`");
    if let Some(instance) = Group::instance_of(&home.store, &info.group_context.group_id)? {
        // The state may be old, the leaf is the same; but whoever was removed has none.
        let group = Group::open(&home.store, PROVIDER, instance)?;
        if group.member(group.own_leaf())?.is_none() {
            return Err(missing());
        }
    }
    let inside =
        info.extensions.get(ExtensionType::RATCHET_TREE).map(|extension| extension.extension_data.as_slice());
    let tree = tree.or(inside).ok_or(Error::from(hushwood::error::NotNow::TreeMissing))?;
    let nodes = Vec::<Option<Node>>::from_bytes(tree).map_err(Error::from)?;
    let own = nodes.iter().zip(0_u32..).find_map(|(node, number)| match node {
        Some(Node::Leaf(leaf)) if leaf.signature_key == *signer.public_key() => {
            NodeIndex::new(number)?.leaf()
        }
        _ => None,
    });
    own.ok_or_else(missing)
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
