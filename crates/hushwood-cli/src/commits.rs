//! Commits of our own: made, written to a file, and applied when the transport has taken them.

use std::path::Path;

use hushwood::commit::Answers;
use hushwood::credential::CredentialCheck;
use hushwood::error::Error;
use hushwood::framing::Sender;
use hushwood::group::{CommitId, CommitPlan, CommitStaged, Cover, EpochChange, NewProposal, Outgoing};
use hushwood::proposal::Proposal;
use hushwood::schedule::Psk;
use serde_json::{Value, json};

use crate::events::{self, Old};
use crate::failure::Failure;
use crate::home::Home;
use crate::names::GroupName;
use crate::output::{Folder, Report};
use crate::pins::Judge;
use crate::room::Room;
use crate::session::Session;
use crate::system::OsRandom;
use crate::text;

/// What a command wants to commit.
#[derive(Default)]
pub(crate) struct Plan {
    pub(crate) commit: CommitPlan<'static>,
    /// The credentials of whoever it adds by its own proposals.
    pub(crate) checks: Vec<CredentialCheck>,
}

/// Makes a commit and writes it. In a group of one nobody else can commit, so it is applied at once and
/// the Welcome written.
pub(crate) fn make(
    session: &mut Session,
    name: &GroupName,
    folder: &Folder,
    plan: impl Fn(&Room) -> Result<Plan, Failure>,
) -> Result<Report, Failure> {
    let staged = session.home.retrying(|home| {
        let mut room = Room::open_active(home, name)?;
        let epoch = room.group.epoch();
        let alone = room.group.member_count() == 1;
        let mut files = vec![name.file(epoch, "commit")];
        if alone {
            files.push(name.file(epoch, "welcome"));
        }
        let place = folder.place(&name.file(epoch, "commit"));
        check_waiting(&room, &place)?;
        folder.check(&files)?;
        let Plan { mut commit, checks } = plan(&room)?;
        commit.leaf = session.identity.leaf_update(&room.group)?;
        let answers = answers_for(home, &room, &commit)?;
        let mut rows = home.begin()?;
        let judge = Judge::new(home);
        judge.judge(&checks)?;
        let first_uses = judge.first_uses(&mut rows)?;
        let signer = session.identity.signer(room.group.suite())?;
        let step = room.group.commit(commit, &answers, signer, text::now(), &mut OsRandom)?;
        let CommitStaged { id, outgoing, .. } = home.commit_with(step, rows)?;
        let others = room.group.staged_commits().count().saturating_sub(1);
        Ok(Staged { id, outgoing, epoch, alone, others, first_uses: events::first_uses(&first_uses) })
    })?;
    let written = folder.write(&name.file(staged.epoch, "commit"), &staged.outgoing.message);
    let place = written.map_err(|failure| failure.kept(name))?;
    acknowledge(session, name, &[staged.outgoing])?;
    let place = place.display().to_string();
    let note = if staged.alone { " (nobody else has to receive it)" } else { "" };
    let mut report =
        staged.first_uses.add_to(Report::new()).line(format!("wrote {place}{note}")).fact("commit", place);
    report = report.fact("group", name.as_str()).fact("commit_id", staged.id.to_string());
    if staged.alone {
        return apply(session, name, folder, staged.id, report);
    }
    if staged.others > 0 {
        report = report.line(format!(
            "{} for this epoch already: only one can be accepted",
            text::count(staged.others, "commit of yours waits", "commits of yours wait")
        ));
    }
    Ok(report
        .fact("applied", false)
        .fact("epoch", staged.epoch)
        .line(format!("when the transport has taken it: hushwood accept {}", name.word()))
        .line(format!("if it took another instead:      hushwood discard {}", name.word())))
}

/// Refuses to overwrite the file of a commit that waits: it may be on its way to the others, and accepting
/// one that they do not get leads this home away from them.
fn check_waiting(room: &Room, place: &Path) -> Result<(), Failure> {
    if !place.is_file() {
        return Ok(());
    }
    let Ok(message) = crate::files::read_object(Some(place)) else { return Ok(()) };
    let id = message_id(room, &message)?;
    match room.group.staged_commits().any(|waiting| *waiting == id) {
        false => Ok(()),
        true => {
            Err(Failure::refused(format!("{} is a commit of yours that waits", place.display())).advise(format!(
                "`hushwood accept {0}` if the transport has taken it, else `hushwood discard {0}`; or choose another \
                 folder with `--out`",
                room.name.word()
            )))
        }
    }
}

/// What was made in one attempt.
struct Staged {
    id: CommitId,
    outgoing: Outgoing,
    epoch: u64,
    alone: bool,
    /// Commits of ours that waited before.
    others: usize,
    first_uses: events::FirstUses,
}

/// Applies a commit and writes its Welcomes.
pub(crate) fn apply(
    session: &mut Session,
    name: &GroupName,
    folder: &Folder,
    id: CommitId,
    report: Report,
) -> Result<Report, Failure> {
    let (ended, change, (event, joiners)) = session.home.retrying(|home| {
        let mut room = Room::open(home, name)?;
        let ended = room.group.epoch();
        folder.check(&[])?;
        let old = Old::of(&room, Some(room.group.own_leaf()))?;
        let step = room.group.apply(&id, text::now())?;
        let change = home.commit(step)?;
        let event = events::epoch_change(&room, &change, &old)?;
        let joiners = events::joiners(&room, &change)?;
        Ok((ended, change, (event, joiners)))
    })?;
    let report = event.add_to(report).fact("applied", true).fact("epoch", change.epoch);
    write_joiners_files(session, (name, ended), folder, (&change, &joiners), report)
}

