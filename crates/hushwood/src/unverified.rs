//! What came from outside and has not been validated yet.

use hushwood_codec::{Decode, DecodeError, Encode, Reader, Writer};

/// A value as it was received. Its signature and content have not been checked.
///
/// The only ways out are the functions that validate it: `key_package::validate`, `Group::receive`,
/// `Group::join` and their like. [`inspect`](Self::inspect) is for showing it to a person.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Unverified<T>(T);

impl<T> Unverified<T> {
    /// Marks a value as not validated.
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// The value, to look at. Whatever it says may be a lie.
    pub fn inspect(&self) -> &T {
        &self.0
    }

    /// The value, for the function that validates it.
    pub(crate) fn into_unchecked(self) -> T {
        self.0
    }
}

impl<T: Decode> Decode for Unverified<T> {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        T::decode(reader).map(Self)
    }
}

impl<T: Encode> Encode for Unverified<T> {
    fn encode(&self, writer: &mut Writer) {
        self.0.encode(writer);
    }
}
