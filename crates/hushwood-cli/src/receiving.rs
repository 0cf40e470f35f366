//! From bytes off the transport to what happened: found, judged, accepted, written.

use hushwood::error::{Error, NotNow, Violation};
use hushwood::framing::{ContentType, MlsMessage, Sender};
use hushwood::group::{
    ApplicationMessage, Group, Received, ReceivedCommit, ReceivedProposal, Unacknowledged,
};
use hushwood_codec::Decode;
use serde_json::json;

use crate::events::{self, Event, Old};
use crate::failure::Failure;
use crate::home::Home;
use crate::names;
use crate::pins::Judge;
use crate::psks;
use crate::room::Room;
use crate::session::Session;
use crate::system::OsRandom;
use crate::text;

/// What a message turned out to be, once it is in the store.
pub(crate) enum Arrival {
    /// Somebody said something.
    Message {
        room: Box<Room>,
        message: ApplicationMessage,
        /// Messages of the group that were received before and not surely shown.
        others: usize,
    },
    /// Something happened.
    Event(Event),
}

/// Receives one message. Where another process was faster it is looked at again.
pub(crate) fn receive(session: &mut Session, message: &[u8]) -> Result<Arrival, Failure> {
    let (group_id, content_type) = address(message)?;
    session.home.retrying(|home| {
        let mut room = find(home, &group_id)?;
        let received = room.group.receive(message, text::now());
        let received = received.map_err(|error| refusal(&room, content_type, error));
        match received? {
            Received::Message(received) => {
                let step = room.group.accept_message(received)?;
                let message = home.commit(step)?;
                let kept = room.group.unacknowledged(&home.store)?;
                let incoming = |kept: &&Unacknowledged| matches!(kept, Unacknowledged::Incoming(_));
                let others = kept.iter().filter(incoming).count().saturating_sub(1);
                Ok(Arrival::Message { room: Box::new(room), message, others })
            }
            Received::Proposal(proposal) => accept_proposal(home, &mut room, proposal).map(Arrival::Event),
            Received::Commit(commit) => accept_commit(home, &mut room, &commit).map(Arrival::Event),
            Received::OwnCommit(_) => Err(Failure::from(Error::from(NotNow::OwnMessage)).advise(format!(
                "it is your own commit; if the transport has taken it: hushwood accept {}",
                room.name.word()
            ))),
            Received::OwnProposal(_) => Err(Error::from(NotNow::OwnMessage).into()),
        }
    })
}

/// Why something was not taken.
fn refusal(room: &Room, content_type: ContentType, error: Error) -> Failure {
    match (&error, content_type) {
        (Error::NotNow(NotNow::GroupEnded), _) => room.ended().unwrap_or_else(|| error.into()),
        // Nobody has to mean harm: two commits may have been accepted for one epoch.
        (
            Error::Violation(
                Violation::SenderDoesNotOpen
                | Violation::ContentDoesNotOpen
                | Violation::MembershipTag
                | Violation::ConfirmationTag,
            ),
            _,
        ) => Failure::from(error).advise(format!(
            "nothing of yours has changed; see that the file is whole, and compare `hushwood verify {}` with the \
             sender: if the numbers differ, one of you joins again with the other's group info \
             (`hushwood join GROUPINFO --resync`); if not, somebody sent what is not theirs",
            room.name.word()
        )),
        (_, ContentType::Commit) => commit_failure(room, error),
        (_, ContentType::Application | ContentType::Proposal) => error.into(),
    }
}

/// Why a commit was not taken. A group has one for each epoch, so more depends on it than on a message.
fn commit_failure(room: &Room, error: Error) -> Failure {
    let name = room.name.word();
    let advice = match &error {
        Error::NotNow(NotNow::EpochPast) => format!(
            "nothing, if you have received it before or joined after it; else compare `hushwood verify {name}` with the others, and if \
             the numbers differ, join again with a fresh group info: `hushwood join GROUPINFO --resync`"
        ),
        _ => return error.into(),
    };
    Failure::from(error).advise(advice)
}

