//! The account's lane: who we are to the service, KeyPackages, invitations.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use hushwood_delivery::wire::{
    Access, AcknowledgeRequest, Answer, Authorization, Call, Challenge, ClaimRequest, ClaimedKeyPackage,
    DeviceEntry, InboxRequest, Login, Nothing, PublishRequest, PublishedKeyPackage, RefusalCode, Refused,
    Registration, RevokeRequest, Token, WelcomeId,
};

use crate::core::answers::Purpose;
use crate::core::backoff::Backoff;
use crate::core::devices::{LINKING, REGISTERED};
use crate::core::intent::Action;
use crate::core::invitations::Waiting;
use crate::core::outbox::Done;
use crate::core::work::Work;
use crate::core::{Core, Request};
use crate::error::Error;
use crate::identity::DeviceId;
use crate::invitation::InvitationId;
use crate::settings::Millis;
use crate::transport::TransportError;

/// The account's lane, as far as it is of this process.
#[derive(Default)]
pub(super) struct Account {
    pub(super) in_flight: bool,
    pub(super) backoff: Backoff,
    /// Something to sign, once.
    challenge: Option<Vec<u8>>,
    token: Option<Token>,
    /// The last login was refused.
    login_refused: bool,
    /// The last registration was refused for what was signed.
    registration_refused: bool,
    token_wanted: bool,
    /// Our clock may be wrong.
    time_wanted: bool,
    /// Our name or ids are taken: perhaps by ourselves, when an answer was lost.
    taken: Option<Refused>,
    /// Why the service has nothing to do with us any more.
    pub(super) stopped: Option<Error>,
    /// What was shown to another device to be signed.
    pub(super) link_challenge: Option<Vec<u8>>,
    /// What another device has agreed to, and what it has signed.
    pub(super) authorization: Option<(Vec<u8>, Authorization)>,
    /// Devices that shall belong to the account no longer.
    pub(super) revoked: Vec<[u8; 16]>,
    /// What is known of asking for that, in this process.
    pub(super) revoking: BTreeMap<[u8; 16], Revoking>,
    /// Somebody wants to know which devices belong to the account, and which did.
    pub(super) devices_wanted: bool,
    pub(super) devices: Option<Vec<DeviceEntry>>,
    claims: VecDeque<u64>,
    pub(super) inbox_wanted: u64,
    pub(super) inbox_done: u64,
    /// Invitations that are stored and were not followed yet.
    pub(super) invitations: BTreeMap<InvitationId, Waiting>,
    /// Those of which was told that somebody's key has changed.
    pub(super) told: BTreeSet<InvitationId>,
    /// Invitations that are stored, to be taken out of the inbox.
    pub(super) acknowledged: Vec<[u8; 32]>,
    pub(super) to_publish: Vec<PublishedKeyPackage>,
    /// When the one of last resort among them was made, in seconds.
    pub(super) last_resort_made: Option<u64>,
    pub(super) stock_at: Option<Millis>,
}

/// What is known of a device that is to be taken out.
#[derive(Default)]
pub(super) struct Revoking {
    /// Under which number what becomes of it is told.
    pub(super) number: Option<u64>,
    /// The service may have been asked, and its answer be lost.
    unanswered: bool,
}

impl Account {
    pub(super) fn token(&self) -> Option<Vec<u8>> {
        self.token.as_ref().map(|token| token.bytes.clone())
    }

    pub(super) fn want_claim(&mut self, number: u64) {
        if !self.claims.contains(&number) {
            self.claims.push_back(number);
        }
    }

    /// A room has something to ask that a device asks.
    pub(super) fn want_token(&mut self) {
        self.token_wanted = true;
    }

    /// The token is not believed any more.
    pub(super) fn drop_token(&mut self) {
        self.token = None;
    }

    pub(super) fn want_time(&mut self) {
        self.time_wanted = true;
        self.backoff.hurry();
    }
}

