//! RFC 5280 §4.2.1.6, RFC 9525: the names in a certificate.

use core::net::IpAddr;
use std::collections::BTreeSet;

use hushwood_codec::Writer;
use x509_cert::der::Encode;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::Name;

use crate::credential::x509::X509Error;

/// A name that a certificate presents. Names are compared by their bytes, DNS names without regard to
/// ASCII case.
///
/// Show them escaped: they may look like others.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Identity {
    /// A `dNSName`, in lower case.
    Dns(String),
    /// An `rfc822Name`: a mail address.
    Email(String),
    /// A `uniformResourceIdentifier`.
    Uri(String),
    /// An `iPAddress`.
    Ip(IpAddr),
    /// An `otherName`, such as an XMPP address.
    Other {
        /// Its type, in dotted form.
        oid: String,
        /// Its value, DER-encoded.
        value: Vec<u8>,
    },
    /// A common name of the subject, in certificates without `subjectAltName`.
    CommonName(String),
}

/// Kind and name: different for all that are not equal.
impl hushwood_codec::Encode for Identity {
    fn encode(&self, writer: &mut Writer) {
        match self {
            Self::Dns(name) => writer.raw(&[1]).opaque(name.as_bytes()),
            Self::Email(name) => writer.raw(&[2]).opaque(name.as_bytes()),
            Self::Uri(name) => writer.raw(&[3]).opaque(name.as_bytes()),
            Self::Ip(IpAddr::V4(address)) => writer.raw(&[4]).opaque(&address.octets()),
            Self::Ip(IpAddr::V6(address)) => writer.raw(&[4]).opaque(&address.octets()),
            Self::Other { oid, value } => writer.raw(&[5]).opaque(oid.as_bytes()).opaque(value),
            Self::CommonName(name) => writer.raw(&[6]).opaque(name.as_bytes()),
        };
    }
}

/// The names of a `subjectAltName` extension, without kinds that name no user or device.
pub(super) fn of_names(names: &[GeneralName]) -> Result<BTreeSet<Identity>, X509Error> {
    let mut identities = BTreeSet::new();
    for name in names {
        identities.insert(match name {
            GeneralName::DnsName(name) => Identity::Dns(printable(name.as_str())?.to_ascii_lowercase()),
            GeneralName::Rfc822Name(name) => Identity::Email(printable(name.as_str())?.to_owned()),
            GeneralName::UniformResourceIdentifier(name) => {
                Identity::Uri(printable(name.as_str())?.to_owned())
            }
            GeneralName::IpAddress(address) => Identity::Ip(ip(address.as_bytes())?),
            GeneralName::OtherName(name) => {
                Identity::Other { oid: name.type_id.to_string(), value: name.value.to_der()? }
            }
            GeneralName::DirectoryName(_) | GeneralName::EdiPartyName(_) | GeneralName::RegisteredId(_) => {
                continue;
            }
        });
    }
    Ok(identities)
}

/// The common names of a subject.
pub(super) fn of_subject(subject: &Name) -> Result<BTreeSet<Identity>, X509Error> {
    const COMMON_NAME: &str = "2.5.4.3";
    let mut identities = BTreeSet::new();
    for attribute in subject.iter() {
        if attribute.oid.to_string() == COMMON_NAME {
            let name = attribute.value.decode_as::<x509_cert::ext::pkix::name::DirectoryString>()?;
            identities.insert(Identity::CommonName(printable(&name.value())?.to_owned()));
        }
    }
    Ok(identities)
}

/// Refuses names with control characters: what is behind a zero byte would go unseen in many places.
fn printable(name: &str) -> Result<&str, X509Error> {
    match name.is_empty() || name.chars().any(char::is_control) {
        true => Err(X509Error::Malformed),
        false => Ok(name),
    }
}

fn ip(bytes: &[u8]) -> Result<IpAddr, X509Error> {
    if let Ok(bytes) = <[u8; 4]>::try_from(bytes) {
        return Ok(IpAddr::from(bytes));
    }
    match <[u8; 16]>::try_from(bytes) {
        Ok(bytes) => Ok(IpAddr::from(bytes)),
        Err(_) => Err(X509Error::Malformed),
    }
}
