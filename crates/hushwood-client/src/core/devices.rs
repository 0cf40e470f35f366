//! Several devices of one person: linked by one that is there, and taken out again.

use hushwood::credential::Claim;
use hushwood_codec::{Decode, Encode, wire_struct};
use hushwood_crypto::{Secret, SignaturePublicKey};
use hushwood_delivery::wire::{Authorization, Registration};

use crate::core::Core;
use crate::core::env::VOUCHER_ROW;
use crate::core::intent::Action;
use crate::core::outbox::Done;
use crate::core::work::Work;
use crate::error::Error;
use crate::identity::{DeviceId, credential, is_same_person};
use crate::records::{DEVICE, REVOKED, Standing, VERSION, get, row};
use crate::room::RoomId;
use crate::trust::Decision;
use crate::voucher::{DeviceWord, Voucher};

wire_struct! {
    /// What a new device shows to one that is there, for a few minutes.
    struct LinkRequest {
        version: u8,
        device: [u8; 16],
        key: Vec<u8>,
        /// The key for groups.
        leaf_key: Vec<u8>,
        challenge: Vec<u8>,
    }
}

wire_struct! {
    /// What the other answers.
    struct LinkAnswer {
        version: u8,
        account: [u8; 16],
        person: Vec<u8>,
        device: [u8; 16],
        signature: Vec<u8>,
        /// Its key for groups.
        leaf_key: Vec<u8>,
        /// Its word, for those who meet the new device in groups.
        word: Vec<u8>,
    }
}

/// A device of our account, as the service knows it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct OwnDevice {
    /// The device.
    pub device: DeviceId,
    /// When it was registered, by the service's clock, in seconds.
    pub registered_at: u64,
    /// Whether it is this one.
    pub is_this: bool,
    /// Whether we have asked for it to be taken out, and that is not done yet.
    pub is_going: bool,
}

impl Core {
    /// This is another device of a person that has one: it is not registered before that one has agreed. To be said right
    /// after [`open`](Self::open) of a new store.
    ///
    /// # Errors
    /// [`Error::Void`] if the device is registered, [`Error::Revoked`] or [`Error::UnknownDevice`] if it was; [`Error::Store`].
    pub fn link(&mut self) -> Result<(), Error> {
        self.refresh()?;
        if let Some(error @ (Error::Revoked | Error::UnknownDevice)) = &self.account.stopped {
            return Err(error.clone());
        }
        if self.env.device.record.registered == REGISTERED {
            return Err(Error::Void("this device belongs to its account already"));
        }
        self.env.device.record.registered = LINKING;
        self.account.link_challenge = None;
        self.account.stopped = None;
        self.put_device()
    }

    /// What to show to a device that is there, by a QR code perhaps, once the service has given something to sign. It is good
    /// for a few minutes.
    ///
    /// # Errors
    /// [`Error::Protocol`]: none in practice.
    pub fn link_request(&self) -> Result<Option<Vec<u8>>, Error> {
        let Some(challenge) = self.account.link_challenge.clone() else { return Ok(None) };
        let device = &self.env.device;
        let key = device.device_signer.public_key().0.clone();
        let leaf_key = device.signer.public_key().0.clone();
        let request =
            LinkRequest { version: VERSION, device: device.record.device, key, leaf_key, challenge };
        Ok(Some(request.to_bytes().map_err(hushwood::error::Error::from)?))
    }

    /// Agrees that the device which shows this belongs to our account. Gives what it needs to know.
    ///
    /// Whoever has it can read what we can: be sure which device it is that shows it.
    ///
    /// # Errors
    /// [`Error::Void`] for something that is no request; [`Error::Protocol`]; [`Error::Store`].
    pub fn authorize(&mut self, request: &[u8]) -> Result<Vec<u8>, Error> {
        let request = LinkRequest::from_bytes(request).ok().filter(|request| request.version == VERSION);
        let request = request.ok_or(Error::Void("this is not what a new device shows"))?;
        self.refresh()?;
        let device = &self.env.device;
        let word = DeviceWord {
            service: device.record.service.clone(),
            person: device.record.person.clone(),
            device: request.device,
            key: request.leaf_key.clone(),
        };
        let word = word.sign(&*device.signer)?;
        let claim = self.claim_of_ours(request.device, request.leaf_key);
        let mut work = Work::new();
        self.env.judge.decide(&claim, Decision::Verified, &mut work)?;
        self.persist(work)?;
        let device = &self.env.device;
        let registration = Registration {
            account: device.record.account,
            name: device.record.person.clone(),
            device: request.device,
            key: request.key,
            challenge: request.challenge,
            signature: Vec::new(),
            authorization: None,
            invite_token: None,
        };
        let signed = registration.signed(&self.env.service());
        let signature = device.device_signer.sign(&signed).map_err(hushwood::error::Error::from)?;
        let answer = LinkAnswer {
            version: VERSION,
            account: registration.account,
            person: registration.name,
            device: device.record.device,
            signature,
            leaf_key: device.signer.public_key().0.clone(),
            word,
        };
        Ok(answer.to_bytes().map_err(hushwood::error::Error::from)?)
    }