impl Core {
    /// What the account wants asked next.
    pub(super) fn poll_account(&mut self, now: Millis) -> Result<Option<Request>, Error> {
        let account = &self.account;
        if account.in_flight || account.backoff.until > now || account.stopped.is_some() {
            return Ok(None);
        }
        if account.time_wanted {
            return Ok(Some(self.request(Call::Challenge(Nothing), Purpose::Challenge)));
        }
        match self.env.device.record.registered {
            REGISTERED => {}
            LINKING if self.account.authorization.is_some() => {
                return self.prove(Prove::Registration).map(Some);
            }
            LINKING if self.account.link_challenge.is_none() => {
                return Ok(Some(self.request(Call::Challenge(Nothing), Purpose::Challenge)));
            }
            // The other device has not agreed yet.
            LINKING => return Ok(None),
            _ if self.account.taken.is_none() => return self.prove(Prove::Registration).map(Some),
            _ => {}
        }
        if std::mem::take(&mut self.account.token_wanted) && !self.is_logged_in(now) {
            self.account.token_wanted = true;
            return self.prove(Prove::Login).map(Some);
        }
        let Some((call, purpose)) = self.need(now)? else { return Ok(None) };
        if call.kind().access() == Access::Device && !self.is_logged_in(now) {
            return self.prove(Prove::Login).map(Some);
        }
        Ok(Some(self.request(call, purpose)))
    }

    /// Whether there is a token that is good.
    pub(super) fn is_logged_in(&self, now: Millis) -> bool {
        self.token_ends().is_some_and(|at| at > now)
    }

    /// When the token is as good as over, by our clock: a minute before it ends.
    pub(super) fn token_ends(&self) -> Option<Millis> {
        let token = self.account.token.as_ref()?;
        let at = token.expires.saturating_sub(60).saturating_sub_signed(self.env.skew);
        Some(Millis(at.saturating_mul(1000)))
    }

    /// Asks for something to sign, or signs it.
    fn prove(&mut self, what: Prove) -> Result<Request, Error> {
        // What another device has signed stays until it is known that it was taken.
        let linked = self.account.authorization.clone().filter(|_| matches!(what, Prove::Registration));
        let (challenge, authorization) = match linked {
            Some((challenge, authorization)) => (challenge, Some(authorization)),
            None => match self.account.challenge.take() {
                Some(challenge) => (challenge, None),
                None => return Ok(self.request(Call::Challenge(Nothing), Purpose::Challenge)),
            },
        };
        let device = &self.env.device;
        let (account, id) = (device.record.account, device.record.device);
        let sign = |content: &[u8]| device.device_signer.sign(content).map_err(hushwood::error::Error::from);
        match what {
            Prove::Registration => {
                let mut registration = Registration {
                    account,
                    name: device.record.person.clone(),
                    device: id,
                    key: device.device_signer.public_key().0.clone(),
                    challenge,
                    signature: Vec::new(),
                    authorization,
                    invite_token: self.env.settings.invite_token.clone(),
                };
                registration.signature = sign(&registration.signed(&self.env.service()))?;
                Ok(self.request(Call::Register(registration), Purpose::Register))
            }
            Prove::Login => {
                let signature = sign(&Login::signed(&self.env.service(), account, id, &challenge))?;
                let login = Login { account, device: id, challenge, signature };
                Ok(self.request(Call::Login(login), Purpose::Login))
            }
        }
    }

    /// The next thing to ask, by how urgent it is.
    fn need(&mut self, now: Millis) -> Result<Option<(Call, Purpose)>, Error> {
        if self.env.device.record.registered != REGISTERED {
            // Whether it is we who have the name, a login shows.
            return Ok(Some((Call::Stock(Nothing), Purpose::Stock)));
        }
        if !self.account.acknowledged.is_empty() {
            let ids = self.account.acknowledged.clone();
            let names = ids.iter().map(|id| WelcomeId(*id)).collect();
            return Ok(Some((
                Call::Acknowledge(AcknowledgeRequest { ids: names }),
                Purpose::Acknowledge { ids },
            )));
        }
        if let Some(invitation) = self.next_invitation()? {
            return Ok(Some(invitation));
        }
        if let Some(device) = self.account.revoked.first().copied() {
            let revoke = RevokeRequest { device };
            return Ok(Some((Call::Revoke(revoke), Purpose::Revoke { device })));
        }
        if self.account.devices_wanted {
            return Ok(Some((Call::Devices(Nothing), Purpose::Devices)));
        }
        while let Some(number) = self.account.claims.front().copied() {
            let intent = self.intents.get(&number).map(|intent| &intent.action);
            if let Some(Action::Add { person, claimed: None }) = intent {
                let claim = ClaimRequest { name: person.clone(), suite: self.env.suite().id().0 };
                return Ok(Some((Call::Claim(claim), Purpose::Claim { number })));
            }
            self.account.claims.pop_front();
        }
        if !self.account.to_publish.is_empty() {
            let packages = self.account.to_publish.clone();
            let count = packages.len();
            return Ok(Some((Call::Publish(PublishRequest { packages }), Purpose::Publish(count))));
        }
        if self.account.stock_at.is_none_or(|at| at <= now) {
            return Ok(Some((Call::Stock(Nothing), Purpose::Stock)));
        }
        if self.account.inbox_wanted > self.account.inbox_done {
            let wanted = self.account.inbox_wanted;
            return Ok(Some((Call::Inbox(InboxRequest::default()), Purpose::Inbox { wanted })));
        }
        Ok(None)
    }

