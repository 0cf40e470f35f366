//! A structure as it is shown: described once, rendered as indented text or as JSON.

use hushwood_codec::Encode;
use serde_json::{Map, Value, json};

use crate::text;

/// Something to show.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Fact {
    /// A word of ours or of a registry.
    Word(String),
    /// A number.
    Number(u64),
    /// Bytes that mean nothing to people.
    Bytes(Vec<u8>),
    /// Bytes from outside that may be text.
    Name(Vec<u8>),
    /// Several of a kind.
    List(Vec<Fact>),
    /// A structure's fields, in their order.
    Fields(Vec<(&'static str, Fact)>),
    /// Not there.
    Absent,
}

/// Bytes beyond this many are shortened in text.
const SHOWN_BYTES: usize = 32;

impl Fact {
    pub(crate) fn word(word: impl ToString) -> Self {
        Self::Word(word.to_string())
    }

    pub(crate) fn bytes(bytes: impl AsRef<[u8]>) -> Self {
        Self::Bytes(bytes.as_ref().to_vec())
    }

    pub(crate) fn list<T>(items: impl IntoIterator<Item = T>, show: impl Fn(T) -> Self) -> Self {
        Self::List(items.into_iter().map(show).collect())
    }

    pub(crate) fn words<T: ToString>(items: impl IntoIterator<Item = T>) -> Self {
        Self::list(items, Self::word)
    }

    pub(crate) fn optional<T>(item: Option<T>, show: impl FnOnce(T) -> Self) -> Self {
        item.map_or(Self::Absent, show)
    }

    /// The length of an encoding.
    pub(crate) fn encoded_length(value: &impl Encode) -> Self {
        let length = value.to_bytes().map_or(0, |bytes| bytes.len());
        Self::Number(u64::try_from(length).unwrap_or(u64::MAX))
    }

    /// As JSON: bytes in hexadecimal, whole.
    pub(crate) fn to_json(&self) -> Value {
        match self {
            Self::Word(word) => json!(word),
            Self::Number(number) => json!(number),
            Self::Bytes(bytes) => json!(text::hex(bytes)),
            Self::Name(bytes) => json!({ "text": std::str::from_utf8(bytes).ok(), "hex": text::hex(bytes) }),
            Self::List(items) => items.iter().map(Self::to_json).collect(),
            Self::Fields(fields) => {
                let fields = fields.iter().map(|(name, fact)| ((*name).to_owned(), fact.to_json()));
                Value::Object(fields.collect::<Map<_, _>>())
            }
            Self::Absent => Value::Null,
        }
    }

    /// As lines of text, below a heading. Long bytes are shortened unless `full`.
    pub(crate) fn to_text(&self, heading: &str, full: bool) -> String {
        let mut lines = String::new();
        self.render(&mut lines, heading, 0, full);
        lines
    }

    fn render(&self, lines: &mut String, label: &str, indent: usize, full: bool) {
        lines.push_str(&" ".repeat(indent * 2));
        lines.push_str(label);
        if let Some(value) = self.in_line(full) {
            lines.push_str(": ");
            lines.push_str(&value);
        }
        lines.push('\n');
        match self {
            _ if self.in_line(full).is_some() => {}
            Self::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    item.render(lines, &format!("[{index}]"), indent + 1, full);
                }
            }
            Self::Fields(fields) => {
                for (name, fact) in fields {
                    fact.render(lines, name, indent + 1, full);
                }
            }
            Self::Word(_) | Self::Number(_) | Self::Bytes(_) | Self::Name(_) | Self::Absent => {}
        }
    }

    /// The value if it fits behind its label.
    fn in_line(&self, full: bool) -> Option<String> {
        Some(match self {
            Self::Word(word) => word.clone(),
            Self::Number(number) => number.to_string(),
            Self::Bytes(bytes) => shown_bytes(bytes, full),
            Self::Name(bytes) => text::name(bytes),
            Self::Absent => "none".to_owned(),
            Self::List(items) if items.iter().all(|item| matches!(item, Self::Word(_) | Self::Number(_))) => {
                let items: Option<Vec<_>> = items.iter().map(|item| item.in_line(full)).collect();
                let items = items?.join(", ");
                if items.is_empty() { "none".to_owned() } else { items }
            }
            Self::List(_) | Self::Fields(_) => return None,
        })
    }
}

fn shown_bytes(bytes: &[u8], full: bool) -> String {
    match bytes.get(..SHOWN_BYTES / 2) {
        _ if bytes.is_empty() => "empty".to_owned(),
        Some(start) if !full && bytes.len() > SHOWN_BYTES => {
            format!("{}… ({})", text::hex(start), text::size(bytes.len()))
        }
        _ => text::hex(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Fact {
        Fact::Fields(vec![
            ("suites", Fact::words(["one", "two"])),
            ("key", Fact::bytes([7; 40])),
            ("identity", Fact::Name(b"a\x1bb".to_vec())),
            ("nodes", Fact::List(vec![Fact::Absent, Fact::Fields(vec![("unmerged", Fact::words([""; 0]))])])),
        ])
    }

    #[test]
    fn text_is_indented_and_long_bytes_are_shortened() {
        let text = "Thing\n  suites: one, two\n  key: 07070707070707070707070707070707… (40 bytes)\n  \
                    identity: a<001B>b\n  nodes\n    [0]: none\n    [1]\n      unmerged: none\n";
        assert_eq!(example().to_text("Thing", false), text);
        assert!(example().to_text("Thing", true).contains(&"07".repeat(40)));
    }

    #[test]
    fn json_has_all_bytes_and_both_forms_of_names() {
        let json = example().to_json();
        assert_eq!(json["key"], "07".repeat(40));
        assert_eq!(json["identity"], json!({ "text": "a\u{1b}b", "hex": "611b62" }));
        assert_eq!(json["nodes"], json!([null, { "unmerged": [] }]));
    }
}
