//! What goes over the wire, written down: both the requests that arrived and the answers that the service gave, whether or not
//! they came through.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use hushwood::extension::ExtensionType;
use hushwood::framing::MlsMessage;
use hushwood_codec::Decode;
use hushwood_delivery::wire::{Answer, Call, CallKind, CommitAnswer, EntryKind, ReadAnswer, SendAnswer};
use sha2::{Digest as _, Sha256};

use crate::history::{Accepted, Claim, Digest, Kind, Offered, Page, Room, Welcomed};

/// What was seen.
#[derive(Default)]
pub struct Tap(Mutex<Seen>);

/// What was seen, for the history and for those who follow the logs.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Of each room, the GroupInfo and the tree that it came with.
    pub founded: BTreeMap<Room, (Vec<u8>, Vec<u8>)>,
    /// Handshakes, by their hashes.
    pub handshakes: BTreeMap<Digest, Vec<u8>>,
    /// What was answered to be in a log.
    pub accepted: Vec<Accepted>,
    /// What was read.
    pub pages: Vec<Page>,
    /// KeyPackages that were given out.
    pub claims: Vec<Claim>,
    /// Commits that arrived.
    pub offered: Vec<Offered>,
    /// Welcomes in inboxes.
    pub welcomes: Vec<Welcomed>,
    /// What can't be read.
    pub garbage: Vec<String>,
    /// Requests by kind, and how many of them were answered with what was asked for.
    pub requests: BTreeMap<&'static str, (u64, u64)>,
    /// How often a commit came too late.
    pub stale: u64,
}

impl Tap {
    /// A request of a bot and its answer, if there is one.
    pub fn observe(&self, bot: &str, path: &str, request: &[u8], answer: Option<(u16, &[u8])>) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(kind) = CallKind::of_path(path) else {
            return seen.garbage.push(format!("{bot} asks for {path}"));
        };
        let Ok(call) = Call::from_body(kind, request) else {
            return seen.garbage.push(format!("{bot} asks for {path} with what can't be read"));
        };
        let counts = seen.requests.entry(kind.name()).or_default();
        counts.0 += 1;
        seen.asked(&call);
        let Some((200, answer)) = answer else { return };
        if let Some(counts) = seen.requests.get_mut(kind.name()) {
            counts.1 += 1;
        }
        match Answer::from_body(kind, answer) {
            Ok(answer) => seen.answered(bot, &call, answer),
            Err(error) => seen.garbage.push(format!("the answer to {path} can't be read: {error}")),
        }
    }

    /// How often something was asked that changes something.
    #[must_use]
    pub fn changes(&self) -> u64 {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let change = ["Claim", "Commit", "CreateGroup", "Propose", "Send"];
        change.iter().filter_map(|kind| seen.requests.get(kind)).map(|(asked, _)| asked).sum()
    }

    /// What was seen so far.
    pub fn seen(&self) -> Seen {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Seen {
    fn asked(&mut self, call: &Call) {
        match call {
            Call::CreateGroup(create) => {
                if let Ok(MlsMessage::GroupInfo(info)) = MlsMessage::from_bytes(&create.group_info) {
                    let room = hex::encode(&info.inspect().group_context.group_id);
                    self.founded
                        .entry(room)
                        .or_insert_with(|| (create.group_info.clone(), create.ratchet_tree.clone()));
                }
            }
            Call::Commit(commit) => {
                let (room, digest) = (hex::encode(&commit.group_id), digest(&commit.commit));
                self.handshakes.entry(digest).or_insert_with(|| commit.commit.clone());
                let welcome = commit.welcome.as_deref().and_then(common);
                self.offered.push(Offered { room, digest, welcome });
            }
            Call::Send(send) => {
                if let Ok(MlsMessage::PublicMessage(_)) = MlsMessage::from_bytes(&send.message) {
                    self.handshakes.entry(digest(&send.message)).or_insert_with(|| send.message.clone());
                }
            }
            _ => {}
        }
    }

    fn answered(&mut self, bot: &str, call: &Call, answer: Answer) {
        match (call, answer) {
            (Call::Commit(commit), Answer::Commit(CommitAnswer::Accepted(sequence))) => {
                let (room, digest) = (hex::encode(&commit.group_id), digest(&commit.commit));
                self.accepted.push(Accepted { room, sequence, digest });
            }
            (Call::Commit(_), Answer::Commit(CommitAnswer::Stale { .. })) => self.stale += 1,
            (Call::Send(send), Answer::Send(SendAnswer::Accepted(sequence))) => {
                let (room, digest) = (hex::encode(&send.group_id), digest(&send.message));
                self.accepted.push(Accepted { room, sequence, digest });
            }
            (Call::Read(read), Answer::Read(ReadAnswer::Page(page))) => {
                let mut entries = Vec::new();
                for entry in page.entries {
                    let digest = digest(&entry.message);
                    entries.push((entry.sequence, kind(entry.kind), entry.epoch, digest));
                    if entry.kind != EntryKind::Message {
                        self.handshakes.entry(digest).or_insert(entry.message);
                    }
                }
                let (to, room) = (bot.to_owned(), hex::encode(&read.group_id));
                self.pages.push(Page { to, room, after: read.after, newest: page.newest, entries });
            }
            (Call::Claim(_), Answer::Claim(claimed)) => {
                for package in claimed.packages {
                    let last_resort = match MlsMessage::from_bytes(&package.message) {
                        Ok(MlsMessage::KeyPackage(package)) => {
                            let extensions = &package.inspect().extensions;
                            extensions.get(ExtensionType::LAST_RESORT_KEY_PACKAGE).is_some()
                        }
                        Ok(_) | Err(_) => {
                            self.garbage.push(format!("{bot} was given a KeyPackage that is none"));
                            continue;
                        }
                    };
                    let package = digest(&package.message);
                    self.claims.push(Claim { by: bot.to_owned(), package, last_resort });
                }
            }
            (Call::Inbox(_), Answer::Inbox(inbox)) => {
                for welcome in inbox.welcomes {
                    match common(&welcome.message) {
                        Some(welcome) => self.welcomes.push(Welcomed { to: bot.to_owned(), welcome }),
                        None => self.garbage.push(format!("{bot} was given a Welcome that is none")),
                    }
                }
            }
            _ => {}
        }
    }
}

/// What the Welcomes of one commit have in common, and with no other: the GroupInfo as it is encrypted.
fn common(welcome: &[u8]) -> Option<Digest> {
    match MlsMessage::from_bytes(welcome) {
        Ok(MlsMessage::Welcome(welcome)) => Some(digest(&welcome.encrypted_group_info)),
        Ok(_) | Err(_) => None,
    }
}

/// The hash of some bytes.
#[must_use]
pub fn digest(bytes: &[u8]) -> Digest {
    Sha256::digest(bytes).into()
}

/// What an entry is.
#[must_use]
pub fn kind(kind: EntryKind) -> Kind {
    match kind {
        EntryKind::Commit => Kind::Commit,
        EntryKind::Proposal => Kind::Proposal,
        EntryKind::Message => Kind::Message,
    }
}
