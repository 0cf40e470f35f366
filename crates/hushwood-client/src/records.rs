//! Rows that the client keeps beside its groups.
//!
//! They stand under [`RecordKind::Application`] of instances of their own, so that a list of them reads no others.
//! Each begins with the version of its format.

use hushwood::error::StoreReadError;
use hushwood::transition::{InstanceId, RecordKey, RecordKind, Records};
use hushwood_codec::{
    Decode, DecodeError, DecodeErrorKind, DecodeLimits, Element, Encode, Reader, Writer, wire_struct,
};
use hushwood_crypto::Secret;
use hushwood_delivery::wire::GroupKey;

use crate::error::Error;

/// Who this client is; one row.
pub(crate) const DEVICE: InstanceId = InstanceId::new(*b"hushwood/device ");
/// A row for each room, by group id.
pub(crate) const ROOMS: InstanceId = InstanceId::new(*b"hushwood/rooms  ");
/// What is to be done, by number.
pub(crate) const INTENTS: InstanceId = InstanceId::new(*b"hushwood/intents");
/// What the application has not acknowledged, by number.
pub(crate) const EVENTS: InstanceId = InstanceId::new(*b"hushwood/events ");
/// Which keys were seen with which identity.
pub(crate) const PINS: InstanceId = InstanceId::new(*b"hushwood/pins   ");

/// What was said of keys before they were seen.
pub(crate) const EXPECTED: InstanceId = InstanceId::new(*b"hushwood/expects");
/// Invitations that were not followed yet, by name.
pub(crate) const INVITATIONS: InstanceId = InstanceId::new(*b"hushwood/invites");
/// Devices of ours that the service is still to be told to take out, by id.
pub(crate) const REVOKED: InstanceId = InstanceId::new(*b"hushwood/revoked");

pub(crate) const VERSION: u8 = 1;

/// A row's name.
pub(crate) fn row(instance: InstanceId, id: impl Into<Vec<u8>>) -> RecordKey {
    RecordKey::new(instance, RecordKind::Application, id)
}

/// A value as it is stored. Room for all of it at once, so that no piece is left behind where it grew.
pub(crate) fn to_row(value: &impl Encode, content: usize) -> Result<Secret, Error> {
    let mut writer = Writer::with_capacity(content.saturating_add(1024));
    writer.value(value);
    Ok(Secret::new(writer.finish().map_err(hushwood::error::Error::from)?))
}

/// A value as it was stored.
pub(crate) fn from_row<T: Decode>(value: &Secret) -> Result<T, Error> {
    let limits = DecodeLimits { max_bytes: 1 << 30, ..DecodeLimits::default() };
    T::from_bytes_with(value.expose(), limits).map_err(|_| corrupt())
}

/// All rows of an instance.
pub(crate) fn rows(store: &dyn Records, instance: InstanceId) -> Result<Vec<(Vec<u8>, Secret)>, Error> {
    Ok(store.list(instance, RecordKind::Application).map_err(hushwood::error::Error::from)?)
}

/// One row.
pub(crate) fn get(store: &dyn Records, key: &RecordKey) -> Result<Option<Secret>, Error> {
    Ok(store.get(key).map_err(hushwood::error::Error::from)?)
}

/// A row that is not what was written.
pub(crate) fn corrupt() -> Error {
    hushwood::error::Error::from(StoreReadError::Corrupt).into()
}

/// Who this client is. Its private keys are in it.
pub(crate) struct DeviceRecord {
    /// The service's name, which stands in what is signed for it.
    pub(crate) service: Vec<u8>,
    pub(crate) account: [u8; 16],
    pub(crate) person: Vec<u8>,
    pub(crate) device: [u8; 16],
    /// For the service: Ed25519.
    pub(crate) device_key: Secret,
    /// The suite of groups, and the key for them.
    pub(crate) suite: u16,
    pub(crate) leaf_key: Secret,
    /// 1 once the service knows the device.
    pub(crate) registered: u8,
    /// When the KeyPackage of last resort was made that the service has, in seconds; 0 for none.
    pub(crate) last_resort_at: u64,
}

