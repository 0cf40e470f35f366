//! The account plane: logging in, KeyPackages, inboxes (RFC 9750 §5.1).

use hushwood::framing::MlsMessage;
use hushwood::key_package::validate;
use hushwood::policy::Timestamp;
use hushwood::tree::LeafNodeSource;
use hushwood_crypto::{CipherSuiteId, CryptoProvider, SignaturePublicKey};

use crate::backend::{
    AccountId, Claim, DeviceId, NewDevice, NewKeyPackage, PageLimit, Published, Registered, Seconds,
};
use crate::service::group::message;
use crate::service::invites::NOT_INVITED;
use crate::service::names::{Name, name};
use crate::service::{Device, Service, ServiceSettings, random_array, unavailable};
use crate::wire::{
    Challenge, ClaimRequest, ClaimedKeyPackage, DeviceEntry, Login, PublishedKeyPackage, Refusal,
    Registration, StockEntry, Token, WelcomeEntry,
};

impl Service {
    /// Something for a device to sign.
    ///
    /// # Errors
    /// [`Refusal::Failed`].
    pub fn challenge(&self) -> Result<Challenge, Refusal> {
        let now = self.now();
        Ok(Challenge { bytes: self.tokens.challenge(now, random_array()?)?, now: now.0 })
    }

    /// Adds a device to an account, or makes the account with its first device.
    ///
    /// # Errors
    /// [`Refusal`]: `Unauthorized` if a signature does not verify; `Taken` if the name, one that looks like it, or the ids are
    /// somebody else's; `OtherName` if the account has another; `Revoked` if the device was; `Full` if the account has as
    /// many devices as it may; `NotFound` if there is no such account for a further device; `Malformed` for a name that is
    /// none; `Forbidden` for a new account that the operator does not want, or without a token of theirs; `TooMany`.
    pub async fn register(&self, registration: Registration) -> Result<(), Refusal> {
        let now = self.now();
        self.tokens.check_challenge(&registration.challenge, now, self.settings.clock_skew.as_secs())?;
        let Name { name, look } = name(&registration.name, self.settings.max_name)?;
        let signed = registration.signed(&self.settings.name);
        self.check_device(&registration.key, &signed, &registration.signature)?;
        let account = AccountId(registration.account);
        let mut invite = None;
        if registration.authorization.is_none() {
            invite = self.invited(&registration).await?;
            // Of tokens there are as many as the operator has made: those that are none take nothing from who has one.
            if invite.is_none() {
                self.limits.registration()?;
            }
        }
        if let Some(authorization) = &registration.authorization {
            let key = self.backend.device_key(account, DeviceId(authorization.device)).await?;
            let key = key.ok_or(Refusal::NotFound("the device that agrees"))?;
            self.check_device(&key, &signed, &authorization.signature)?;
            self.limits.device(account)?;
        }
        let device = NewDevice {
            account,
            name,
            look,
            device: DeviceId(registration.device),
            key: registration.key,
            first: registration.authorization.is_none(),
            most: self.settings.max_devices,
            invite,
            at: now,
        };
        match self.backend.register(device).await? {
            Registered::Registered => Ok(()),
            Registered::NameTaken => {
                Err(Refusal::Taken("an account has this name, or one that looks like it: choose another"))
            }
            Registered::Exists => Err(Refusal::Taken("an account or a device has this id")),
            Registered::NoAccount => Err(Refusal::NotFound("the account")),
            Registered::OtherName => Err(Refusal::OtherName),
            Registered::Revoked => Err(Refusal::Revoked),
            Registered::NotInvited => Err(NOT_INVITED),
            Registered::TooMany => {
                Err(Refusal::Full("the account has as many devices as it may: revoke one that is not used"))
            }
        }
    }

    /// A token for a device that signs a challenge.
    ///
    /// # Errors
    /// [`Refusal::Unauthorized`] also if there is no such device, or it was revoked.
    pub async fn login(&self, login: Login) -> Result<Token, Refusal> {
        let now = self.now();
        self.tokens.check_challenge(&login.challenge, now, self.settings.clock_skew.as_secs())?;
        let device = Device { account: AccountId(login.account), device: DeviceId(login.device) };
        let key = self.backend.device_key(device.account, device.device).await?;
        let key = key.ok_or(Refusal::Unauthorized("no such device, or it was revoked"))?;
        let signed = Login::signed(&self.settings.name, login.account, login.device, &login.challenge);
        self.check_device(&key, &signed, &login.signature)?;
        self.tokens.token(device, now, self.settings.token_lifetime.as_secs())
    }

