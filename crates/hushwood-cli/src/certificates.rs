//! X.509: certificates and their keys as files have them, and the names in them (RFC 9420 §5.3, RFC 5280).

use std::path::Path;

use base64ct::{Base64, Encoding};
use hushwood::credential::x509::{self, Identity as Presented};
use hushwood::credential::{Certificate, Credential};
use hushwood::policy::Timestamp;
use hushwood_crypto::{CipherSuiteId, Secret, SignaturePrivateKey, Signer, SoftwareSigner};
use x509_cert::der::asn1::{AnyRef, OctetStringRef};
use x509_cert::der::{self, Decode, Header, Reader, SliceReader};

use crate::failure::{Class, Failure};
use crate::files;
use crate::system::PROVIDER;
use crate::text;

/// The certificates in a file, in their order: PEM, or one in DER.
pub(crate) fn chain(path: &Path) -> Result<Vec<Certificate>, Failure> {
    let bytes = files::read(Some(path))?;
    let blocks = pem(&bytes, "CERTIFICATE").map_err(|failure| failure.about(path.display()))?;
    let found = if blocks.is_empty() { vec![Secret::new(bytes)] } else { blocks };
    Ok(found.iter().map(|der| Certificate { cert_data: der.expose().to_vec() }).collect())
}

/// The blocks of a PEM file that have this label.
pub(crate) fn pem(bytes: &[u8], label: &str) -> Result<Vec<Secret>, Failure> {
    let Ok(text) = std::str::from_utf8(bytes) else { return Ok(Vec::new()) };
    let (begin, end) = (format!("-----BEGIN {label}-----"), format!("-----END {label}-----"));
    let broken = || Failure::new(Class::Decode, "a PEM block is broken").advise("get the whole file");
    let (mut blocks, mut rest) = (Vec::new(), text);
    while let Some((_, after)) = rest.split_once(&begin) {
        let (lines, after) = after.split_once(&end).ok_or_else(broken)?;
        let plain = Secret::new(lines.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect());
        let plain = std::str::from_utf8(plain.expose()).unwrap_or_default();
        blocks.push(Secret::new(Base64::decode_vec(plain).map_err(|_| broken())?));
        rest = after;
    }
    Ok(blocks)
}

/// Refuses a chain that nobody would accept any more.
pub(crate) fn check_not_expired(chain: &[Certificate], now: Timestamp) -> Result<(), Failure> {
    for certificate in chain {
        let parsed = x509_cert::Certificate::from_der(&certificate.cert_data).map_err(|_| {
            Failure::new(Class::Decode, "this is no X.509 certificate").advise("name a file in PEM or DER")
        })?;
        let end = parsed.tbs_certificate().validity().not_after.to_unix_duration().as_secs();
        if end < now.0 {
            let end = text::moment(Timestamp(end));
            return Err(Failure::refused(format!("a certificate ended at {end}"))
                .advise("ask whoever issued it for a new one"));
        }
    }
    Ok(())
}

/// The key in a file (PKCS #8), which must be the one that the chain's first certificate is for, and the first
/// suite that signs with such keys.
pub(crate) fn key(path: &Path, chain: &[Certificate]) -> Result<(CipherSuiteId, SoftwareSigner), Failure> {
    let about = |failure: Failure| failure.about(path.display());
    let bytes = Secret::new(files::read(Some(path))?);
    let blocks = pem(bytes.expose(), "PRIVATE KEY").map_err(about)?;
    let der = blocks.first().unwrap_or(&bytes);
    let private = private_key(der.expose()).map_err(|_| {
        about(Failure::new(Class::Decode, "this is no private key in PKCS #8 without a passphrase").advise(
            "convert it: `openssl pkcs8 -topk8 -nocrypt -in KEY -out NEWKEY`, and erase the new file afterwards",
        ))
    })?;
    let mut suites: Vec<_> = PROVIDER.suites.iter().collect();
    suites.sort_by_key(|suite| suite.id());
    for suite in suites {
        let private = SignaturePrivateKey(private.duplicate());
        let Ok(signer) = SoftwareSigner::new(*suite, private) else { continue };
        if x509::check_binding(chain, signer.public_key()).is_ok() {
            return Ok((suite.id(), signer));
        }
    }
    Err(about(Failure::refused("this is not the key that the certificate is for").advise(
        "name the key of the first certificate; Ed25519, Ed448 and the curves P-256, P-384 and P-521 can be used",
    )))
}

/// RFC 5958, RFC 8410, RFC 5915: what a suite's signature scheme takes as its private key.
fn private_key(bytes: &[u8]) -> der::Result<Secret> {
    let mut reader = SliceReader::new(bytes)?;
    let key = reader.sequence(|inner| -> der::Result<Secret> {
        let _version = u8::decode(inner)?;
        let _algorithm = AnyRef::decode(inner)?;
        let key = <&OctetStringRef>::decode(inner)?.as_bytes();
        let key = scalar(key)?;
        // Attributes and a public key may follow.
        while !inner.is_finished() {
            AnyRef::decode(inner)?;
        }
        Ok(key)
    })?;
    reader.finish()?;
    Ok(key)
}

/// The seed of EdDSA, an OCTET STRING; or the scalar of ECDSA, the second field of an `ECPrivateKey`.
fn scalar(bytes: &[u8]) -> der::Result<Secret> {
    let mut reader = SliceReader::new(bytes)?;
    if Header::peek(&reader)?.tag() == der::Tag::OctetString {
        return Ok(Secret::copy_of(<&OctetStringRef>::decode(&mut reader)?.as_bytes()));
    }
    reader.sequence(|inner| -> der::Result<Secret> {
        let _version = u8::decode(inner)?;
        let key = Secret::copy_of(<&OctetStringRef>::decode(inner)?.as_bytes());
        while !inner.is_finished() {
            AnyRef::decode(inner)?;
        }
        Ok(key)
    })
}

/// What a name begins with that a certificate gives; no other name does.
pub(crate) const PREFIX: &str = "x509:";

/// Whom a chain names, safe to show. Validated or not: that is for who asks.
pub(crate) fn name(credential: &Credential) -> String {
    match x509::presented(credential) {
        Ok(names) => format!("{PREFIX}{}", names.iter().map(one_name).collect::<Vec<_>>().join(",")),
        Err(_) => format!("{PREFIX}(no name)"),
    }
}

/// True if a chain names somebody so.
pub(crate) fn is_called(credential: &Credential, wanted: &str) -> bool {
    name(credential) == wanted
        || x509::presented(credential).is_ok_and(|names| names.iter().any(|name| one_name(name) == wanted))
}

fn one_name(name: &Presented) -> String {
    text::name(
        match name {
            Presented::Dns(name)
            | Presented::Email(name)
            | Presented::Uri(name)
            | Presented::CommonName(name) => name.as_bytes().to_vec(),
            Presented::Ip(address) => address.to_string().into_bytes(),
            Presented::Other { oid, value } => format!("{oid}={}", text::hex(value)).into_bytes(),
            other => format!("{other:?}").into_bytes(),
        }
        .as_slice(),
    )
}
