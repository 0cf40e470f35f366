//! Who is who: a person has devices, and each device is a member of its own.

use std::fmt;

use hushwood::credential::x509::{Identity, presented};
use hushwood::credential::{Claim, Credential};
use hushwood_codec::{Encode, wire_struct};
use hushwood_crypto::CipherSuite;
use hushwood_delivery::wire::fold_name;

/// A device of a person, under a random name.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct DeviceId(pub [u8; 16]);

/// Somebody in a room: a person, at one of their devices.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Member {
    /// The person's name, which is that of their account. It came from outside: clean it before it is shown on a terminal.
    pub person: String,
    /// The device.
    pub device: DeviceId,
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.person.escape_debug(), self.device)
    }
}

wire_struct! {
    /// A member as it is stored.
    #[derive(Clone)]
    pub(crate) struct MemberRecord {
        pub(crate) person: Vec<u8>,
        pub(crate) device: [u8; 16],
    }
}

impl From<&Member> for MemberRecord {
    fn from(member: &Member) -> Self {
        Self { person: member.person.as_bytes().to_vec(), device: member.device.0 }
    }
}

impl From<MemberRecord> for Member {
    fn from(record: MemberRecord) -> Self {
        let person = String::from_utf8_lossy(&record.person).into_owned();
        Self { person, device: DeviceId(record.device) }
    }
}

/// Whether two spellings are the name of one person, as the service sees it.
pub(crate) fn is_same_person(one: &str, other: &str) -> bool {
    one == other || fold_name(one) == fold_name(other)
}

/// What a device of a person shows in groups: `name/device`.
pub(crate) fn credential(person: &str, device: DeviceId) -> Credential {
    Credential::basic(format!("{person}/{device}"))
}

/// Who shows this. A credential that is not of our making names its identity as the person, a certificate its mail address, or the name
/// that is there instead, and a device by its hash.
pub(crate) fn member(credential: &Credential, suite: &dyn CipherSuite) -> Member {
    if let Credential::Basic { identity } = credential
        && let Some(member) = parse(identity)
    {
        return member;
    }
    let encoded = credential.to_bytes().unwrap_or_default();
    let hash = suite.hash().hash(&[&encoded]);
    let device = hash.as_bytes().first_chunk().copied().unwrap_or_default();
    let person = match credential {
        Credential::Basic { identity } => String::from_utf8_lossy(identity).into_owned(),
        Credential::X509 { .. } => certified(credential),
        Credential::Custom { .. } => "somebody unknown".to_owned(),
    };
    Member { person, device: DeviceId(device) }
}

/// The name in a certificate that a person is best known by. Whether they are that is for the validator to say: what it refuses is
/// nobody's member.
fn certified(credential: &Credential) -> String {
    let names = presented(credential).unwrap_or_default();
    let rank = |name: &&Identity| match name {
        Identity::Email(_) => 0,
        Identity::Uri(_) => 1,
        Identity::CommonName(_) => 2,
        Identity::Dns(_) => 3,
        _ => 4,
    };
    match names.iter().min_by_key(rank) {
        Some(
            Identity::Email(name) | Identity::Uri(name) | Identity::CommonName(name) | Identity::Dns(name),
        ) => name.clone(),
        Some(Identity::Ip(address)) => address.to_string(),
        Some(_) | None => "somebody with a certificate".to_owned(),
    }
}

/// The device of a person that makes this claim, if the credential is of our making.
pub(crate) fn device_of(claim: &Claim) -> Option<Member> {
    match &claim.credential {
        Credential::Basic { identity } => parse(identity),
        Credential::X509 { .. } | Credential::Custom { .. } => None,
    }
}

/// Who makes this claim.
pub(crate) fn member_of(claim: &Claim, suite: &dyn CipherSuite) -> Member {
    member(&claim.credential, suite)
}

fn parse(identity: &[u8]) -> Option<Member> {
    let text = std::str::from_utf8(identity).ok()?;
    let (person, device) = text.rsplit_once('/')?;
    if person.is_empty() || device.len() != 32 {
        return None;
    }
    let mut bytes = [0; 16];
    for (byte, digits) in bytes.iter_mut().zip(device.as_bytes().chunks_exact(2)) {
        let lower = digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok().filter(|_| lower)?, 16).ok()?;
    }
    Some(Member { person: person.to_owned(), device: DeviceId(bytes) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_what_separates_it_from_the_device() {
        let suite = hushwood_rustcrypto::PROVIDER.suites[0];
        for person in ["bob", "a/b", "Ünï cödé", "x/00112233445566778899aabbccddeeff"] {
            let device = DeviceId([0xab; 16]);
            let member = member(&credential(person, device), suite);
            assert_eq!(member, Member { person: person.to_owned(), device });
        }
    }

    #[test]
    fn what_is_not_of_our_making_is_somebody_all_the_same() {
        let suite = hushwood_rustcrypto::PROVIDER.suites[0];
        let (one, other) =
            (member(&Credential::basic("bob"), suite), member(&Credential::basic("bob/AB"), suite));
        assert_eq!((one.person.as_str(), other.person.as_str()), ("bob", "bob/AB"));
        assert_ne!(one.device, other.device);
    }
}
