//! Names as text: hexadecimal digits, as they are shown and read.

use std::fmt;
use std::str::FromStr;

use crate::event::MessageId;
use crate::identity::DeviceId;
use crate::invitation::InvitationId;
use crate::room::RoomId;

/// A text that is no name of this kind: those are hexadecimal digits, two for each byte.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NotAnId;

fn show(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

fn read(text: &str) -> Result<Vec<u8>, NotAnId> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut bytes = Vec::with_capacity(text.len() / 2);
    for pair in text.as_bytes().chunks(2) {
        let [high, low] = pair else { return Err(NotAnId) };
        let (Some(high), Some(low)) = (digit(*high), digit(*low)) else { return Err(NotAnId) };
        bytes.push(high << 4 | low);
    }
    Ok(bytes)
}

/// How a name is shown and read.
macro_rules! names {
    ($($name:ident),*) => { $(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                show(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl FromStr for $name {
            type Err = NotAnId;

            fn from_str(text: &str) -> Result<Self, NotAnId> {
                Ok(Self(read(text)?.try_into().map_err(|_| NotAnId)?))
            }
        }
    )* };
}

names!(DeviceId, InvitationId, MessageId, RoomId);

impl fmt::Display for NotAnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("this is no id: it has hexadecimal digits alone, two for each byte")
    }
}

impl std::error::Error for NotAnId {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_from_their_text() {
        let id = MessageId([0xa5; 16]);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!("A5".repeat(16).parse(), Ok(id));
        assert_eq!("a5f0".parse(), Ok(RoomId(vec![0xa5, 0xf0])));
        assert_eq!(format!("{id:?}"), format!("MessageId({id})"));
    }

    #[test]
    fn other_text_is_no_name() {
        for text in ["a", "xy", "+1", "\u{e9}", &"a5".repeat(15), &"a5".repeat(17)] {
            assert_eq!(text.parse::<MessageId>(), Err(NotAnId), "{text}");
        }
    }
}
