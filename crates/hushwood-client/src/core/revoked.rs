//! Devices that were taken out of their account: the person's other ones say so in the rooms that they share.
//!
//! The service refuses a revoked device, and rooms remove it. But whoever has it can still sign that another device is of the same
//! person (`voucher`), and who knows its key would believe that. So whoever hears the word of another known device of the person
//! takes the key for somebody else's from then on.

use hushwood::credential::Claim;
use hushwood_codec::{Decode, Encode, wire_struct};
use hushwood_crypto::SignaturePublicKey;

use crate::content::REVOKED;
use crate::core::Core;
use crate::core::intent::Action;
use crate::core::log::Page;
use crate::core::room::Room;
use crate::core::work::Work;
use crate::error::Error;
use crate::event::EventKind;
use crate::identity::{DeviceId, Member, credential, member};
use crate::records::VERSION;
use crate::room::RoomId;

wire_struct! {
    /// The body of such a message.
    struct RevokedDevice {
        version: u8,
        device: [u8; 16],
        /// Its keys for groups, as far as they are known.
        keys: Vec<SignaturePublicKey>,
    }
}

/// So many keys of one device are believed to be somebody else's at most. A device has one, and in a room that it came back to another.
const MOST_KEYS: usize = 8;

impl Core {
    /// What the others in a room are told of a device of ours that was revoked.
    pub(super) fn tell_revoked(
        &mut self,
        room: &RoomId,
        device: DeviceId,
        work: &mut Work,
    ) -> Result<(), Error> {
        let keys = self.keys_of_ours(room, device)?;
        let said = RevokedDevice { version: VERSION, device: device.0, keys };
        let body = said.to_bytes().map_err(hushwood::error::Error::from)?;
        let id = self.env.random()?;
        self.put_intent(room, Action::Send { id, sent_at: 0, kind: REVOKED, body }, work)?;
        Ok(())
    }

    /// We ourselves do not believe a device any more that we have revoked.
    pub(super) fn disown(&mut self, device: DeviceId, work: &mut Work) -> Result<(), Error> {
        let own = self.env.device.member.clone();
        let rooms: Vec<_> = self.rooms.keys().cloned().collect();
        let mut keys = Vec::new();
        for room in rooms {
            keys.extend(self.keys_of_ours(&room, device)?);
        }
        self.env.judge.disown(&Member { device, ..own }, &keys, work)
    }

    /// The keys that a device of ours has in a room.
    fn keys_of_ours(&mut self, room: &RoomId, device: DeviceId) -> Result<Vec<SignaturePublicKey>, Error> {
        let lost = Member { device, ..self.env.device.member.clone() };
        let group = self.group(room)?;
        let mut keys = Vec::new();
        for view in group.members() {
            let view = view?;
            if member(&view.leaf.credential, group.suite()) == lost {
                keys.push(view.leaf.signature_key);
            }
        }
        Ok(keys)
    }
}

impl Room {
    /// A member says that another device of theirs was revoked.
    pub(super) fn revoked(&self, from: &Member, body: &[u8], page: &mut Page<'_>) -> Result<(), Error> {
        let said = RevokedDevice::from_bytes(body).ok().filter(|said| said.version == VERSION);
        let Some(said) = said else { return Ok(()) };
        let lost = Member { person: from.person.clone(), device: DeviceId(said.device) };
        // No device revokes itself, and what we are the service says, not a device that may be the one that was lost.
        if lost == *from || lost == page.env.device.member {
            return Ok(());
        }
        // Of a device of which nothing is known there is nothing to take back. Names are free: what is kept has a limit.
        let known = page.env.judge.pinned(&credential(&lost.person, lost.device));
        if known.is_empty() || said.keys.len() > MOST_KEYS {
            return Ok(());
        }
        page.env.judge.disown(&lost, &said.keys, page.work)?;
        page.work.event(&self.id, EventKind::DeviceRevoked { member: lost, by: from.clone() });
        Ok(())
    }
}

impl crate::trust::Judge {
    /// Whatever keys this device is known by, or has, are somebody else's from now on.
    pub(crate) fn disown(
        &mut self,
        lost: &Member,
        keys: &[SignaturePublicKey],
        work: &mut Work,
    ) -> Result<(), Error> {
        if self.is_of_the_application() {
            return Ok(());
        }
        let credential = credential(&lost.person, lost.device);
        let mut keys = keys.to_vec();
        keys.extend(self.pinned(&credential));
        for signature_key in keys {
            let claim = Claim { credential: credential.clone(), signature_key };
            self.decide(&claim, crate::trust::Decision::Doubted, work)?;
        }
        Ok(())
    }
}
