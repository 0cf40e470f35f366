//! A refusal as it goes over the wire.

use std::fmt;
use std::time::Duration;

use hushwood_codec::{Decode, DecodeError, Encode, Reader, Writer, wire_registry};

wire_registry! {
    /// Why something was refused. More may come: one that is not known here is like [`FAILED`](Self::FAILED) without a
    /// word on when to ask again.
    pub struct RefusalCode {
        /// The request is not what it should be. Asking again does not help.
        MALFORMED = 1 "malformed",
        /// The token or the proof is missing, too old or not good: log in again, or make the proof anew.
        UNAUTHORIZED = 2 "unauthorized",
        /// Whoever it is may not do this.
        FORBIDDEN = 3 "forbidden",
        /// There is nothing of this name.
        NOT_FOUND = 4 "not found",
        /// It is taken by somebody else.
        TAKEN = 5 "taken",
        /// A message breaks a rule of MLS: make another.
        INVALID = 6 "invalid",
        /// Larger than the service takes.
        TOO_LARGE = 7 "too large",
        /// Too many requests, or too much is waiting: ask again after the time that is named.
        TOO_MANY = 8 "too many",
        /// The service has a fault of its own. Whether it has happened, `may_have_happened` says.
        FAILED = 9 "failed",
        /// The body did not come in time.
        TOO_SLOW = 10 "too slow",
        /// The service is about to stop: ask again, it or another node.
        STOPPING = 11 "stopping",
        /// The device was revoked: register anew, with an id and a key of its own.
        REVOKED = 12 "revoked",
        /// The account has another name.
        OTHER_NAME = 13 "other name",
        /// There is as much as may be: the text says what makes room.
        FULL = 14 "full",
    }
}

/// No, as a client is told.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refused {
    /// Why.
    pub code: RefusalCode,
    /// The same for people: what is wrong and what to do. It holds nothing of the request.
    pub text: String,
    /// Not before this time; in whole seconds.
    pub retry_after: Option<Duration>,
    /// If so, nobody knows whether it has happened: ask again with the same request name, and be told.
    pub may_have_happened: bool,
}

impl Refused {
    /// A refusal after which nothing has changed and nothing has to be waited for.
    #[must_use]
    pub fn new(code: RefusalCode, text: impl Into<String>) -> Self {
        Self { code, text: text.into(), retry_after: None, may_have_happened: false }
    }

    /// Names the time after which to ask again.
    #[must_use]
    pub fn after(self, time: Duration) -> Self {
        Self { retry_after: Some(time), ..self }
    }

    /// Whether the same request may be answered differently later, without anybody doing something about it.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        self.retry_after.is_some()
            || [RefusalCode::TOO_MANY, RefusalCode::STOPPING, RefusalCode::TOO_SLOW].contains(&self.code)
            || (self.code == RefusalCode::FAILED && self.may_have_happened)
    }

    /// The status under which HTTP carries it.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self.code {
            RefusalCode::MALFORMED => 400,
            RefusalCode::UNAUTHORIZED => 401,
            RefusalCode::FORBIDDEN | RefusalCode::REVOKED => 403,
            RefusalCode::NOT_FOUND => 404,
            RefusalCode::TOO_SLOW => 408,
            RefusalCode::TAKEN | RefusalCode::OTHER_NAME | RefusalCode::FULL => 409,
            RefusalCode::TOO_LARGE => 413,
            RefusalCode::INVALID => 422,
            RefusalCode::TOO_MANY => 429,
            RefusalCode::STOPPING => 503,
            _ if self.retry_after.is_some() => 503,
            _ => 500,
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.text.is_empty() {
            true => write!(f, "refused: {}", self.code),
            false => f.write_str(&self.text),
        }
    }
}

impl std::error::Error for Refused {}

impl Encode for Refused {
    fn encode(&self, writer: &mut Writer) {
        let seconds = |time: Duration| {
            let whole = time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0));
            u32::try_from(whole).unwrap_or(u32::MAX)
        };
        writer.value(&self.code);
        writer.value(&self.retry_after.map(seconds));
        writer.value(&u8::from(self.may_have_happened));
        writer.opaque(self.text.as_bytes());
    }
}

impl Decode for Refused {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let code = RefusalCode::decode(reader.field("Refused.code"))?;
        let seconds = Option::<u32>::decode(reader.field("Refused.retry_after"))?;
        let may_have_happened = u8::decode(reader.field("Refused.may_have_happened"))? != 0;
        // It is for people: what is not UTF-8 is not worth an error.
        let text = String::from_utf8_lossy(reader.field("Refused.text").opaque()?).into_owned();
        let retry_after = seconds.map(|seconds| Duration::from_secs(seconds.into()));
        Ok(Self { code, text, retry_after, may_have_happened })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_come_back_and_times_are_rounded_up() {
        let refused = Refused::new(RefusalCode::TOO_MANY, "wait")
            .after(Duration::from_millis(1500))
            .to_bytes()
            .unwrap();
        let refused = Refused::from_bytes(&refused).unwrap();
        assert_eq!(refused.retry_after, Some(Duration::from_secs(2)));
        assert!(refused.is_temporary());
        assert_eq!((refused.status(), refused.to_string()), (429, "wait".to_owned()));
    }

    #[test]
    fn a_code_of_tomorrow_is_a_failure_today() {
        let refused = Refused::new(RefusalCode(999), "");
        let refused = Refused::from_bytes(&refused.to_bytes().unwrap()).unwrap();
        assert_eq!(refused.status(), 500);
        assert!(!refused.is_temporary());
        assert_eq!(refused.to_string(), "refused: 0x03e7");
    }
}
