//! One subscription: where its reader is in the log, and what comes next.

use std::sync::Arc;

use hushwood_codec::{Encode, Writer};

use crate::backend::PageLimit;
use crate::server::App;
use crate::server::bus::{EncodedEntry, Subscription, Topic};
use crate::service::{LogReader, May};
use crate::wire::{Refusal, RefusalCode, Refused};

/// One subscription.
pub(super) struct Reading {
    pub(super) number: u32,
    reader: LogReader,
    subscription: Subscription,
    /// The last entry that was sent.
    after: u64,
    /// The newest that a hint was sent for.
    hinted: u64,
}

/// What comes next.
pub(super) enum Next {
    /// These frames.
    Frames(Vec<Vec<u8>>),
    /// An entry for which there must be so much room.
    Needs(usize),
}

/// So much of a log is read at once.
pub(super) const PAGE_BYTES: usize = 64 << 10;
const PAGE_ENTRIES: u64 = 64;

impl Reading {
    pub(super) fn new(number: u32, reader: LogReader, subscription: Subscription, after: u64) -> Self {
        Self { number, reader, subscription, after, hinted: after }
    }

    /// Whether there is more than was sent.
    pub(super) fn is_behind(&self) -> bool {
        self.topic().head() > self.after
    }

    /// Whether its reader has gone, and has been sent what was for them.
    pub(super) fn is_over(&self) -> bool {
        self.reader.is_over(self.after)
    }

    /// The newest number, if no hint told it yet, as far as the reader may know of it.
    pub(super) async fn hint(&mut self, app: &App) -> Result<Option<u64>, Refused> {
        let head = self.topic().head();
        if head <= self.after.max(self.hinted) {
            return Ok(None);
        }
        let head = app.service.told(&mut self.reader, head).await.map_err(|refusal| told(&refusal))?;
        if self.is_over() {
            return Err(gone());
        }
        let news = head > self.after.max(self.hinted);
        self.hinted = self.hinted.max(head);
        Ok(news.then_some(head))
    }

    /// The reader has stored everything up to this number for itself.
    pub(super) fn acknowledge(&mut self, app: &App, sequence: u64) {
        // Nobody has stored what was not sent.
        app.service.note(&self.reader, sequence.min(self.after));
    }

    /// The next frames for the reader, at most so many, in so many bytes.
    pub(super) async fn next(&mut self, app: &App, most: u64, room: usize) -> Result<Next, Refused> {
        if self.is_over() {
            return Err(gone());
        }
        let entries = self.entries(app, most.min(PAGE_ENTRIES)).await.map_err(|refusal| told(&refusal))?;
        if entries.is_empty() && self.is_behind() {
            // The hint was of something that the log, as it is read here, does not have.
            return Err(Refused::new(RefusalCode::FAILED, "the log is shorter than it was said to be"));
        }
        let mut left = room;
        let mut frames = Vec::with_capacity(entries.len());
        for entry in entries {
            match left.checked_sub(entry.bytes.len()) {
                Some(less) => left = less,
                None if frames.is_empty() => return Ok(Next::Needs(entry.bytes.len())),
                None => break,
            }
            let mut may = self.reader.may(entry.sequence, entry.kind);
            if may == May::Ask {
                app.service.recheck(&mut self.reader).await.map_err(|refusal| told(&refusal))?;
                may = self.reader.may(entry.sequence, entry.kind);
            }
            if may != May::Read {
                if frames.is_empty() {
                    return Err(gone());
                }
                // What may be read goes out first; then this comes again.
                break;
            }
            self.after = entry.sequence;
            frames.push(frame(self.number, &entry));
        }
        Ok(Next::Frames(frames))
    }

    async fn entries(&self, app: &App, most: u64) -> Result<Vec<EncodedEntry>, Refusal> {
        let topic = self.topic();
        let limit = usize::try_from(most).unwrap_or(usize::MAX);
        let at_hand = |topic: &Topic| {
            let mut entries = topic.after(self.reader.incarnation(), self.after, PAGE_BYTES);
            entries.truncate(limit);
            entries
        };
        let entries = at_hand(topic);
        if !entries.is_empty() {
            return Ok(entries);
        }
        // Near the end many wait for the same: one reads it. Far from it everybody is somewhere else.
        let near = topic.head().saturating_sub(self.after) <= PAGE_ENTRIES;
        let _first = if near { Some(topic.reading.lock().await) } else { None };
        let entries = at_hand(topic);
        if !entries.is_empty() {
            return Ok(entries);
        }
        app.metrics.log_reads.inc();
        let page = PageLimit {
            entries: u32::try_from(if near { PAGE_ENTRIES } else { most }).unwrap_or(u32::MAX),
            bytes: u64::try_from(PAGE_BYTES).unwrap_or(u64::MAX),
        };
        let read = app.service.entries_after(&self.reader, self.after, page).await?;
        let mut entries = Vec::with_capacity(read.len());
        for entry in read {
            let bytes = entry.to_bytes().or(Err(Refusal::TooLarge("an entry")))?;
            entries.push(EncodedEntry {
                sequence: entry.sequence,
                kind: entry.kind,
                bytes: Arc::from(bytes),
            });
        }
        if near {
            topic.keep(self.reader.incarnation(), &entries);
        }
        entries.truncate(limit);
        Ok(entries)
    }

    fn topic(&self) -> &Arc<Topic> {
        self.subscription.topic()
    }
}

fn gone() -> Refused {
    Refused::new(RefusalCode::FORBIDDEN, "no longer a member of the group")
}

/// [`ServerFrame::Entry`](crate::wire::ServerFrame::Entry) of an entry that is encoded already.
fn frame(number: u32, entry: &EncodedEntry) -> Vec<u8> {
    let mut writer = Writer::with_capacity(entry.bytes.len().saturating_add(8));
    writer.value(&crate::wire::ENTRY_FRAME).value(&number).raw(&entry.bytes);
    // Nothing in it is measured that was not before.
    writer.finish().unwrap_or_default()
}

pub(super) fn told(refusal: &Refusal) -> Refused {
    if let Refusal::Failed(error) = refusal {
        tracing::error!(%error, "the back end failed");
    }
    Refused::from(refusal)
}