/// Writes what those who join need: Welcomes, and the tree if it is not in them.
pub(crate) fn write_joiners_files(
    session: &mut Session,
    (name, ended): (&GroupName, u64),
    folder: &Folder,
    (change, joiners): (&EpochChange, &[String]),
    mut report: Report,
) -> Result<Report, Failure> {
    let mut places: Vec<Value> = Vec::new();
    for (number, welcome) in change.welcomes.iter().enumerate() {
        let file = match (number, change.welcomes.len()) {
            (_, 1) => name.file(ended, "welcome"),
            (number, _) => name.file(ended, &format!("{}.welcome", number + 1)),
        };
        let written = folder.write(&file, &welcome.message).map_err(|failure| failure.kept(name))?;
        let place = written.display().to_string();
        // One for each comes in the order of those who are added.
        let whose = match (change.welcomes.len(), joiners.get(number)) {
            (1, _) | (_, None) => text::list(joiners),
            (_, Some(joiner)) => joiner.clone(),
        };
        report = report.line(format!("wrote {place}, for {whose} to join with"));
        places.push(json!(place));
    }
    if !places.is_empty() {
        report = report.fact("welcomes", places);
    }
    let room = Room::open(&session.home, name)?;
    if !change.added.is_empty() && !room.group.policy().ratchet_tree_extension {
        let tree = room.group.ratchet_tree()?;
        let place = folder.write(&name.file(ended, "tree"), &tree)?.display().to_string();
        report = report.line(format!("wrote {place}: those who join need it too")).fact("tree", place);
    }
    acknowledge(session, name, &change.welcomes)?;
    Ok(report)
}

/// The messages are where the transport finds them: the store need not keep them any longer.
pub(crate) fn acknowledge(session: &mut Session, name: &GroupName, sent: &[Outgoing]) -> Result<(), Failure> {
    for outgoing in sent {
        let noted = session.home.retrying(|home| {
            let mut room = Room::open(home, name)?;
            let step = room.group.acknowledge(&outgoing.id)?;
            home.commit(step)
        });
        session.tidied(noted, "`hushwood resend` would write the message again")?;
    }
    Ok(())
}

/// The pre-shared keys that a commit of ours needs.
fn answers_for(home: &Home, room: &Room, plan: &CommitPlan<'_>) -> Result<Answers, Failure> {
    let own = plan.proposals.iter().filter_map(|proposal| match proposal {
        NewProposal::Psk(psk) => Some(psk.clone()),
        _ => None,
    });
    let waiting =
        room.group.pending_proposals().filter_map(|pending| match (&plan.cover, pending.proposal) {
            (Cover::None, _) => None,
            (_, Proposal::Psk(psk)) => Some(psk.psk.psk.clone()),
            (_, _) => None,
        });
    let psks: Vec<Psk> = own.chain(waiting).collect();
    Ok(Answers::from_store(&home.store, &psks)?)
}

/// The staged commit that was meant: the only one, or that of a file, or that of an id.
pub(crate) fn staged(room: &Room, file: Option<&Path>) -> Result<CommitId, Failure> {
    let waiting: Vec<_> = room.group.staged_commits().copied().collect();
    if let Some(path) = file {
        // The file may be gone: `group show` tells the ids.
        let called = |id: &&CommitId| path == Path::new(&id.to_string());
        if let Some(id) = waiting.iter().find(called) {
            return Ok(*id);
        }
        let message = crate::files::read_object(Some(path))?;
        let id = message_id(room, &message)?;
        return match waiting.contains(&id) {
            true => Ok(id),
            false => Err(none(room).about(path.display())),
        };
    }
    match waiting.as_slice() {
        [] => Err(none(room)),
        [id] => Ok(*id),
        _ => Err(Failure::refused(format!("{} commits of yours wait in `{}`", waiting.len(), room.name))
            .advise(format!(
                "name the file of the one that is meant, or its id: {}",
                waiting.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
            ))),
    }
}

/// The id of a message: the first 16 bytes of its hash.
fn message_id(room: &Room, message: &[u8]) -> Result<CommitId, Failure> {
    let hash = room.group.suite().hash().hash(&[message]);
    let id = hash.as_bytes().first_chunk::<16>().ok_or(Error::Bug("a hash is shorter than 16 bytes"))?;
    Ok(CommitId::new(*id))
}

fn none(room: &Room) -> Failure {
    Failure::refused(format!("no such commit of yours waits in `{}`", room.name))
        .advise("another may have ended its epoch; see `hushwood group show`")
}

/// The proposals that wait, as text and JSON.
pub(crate) fn pending(room: &Room) -> Result<Vec<(String, Value)>, Failure> {
    let mut told = Vec::new();
    for pending in room.group.pending_proposals() {
        let (sender, what) = (room.sender(pending.sender)?, events::proposal(room, pending.proposal)?);
        let json = json!({
            "reference": text::hex(&pending.reference.0),
            "sender": sender,
            "own": pending.sender == Sender::Member(room.group.own_leaf()),
            "proposal_type": pending.proposal.proposal_type().to_string(),
            "what": what,
        });
        told.push((format!("{sender} proposes to {what}"), json));
    }
    Ok(told)
}