impl DeviceRecord {
    pub(crate) fn to_row(&self) -> Result<Secret, Error> {
        let mut writer = Writer::with_capacity(4096);
        writer.value(&VERSION).opaque(&self.service).value(&self.account).opaque(&self.person);
        writer.value(&self.device).value(&self.device_key).value(&self.suite).value(&self.leaf_key);
        writer.value(&self.registered).value(&self.last_resort_at);
        Ok(Secret::new(writer.finish().map_err(hushwood::error::Error::from)?))
    }

    pub(crate) fn from_row(row: &Secret) -> Result<Self, Error> {
        let read = || {
            let mut reader = Reader::new(row.expose(), DecodeLimits::default())?;
            let version = u8::decode(&mut reader)?;
            let record = Self {
                service: Vec::decode(&mut reader)?,
                account: <[u8; 16]>::decode(&mut reader)?,
                person: Vec::decode(&mut reader)?,
                device: <[u8; 16]>::decode(&mut reader)?,
                device_key: Secret::copy_of(reader.opaque()?),
                suite: u16::decode(&mut reader)?,
                leaf_key: Secret::copy_of(reader.opaque()?),
                registered: u8::decode(&mut reader)?,
                last_resort_at: u64::decode(&mut reader)?,
            };
            Ok::<_, DecodeError>((version, record))
        };
        match read() {
            Ok((VERSION, record)) => Ok(record),
            Ok(_) | Err(_) => Err(corrupt()),
        }
    }
}

wire_struct! {
    /// The numbers that come next: none is given twice, whatever was acknowledged.
    #[derive(Clone, Copy, Eq, PartialEq)]
    pub(crate) struct Counters {
        pub(crate) event: u64,
        pub(crate) intent: u64,
    }
}

/// The row of [`Counters`].
pub(crate) const COUNTERS: &str = "counters";

wire_struct! {
    /// A room: where it stands with the service.
    #[derive(Clone)]
    pub(crate) struct RoomRecord {
        pub(crate) version: u8,
        /// The name of its rows and of the group's state.
        pub(crate) rows: [u8; 16],
        pub(crate) instance: [u8; 16],
        pub(crate) title: Vec<u8>,
        /// The key under which the service keeps what it knows of the group.
        pub(crate) key: GroupKey,
        pub(crate) standing: Standing,
        /// The number of the last entry that we have stored.
        pub(crate) cursor: u64,
        /// The value of the chain there.
        pub(crate) chain: [u8; 32],
        /// The epoch in which we came: what was sent before it is not for us.
        pub(crate) joined: u64,
        /// When our leaf had new keys last, in seconds.
        pub(crate) renewed: u64,
    }
}

/// Where a room stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Standing {
    /// It is here; the service does not know it yet.
    New,
    /// All is well.
    Active,
    /// An external commit of ours is on its way.
    Rejoining,
    /// We can't follow, or others see another log: nothing is sent until we have rejoined.
    Forked,
    /// We were removed, or have left.
    Removed,
    /// A member has had the group replaced by another one: nothing comes after that.
    Ended,
}

impl Element for Standing {}

impl Encode for Standing {
    fn encode(&self, writer: &mut Writer) {
        let number: u8 = match self {
            Self::New => 1,
            Self::Active => 2,
            Self::Rejoining => 3,
            Self::Forked => 4,
            Self::Removed => 5,
            Self::Ended => 6,
        };
        writer.value(&number);
    }
}

impl Decode for Standing {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match u8::decode(reader)? {
            1 => Ok(Self::New),
            2 => Ok(Self::Active),
            3 => Ok(Self::Rejoining),
            4 => Ok(Self::Forked),
            5 => Ok(Self::Removed),
            6 => Ok(Self::Ended),
            other => Err(reader.error(DecodeErrorKind::UnknownDiscriminant(other.into()))),
        }
    }
}