    /// Whose token this is.
    ///
    /// # Errors
    /// [`Refusal::Unauthorized`].
    pub fn device(&self, token: &[u8]) -> Result<Device, Refusal> {
        self.tokens.check_token(token, self.now())
    }

    /// The devices that belong to the account of one of them.
    ///
    /// # Errors
    /// [`Refusal::Failed`].
    pub async fn devices(&self, of: Device) -> Result<Vec<DeviceEntry>, Refusal> {
        self.alive(of).await?;
        let devices = self.backend.devices(of.account).await?.into_iter();
        Ok(devices.map(|(device, at)| DeviceEntry { device: device.0, at: at.0 }).collect())
    }

    /// Takes a device out of the account of another.
    ///
    /// # Errors
    /// [`Refusal::NotFound`] if there is no such device.
    pub async fn revoke(&self, by: Device, device: [u8; 16]) -> Result<(), Refusal> {
        self.alive(by).await?;
        match self.backend.revoke(by.account, DeviceId(device)).await? {
            true => Ok(()),
            false => Err(Refusal::NotFound("a device of this account")),
        }
    }

    /// Keeps KeyPackages for others to claim, those that are valid (RFC 9420 §10.1).
    ///
    /// # Errors
    /// [`Refusal`]: `Invalid` with what is wrong, `Full` if the device has enough here; none is kept then.
    pub async fn publish(&self, by: Device, packages: Vec<PublishedKeyPackage>) -> Result<(), Refusal> {
        self.alive(by).await?;
        let now = self.now();
        let most = self.settings.max_key_packages;
        if packages.len() > usize::try_from(most).unwrap_or(usize::MAX) {
            return Err(Refusal::TooLarge("so many KeyPackages at once"));
        }
        let _turn = self.turns.take(by.account)?;
        let (settings, provider) = (self.settings.clone(), self.provider);
        let check = move || {
            let packages = packages.into_iter();
            packages.map(|one| key_package(one.message, (&settings, &provider), now)).collect()
        };
        let packages: Result<Vec<_>, Refusal> = self.work.run(check).await?;
        let packages = packages?;
        let last_resorts = packages.iter().filter(|package| package.last_resort);
        let mut suites: Vec<_> = last_resorts.map(|package| package.suite).collect();
        suites.sort_unstable();
        if !suites.is_sorted_by(|one, next| one < next) {
            return Err(Refusal::Malformed(
                "a device has one KeyPackage of last resort for a suite".to_owned(),
            ));
        }
        match self.backend.publish(by.account, by.device, packages, (most, now)).await? {
            Published::Kept => Ok(()),
            Published::TooMany { .. } => {
                Err(Refusal::Full("as many KeyPackages wait as may: publish more when some were claimed"))
            }
        }
    }

    /// Remembers a KeyPackage of a device, which stands in a proposal to add it: nobody claims it, and the Welcome for it is
    /// taken.
    pub(super) async fn reserve(&self, by: Device, package: Vec<u8>) -> Result<(), Refusal> {
        let (settings, provider, now) = (self.settings.clone(), self.provider, self.now());
        let check = move || key_package(package, (&settings, &provider), now);
        let package = NewKeyPackage { reserved: true, ..self.work.run(check).await?? };
        let limits = (self.settings.max_key_packages, now);
        self.backend.publish(by.account, by.device, vec![package], limits).await?;
        Ok(())
    }

    /// One KeyPackage of each device of an account.
    ///
    /// # Errors
    /// [`Refusal`]: `NotFound` if there is no such account, or none of its devices has one left; `Full` if their inboxes are;
    /// `TooMany` for who asks often (RFC 9420 §16.8).
    pub async fn claim(&self, by: Device, request: ClaimRequest) -> Result<Vec<ClaimedKeyPackage>, Refusal> {
        self.alive(by).await?;
        let Name { name, .. } = name(&request.name, self.settings.max_name)?;
        let Some(account) = self.backend.account(&name).await? else {
            self.limits.probe(by.account)?;
            return Err(Refusal::NotFound("an account of this name"));
        };
        self.limits.claim(by.account, account)?;
        let fresh = self.limits.fresh(by.account, account);
        let (now, inbox) = (self.now(), self.settings.inbox);
        let last_resort = fresh.is_err();
        let claim = Claim { account, device: None, suite: request.suite, last_resort, now, inbox };
        let claimed = self.backend.claim(claim).await?;
        if claimed.packages.is_empty() && claimed.full > 0 {
            return Err(Refusal::Full("their inbox holds as much as it may: ask them to be online"));
        }
        if claimed.packages.is_empty() {
            // There may be some, for others.
            fresh?;
            return Err(Refusal::NotFound("a KeyPackage of this suite: ask them to be online"));
        }
        let claimed = claimed.packages.into_iter().map(|entry| ClaimedKeyPackage {
            account: account.0,
            device: entry.device.0,
            message: entry.body,
        });
        Ok(claimed.collect())
    }

