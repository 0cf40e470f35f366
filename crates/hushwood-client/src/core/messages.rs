//! Application messages of a room's log: each once, in the events and the history.

use hushwood::credential::Claim;
use hushwood::group::{ApplicationMessage, Group, ReceivedMessage};
use hushwood_codec::Decode;
use hushwood_crypto::Secret;
use hushwood_delivery::wire::LogEntry;

use crate::content::{Content, REVOKED, TEXT, TITLE, truncate};
use crate::core::log::Page;
use crate::core::room::{Room, numbered};
use crate::error::Error;
use crate::event::{EventKind, Message, MessageId};
use crate::identity::member;
use crate::records::{get, row, to_row};
use crate::trust::Judge;

impl Room {
    /// A message of a member.
    pub(super) fn message(
        &mut self,
        group: &mut Group,
        received: ReceivedMessage,
        entry: &LogEntry,
        page: &mut Page<'_>,
    ) -> Result<(), Error> {
        let message = page.work.step(group.accept_message(received)?);
        // It goes into an event, in the same transaction.
        page.work.step(group.acknowledge(&message.id)?);
        let from = member(&message.credential, group.suite());
        let place = (message.sender.number(), message.epoch, message.generation);
        let missing = self.hear(page.env, (place, page.now.seconds().0), &mut page.heard, page.work)?;
        if missing > 0 {
            page.work.event(&self.id, EventKind::Gap { from: Some(from.clone()), missing });
        }
        let content = match Content::from_bytes(message.plaintext.expose()) {
            Ok(content) if content.is_known() => content,
            Ok(_) | Err(_) => {
                page.work.event(&self.id, EventKind::Gap { from: Some(from), missing: 1 });
                return Ok(());
            }
        };
        let same_log = self.chain_at(page.env, content.head)?.is_none_or(|value| value == content.chain);
        // It opens with our keys, so the epoch is ours, whatever it says: this too is a word of its sender.
        let same_epoch = message.epoch != group.epoch()
            || truncate::<8>(group.epoch_authenticator()?) == content.authenticator;
        if content.head >= entry.sequence || !same_log || !same_epoch {
            self.says_otherwise(group, &from, entry.sequence, page)?;
        }
        if !self.is_first(content.id, entry.sequence, page)? {
            return Ok(());
        }
        let is_doubted = Self::is_doubted(group, &message, &page.env.judge)?;
        match content.kind {
            TEXT => {
                let message = Message {
                    from,
                    id: MessageId(content.id),
                    sent_at: content.sent_at,
                    sequence: entry.sequence,
                    body: content.body,
                };
                if is_doubted {
                    page.work.event(&self.id, EventKind::Doubted(message));
                } else {
                    self.remember(&message, page)?;
                    page.work.event(&self.id, EventKind::Message(message));
                }
            }
            // Nobody in particular has named it.
            TITLE if is_doubted => {}
            TITLE => {
                let title = String::from_utf8_lossy(&content.body).into_owned();
                if self.record.title != title.as_bytes() {
                    self.record.title = title.as_bytes().to_vec();
                    page.work.event(&self.id, EventKind::Title { title, by: from });
                }
            }
            REVOKED if is_doubted => {}
            REVOKED => self.revoked(&from, &content.body, page)?,
            // A later version's: it says how to ignore it, by its kind.
            _ => {}
        }
        Ok(())
    }

    /// Whether a message is of somebody of whom the user has said that they are not who they say.
    fn is_doubted(group: &Group, message: &ApplicationMessage, judge: &Judge) -> Result<bool, Error> {
        if !judge.has_doubted(&message.credential) {
            return Ok(false);
        }
        let view = group.member(message.sender)?.filter(|view| view.leaf.credential == message.credential);
        // Who is not there any more may have been either: better not to believe it.
        Ok(view.is_none_or(|view| {
            let (credential, signature_key) = (view.leaf.credential, view.leaf.signature_key);
            judge.is_doubted(&Claim { credential, signature_key })
        }))
    }

    /// Whether a message of this name comes for the first time. Any member could encrypt what another has signed once more
    /// (RFC 9750 §8.6, A119), and a message that was encrypted anew has the name that it had.
    fn is_first(&self, id: [u8; 16], sequence: u64, page: &mut Page<'_>) -> Result<bool, Error> {
        let key = |id: &[u8]| row(self.rows(), [b"i".as_slice(), id].concat());
        if !page.names.insert(id) || get(&*page.env.store, &key(&id))?.is_some() {
            return Ok(false);
        }
        page.work.put(key(&id), Secret::new(Vec::new()));
        self.note_name(id, sequence, page)?;
        Ok(true)
    }

    /// Notes which message stands at a number, and forgets what is known of one that was long ago.
    pub(crate) fn note_name(&self, id: [u8; 16], sequence: u64, page: &mut Page<'_>) -> Result<(), Error> {
        page.work.put(numbered(self.rows(), b'q', sequence), Secret::copy_of(&id));
        if let Some(old) = sequence.checked_sub(NAMES) {
            let place = numbered(self.rows(), b'q', old);
            if let Some(id) = get(&*page.env.store, &place)? {
                for letter in [b"i", b"m"] {
                    page.work.erase(row(self.rows(), [letter.as_slice(), id.expose()].concat()));
                }
                page.work.erase(place);
            }
        }
        Ok(())
    }

    /// Keeps a message to be read again.
    pub(crate) fn remember(&self, message: &Message, page: &mut Page<'_>) -> Result<(), Error> {
        let most = page.env.settings.history;
        if most == 0 {
            return Ok(());
        }
        page.work.put(numbered(self.rows(), b'h', message.sequence), to_row(message, message.body.len())?);
        if let Some(old) = message.sequence.checked_sub(most) {
            page.work.erase(numbered(self.rows(), b'h', old));
        }
        Ok(())
    }
}

/// The names of so many entries of the log are remembered.
const NAMES: u64 = 10_000;