/// The group that a message is for, and what kind of message it is.
fn address(message: &[u8]) -> Result<(Vec<u8>, ContentType), Failure> {
    match MlsMessage::from_bytes(message).map_err(Error::from)? {
        MlsMessage::PublicMessage(message) => {
            let content_type = message.content.content.content_type();
            Ok((message.content.group_id, content_type))
        }
        MlsMessage::PrivateMessage(message) => Ok((message.group_id, message.content_type)),
        MlsMessage::Welcome(_) => {
            Err(Failure::refused("this is a Welcome").advise("join the group with `hushwood join FILE`"))
        }
        MlsMessage::GroupInfo(_) => {
            Err(Failure::refused("this is a group info").advise("join the group with `hushwood join FILE`"))
        }
        MlsMessage::KeyPackage(_) => Err(Failure::refused("this is a key package")
            .advise("invite whoever made it with `hushwood invite GROUP FILE`")),
    }
}

fn find(home: &Home, group_id: &[u8]) -> Result<Room, Failure> {
    let unknown = || {
        Failure::refused("it is for a group that this home does not have")
            .advise("see `hushwood group list`; if you are invited, join first, with `hushwood join`")
    };
    let instance = Group::instance_of(&home.store, group_id)?.ok_or_else(unknown)?;
    let name = names::of(home, instance)?.ok_or_else(unknown)?;
    Room::of_instance(home, name, instance)
}

fn accept_proposal(home: &mut Home, room: &mut Room, received: ReceivedProposal) -> Result<Event, Failure> {
    let mut rows = home.begin()?;
    let judge = Judge::new(home);
    let verdicts = judge.judge(received.checks())?;
    let first_uses = events::first_uses(&judge.first_uses(&mut rows)?);
    let sender = room.sender(received.sender())?;
    let what = events::proposal(room, received.proposal())?;
    let kind = received.proposal().proposal_type().to_string();
    let step = room.group.accept_proposal(received, &verdicts)?;
    let reference = home.commit_with(step, rows)?;
    let name = &room.name;
    let mut lines =
        vec![format!("{name}: {sender} proposes to {what}; commit it with: hushwood commit {}", name.word())];
    lines.extend(first_uses.lines().into_iter().map(|line| format!("  {line}")));
    let json = json!({
        "type": "proposal",
        "group": name.as_str(),
        "epoch": room.group.epoch(),
        "sender": sender,
        "proposal_type": kind,
        "what": what,
        "reference": text::hex(&reference.0),
        "first_seen": first_uses.json(),
    });
    Ok(Event { lines, json })
}

fn accept_commit(home: &mut Home, room: &mut Room, received: &ReceivedCommit) -> Result<Event, Failure> {
    let now = text::now();
    let answers = psks::answers(home, received.psks())?;
    let old = match received.sender() {
        Sender::Member(leaf) => Old::of(room, Some(leaf))?,
        Sender::External(_) | Sender::NewMemberProposal | Sender::NewMemberCommit => Old::of(room, None)?,
    };
    let own_waiting = room.group.staged_commits().count();
    let staged = room.group.stage_commit(received, &answers, now, &mut OsRandom);
    let staged = staged.map_err(|error| refusal(room, ContentType::Commit, error))?;
    let mut rows = home.begin()?;
    let judge = Judge::new(home);
    let verdicts = judge.judge(staged.checks())?;
    let first_uses = events::first_uses(&judge.first_uses(&mut rows)?);
    let step = room.group.accept_commit(staged, &verdicts, now)?;
    let change = home.commit_with(step, rows)?;
    let mut event = events::epoch_change(room, &change, &old)?;
    event.lines.extend(first_uses.lines().into_iter().map(|line| format!("  {line}")));
    if own_waiting > 0 {
        event.lines.push("  your own commit of the epoch before is void; make it anew".to_owned());
    }
    if let Some(fields) = event.json.as_object_mut() {
        fields.insert("first_seen".to_owned(), first_uses.json());
        fields.insert("own_commits_void".to_owned(), json!(own_waiting));
    }
    Ok(event)
}
