//! What is known of a group is sealed under a key that the service does not keep.

use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};

use crate::backend::Incarnation;
use crate::service::{random_array, unavailable};
use crate::wire::{GroupKey, Refusal};

const NONCE: usize = 24;

/// What a sealed thing is, so that one can't stand in the place of another.
#[derive(Clone, Copy, Debug)]
pub(super) enum What {
    Snapshot,
    GroupInfo,
    Handshake,
}

/// Where it belongs: not to another group, nor to the same one in another life or epoch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub(super) group: &'a [u8],
    pub(super) incarnation: Incarnation,
    pub(super) epoch: u64,
}

impl What {
    fn label(self) -> &'static [u8] {
        match self {
            Self::Snapshot => b"snapshot",
            Self::GroupInfo => b"group info",
            Self::Handshake => b"handshake",
        }
    }
}

/// Seals something for its place.
pub(super) fn seal(
    key: &GroupKey,
    (place, what): (Place<'_>, What),
    content: &[u8],
) -> Result<Vec<u8>, Refusal> {
    let nonce: [u8; NONCE] = random_array()?;
    let mut sealed = content.to_vec();
    cipher(key)
        .encrypt_in_place(&XNonce::from(nonce), &associated(place, what), &mut sealed)
        .map_err(|_| unavailable("sealing failed"))?;
    Ok([nonce.as_slice(), &sealed].concat())
}

/// Opens what was sealed; with another key it does not open.
pub(super) fn open(
    key: &GroupKey,
    (place, what): (Place<'_>, What),
    sealed: &[u8],
) -> Result<Vec<u8>, Refusal> {
    let refused = || Refusal::Forbidden("this is not the group's key");
    let (nonce, sealed) = sealed.split_first_chunk::<NONCE>().ok_or_else(refused)?;
    let mut content = sealed.to_vec();
    cipher(key)
        .decrypt_in_place(&XNonce::from(*nonce), &associated(place, what), &mut content)
        .map_err(|_| refused())?;
    Ok(content)
}

fn cipher(key: &GroupKey) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(&Key::from(*key.expose()))
}

fn associated(place: Place<'_>, what: What) -> Vec<u8> {
    let Place { group, incarnation, epoch } = place;
    [what.label(), &[0], &epoch.to_be_bytes(), &incarnation.0, group].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_in_its_place_with_its_key_alone() {
        let (key, other) = (GroupKey::new([1; 32]), GroupKey::new([2; 32]));
        let place = Place { group: b"tea", incarnation: Incarnation([3; 16]), epoch: 7 };
        let sealed = seal(&key, (place, What::Handshake), b"commit").unwrap();
        assert_eq!(open(&key, (place, What::Handshake), &sealed), Ok(b"commit".to_vec()));
        for (key, place, what) in [
            (&other, place, What::Handshake),
            (&key, place, What::Snapshot),
            (&key, Place { group: b"coffee", ..place }, What::Handshake),
            (&key, Place { incarnation: Incarnation([4; 16]), ..place }, What::Handshake),
            (&key, Place { epoch: 8, ..place }, What::Handshake),
        ] {
            assert!(open(key, (place, what), &sealed).is_err(), "{place:?} {what:?}");
        }
        assert!(open(&key, (place, What::Handshake), &sealed[..10]).is_err());
    }
}