    /// What others can still claim of a device.
    ///
    /// # Errors
    /// [`Refusal::Failed`].
    pub async fn stock(&self, of: Device) -> Result<Vec<StockEntry>, Refusal> {
        self.alive(of).await?;
        let stock = self.backend.stock(of.account, of.device, self.now()).await?;
        let entries = stock.into_iter().map(|one| StockEntry {
            suite: one.suite,
            left: one.left,
            last_resort: one.last_resort.into(),
            last_resort_used: one.last_resort_used.into(),
        });
        Ok(entries.collect())
    }

    /// Welcomes that wait for a device, the oldest first: after one that is there, or from the beginning.
    ///
    /// # Errors
    /// [`Refusal::Failed`].
    pub async fn inbox(&self, of: Device, after: Option<[u8; 32]>) -> Result<Vec<WelcomeEntry>, Refusal> {
        self.alive(of).await?;
        let limit = PageLimit { entries: 100, bytes: 16 << 20 };
        let inbox = self.backend.inbox(of.account, of.device, (after, limit)).await?;
        Ok(inbox.into_iter().map(|entry| WelcomeEntry { id: entry.id, message: entry.body }).collect())
    }

    /// Whose token this is, if it may ask for something now, and whether something waits for it.
    ///
    /// # Errors
    /// [`Refusal`]: `Unauthorized`, `Revoked`, `TooMany`.
    pub async fn watch(&self, token: &[u8]) -> Result<(Device, bool), Refusal> {
        let device = self.device(token)?;
        self.alive(device).await?;
        let one = PageLimit { entries: 1, bytes: 1 };
        let inbox = self.backend.inbox(device.account, device.device, (None, one)).await?;
        Ok((device, !inbox.is_empty()))
    }

    /// Takes out of the inbox what the device has stored for itself.
    ///
    /// # Errors
    /// [`Refusal::Failed`].
    pub async fn acknowledge(&self, of: Device, ids: Vec<[u8; 32]>) -> Result<(), Refusal> {
        self.alive(of).await?;
        Ok(self.backend.acknowledge(of.account, of.device, ids).await?)
    }

    /// A token says who it was minutes ago; here it is asked whether it still is, and how often it asks.
    pub(super) async fn alive(&self, device: Device) -> Result<(), Refusal> {
        self.limits.request(device.account)?;
        match self.backend.device_key(device.account, device.device).await? {
            Some(_) => Ok(()),
            None => Err(Refusal::Revoked),
        }
    }

    /// Devices have Ed25519 keys.
    fn check_device(&self, key: &[u8], content: &[u8], signature: &[u8]) -> Result<(), Refusal> {
        let suite = self.provider.suite(CipherSuiteId(1)).ok_or_else(|| unavailable("no Ed25519"))?;
        let key = SignaturePublicKey(key.to_vec());
        let verified = suite.signature().verify(&key, content, signature);
        verified.map_err(|_| Refusal::Unauthorized("the signature does not verify"))
    }
}

/// A KeyPackage as it is kept, if it is valid (RFC 9420 §10.1).
fn key_package(
    body: Vec<u8>,
    (settings, provider): (&ServiceSettings, &CryptoProvider),
    now: Seconds,
) -> Result<NewKeyPackage, Refusal> {
    if body.len() > settings.max_message {
        return Err(Refusal::TooLarge("a KeyPackage"));
    }
    let MlsMessage::KeyPackage(unverified) = message(&body)? else {
        return Err(Refusal::Malformed("this is no KeyPackage in an MLSMessage".to_owned()));
    };
    let suite = provider.suite(unverified.inspect().cipher_suite);
    let suite = suite.ok_or_else(|| Refusal::Invalid("a suite that is unknown here".to_owned()))?;
    let valid = validate(*unverified, suite, &settings.policy, Timestamp(now.0));
    let valid = valid.map_err(|error| Refusal::Invalid(error.to_string()))?;
    let LeafNodeSource::KeyPackage(lifetime) = &valid.key_package().leaf_node.leaf_node_source else {
        return Err(Refusal::Invalid("its leaf is not from a KeyPackage".to_owned()));
    };
    Ok(NewKeyPackage {
        reference: valid.reference().0.clone(),
        suite: suite.id().0,
        not_after: Seconds(lifetime.not_after),
        last_resort: valid.is_last_resort(),
        reserved: false,
        body,
    })
}
