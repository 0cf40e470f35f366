//! Challenges and tokens: what the service has said and recognises again without keeping it.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

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

/// The keys of what the service says. All nodes have the same: they come from a secret that lies in the back end, each day
/// another. What was said yesterday, or by a node whose clock is ahead of ours, is still recognised.
pub(super) struct TokenKeys(Hmac<Sha256>);

const TAG: usize = 32;
const DAY: u64 = 24 * 60 * 60;

impl TokenKeys {
    pub(super) fn new(secret: [u8; 32]) -> Result<Self, Refusal> {
        let secret = Zeroizing::new(secret);
        let mac = <Hmac<Sha256> as KeyInit>::new_from_slice(secret.as_slice());
        mac.map(Self).map_err(|_| unavailable("no HMAC"))
    }

    /// A challenge of this second.
    pub(super) fn challenge(&self, now: Seconds, nonce: [u8; 16]) -> Result<Vec<u8>, Refusal> {
        self.tagged(b"challenge", now, &[now.0.to_be_bytes().as_slice(), &nonce].concat())
    }

    /// Checks that a challenge is ours and young.
    pub(super) fn check_challenge(&self, challenge: &[u8], now: Seconds, most: u64) -> Result<(), Refusal> {
        let refused = || Refusal::Unauthorized("not our challenge, or an old one: ask for another");
        let content = self.open(b"challenge", now, challenge).ok_or_else(refused)?;
        let (at, _) = content.split_first_chunk().ok_or_else(refused)?;
        match now.0.abs_diff(u64::from_be_bytes(*at)) <= most {
            true => Ok(()),
            false => Err(Refusal::Unauthorized("the challenge is too old: ask for another")),
        }
    }

    pub(super) fn token(&self, device: Device, now: Seconds, lifetime: u64) -> Result<Token, Refusal> {
        let expires = now.0.saturating_add(lifetime.min(DAY));
        let content = [expires.to_be_bytes().as_slice(), &device.account.0, &device.device.0].concat();
        Ok(Token { bytes: self.tagged(b"token", now, &content)?, expires })
    }

    /// Whose token it is, if it is good.
    pub(super) fn check_token(&self, token: &[u8], now: Seconds) -> Result<Device, Refusal> {
        let refused = || Refusal::Unauthorized("not a token of this service, or an old one: log in");
        let content = self.open(b"token", now, token).ok_or_else(refused)?;
        let (expires, rest) = content.split_first_chunk().ok_or_else(refused)?;
        let (account, rest) = rest.split_first_chunk().ok_or_else(refused)?;
        let (device, _) = rest.split_first_chunk().ok_or_else(refused)?;
        if u64::from_be_bytes(*expires) < now.0 {
            return Err(Refusal::Unauthorized("the token has expired: log in again"));
        }
        Ok(Device { account: AccountId(*account), device: DeviceId(*device) })
    }

    /// The tag of a day over a purpose and a content.
    fn mac(&self, purpose: &[u8], day: u64, content: &[u8]) -> Result<Hmac<Sha256>, Refusal> {
        let mut key = self.0.clone();
        key.update(b"hushwood delivery tokens 1");
        key.update(&day.to_be_bytes());
        let key = Zeroizing::new(<[u8; TAG]>::from(key.finalize().into_bytes()));
        let mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key.as_slice());
        let mut mac = mac.map_err(|_| unavailable("no HMAC"))?;
        mac.update(&[purpose, b":"].concat());
        mac.update(content);
        Ok(mac)
    }

    /// The day, the content, and the day's tag.
    fn tagged(&self, purpose: &[u8], now: Seconds, content: &[u8]) -> Result<Vec<u8>, Refusal> {
        let day = day(now);
        let tag = self.mac(purpose, day, content)?.finalize().into_bytes();
        Ok([day.to_be_bytes().as_slice(), content, tag.as_slice()].concat())
    }

    fn open<'a>(&self, purpose: &[u8], now: Seconds, bytes: &'a [u8]) -> Option<&'a [u8]> {
        let (said, rest) = bytes.split_first_chunk()?;
        let said = u64::from_be_bytes(*said);
        let (content, tag) = rest.split_at_checked(rest.len().checked_sub(TAG)?)?;
        if said.abs_diff(day(now)) > 1 {
            return None;
        }
        self.mac(purpose, said, content).ok()?.verify_slice(tag).ok()?;
        Some(content)
    }
}

fn day(now: Seconds) -> u64 {
    now.0.checked_div(DAY).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Seconds = Seconds(1_800_000_000);
    const DEVICE: Device = Device { account: AccountId([1; 16]), device: DeviceId([2; 16]) };

    fn later(seconds: u64) -> Seconds {
        Seconds(NOW.0 + seconds)
    }

    #[test]
    fn nodes_with_the_same_secret_know_each_others_tokens() {
        let nodes = [[7; 32], [7; 32], [8; 32]].map(|secret| TokenKeys::new(secret).unwrap());
        let token = nodes[0].token(DEVICE, NOW, 900).unwrap().bytes;
        assert_eq!(nodes[1].check_token(&token, NOW), Ok(DEVICE));
        assert!(nodes[2].check_token(&token, NOW).is_err());
        assert!(nodes[1].check_challenge(&token, NOW, 300).is_err(), "a token is no challenge");
    }

    #[test]
    fn a_token_outlasts_midnight_and_not_its_time() {
        let keys = TokenKeys::new([7; 32]).unwrap();
        let midnight = Seconds((NOW.0 / DAY + 1) * DAY);
        let before = Seconds(midnight.0 - 1);
        let token = keys.token(DEVICE, before, 900).unwrap();
        assert_eq!(keys.check_token(&token.bytes, Seconds(midnight.0 + 800)), Ok(DEVICE));
        assert!(keys.check_token(&token.bytes, Seconds(midnight.0 + 900)).is_err());
        // A node whose clock is a little ahead has said it.
        let token = keys.token(DEVICE, midnight, 900).unwrap();
        assert_eq!(keys.check_token(&token.bytes, before), Ok(DEVICE));
    }

    #[test]
    fn the_key_of_a_day_is_of_no_use_two_days_later() {
        let keys = TokenKeys::new([7; 32]).unwrap();
        let tags =
            [0, DAY].map(|after| keys.mac(b"token", day(later(after)), b"").unwrap().finalize().into_bytes());
        assert_ne!(tags[0], tags[1]);
        // Made with the key of the first day, to be good for ever.
        let content = [u64::MAX.to_be_bytes().as_slice(), &[1; 16], &[2; 16]].concat();
        let forged = keys.tagged(b"token", NOW, &content).unwrap();
        assert!(keys.check_token(&forged, NOW).is_ok());
        assert!(keys.check_token(&forged, later(2 * DAY)).is_err());
        // Nor is it moved to another day.
        let mut moved = forged;
        moved[..8].copy_from_slice(&day(later(2 * DAY)).to_be_bytes());
        assert!(keys.check_token(&moved, later(2 * DAY)).is_err());
    }

    #[test]
    fn challenges_are_ours_and_young() {
        let keys = TokenKeys::new([7; 32]).unwrap();
        let challenge = keys.challenge(NOW, [3; 16]).unwrap();
        assert_eq!(keys.check_challenge(&challenge, later(300), 300), Ok(()));
        assert!(keys.check_challenge(&challenge, later(301), 300).is_err());
        let mut other = challenge;
        other[20] ^= 1;
        assert!(keys.check_challenge(&other, NOW, 300).is_err());
        assert!(keys.check_challenge(b"", NOW, 300).is_err());
    }
}
