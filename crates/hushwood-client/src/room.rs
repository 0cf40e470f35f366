//! Names of rooms.

use std::fmt;

/// A room: the id of its group, random and the same for all members.
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct RoomId(pub Vec<u8>);

impl fmt::Display for RoomId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for RoomId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RoomId({self})")
    }
}
