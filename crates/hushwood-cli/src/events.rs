//! What happened, in words and as JSON.

use std::collections::BTreeSet;

use hushwood::extension::{Extension, Extensions};
use hushwood::group::{ApplicationMessage, EpochChange, Status};
use hushwood::proposal::{Proposal, ProposalType};
use hushwood::schedule::Psk;
use hushwood::tree::LeafIndex;
use hushwood_crypto::HpkePublicKey;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::output::Report;
use crate::room::{self, Room, credential_name};
use crate::text;
use crate::words::Number;

/// One thing that happened.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) lines: Vec<String>,
    pub(crate) json: Value,
}

impl Event {
    pub(crate) fn add_to(&self, report: Report) -> Report {
        let report = self.lines.iter().fold(report, |report, line| report.line(line));
        report.fact("change", self.json.clone())
    }
}

/// Names that were seen for the first time.
#[derive(Clone, Debug, Default)]
pub(crate) struct FirstUses(Vec<(String, Number)>);

pub(crate) fn first_uses(seen: &[(String, Number)]) -> FirstUses {
    FirstUses(seen.to_vec())
}

impl FirstUses {
    pub(crate) fn lines(&self) -> Vec<String> {
        let line = |(name, number): &(String, Number)| {
            format!(
                "first seen: {name}, safety number {} (compare it: hushwood verify --help)",
                number.digits()
            )
        };
        self.0.iter().map(line).collect()
    }

    pub(crate) fn json(&self) -> Value {
        let one = |(name, number): &(String, Number)| json!({ "name": name, "safety_number": { "digits": number.digits(), "words": number.words() } });
        self.0.iter().map(one).collect()
    }

    pub(crate) fn add_to(&self, report: Report) -> Report {
        let report = self.lines().iter().fold(report, |report, line| report.line(line));
        report.fact("first_seen", self.json())
    }
}

/// An application message: who said what. What is no text is only described.
pub(crate) fn application(room: &Room, message: &ApplicationMessage) -> Event {
    let sender = credential_name(&message.credential);
    let plaintext = message.plaintext.expose();
    let shown = readable(plaintext);
    let late = match message.epoch < room.group.epoch() {
        true => format!(" (late, of epoch {})", message.epoch),
        false => String::new(),
    };
    let lines = match &shown {
        // Lines after the first are indented: nobody can write a line that looks like another sender's.
        Some(shown) => shown
            .lines()
            .enumerate()
            .map(|(number, line)| match number {
                0 => format!("{sender}{late}: {}", text::printable(line)),
                _ => format!("  {}", text::printable(line)),
            })
            .collect(),
        None => vec![format!("{sender}{late}: ({} that are no text)", text::size(plaintext.len()))],
    };
    let mut lines = if lines.is_empty() { vec![format!("{sender}{late}:")] } else { lines };
    if let Some(aad) = readable(&message.authenticated_data).filter(|aad| !aad.is_empty()) {
        lines.push(format!("  (beside it, for all to read: {})", text::printable(aad)));
    }
    let json = json!({
        "type": "application",
        "group": room.name.as_str(),
        "epoch": message.epoch,
        "generation": message.generation,
        "sender": { "leaf": message.sender.number(), "name": sender },
        "text": shown,
        "data": text::base64(plaintext),
        "authenticated_data": text::base64(&message.authenticated_data),
    });
    Event { lines, json }
}

/// The text of a message, if it is one.
pub(crate) fn readable(plaintext: &[u8]) -> Option<&str> {
    std::str::from_utf8(plaintext).ok().filter(|text| !text.contains('\0'))
}

/// Whoever commits, before that: to see whether their keys have changed by it.
#[derive(Debug)]
pub(crate) struct Old(Option<(LeafIndex, HpkePublicKey)>);

impl Old {
    pub(crate) fn of(room: &Room, committer: Option<LeafIndex>) -> Result<Self, Failure> {
        let Some(leaf) = committer else { return Ok(Self(None)) };
        Ok(Self(room.group.member(leaf)?.map(|member| (leaf, member.leaf.encryption_key.clone()))))
    }

    /// The committer, if it has other keys now.
    fn renewed(&self, room: &Room) -> Result<Option<LeafIndex>, Failure> {
        let Some((leaf, key)) = &self.0 else { return Ok(None) };
        let now = room.group.member(*leaf)?;
        Ok(now.filter(|now| now.leaf.encryption_key != *key).map(|_| *leaf))
    }
}