    pub(super) fn take_account_answer(
        &mut self,
        purpose: Purpose,
        answer: Result<Answer, TransportError>,
        now: Millis,
    ) -> Result<(), Error> {
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => return self.account_failed(&purpose, error, now),
        };
        self.account.backoff.succeed();
        let taken = match (purpose, answer) {
            (Purpose::Challenge, Answer::Challenge(challenge)) => {
                self.challenged(challenge, now);
                Ok(())
            }
            (Purpose::Register, Answer::Register(_)) => {
                self.account.registration_refused = false;
                self.registered()
            }
            (Purpose::Login, Answer::Login(token)) => {
                self.account.token = Some(token);
                self.account.login_refused = false;
                match self.account.taken.take() {
                    // So it was we.
                    Some(_) => self.registered(),
                    None => Ok(()),
                }
            }
            (Purpose::Stock, Answer::Stock(stock)) => self.restock(&stock.entries, now),
            (Purpose::Publish(count), Answer::Publish(_)) => {
                self.account.to_publish.drain(..count.min(self.account.to_publish.len()));
                self.published()
            }
            (Purpose::Claim { number }, Answer::Claim(claim)) => self.claimed(number, claim.packages),
            (Purpose::Inbox { wanted }, Answer::Inbox(inbox)) => self.inbox(wanted, inbox.welcomes),
            (Purpose::Invitation { id }, Answer::Tree(tree)) => self.join(id, &tree, now),
            (Purpose::Acknowledge { ids }, Answer::Acknowledge(_)) => {
                self.account.acknowledged.retain(|id| !ids.contains(id));
                Ok(())
            }
            (Purpose::Revoke { device }, Answer::Revoke(_)) => self.revoked(device, Ok(Done::ByService)),
            (Purpose::Devices, Answer::Devices(answer)) => {
                self.account.devices_wanted = false;
                self.account.devices = Some(answer.devices);
                Ok(())
            }
            _ => Err(Error::BadAnswer("an answer to another question")),
        };
        match taken {
            Err(error @ Error::BadAnswer(_)) => {
                self.account_waits(error, 0, now);
                Ok(())
            }
            taken => taken,
        }
    }

    fn account_failed(&mut self, purpose: &Purpose, error: TransportError, now: Millis) -> Result<(), Error> {
        let TransportError::Refused(refused) = error else {
            if let (Purpose::Revoke { device }, TransportError::Unknown(_)) = (purpose, &error) {
                self.account.revoking.entry(*device).or_default().unanswered = true;
            }
            self.account_waits(error.into(), 0, now);
            return Ok(());
        };
        if refused.is_temporary()
            && let Purpose::Claim { number } = purpose
        {
            // So many invitations of one person are for later; everything else goes on.
            return self.claim_later(*number, refused, now);
        }
        if refused.is_temporary() || refused.code == RefusalCode::FAILED {
            let at_least = refused.retry_after.map_or(0, |time| u64::try_from(time.as_millis()).unwrap_or(0));
            self.account_waits(refused.into(), at_least, now);
            return Ok(());
        }
        match (refused.code, purpose) {
            (RefusalCode::REVOKED, _) => self.account.stopped = Some(Error::Revoked),
            // What was signed by both is too old, or not as the other device signed it: begin anew.
            (_, Purpose::Register) if self.env.device.record.registered == LINKING => {
                self.account.link_challenge = None;
                self.account.authorization = None;
                match refused.code {
                    // It may be that the answer was lost, and it is we.
                    RefusalCode::TAKEN => {
                        self.env.device.record.registered = 0;
                        self.account.taken = Some(refused);
                    }
                    _ => self.account.stopped = Some(Error::NotLinked(refused)),
                }
            }
            (RefusalCode::UNAUTHORIZED, Purpose::Login) => {
                // The challenge may have been too old; twice in a row it is we who are not wanted.
                let again = std::mem::replace(&mut self.account.login_refused, true);
                match (again, self.account.taken.take()) {
                    (false, taken) => {
                        self.account.taken = taken;
                        self.account_waits(refused.into(), 0, now);
                    }
                    (true, Some(taken)) => self.account.stopped = Some(taken.into()),
                    (true, None) => self.account.stopped = Some(Error::UnknownDevice),
                }
            }
            (RefusalCode::UNAUTHORIZED, Purpose::Register) => {
                // The challenge may have been too old; twice in a row it is what is signed. Asked again and again, the service would
                // take us for many.
                match std::mem::replace(&mut self.account.registration_refused, true) {
                    false => self.account_waits(refused.into(), 0, now),
                    true => {
                        self.account.stopped = Some(Error::OtherService { service: self.env.service() });
                    }
                }
            }
            (RefusalCode::UNAUTHORIZED, _) => {
                self.account.token = None;
                self.account_waits(refused.into(), 0, now);
            }
            (RefusalCode::NOT_FOUND, Purpose::Revoke { device }) => {
                let known = self.account.revoking.get(device);
                let result = match known.is_some_and(|revoking| revoking.unanswered) {
                    true => Ok(Done::ByService),
                    false => Err(Error::NoSuchDevice { device: DeviceId(*device) }),
                };
                self.revoked(*device, result)?;
            }
            (RefusalCode::TAKEN, Purpose::Register) => self.account.taken = Some(refused),
            (_, Purpose::Register) => self.account.stopped = Some(refused.into()),
            (RefusalCode::NOT_FOUND, Purpose::Claim { number }) => {
                self.give_up(*number, Error::NoSuchPerson)?
            }
            (_, Purpose::Claim { number }) => self.give_up(*number, refused.into())?,
            (_, Purpose::Invitation { id }) => return self.bad_invitation(*id, &refused.to_string()),
            // More than it takes, or not as it likes them: the stock is looked at again later.
            (_, Purpose::Publish(_)) => {
                self.account.to_publish.clear();
                self.account.last_resort_made = None;
            }
            (_, _) => self.account_waits(refused.into(), 0, now),
        }
        Ok(())
    }

    fn account_waits(&mut self, trouble: Error, at_least: u64, now: Millis) {
        let retry = self.env.settings.retry;
        self.account.backoff.fail(trouble, (now, at_least), retry, &mut *self.env.random);
    }

    fn challenged(&mut self, challenge: Challenge, now: Millis) {
        let (theirs, ours) = (i64::try_from(challenge.now), i64::try_from(now.seconds().0));
        if let (Ok(theirs), Ok(ours)) = (theirs, ours) {
            self.env.skew = theirs.saturating_sub(ours);
        }
        self.account.time_wanted = false;
        match self.env.device.record.registered {
            LINKING => self.account.link_challenge = Some(challenge.bytes),
            _ => self.account.challenge = Some(challenge.bytes),
        }
    }

    fn registered(&mut self) -> Result<(), Error> {
        self.env.device.record.registered = REGISTERED;
        self.account.authorization = None;
        self.put_device()
    }

    fn claim_later(&mut self, number: u64, refused: Refused, now: Millis) -> Result<(), Error> {
        self.account.claims.retain(|other| *other != number);
        let Some(intent) = self.intents.get_mut(&number) else { return Ok(()) };
        let wait = refused.retry_after.map_or(1000, |time| u64::try_from(time.as_millis()).unwrap_or(1000));
        intent.not_before = now.after(wait).0;
        let room = intent.room.clone();
        if let Some(room) = self.rooms.get_mut(&room) {
            room.backoff.trouble = Some(refused.into());
        }
        let mut work = Work::new();
        self.put_again(number, &mut work)?;
        self.persist(work)
    }

    fn claimed(&mut self, number: u64, packages: Vec<ClaimedKeyPackage>) -> Result<(), Error> {
        self.account.claims.retain(|other| *other != number);
        let Some(intent) = self.intents.get_mut(&number) else { return Ok(()) };
        if packages.is_empty() {
            return self.give_up(number, Error::NoSuchPerson);
        }
        if let Action::Add { claimed, .. } = &mut intent.action {
            *claimed = Some(packages);
        }
        let mut work = Work::new();
        self.put_again(number, &mut work)?;
        self.persist(work)
    }
}

/// What a challenge is signed for.
enum Prove {
    Registration,
    Login,
}
