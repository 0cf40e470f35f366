//! Everything that passed between the members, as whoever listens sees it.

use std::collections::BTreeMap;

use hushwood::framing::{ContentType, MlsMessage};
use hushwood_codec::Decode;
use serde_json::{Value, json};

/// What has been on the wire.
#[derive(Debug, Default)]
pub(super) struct Wire(Vec<Vec<u8>>);

/// What shows of a message from outside.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Seen {
    wire_format: String,
    content_type: &'static str,
    epoch: Option<u64>,
}

impl Wire {
    pub(super) fn carry(&mut self, message: &[u8]) {
        self.0.push(message.to_vec());
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The application messages so far, from a position on.
    pub(super) fn application_messages(&self, from: usize) -> Vec<&[u8]> {
        let is_application = |message: &&Vec<u8>| {
            matches!(MlsMessage::from_bytes(message),
                Ok(MlsMessage::PrivateMessage(message)) if message.content_type == ContentType::Application)
        };
        self.0.iter().skip(from).filter(is_application).map(Vec::as_slice).collect()
    }

    /// One row for each kind and epoch: how many messages, of which sizes.
    fn table(&self) -> BTreeMap<Seen, Vec<usize>> {
        let mut table = BTreeMap::<Seen, Vec<usize>>::new();
        for message in &self.0 {
            table.entry(Seen::of(message)).or_default().push(message.len());
        }
        table
    }

    pub(super) fn lines(&self) -> Vec<String> {
        let head = format!("  {:<20} {:<12} {:>5}  sizes in bytes", "wire format", "content", "epoch");
        let row = |(seen, sizes): (Seen, Vec<usize>)| {
            let epoch = seen.epoch.map_or("-".to_owned(), |epoch| epoch.to_string());
            let sizes: Vec<_> = sizes.iter().map(usize::to_string).collect();
            format!("  {:<20} {:<12} {epoch:>5}  {}", seen.wire_format, seen.content_type, sizes.join(" "))
        };
        [head].into_iter().chain(self.table().into_iter().map(row)).collect()
    }

    pub(super) fn json(&self) -> Value {
        let row = |(seen, sizes): (Seen, Vec<usize>)| {
            json!({
                "wire_format": seen.wire_format,
                "content_type": seen.content_type,
                "epoch": seen.epoch,
                "sizes": sizes,
            })
        };
        self.table().into_iter().map(row).collect()
    }
}

impl Seen {
    fn of(message: &[u8]) -> Self {
        let Ok(message) = MlsMessage::from_bytes(message) else {
            return Self { wire_format: "?".to_owned(), content_type: "?", epoch: None };
        };
        let (content_type, epoch) = match &message {
            MlsMessage::PrivateMessage(message) => (content_name(message.content_type), Some(message.epoch)),
            MlsMessage::PublicMessage(message) => {
                (content_name(message.content.content.content_type()), Some(message.content.epoch))
            }
            MlsMessage::GroupInfo(info) => ("-", Some(info.inspect().group_context.epoch)),
            MlsMessage::Welcome(_) | MlsMessage::KeyPackage(_) => ("-", None),
        };
        Self { wire_format: message.wire_format().to_string(), content_type, epoch }
    }
}

fn content_name(content_type: ContentType) -> &'static str {
    match content_type {
        ContentType::Application => "application",
        ContentType::Proposal => "proposal",
        ContentType::Commit => "commit",
    }
}