/// The names of those who were added, in their order.
pub(crate) fn joiners(room: &Room, change: &EpochChange) -> Result<Vec<String>, Failure> {
    change.added.iter().map(|leaf| room.who(*leaf)).collect()
}

/// What an epoch began with.
pub(crate) fn epoch_change(room: &Room, change: &EpochChange, old: &Old) -> Result<Event, Failure> {
    let name = &room.name;
    let committer = match change.own {
        true => "you".to_owned(),
        false => room.who(change.committer)?,
    };
    let mut lines = vec![format!("{name}: epoch {} begun by {committer}", change.epoch)];
    let (mut added, mut removed, mut updated) = (Vec::new(), Vec::new(), Vec::new());
    // RFC 9420 §12.4.3.2: who comes from outside may remove an older self, and nobody else.
    let external = change.proposals.contains(&ProposalType::EXTERNAL_INIT);
    if external {
        let again = if change.removed.is_empty() { "" } else { " again, in place of an older self" };
        lines.push(format!("  {committer} has joined from outside{again}"));
    }
    for leaf in &change.added {
        lines.push(format!("  added {}", room.who(*leaf)?));
        added.push(room.member_json(*leaf)?);
    }
    for (leaf, credential) in &change.removed {
        let who = credential_name(credential);
        if !external {
            lines.push(format!("  removed {who}"));
        }
        removed.push(json!({ "leaf": leaf.number(), "name": who }));
    }
    for leaf in change.updated.iter().chain(&old.renewed(room)?) {
        lines.push(format!("  new keys of {}", room.who(*leaf)?));
        updated.push(room.member_json(*leaf)?);
    }
    if change.extensions_changed {
        lines.push("  other group extensions".to_owned());
    }
    match &change.status {
        Status::Active => {}
        Status::Reinitialised(reinit) => {
            lines.push(format!("  the group has ended; a new one with {} follows:", reinit.cipher_suite));
            lines.push(format!("  {}", room::successor_advice(&name.word(), reinit.cipher_suite)));
        }
        Status::Removed => lines.push("  you have been removed".to_owned()),
    }
    let json = json!({
        "type": "commit",
        "group": name.as_str(),
        "epoch": change.epoch,
        "committer": { "leaf": change.committer.number(), "name": committer },
        "own": change.own,
        "external": external,
        "added": added,
        "removed": removed,
        "updated": updated,
        "extensions_changed": change.extensions_changed,
        "status": room.status(),
    });
    Ok(Event { lines, json })
}

/// What a proposal asks for: the end of "… proposes to".
pub(crate) fn proposal(room: &Room, proposal: &Proposal) -> Result<String, Failure> {
    Ok(match proposal {
        Proposal::Add(add) => format!("add {}", credential_name(&add.key_package.leaf_node.credential)),
        Proposal::Update(_) => "replace their own keys".to_owned(),
        Proposal::Remove(remove) => format!("remove {}", room.who(remove.removed)?),
        Proposal::Psk(psk) => format!("mix in {}", psk_name(&psk.psk.psk)),
        Proposal::ReInit(reinit) => format!("replace the group by a new one with {}", reinit.cipher_suite),
        Proposal::ExternalInit(_) => "join from outside".to_owned(),
        Proposal::GroupContextExtensions(new) => {
            extension_changes(&room.group.context().extensions, &new.extensions)
        }
        Proposal::Custom { proposal_type, .. } => format!("do something of type {proposal_type}"),
    })
}

/// What changes from one list of extensions to another.
fn extension_changes(old: &Extensions, new: &Extensions) -> String {
    let changed = |(one, other): (&Extensions, &Extensions)| {
        let differs = |extension: &&Extension| other.get(extension.extension_type) != Some(*extension);
        let types = one.iter().filter(differs).map(|extension| extension.extension_type);
        types.collect::<BTreeSet<_>>()
    };
    let set = changed((new, old));
    let gone = changed((old, new)).into_iter().filter(|old| !set.contains(old));
    let set = set.iter().map(|set| format!("set {set}"));
    let words: Vec<_> = set.chain(gone.map(|gone| format!("remove {gone}"))).collect();
    match words.is_empty() {
        true => "leave the group's extensions as they are".to_owned(),
        false => format!("change the group's extensions ({})", words.join(", ")),
    }
}

/// A pre-shared key's name, safe to show.
pub(crate) fn psk_name(psk: &Psk) -> String {
    match psk {
        Psk::External { psk_id } => format!("the pre-shared key `{}`", text::name(psk_id)),
        Psk::Resumption { psk_epoch, .. } => format!("a key of epoch {psk_epoch}"),
    }
}
