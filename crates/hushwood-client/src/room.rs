//! Names of rooms.

/// A room: the id of its group, random and the same for all members.
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct RoomId(pub Vec<u8>);
