//! Messages of epochs to come: they are kept until their commit is there, within limits.

use std::collections::BTreeMap;

use hushwood::error::{Error as ProtocolError, NotNow};
use hushwood::group::{Group, Received};
use hushwood_crypto::Secret;
use hushwood_delivery::wire::{EntryKind, LogEntry};

use crate::core::env::Env;
use crate::core::log::Page;
use crate::core::room::{Room, numbered};
use crate::error::Error;
use crate::event::EventKind;
use crate::records::rows;
use crate::settings::{Millis, millis};

impl Room {
    /// Keeps a message of an epoch to come, within limits.
    pub(super) fn keep_early(&mut self, entry: &LogEntry, page: &mut Page<'_>) -> Result<(), Error> {
        let most = page.env.settings.early_messages;
        let (now, rows) = (page.now, self.early_rows());
        let early = self.early_messages(page.env)?;
        if early.len() >= most {
            page.work.event(&self.id, EventKind::Gap { from: None, missing: 1 });
            return Ok(());
        }
        early.insert(entry.sequence, (now, entry.message.clone()));
        let mut value = now.0.to_be_bytes().to_vec();
        value.extend_from_slice(&entry.message);
        page.work.put(numbered(rows, b'e', entry.sequence), Secret::new(value));
        Ok(())
    }

    /// Offers what came too early again, now that an epoch has begun; what is too old is forgotten.
    pub(super) fn early(&mut self, group: &mut Group, page: &mut Page<'_>) -> Result<(), Error> {
        let age = millis(page.env.settings.early_age);
        let rows = self.early_rows();
        for (sequence, (time, message)) in std::mem::take(self.early_messages(page.env)?) {
            page.work.erase(numbered(rows, b'e', sequence));
            let entry = LogEntry { sequence, kind: EntryKind::Message, epoch: 0, message };
            match group.receive(&entry.message, page.now.seconds()) {
                Ok(Received::Message(received)) => self.message(group, received, &entry, page)?,
                Err(ProtocolError::NotNow(NotNow::EpochFuture))
                    if page.now.0.saturating_sub(time.0) <= age =>
                {
                    self.keep_early(&entry, page)?;
                }
                Ok(_) => {}
                Err(error) => self.unreadable(error, (&entry, true), page)?,
            }
        }
        Ok(())
    }

    fn early_messages(&mut self, env: &Env) -> Result<&mut BTreeMap<u64, (Millis, Vec<u8>)>, Error> {
        let early = match self.early.take() {
            Some(early) => early,
            None => {
                let kept = rows(&*env.store, self.early_rows())?.into_iter().filter_map(|(id, value)| {
                    let (time, message) = value.expose().split_first_chunk()?;
                    let sequence = u64::from_be_bytes(id.get(1..)?.try_into().ok()?);
                    Some((sequence, (Millis(u64::from_be_bytes(*time)), message.to_vec())))
                });
                kept.collect()
            }
        };
        Ok(self.early.insert(early))
    }
}
