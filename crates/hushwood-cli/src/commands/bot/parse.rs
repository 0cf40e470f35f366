//! What stands in a line.

use std::time::Duration;

use base64ct::{Base64, Encoding};
use hushwood_client::{DeviceId, MessageId, RoomId};
use serde_json::{Map, Value};

use crate::commands::bot::VERSION;
use crate::failure::Failure;
use crate::text;

/// The fields of a line. Those that nobody asks for are ignored.
pub(super) struct Fields<'a>(&'a Map<String, Value>);

impl<'a> Fields<'a> {
    pub(super) fn new(value: &'a Value) -> Result<Self, Failure> {
        let object = value.as_object().ok_or_else(|| Failure::usage("a line is no JSON object"))?;
        match object.get("v").and_then(Value::as_u64) {
            Some(version) if version == u64::from(VERSION) => Ok(Self(object)),
            Some(_) => {
                Err(Failure::usage("another version of this format").advise("this program has version 1"))
            }
            None => Err(Failure::usage("\"v\" is missing: it says which version of this format is meant")),
        }
    }

    pub(super) fn optional_text(&self, name: &str) -> Result<Option<&'a str>, Failure> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(wrong(name, "is no string")),
        }
    }

    pub(super) fn text(&self, name: &str) -> Result<&'a str, Failure> {
        self.optional_text(name)?.ok_or_else(|| wrong(name, "is missing"))
    }

    pub(super) fn number(&self, name: &str) -> Result<Option<u64>, Failure> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => value.as_u64().map(Some).ok_or_else(|| wrong(name, "is no number from 0 on")),
        }
    }

    pub(super) fn flag(&self, name: &str) -> Result<bool, Failure> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(wrong(name, "is neither true nor false")),
        }
    }

    pub(super) fn required_number(&self, name: &str) -> Result<u64, Failure> {
        self.number(name)?.ok_or_else(|| wrong(name, "is missing"))
    }

    pub(super) fn room(&self) -> Result<RoomId, Failure> {
        let digits = self.text("room")?;
        Ok(RoomId(hex(digits).ok_or_else(|| wrong("room", "is not hexadecimal"))?))
    }

    pub(super) fn message(&self) -> Result<Option<MessageId>, Failure> {
        let Some(digits) = self.optional_text("message")? else { return Ok(None) };
        let bytes = hex(digits).and_then(|bytes| bytes.try_into().ok());
        bytes
            .map(|bytes| Some(MessageId(bytes)))
            .ok_or_else(|| wrong("message", "has not 32 hexadecimal digits"))
    }

    pub(super) fn device(&self) -> Result<Option<DeviceId>, Failure> {
        let Some(digits) = self.optional_text("device")? else { return Ok(None) };
        let bytes = hex(digits).and_then(|bytes| bytes.try_into().ok());
        bytes
            .map(|bytes| Some(DeviceId(bytes)))
            .ok_or_else(|| wrong("device", "has not 32 hexadecimal digits"))
    }

    pub(super) fn invitation(&self) -> Result<[u8; 32], Failure> {
        let bytes = hex(self.text("invitation")?).and_then(|bytes| bytes.try_into().ok());
        bytes.ok_or_else(|| wrong("invitation", "has not 64 hexadecimal digits"))
    }

    /// What a message says: `text`, or `base64` for what is none.
    pub(super) fn body(&self) -> Result<Vec<u8>, Failure> {
        match (self.optional_text("text")?, self.optional_text("base64")?) {
            (Some(text), None) => Ok(text.as_bytes().to_vec()),
            (None, Some(_)) => self.base64("base64"),
            (Some(_), Some(_)) => Err(Failure::usage("give \"text\" or \"base64\", not both")),
            (None, None) => Err(wrong("text", "is missing")),
        }
    }

    pub(super) fn base64(&self, name: &str) -> Result<Vec<u8>, Failure> {
        Base64::decode_vec(self.text(name)?).map_err(|_| wrong(name, "is not base64"))
    }

    pub(super) fn timeout(&self, default: u64) -> Result<Duration, Failure> {
        Ok(Duration::from_millis(self.number("timeout_ms")?.unwrap_or(default)))
    }
}

fn wrong(name: &str, what: &str) -> Failure {
    Failure::usage(format!("{name:?} {what}"))
}

fn hex(digits: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> =
        digits.chars().map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
    Some(digits.chunks_exact(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect())
}

/// Bytes as they are shown: as text if they are text.
pub(super) fn body(bytes: &[u8]) -> (&'static str, String) {
    match std::str::from_utf8(bytes) {
        Ok(text) => ("text", text.to_owned()),
        Err(_) => ("base64", Base64::encode_string(bytes)),
    }
}

/// Bytes in hexadecimal.
pub(super) fn digits(bytes: &[u8]) -> String {
    text::hex(bytes)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lines_of_another_version_are_refused() {
        assert!(Fields::new(&json!({ "v": 1 })).is_ok());
        for other in [json!({ "v": 2 }), json!({ "v": "1" }), json!({}), json!([1]), json!(1)] {
            assert!(Fields::new(&other).is_err(), "{other}");
        }
    }

    #[test]
    fn fields_have_their_types() {
        let line = json!({ "v": 1, "room": "00ff", "text": "x", "n": -1, "message": "ab", "base64": "AP8=" });
        let fields = Fields::new(&line).unwrap();
        assert_eq!(fields.room().unwrap(), RoomId(vec![0, 0xff]));
        assert!(fields.number("n").is_err());
        assert!(fields.message().is_err());
        assert_eq!(fields.base64("base64").unwrap(), [0, 0xff]);
        assert!(fields.body().is_err(), "one of the two");
        assert_eq!(body(&[0, 0xff]), ("base64", "AP8=".to_owned()));
        assert_eq!(hex("0"), None);
        assert_eq!(hex("+1"), None);
    }
}
