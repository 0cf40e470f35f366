//! Challenges and tokens: what the service has said and recognises again without keeping it.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::backend::{AccountId, DeviceId, Seconds};
use crate::service::unavailable;
use crate::wire::{Refusal, Token};

/// A device that has shown that it is itself.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Device {
    /// Its account.
    pub account: AccountId,
    /// The device.
    pub device: DeviceId,
}

/// The key of what the service says; all nodes have the same.
pub(super) struct TokenKey(Hmac<Sha256>);

const TAG: usize = 32;

impl TokenKey {
    pub(super) fn new(key: [u8; 32]) -> Result<Self, Refusal> {
        let mac = <Hmac<Sha256> as KeyInit>::new_from_slice(&key);
        mac.map(Self).map_err(|_| unavailable("no HMAC"))
    }

    /// A challenge of this second.
    pub(super) fn challenge(&self, now: Seconds, nonce: [u8; 16]) -> Vec<u8> {
        self.tagged(b"challenge", &[now.0.to_be_bytes().as_slice(), &nonce].concat())
    }

    /// Checks that a challenge is ours and young.
    pub(super) fn check_challenge(&self, challenge: &[u8], now: Seconds, most: u64) -> Result<(), Refusal> {
        let content = self.open(b"challenge", challenge).ok_or(Refusal::Unauthorized("not our challenge"))?;
        let (at, _) = content.split_first_chunk().ok_or(Refusal::Unauthorized("not our challenge"))?;
        match now.0.saturating_sub(u64::from_be_bytes(*at)) <= most {
            true => Ok(()),
            false => Err(Refusal::Unauthorized("the challenge is too old: ask for another")),
        }
    }

    pub(super) fn token(&self, device: Device, expires: Seconds) -> Token {
        let content = [expires.0.to_be_bytes().as_slice(), &device.account.0, &device.device.0].concat();
        Token { bytes: self.tagged(b"token", &content), expires: expires.0 }
    }

    /// Whose token it is, if it is good.
    pub(super) fn check_token(&self, token: &[u8], now: Seconds) -> Result<Device, Refusal> {
        let refused = || Refusal::Unauthorized("not a token of this service: log in");
        let content = self.open(b"token", token).ok_or_else(refused)?;
        let (expires, rest) = content.split_first_chunk().ok_or_else(refused)?;
        let (account, rest) = rest.split_first_chunk().ok_or_else(refused)?;
        let (device, _) = rest.split_first_chunk().ok_or_else(refused)?;
        if u64::from_be_bytes(*expires) < now.0 {
            return Err(Refusal::Unauthorized("the token has expired: log in again"));
        }
        Ok(Device { account: AccountId(*account), device: DeviceId(*device) })
    }

    fn mac(&self, purpose: &[u8], content: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        mac.update(&[purpose, b":"].concat());
        mac.update(content);
        mac
    }

    fn tagged(&self, purpose: &[u8], content: &[u8]) -> Vec<u8> {
        let tag = self.mac(purpose, content).finalize().into_bytes();
        [content, tag.as_slice()].concat()
    }

    fn open<'a>(&self, purpose: &[u8], bytes: &'a [u8]) -> Option<&'a [u8]> {
        let (content, tag) = bytes.split_at_checked(bytes.len().checked_sub(TAG)?)?;
        self.mac(purpose, content).verify_slice(tag).ok()?;
        Some(content)
    }
}