    /// Takes what the other device has answered: this one is registered next.
    ///
    /// # Errors
    /// [`Error::Void`] for something that is no answer to what was shown, or of another person; [`Error::Store`].
    pub fn linked(&mut self, answer: &[u8]) -> Result<(), Error> {
        self.refresh()?;
        let answer = LinkAnswer::from_bytes(answer).ok().filter(|answer| answer.version == VERSION);
        let answer = answer.ok_or(Error::Void("this is not what the other device answers"))?;
        if self.env.device.record.registered == REGISTERED {
            // It was taken before, or belongs to another device.
            return match self.env.device.record.account == answer.account {
                true => Ok(()),
                false => Err(Error::Void("this device belongs to its account already")),
            };
        }
        let challenge = self.account.link_challenge.clone();
        let challenge = challenge.ok_or(Error::Void("nothing was shown to the other device"))?;
        let person = String::from_utf8_lossy(&answer.person).into_owned();
        if !is_same_person(&person, &self.env.device.member.person) {
            return Err(Error::Void(
                "the other device is of a person of another name: open this store under that name, and link it",
            ));
        }
        if answer.person != self.env.device.record.person {
            // The account's own spelling is what is signed.
            let service = self.env.device.record.service.clone();
            self.become_another((&answer.person, &service), Work::new())?;
        }
        let voucher = Voucher { version: VERSION, device: answer.device, signature: answer.word };
        let voucher = voucher.to_bytes().map_err(hushwood::error::Error::from)?;
        let claim = self.claim_of_ours(answer.device, answer.leaf_key);
        let mut work = Work::new();
        work.put(row(DEVICE, VOUCHER_ROW), Secret::new(voucher));
        self.env.judge.decide(&claim, Decision::Verified, &mut work)?;
        self.persist(work)?;
        self.env.reload_device()?;
        self.env.device.record.account = answer.account;
        let signature = answer.signature;
        self.account.authorization = Some((challenge, Authorization { device: answer.device, signature }));
        self.put_device()
    }

    /// What a store was made for may have been a mistake: person and service are what they are said to be now, as long as no service
    /// has agreed to anything else. Writes what is given, too.
    ///
    /// # Errors
    /// [`Error::OtherIdentity`] if it has.
    pub(super) fn correct(&mut self, (person, service): (&str, &str), mut work: Work) -> Result<(), Error> {
        let (record, known) = (&self.env.device.record, &self.env.device.member.person);
        let is_same_service = record.service == service.as_bytes();
        if is_same_service && record.person == person.as_bytes() {
            return self.persist(work);
        }
        if record.registered == REGISTERED {
            return match is_same_service && is_same_person(known, person) {
                true => self.persist(work),
                false => Err(Error::OtherIdentity { person: known.clone(), service: self.env.service() }),
            };
        }
        if get(&*self.env.store, &row(DEVICE, VOUCHER_ROW))?.is_some() {
            // A device of somebody else has agreed that we belong to their account, or one at another service.
            self.env.device.record.account = self.env.random()?;
            work.erase(row(DEVICE, VOUCHER_ROW));
        }
        self.become_another((person.as_bytes(), service.as_bytes()), work)?;
        self.env.reload_device()
    }

    /// We are of another name from now on, and so are rooms that only we know.
    fn become_another(&mut self, (person, service): (&[u8], &[u8]), mut work: Work) -> Result<(), Error> {
        self.env.rename(person, service);
        work.put(row(DEVICE, ""), self.env.device.record.to_row()?);
        self.make_rooms_anew(work)
    }

