//! `hushwood group`: the groups of this home.

use clap::{Args, Subcommand};
use hushwood::credential::CredentialType;
use hushwood::group::{Group, NewGroup, Status};
use hushwood::policy::Policy;
use serde_json::{Value, json};

use crate::args::Global;
use crate::commits;
use crate::failure::Failure;
use crate::names::{self, GroupName, Place};
use crate::output::{Output, Report};
use crate::pins;
use crate::policy_args::{self, PolicyArgs};
use crate::room::{self, Room};
use crate::session::{self, Session};
use crate::suite_arg::{self, SuiteArg};
use crate::system::OsRandom;
use crate::text;

/// Create, list, show and change groups
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  hushwood group create tea\n  hushwood group list\n  hushwood group members tea"
)]
pub(crate) struct GroupCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Create(Create),
    List(List),
    Show(Show),
    Members(Members),
    Set(Set),
    Rename(Rename),
    Forget(Forget),
}

/// Create a group with yourself as its only member
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  hushwood group create tea\n  hushwood group create board --suite 7 --handshakes public"
)]
struct Create {
    /// Its name in this home
    name: GroupName,
    /// The cipher suite, for good: a number or a name
    #[arg(long, default_value = suite_arg::DEFAULT)]
    suite: SuiteArg,
    #[command(flatten)]
    policy: PolicyArgs,
}

/// List the groups of this home
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  hushwood group list")]
struct List {}

/// Show the state of a group: epoch, members, what waits
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  hushwood group show tea")]
struct Show {
    /// The group
    name: GroupName,
}

/// List the members of a group
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  hushwood group members tea")]
struct Members {
    /// The group
    name: GroupName,
}

/// Change this home's settings for a group
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  hushwood group set tea --padding 1024")]
struct Set {
    /// The group
    name: GroupName,
    #[command(flatten)]
    policy: PolicyArgs,
}

/// Give a group another name in this home
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  hushwood group rename tea green-tea")]
struct Rename {
    /// The group
    name: GroupName,
    /// Its new name
    new: GroupName,
}

/// Erase everything this home knows of a group; the others are not told
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  hushwood group forget tea --yes")]
struct Forget {
    /// The group
    name: GroupName,
    /// Yes, for good: its messages can never be read again here
    #[arg(long)]
    yes: bool,
}

impl GroupCommand {
    pub(crate) fn run(self, global: &Global, output: Output) -> Result<u8, Failure> {
        let mut session = Session::open(global, output)?;
        let (command, report) = match self.action {
            Action::Create(command) => ("group create", command.run(&mut session)?),
            Action::List(List {}) => ("group list", list(&session)?),
            Action::Show(command) => {
                ("group show", show(&Room::open(&session.home, &command.name)?, &session)?)
            }
            Action::Members(command) => {
                ("group members", members(&Room::open(&session.home, &command.name)?, &session)?)
            }
            Action::Set(command) => ("group set", command.run(&mut session)?),
            Action::Rename(command) => ("group rename", command.run(&mut session)?),
            Action::Forget(command) => ("group forget", command.run(&mut session)?),
        };
        output.finish(command, &report)
    }
}

impl Create {
    fn run(self, session: &mut Session) -> Result<Report, Failure> {
        let suite = session::suite(self.suite.0)?;
        let Session { home, identity, .. } = session;
        let name = &self.name;
        let group = home.retrying(|home| {
            let rows = home.begin()?;
            names::check_free(home, name)?;
            let content = identity.leaf_content();
            let mut new = NewGroup::new(suite, content.credential, content.supported.preferring(suite.id()));
            new.policy = self.policy.apply(Policy::default());
            let step = Group::create(new, identity.signer(suite)?, text::now(), &mut OsRandom)?;
            home.commit_named(step, rows, &Place::new(name.clone()))
        })?;
        Ok(Report::new()
            .line(format!("created `{name}`: epoch 0, you are its only member"))
            .line(format!("invite others with: hushwood invite {} KEYPACKAGE...", name.word()))
            .fact("group", name.as_str())
            .fact("group_id", text::hex(group.group_id()))
            .fact("cipher_suite", suite.id().to_string())
            .fact("epoch", 0))
    }
}

fn list(session: &Session) -> Result<Report, Failure> {
    let (mut report, mut groups) = (Report::new(), Vec::new());
    for (name, instance) in names::all(&session.home)? {
        let room = Room::of_instance(&session.home, name, instance)?;
        let members = text::count(member_count(&room), "member", "members");
        report =
            report.line(format!("{}: epoch {}, {members}, {}", room.name, room.group.epoch(), room.status()));
        groups.push(summary(&room));
    }
    if groups.is_empty() {
        report = report.line("no groups; create one with `hushwood group create NAME`, or join one");
    }
    Ok(report.fact("groups", groups))
}

fn summary(room: &Room) -> Value {
    json!({
        "group": room.name.as_str(),
        "group_id": text::hex(room.group.group_id()),
        "cipher_suite": room.group.suite().id().to_string(),
        "epoch": room.group.epoch(),
        "members": room.group.member_count(),
        "own_leaf": room.group.own_leaf().number(),
        "status": room.status(),
    })
}

