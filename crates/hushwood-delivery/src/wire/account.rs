//! The account plane: devices, KeyPackages, inboxes.

use std::fmt;

use hushwood_codec::{Decode, DecodeError, Encode, Reader, Writer, wire_struct};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

wire_struct! {
    /// Something to sign, so that a signature shows that a device is there now.
    #[derive(Clone, Debug, Eq, PartialEq)]
    pub struct Challenge {
        /// What to sign.
        pub bytes: Vec<u8>,
        /// The service's clock, in seconds.
        pub now: u64,
    }
}

wire_struct! {
    /// A device shows that it is itself.
    #[derive(Clone, Debug, Eq, PartialEq)]
    pub struct Login {
        /// Its account.
        pub account: [u8; 16],
        /// The device.
        pub device: [u8; 16],
        /// A challenge that the service gave.
        pub challenge: Vec<u8>,
        /// By the device's key, over [`signed`](Self::signed).
        pub signature: Vec<u8>,
    }
}

wire_struct! {
    /// What a device shows with its requests until it expires.
    #[derive(Clone, Eq, PartialEq)]
    pub struct Token {
        /// Nothing to look into.
        pub bytes: Vec<u8>,
        /// The service's second after which it is good no more.
        pub expires: u64,
    }
}

wire_struct! {
    /// A device that wants to belong to an account.
    #[derive(Clone, Debug, Eq, PartialEq)]
    pub struct Registration {
        /// The account; random for a new one.
        pub account: [u8; 16],
        /// The account's name, by which others find it: UTF-8.
        pub name: Vec<u8>,
        /// The device; random.
        pub device: [u8; 16],
        /// Its public key: Ed25519.
        pub key: Vec<u8>,
        /// A challenge that the service gave.
        pub challenge: Vec<u8>,
        /// By that key, over [`signed`](Self::signed).
        pub signature: Vec<u8>,
        /// For a device that is not the first of its account: a device that belongs to it agrees.
        pub authorization: Option<Authorization>,
        /// For the first device of a new account, where the service's operator gives accounts to those alone who have it.
        pub invite_token: Option<InviteToken>,
    }
}

/// What an operator gives to those who may have an account: one for all, or one for each. It is erased from memory when it is
/// dropped, and never shown.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct InviteToken(Vec<u8>);

impl InviteToken {
    /// A token from its bytes.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The token itself, to be given to whom it is for.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for InviteToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InviteToken(..)")
    }
}

/// In constant time, but for the length.
impl PartialEq for InviteToken {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for InviteToken {}

impl Encode for InviteToken {
    fn encode(&self, writer: &mut Writer) {
        writer.opaque(&self.0);
    }
}

impl Decode for InviteToken {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self(reader.field("InviteToken").opaque()?.to_vec()))
    }
}

wire_struct! {
    /// A device that belongs to the account.
    #[derive(Clone, Copy, Debug, Eq, PartialEq)]
    pub struct DeviceEntry {
        /// The device.
        pub device: [u8; 16],
        /// When it was registered, by the service's clock, in seconds.
        pub at: u64,
    }
}

wire_struct! {
    /// A device's word that another belongs to the same account.
    #[derive(Clone, Debug, Eq, PartialEq)]
    pub struct Authorization {
        /// The device that agrees.
        pub device: [u8; 16],
        /// By its key, over the same content as the new device's signature.
        pub signature: Vec<u8>,
    }
}

wire_struct! {
    /// A KeyPackage for others to claim. What it says of itself, the service reads in it.
    #[derive(Clone, Debug, Eq, PartialEq)]
    pub struct PublishedKeyPackage {
        /// The MLSMessage.
        pub message: Vec<u8>,
    }
}

wire_struct! {
    /// Whose KeyPackages are asked for: one for each of the account's devices.
    #[derive(Clone, Debug, Eq, PartialEq)]
    pub struct ClaimRequest {
        /// The account's name: UTF-8.
        pub name: Vec<u8>,
        /// The cipher suite.
        pub suite: u16,
    }
}

wire_struct! {
    /// A KeyPackage that is given to nobody else, if it is not of last resort.
    #[derive(Clone, Debug, Eq, PartialEq)]
    pub struct ClaimedKeyPackage {
        /// Whose it is.
        pub account: [u8; 16],
        /// The device.
        pub device: [u8; 16],
        /// The MLSMessage.
        pub message: Vec<u8>,
    }
}

wire_struct! {
    /// What others can still claim of one suite.
    #[derive(Clone, Debug, Eq, PartialEq)]
    pub struct StockEntry {
        /// The suite.
        pub suite: u16,
        /// How many.
        pub left: u32,
        /// 1 if there is one of last resort.
        pub last_resort: u8,
        /// 1 if that has been given to somebody: then it is time for another.
        pub last_resort_used: u8,
    }
}

wire_struct! {
    /// A Welcome that waits.
    #[derive(Clone, Debug, Eq, PartialEq)]
    pub struct WelcomeEntry {
        /// Its name, to say that it has been stored.
        pub id: [u8; 32],
        /// The MLSMessage.
        pub message: Vec<u8>,
    }
}

impl fmt::Debug for Token {
    /// Without the bytes: whoever has them is the device.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("expires", &self.expires).finish_non_exhaustive()
    }
}

impl Login {
    /// The content of the signature: for this service, this device and this time alone.
    #[must_use]
    pub fn signed(service: &str, account: [u8; 16], device: [u8; 16], challenge: &[u8]) -> Vec<u8> {
        content(b"hushwood delivery login 1", &[service.as_bytes(), &account, &device, challenge])
    }
}

impl Registration {
    /// The content of the signatures.
    #[must_use]
    pub fn signed(&self, service: &str) -> Vec<u8> {
        let parts = [service.as_bytes(), &self.account, &self.name, &self.device, &self.key, &self.challenge];
        content(b"hushwood delivery registration 1", &parts)
    }
}

/// Parts one after another, each with its length, so that no two lists give the same bytes.
pub(super) fn content(label: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in std::iter::once(&label).chain(parts) {
        bytes.extend_from_slice(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        bytes.extend_from_slice(part);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_not_printed() {
        let token = Token { bytes: vec![171; 8], expires: 7 };
        assert_eq!(format!("{token:?}"), "Token { expires: 7, .. }");
    }

    #[test]
    fn an_invite_token_is_not_shown_and_comes_back() {
        let token = InviteToken::new(b"secret".to_vec());
        assert_eq!(format!("{token:?}"), "InviteToken(..)");
        assert_eq!(InviteToken::from_bytes(&token.to_bytes().unwrap()), Ok(token.clone()));
        assert_ne!(token, InviteToken::new(b"Secret".to_vec()));
    }
}