    /// What another device of ours shows in groups.
    fn claim_of_ours(&self, device: [u8; 16], key: Vec<u8>) -> Claim {
        let credential = credential(&self.env.device.member.person, DeviceId(device));
        Claim { credential, signature_key: SignaturePublicKey(key) }
    }

    /// Brings all our devices into all our rooms. Gives the numbers under which to ask for the results.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn invite_own_devices(&mut self) -> Result<Vec<u64>, Error> {
        self.refresh()?;
        let active = self.rooms.values().filter(|room| room.record.standing == Standing::Active);
        let active: Vec<_> = active.map(|room| room.id.clone()).collect();
        let person = self.env.device.record.person.clone();
        let (mut work, mut numbers) = (Work::new(), Vec::new());
        for room in active {
            let action = Action::Add { person: person.clone(), claimed: None };
            numbers.push(self.put_intent(&room, action, &mut work)?);
        }
        self.persist(work)?;
        Ok(numbers)
    }

    /// Takes a device out of our account and of all our rooms: it was lost, or is somebody else's now. Who is in these rooms with us is told
    /// ([`DeviceRevoked`](crate::EventKind::DeviceRevoked)): what it says is not believed any more, nor what it says of other devices.
    ///
    /// The service and the rooms are asked until it is done, across restarts. Gives the number under which to ask for what the
    /// service says ([`result`](Self::result)): [`Done::ByService`], or [`Error::NoSuchDevice`].
    ///
    /// # Errors
    /// [`Error::Void`] for this device; [`Error::Store`].
    pub fn revoke(&mut self, device: DeviceId) -> Result<u64, Error> {
        self.refresh()?;
        if device == self.env.device.member.device {
            return Err(Error::Void("no device revokes itself: do it from another"));
        }
        let person = self.env.device.record.person.clone();
        let active = self.rooms.values().filter(|room| room.record.standing == Standing::Active);
        let active: Vec<RoomId> = active.map(|room| room.id.clone()).collect();
        let mut work = Work::new();
        work.put(row(REVOKED, device.0), Secret::new(Vec::new()));
        self.disown(device, &mut work)?;
        for room in active {
            self.tell_revoked(&room, device, &mut work)?;
            let action = Action::Remove { person: person.clone(), device: Some(device.0) };
            self.put_intent(&room, action, &mut work)?;
        }
        let number = self.next.intent;
        self.next.intent = self.next.intent.saturating_add(1);
        self.persist(work)?;
        if !self.account.revoked.contains(&device.0) {
            self.account.revoked.push(device.0);
        }
        self.account.revoking.entry(device.0).or_default().number = Some(number);
        self.account.backoff.hurry();
        Ok(number)
    }

    /// What the service has said to taking a device out.
    pub(super) fn revoked(&mut self, device: [u8; 16], result: Result<Done, Error>) -> Result<(), Error> {
        let mut work = Work::new();
        work.erase(row(REVOKED, device));
        self.persist(work)?;
        self.account.revoked.retain(|other| *other != device);
        if let Some(number) = self.account.revoking.remove(&device).and_then(|revoking| revoking.number) {
            self.tell(number, result);
        }
        Ok(())
    }

    /// Asks the service which devices belong to our account. [`devices`](Self::devices) has its answer.
    pub fn want_devices(&mut self) {
        self.account.devices_wanted = true;
        self.account.devices = None;
        self.account.backoff.hurry();
    }

    /// The devices of our account, as the service has told; `None` before it has. It is told once.
    pub fn devices(&mut self) -> Option<Vec<OwnDevice>> {
        let own = self.env.device.member.device;
        let devices = self.account.devices.take()?.into_iter().map(|entry| OwnDevice {
            device: DeviceId(entry.device),
            registered_at: entry.at,
            is_this: entry.device == own.0,
            is_going: self.account.revoked.contains(&entry.device),
        });
        Some(devices.collect())
    }

    pub(super) fn put_device(&mut self) -> Result<(), Error> {
        let mut work = Work::new();
        work.put(row(DEVICE, ""), self.env.device.record.to_row()?);
        self.persist(work)
    }
}

/// The service knows the device.
pub(crate) const REGISTERED: u8 = 1;
/// It is to belong to an account that is there.
pub(super) const LINKING: u8 = 2;