fn show(room: &Room, session: &Session) -> Result<Report, Failure> {
    let group = &room.group;
    let settings = policy_args::settings(group.policy());
    let mut report = Report::new()
        .line(format!("{}: epoch {}, {}", room.name, group.epoch(), room.status()))
        .line(format!("  group id {}", text::hex(group.group_id())))
        .line(format!("  cipher suite {}", group.suite().id()))
        .line(format!(
            "  {}, you at leaf:{}",
            text::count(member_count(room), "member", "members"),
            group.own_leaf()
        ))
        .line(format!("  {}", settings.each_ref().map(|(name, value)| format!("{name} {value}")).join(", ")));
    if let Some(ended) = room.ended() {
        report = ended.to_string().lines().fold(report, |report, line| report.line(format!("  {line}")));
    }
    let pending = commits::pending(room)?;
    for (line, _) in &pending {
        report = report.line(format!("  waits for a commit: {line}"));
    }
    let staged: Vec<_> = group.staged_commits().map(ToString::to_string).collect();
    for id in &staged {
        report = report.line(format!(
            "  your commit {id} waits: `hushwood accept {0}` or `hushwood discard {0}`",
            room.name.word()
        ));
    }
    let unacknowledged = group.unacknowledged(&session.home.store)?.len();
    if unacknowledged > 0 {
        report = report.line(format!(
            "  {} not delivered: `hushwood receive --pending`, `hushwood resend {}`",
            text::count(unacknowledged, "message", "messages"),
            room.name.word()
        ));
    }
    let pending: Vec<_> = pending.into_iter().map(|(_, json)| json).collect();
    let successor = match group.status() {
        Status::Reinitialised(reinit) => json!({ "cipher_suite": reinit.cipher_suite.to_string() }),
        Status::Active | Status::Removed => Value::Null,
    };
    Ok(report
        .fact("summary", summary(room))
        .fact("successor", successor)
        .fact(
            "settings",
            settings.into_iter().map(|(name, value)| (name, Value::from(value))).collect::<Value>(),
        )
        .fact("pending_proposals", pending)
        .fact("staged_commits", staged)
        .fact("unacknowledged", unacknowledged))
}

fn member_count(room: &Room) -> usize {
    usize::try_from(room.group.member_count()).unwrap_or(usize::MAX)
}

fn members(room: &Room, session: &Session) -> Result<Report, Failure> {
    let (mut report, mut members) = (Report::new(), Vec::new());
    for member in room.group.members() {
        let member = member?;
        let name = room::credential_name(&member.leaf.credential);
        let own = member.index == room.group.own_leaf();
        let trust = pins::trust(&session.home, &room::claim(&member.leaf))?.name();
        let note = if own { "you" } else { trust };
        report = report.line(format!("leaf:{:<5} {name} ({note})", member.index));
        members.push(json!({
            "leaf": member.index.number(),
            "name": name,
            "basic": member.leaf.credential.credential_type() == CredentialType::BASIC,
            "own": own,
            "trust": trust,
        }));
    }
    Ok(report.fact("group", room.name.as_str()).fact("epoch", room.group.epoch()).fact("members", members))
}

impl Set {
    fn run(self, session: &mut Session) -> Result<Report, Failure> {
        if self.policy.is_empty() {
            return Err(Failure::usage("nothing to set").advise("see `hushwood group set --help`"));
        }
        session.home.retrying(|home| {
            let mut room = Room::open(home, &self.name)?;
            let policy = self.policy.apply(room.group.policy().clone());
            let step = room.group.set_policy(policy)?;
            home.commit(step)
        })?;
        Ok(Report::new().line(format!("set for `{}`", self.name)).fact("group", self.name.as_str()))
    }
}

impl Rename {
    fn run(self, session: &mut Session) -> Result<Report, Failure> {
        session.home.retrying(|home| {
            let mut rows = home.begin()?;
            let instance = names::find(home, &self.name)?;
            names::check_free(home, &self.new)?;
            names::erase(&mut rows, &self.name);
            names::put(&mut rows, &self.new, instance)?;
            home.write(rows)
        })?;
        let line = format!("`{}` is now called `{}`", self.name, self.new);
        Ok(Report::new().line(line).fact("group", self.new.as_str()))
    }
}

impl Forget {
    fn run(self, session: &mut Session) -> Result<Report, Failure> {
        let name = &self.name;
        if !self.yes {
            return Err(Failure::refused(format!("forgetting `{name}` can't be undone")).advise(format!(
                "if you are still a member, `hushwood leave {}` first; then add `--yes`",
                name.word()
            )));
        }
        session.home.retrying(|home| {
            let mut rows = home.begin()?;
            let room = Room::open(home, name)?;
            names::erase(&mut rows, name);
            let step = room.group.forget(&home.store)?;
            home.commit_with(step, rows)
        })?;
        Ok(Report::new().line(format!("forgot `{name}`")).fact("group", name.as_str()))
    }
}
