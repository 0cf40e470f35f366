//! Accounts: devices, KeyPackages, inboxes (RFC 9750 §5.1).

use crate::backend::{NewWelcome, PageLimit, Seconds};

/// An account: one person, or one program.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct AccountId(pub [u8; 16]);

/// A device of an account.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct DeviceId(pub [u8; 16]);

/// A device to be added.
#[derive(Clone, Debug)]
pub struct NewDevice {
    /// Its account. One that does not exist comes into being with its first device, under `name`.
    pub account: AccountId,
    /// The account's name, by which others find it.
    pub name: String,
    /// What the name looks like: names that can be mistaken for each other have the same.
    pub look: String,
    /// The device.
    pub device: DeviceId,
    /// The public key by which it shows that it is itself.
    pub key: Vec<u8>,
    /// Whether it is the first: an account with other devices does not become somebody else's.
    pub first: bool,
    /// The most devices that an account may have, without those that were revoked.
    pub most: u32,
    /// What a new account uses up of what an operator has made; none where nobody needs it.
    pub invite: Option<InviteName>,
    /// Now.
    pub at: Seconds,
}

/// What became of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Registered {
    /// The device is there; also if the same request came before.
    Registered,
    /// The name, or one that looks like it, belongs to another account.
    NameTaken,
    /// The account or the device exists and is another.
    Exists,
    /// There is no such account to add a device to.
    NoAccount,
    /// The account is there under another name.
    OtherName,
    /// The device was there and was revoked: it does not come back.
    Revoked,
    /// The account has as many devices as it may.
    TooMany,
    /// There is no such invite, or it is over or used up.
    NotInvited,
}

/// The name of an invite: a hash of the token that shows it, which is kept nowhere.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct InviteName(pub [u8; 32]);

/// An operator's word that accounts may be made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Invite {
    /// Its name.
    pub name: InviteName,
    /// How many accounts, yet.
    pub left: u32,
    /// The last second in which it is good.
    pub not_after: Seconds,
}

/// How many groups an account may bring, and since when those count that it has brought.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct GroupQuota {
    /// So many in a period.
    pub most: u32,
    /// A period that began before this is over, and the next begins.
    pub since: Seconds,
    /// Now.
    pub at: Seconds,
}

/// A KeyPackage that others may claim.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NewKeyPackage {
    /// Its KeyPackageRef (RFC 9420 §5.2).
    pub reference: Vec<u8>,
    /// Its cipher suite.
    pub suite: u16,
    /// The last second in which it may be used.
    pub not_after: Seconds,
    /// Whether it is given again and again when no other is left (RFC 9420 §16.8).
    pub last_resort: bool,
    /// Whether it is for one group already, as in a proposal of its owner to be added: it is known here and nobody claims
    /// it.
    pub reserved: bool,
    /// The message.
    pub body: Vec<u8>,
}

/// So many last-resort KeyPackages of a device and suite are remembered after others have taken their place, the newest: Welcomes
/// for them may be on their way.
pub const REPLACED: u32 = 4;

/// So many KeyPackages of a device are remembered after somebody got them, the newest.
pub const CLAIMED: u32 = 1000;

/// What became of KeyPackages.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Published {
    /// They are there, all of them.
    Kept,
    /// The device would have more than it may: none was kept.
    TooMany {
        /// So many wait to be claimed.
        there: u32,
    },
}

/// Who asks for KeyPackages, and of which kind.
#[derive(Clone, Debug)]
pub struct Claim {
    /// Whose.
    pub account: AccountId,
    /// For one device alone, or for each.
    pub device: Option<DeviceId>,
    /// The suite.
    pub suite: u16,
    /// Of last resort alone, so that the others stay for others.
    pub last_resort: bool,
    /// Now: what has expired is not given.
    pub now: Seconds,
    /// How much an inbox may hold. A device whose inbox is full gives no KeyPackage: the Welcome would not reach it.
    pub inbox: PageLimit,
}

/// What was claimed.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Claimed {
    /// One for each device that had one.
    pub packages: Vec<KeyPackageEntry>,
    /// How many devices gave none because their inbox is full.
    pub full: u32,
}

/// A claimed KeyPackage.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeyPackageEntry {
    /// Whose it is.
    pub device: DeviceId,
    /// Its KeyPackageRef.
    pub reference: Vec<u8>,
    /// Whether it is the last resort, which others get as well.
    pub last_resort: bool,
    /// The message.
    pub body: Vec<u8>,
}

/// What a device has left.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Stock {
    /// The suite.
    pub suite: u16,
    /// KeyPackages that nobody has claimed and that have not expired, without the last-resort one.
    pub left: u32,
    /// Whether there is a last-resort one.
    pub last_resort: bool,
    /// Whether it was given to somebody: then it is time for another (RFC 9420 §16.8).
    pub last_resort_used: bool,
}

/// A Welcome that arrives at an account.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Delivery {
    /// The Welcome, and whose inbox it is for.
    pub welcome: NewWelcome,
    /// How much an inbox may hold.
    pub limit: PageLimit,
    /// Now.
    pub at: Seconds,
}

/// What became of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Delivered {
    /// It is in the inbox.
    New,
    /// It was there already.
    Known,
    /// There is no such device, or it was revoked, or it has never published the KeyPackage that the Welcome is for, or has
    /// had another for it: it was dropped.
    Unwanted,
    /// The inbox holds as much as it may: try again later.
    Full,
}

/// A Welcome that waits for a device.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct InboxEntry {
    /// Its name: a hash of it.
    pub id: [u8; 32],
    /// The message.
    pub body: Vec<u8>,
    /// When it came.
    pub at: Seconds,
}
