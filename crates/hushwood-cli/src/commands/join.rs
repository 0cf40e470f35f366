//! `hushwood join`: by a Welcome, or from outside by a group info.

use std::path::PathBuf;

use clap::Args;
use hushwood::credential::CredentialValidator;
use hushwood::error::{Error, NotNow};
use hushwood::extension::ExtensionType;
use hushwood::framing::MlsMessage;
use hushwood::group::{ExternalJoin, Group, OpenedWelcome, StagedExternalJoin, Status, Unacknowledged};
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
use crate::names::{self, GroupName, Place, Replaced};
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
/// members have to receive; if the transport does not take it, join again with a fresh group info and
/// --resync if it lists you, else `group forget` the group first.
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
        let mut session = Session::open(global, output)?;
        let progress = Progress::start(output, "joining");
        let report = match parsed {
            MlsMessage::Welcome(_) => self.welcome(&mut session, (&message, tree.as_deref()))?,
            MlsMessage::GroupInfo(info) => {
                self.external(&mut session, (&message, tree.as_deref()), info.inspect())?
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
        (message, tree): (&[u8], Option<&[u8]>),
    ) -> Result<Report, Failure> {
        let (name, inviter, first_uses) = session.home.retrying(|home| {
            let mut rows = home.begin()?;
            let policy = self.policy.apply(Policy::default());
            let opened = OpenedWelcome::open(message, &home.store, PROVIDER, &policy)?;
            let answers = psks::answers(home, opened.psks())?;
            let parent = parent(home, &opened)?;
            let judge = Judge::new(home);
            let users: &dyn CredentialValidator = &judge;
            let parent = parent.as_ref().map(|group| (group, users));
            let staged = opened.stage(&answers, tree, parent, text::now(), &mut OsRandom)?;
            let place = self.place(home, &staged.context().group_id)?;
            let verdicts = judge.judge(staged.checks())?;
            let first_uses = events::first_uses(&judge.first_uses(&mut rows)?);
            let signer = staged.signer();
            let step = staged.accept(&verdicts, &home.store, &mut OsRandom)?;
            home.commit_named(step, rows, &place)?;
            Ok((place.name, signer, first_uses))
        })?;
        let room = Room::open(&session.home, &name)?;
        let line = format!("joined `{name}`, invited by {}", room.who(inviter)?);
        Ok(joined(first_uses.add_to(Report::new().line(line)), &room)?
            .fact("inviter", room.member_json(inviter)?))
    }

    fn external(
        &self,
        session: &mut Session,
        (message, tree): (&[u8], Option<&[u8]>),
        info: &GroupInfo,
    ) -> Result<Report, Failure> {
        let suite = session::suite(info.group_context.cipher_suite)?;
        let ended = info.group_context.epoch;
        let Session { home, identity, .. } = session;
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
        let (name, outgoing, first_uses) = home.retrying(|home| {
            let mut rows = home.begin()?;
            let place = self.place(home, &info.group_context.group_id)?;
            self.folder.check(&[place.name.file(ended, "commit")])?;
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
            let (_, outgoing) = home.commit_named(step, rows, &place)?;
            Ok((place.name, outgoing, first_uses))
        })?;
        let name = &name;
        let written = self.folder.write(&name.file(ended, "commit"), &outgoing.message);
        let place = written.map_err(|failure| failure.kept(name))?.display().to_string();
        commits::acknowledge(session, name, &[outgoing])?;
        let room = Room::open(&session.home, name)?;
        let report = Report::new()
            .line(format!("joined `{name}` from outside; wrote {place}: the members have to receive it"))
            .fact("commit", place);
        joined(first_uses.add_to(report), &room)
    }

    /// What the group will be called here. Where this home has a state of it, that has to be over, or given up
    /// with `--resync`: it goes, and its name stays.
    fn place(&self, home: &Home, group_id: &[u8]) -> Result<Place, Failure> {
        let replaced = match Group::instance_of(&home.store, group_id)? {
            Some(instance) => Some(Replaced { name: names::of(home, instance)?, instance }),
            None => None,
        };
        if let Some(old) = &replaced {
            match Group::open(&home.store, PROVIDER, old.instance) {
                Ok(group) => self.check_over(home, &group, old)?,
                // What can't be read is what is to be replaced.
                Err(_) if self.resync => {}
                Err(error) => return Err(error.into()),
            }
        }
        let own = replaced.as_ref().and_then(|old| old.name.clone());
        let name = match (&self.name, &own) {
            (Some(name), _) | (None, Some(name)) => name.clone(),
            (None, None) => GroupName::of_file(self.file.as_deref())?,
        };
        if own.as_ref() != Some(&name) {
            names::check_free(home, &name)?;
        }
        Ok(Place { name, replaced })
    }

    /// Refuses to give up a state that is still good, or messages that nobody has seen.
    fn check_over(&self, home: &Home, group: &Group, old: &Replaced) -> Result<(), Failure> {
        let name = old.name.as_ref().map_or_else(|| "another name".to_owned(), |name| format!("`{name}`"));
        if *group.status() == Status::Active && !self.resync {
            let failure = Failure::from(Error::from(NotNow::GroupExists)).about(name);
            return Err(failure.advise(
                "nothing, if it works; if you were removed, receive the commit that says so; if its state is lost or \
                 left behind, join with a fresh group info and `--resync`",
            ));
        }
        let unseen = group.unacknowledged(&home.store)?;
        if unseen.iter().any(|kept| matches!(kept, Unacknowledged::Incoming(_))) {
            return Err(Failure::refused(format!("{name} has messages that were received and not shown"))
                .advise("they would be lost: see them first with `hushwood receive --pending`"));
        }
        Ok(())
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

/// The leaf at which this home stands in the group, by its key.
fn own_leaf(
    home: &Home,
    info: &GroupInfo,
    tree: Option<&[u8]>,
    signer: &dyn hushwood_crypto::Signer,
) -> Result<LeafIndex, Failure> {
    let mut way = "join without `--resync`".to_owned();
    let instance = Group::instance_of(&home.store, &info.group_context.group_id)?;
    if let Some(name) = instance.map(|instance| names::of(home, instance)).transpose()?.flatten() {
        way = format!(
            "if you have been removed, or your commit was not taken, `hushwood group forget {} --yes` and join \
             without `--resync`",
            name.word()
        );
    }
    let missing = || Failure::refused("you are no member of this group").advise(way.clone());
    if let Some(instance) = instance {
        // The state may be old, the leaf is the same; but whoever was removed has none.
        match Group::open(&home.store, PROVIDER, instance) {
            Ok(group) if group.member(group.own_leaf())?.is_none() => return Err(missing()),
            // What can't be read any more is no reason not to come back.
            Ok(_) | Err(_) => {}
        }
    }
    let inside =
        info.extensions.get(ExtensionType::RATCHET_TREE).map(|extension| extension.extension_data.as_slice());
    let tree = tree.or(inside).ok_or(Error::from(NotNow::TreeMissing))?;
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
