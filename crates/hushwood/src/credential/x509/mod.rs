//! RFC 9420 §5.3: X.509 credentials.
//!
//! [`check_binding`] is the protocol's own rule: the first certificate's key is the leaf's (C043). Whether
//! the chain leads to somebody who is trusted is for the application; [`X509Validator`] finds out, with
//! path, validity, constraints and revocation by RFC 5280, and shows whom the certificate names.

mod algorithm;
mod certificate;
mod identity;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;

use core::time::Duration;

use hushwood_codec::Writer;
use hushwood_crypto::{CryptoProvider, SignaturePublicKey};
use pki_types::{CertificateDer, SignatureVerificationAlgorithm, TrustAnchor, UnixTime};
use webpki::{
    CertRevocationList, EndEntityCert, ExpirationPolicy, ExtendedKeyUsageValidator, KeyPurposeIdIter,
    OwnedCertRevocationList, RevocationOptionsBuilder, UnknownStatusPolicy, VerifiedPath,
};

use crate::credential::{
    Certificate, Claim, Credential, CredentialCheck, CredentialType, CredentialValidator, Verdict,
};
use crate::policy::Timestamp;
use algorithm::{ALGORITHMS, SuiteAlgorithm};
use certificate::ParsedCertificate;

pub use identity::Identity;

/// Checks that the chain is not empty and that the key of its first certificate is the leaf's, in the
/// format of RFC 9420.
///
/// # Errors
/// [`X509Error::Empty`], [`X509Error::Malformed`], [`X509Error::KeyMismatch`].
pub fn check_binding(
    certificates: &[Certificate],
    signature_key: &SignaturePublicKey,
) -> Result<(), X509Error> {
    // RFC 9420 §5.3, C044: the end-entity certificate is the first.
    let first = certificates.first().ok_or(X509Error::Empty)?;
    end_entity(first, signature_key).map(drop)
}

fn end_entity(
    certificate: &Certificate,
    signature_key: &SignaturePublicKey,
) -> Result<ParsedCertificate, X509Error> {
    // RFC 9420 §5.3, C045: one DER-encoded certificate, and nothing behind it.
    let parsed = ParsedCertificate::parse(&certificate.cert_data)?;
    // RFC 9420 §5.3, C043: the key in subjectPublicKeyInfo is signature_key. Its length tells the scheme:
    // the algorithm that the certificate names must be that scheme's.
    let scheme = ALGORITHMS.iter().find(|algorithm| algorithm.key_length == signature_key.0.len());
    let same = scheme.is_some_and(|scheme| parsed.key_algorithm() == scheme.public_key)
        && parsed.key() == Some(signature_key.0.as_slice());
    if same { Ok(parsed) } else { Err(X509Error::KeyMismatch) }
}

/// Why a chain is not accepted.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum X509Error {
    /// The credential is not an X.509 one.
    OtherType,
    /// The chain is empty (C044).
    Empty,
    /// The chain has more certificates or bytes than allowed.
    TooLong,
    /// A certificate, CRL or extension is not what RFC 5280 says, or not DER (C045).
    Malformed,
    /// The first certificate's key is not the leaf's signature key (C043).
    KeyMismatch,
    /// A keyUsage or extKeyUsage does not allow the use.
    KeyUsage,
    /// A certificate that may not sign others is used to, or a CA's as end entity.
    BasicConstraints,
    /// There are more certificates below a CA than its pathLenConstraint allows.
    PathLength,
    /// A name is outside a CA's name constraints.
    NameConstraints,
    /// A certificate is not valid yet.
    NotYetValid,
    /// A certificate is not valid any more.
    Expired,
    /// A certificate was revoked.
    Revoked,
    /// No CRL, or an outdated one, tells whether a certificate was revoked, and one is required.
    RevocationUnknown,
    /// No path leads to a trust anchor.
    Untrusted,
    /// A signature does not verify, or is made with an algorithm that no suite of the provider has.
    Signature,
    /// The certificate names nobody.
    NoIdentity,
}

impl fmt::Display for X509Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OtherType => "the credential is not an X.509 one",
            Self::Empty => "the certificate chain is empty",
            Self::TooLong => "the certificate chain is too long",
            Self::Malformed => "a certificate is malformed",
            Self::KeyMismatch => "the certificate is for another key than the leaf's",
            Self::KeyUsage => "a certificate does not allow this use of its key",
            Self::BasicConstraints => "a certificate is used in a role it does not have",
            Self::PathLength => "a certificate chain is longer than one of its CAs allows",
            Self::NameConstraints => "a name is outside what one of its CAs may certify",
            Self::NotYetValid => "a certificate is not valid yet",
            Self::Expired => "a certificate is not valid any more",
            Self::Revoked => "a certificate was revoked",
            Self::RevocationUnknown => "nothing tells whether a certificate was revoked",
            Self::Untrusted => "no path leads to a trust anchor",
            Self::Signature => "a certificate's signature does not verify",
            Self::NoIdentity => "a certificate names nobody",
        })
    }
}

impl std::error::Error for X509Error {}

impl From<webpki::Error> for X509Error {
    fn from(error: webpki::Error) -> Self {
        use webpki::Error as Path;
        match error {
            Path::CertNotValidYet { .. } => Self::NotYetValid,
            Path::CertExpired { .. } => Self::Expired,
            Path::CertRevoked => Self::Revoked,
            Path::UnknownRevocationStatus | Path::CrlExpired { .. } => Self::RevocationUnknown,
            Path::UnknownIssuer => Self::Untrusted,
            Path::CaUsedAsEndEntity | Path::EndEntityUsedAsCa => Self::BasicConstraints,
            Path::PathLenConstraintViolated => Self::PathLength,
            Path::NameConstraintViolation => Self::NameConstraints,
            Path::RequiredEkuNotFoundContext(_) | Path::EmptyEkuExtension => Self::KeyUsage,
            Path::MaximumSignatureChecksExceeded
            | Path::MaximumPathBuildCallsExceeded
            | Path::MaximumPathDepthExceeded
            | Path::MaximumNameConstraintComparisonsExceeded => Self::TooLong,
            Path::InvalidSignatureForPublicKey
            | Path::InvalidCrlSignatureForPublicKey
            | Path::UnsupportedSignatureAlgorithmContext(_)
            | Path::UnsupportedSignatureAlgorithmForPublicKeyContext(_)
            | Path::UnsupportedCrlSignatureAlgorithmContext(_)
            | Path::UnsupportedCrlSignatureAlgorithmForPublicKeyContext(_) => Self::Signature,
            // What is left are the many ways in which a certificate or CRL can be malformed.
            _ => Self::Malformed,
        }
    }
}

/// Validates certificate chains against trust anchors that the application gives it.
///
/// It reads nothing from anywhere: intermediate certificates and CRLs are given to it. Chains are
/// validated with the signature schemes of the provider's suites; RSA is not among them.
pub struct X509Validator {
    algorithms: Vec<SuiteAlgorithm>,
    anchors: Vec<TrustAnchor<'static>>,
    intermediates: Vec<CertificateDer<'static>>,
    crls: Vec<CertRevocationList<'static>>,
    require_revocation_status: bool,
    extended_key_usages: Vec<Vec<u8>>,
    max_certificates: usize,
    max_bytes: usize,
}

impl X509Validator {
    /// A validator that trusts these certificates, DER-encoded, to certify others.
    ///
    /// # Errors
    /// [`X509Error::Malformed`].
    pub fn new(provider: &CryptoProvider, anchors: &[&[u8]]) -> Result<Self, X509Error> {
        let anchors = anchors
            .iter()
            .map(|der| Ok(webpki::anchor_from_trusted_cert(&CertificateDer::from(*der))?.to_owned()));
        Ok(Self {
            algorithms: SuiteAlgorithm::of(provider),
            anchors: anchors.collect::<Result<_, X509Error>>()?,
            intermediates: Vec::new(),
            crls: Vec::new(),
            require_revocation_status: false,
            extended_key_usages: [CLIENT_AUTH, EMAIL_PROTECTION, ANY].map(<[u8]>::to_vec).to_vec(),
            max_certificates: 8,
            max_bytes: 64 << 10,
        })
    }

    /// Adds a certificate that chains may omit because all clients have it (C044). It is not trusted by
    /// itself.
    #[must_use]
    pub fn intermediate(mut self, der: &[u8]) -> Self {
        self.intermediates.push(CertificateDer::from(der.to_vec()));
        self
    }

    /// Adds a CRL, DER-encoded. Give the latest of each issuer.
    ///
    /// # Errors
    /// [`X509Error::Malformed`].
    pub fn crl(mut self, der: &[u8]) -> Result<Self, X509Error> {
        self.crls.push(CertRevocationList::Owned(OwnedCertRevocationList::from_der(der)?));
        Ok(self)
    }

    /// Refuses certificates of which no CRL says whether they were revoked, and CRLs past their
    /// nextUpdate. By default such certificates are accepted.
    #[must_use]
    pub fn require_revocation_status(mut self) -> Self {
        self.require_revocation_status = true;
        self
    }

    /// Which purposes a certificate must have one of, if it has the extKeyUsage extension: the bytes of
    /// the OID, without tag and length. By default clientAuth, emailProtection or anyExtendedKeyUsage.
    #[must_use]
    pub fn extended_key_usages(mut self, oids: impl IntoIterator<Item = Vec<u8>>) -> Self {
        self.extended_key_usages = oids.into_iter().collect();
        self
    }

    /// The longest chain. By default 8 certificates and 64 KiB.
    #[must_use]
    pub fn limits(mut self, max_certificates: usize, max_bytes: usize) -> Self {
        (self.max_certificates, self.max_bytes) = (max_certificates, max_bytes);
        self
    }

    /// Validates a chain for a key, and tells whom it names.
    ///
    /// # Errors
    /// The [`X509Error`] that says what is wrong.
    pub fn validate(&self, claim: &Claim, now: Timestamp) -> Result<BTreeSet<Identity>, X509Error> {
        let Credential::X509 { certificates } = &claim.credential else {
            return Err(X509Error::OtherType);
        };
        let bytes: usize = certificates.iter().map(|certificate| certificate.cert_data.len()).sum();
        if certificates.len() > self.max_certificates || bytes > self.max_bytes {
            return Err(X509Error::TooLong);
        }
        let (first, rest) = certificates.split_first().ok_or(X509Error::Empty)?;
        let parsed = end_entity(first, &claim.signature_key)?;
        // RFC 5280 §4.2.1.3: a key that signs anything but certificates and CRLs.
        if !parsed.may_sign_content()? {
            return Err(X509Error::KeyUsage);
        }
        self.validate_path(first, rest, now)?;
        parsed.identities()
    }

    /// RFC 5280 §6: path, validity, constraints, revocation.
    fn validate_path(
        &self,
        first: &Certificate,
        rest: &[Certificate],
        now: Timestamp,
    ) -> Result<(), X509Error> {
        // RFC 9420 §5.3, C045: each entry is a certificate, also one that no path needs.
        rest.iter().try_for_each(|entry| ParsedCertificate::parse(&entry.cert_data).map(drop))?;
        let first = CertificateDer::from(first.cert_data.as_slice());
        let sent = rest.iter().map(|entry| CertificateDer::from(entry.cert_data.as_slice()));
        let known = self.intermediates.iter().map(|known| CertificateDer::from(known.as_ref()));
        let rest: Vec<CertificateDer<'_>> = sent.chain(known).collect();
        let algorithms: Vec<&dyn SignatureVerificationAlgorithm> = self
            .algorithms
            .iter()
            .map(|algorithm| -> &dyn SignatureVerificationAlgorithm { algorithm })
            .collect();
        let crls: Vec<&CertRevocationList<'_>> = self.crls.iter().collect();
        let revocation = match RevocationOptionsBuilder::new(&crls) {
            Ok(builder) => Some(self.revocation(builder).build()),
            // There are no CRLs.
            Err(_) if self.require_revocation_status => return Err(X509Error::RevocationUnknown),
            Err(_) => None,
        };
        EndEntityCert::try_from(&first)?.verify_for_usage(
            &algorithms,
            &self.anchors,
            &rest,
            UnixTime::since_unix_epoch(Duration::from_secs(now.0)),
            Purposes(&self.extended_key_usages),
            revocation,
            Some(&certificate_signers),
        )?;
        Ok(())
    }

    fn revocation<'a>(&self, builder: RevocationOptionsBuilder<'a>) -> RevocationOptionsBuilder<'a> {
        match self.require_revocation_status {
            true => builder
                .with_status_policy(UnknownStatusPolicy::Deny)
                .with_expiration_policy(ExpirationPolicy::Enforce),
            false => builder
                .with_status_policy(UnknownStatusPolicy::Allow)
                .with_expiration_policy(ExpirationPolicy::Ignore),
        }
    }
}

/// RFC 5280 §6.1.4 (n): each CA on the path may sign certificates.
fn certificate_signers(path: &VerifiedPath<'_>) -> Result<(), webpki::Error> {
    for certificate in path.intermediate_certificates() {
        let parsed = ParsedCertificate::parse(&certificate.der());
        match parsed.and_then(|certificate| certificate.may_sign_certificates()) {
            Ok(true) => {}
            Ok(false) => return Err(webpki::Error::EndEntityUsedAsCa),
            Err(_) => return Err(webpki::Error::BadDer),
        }
    }
    Ok(())
}

impl CredentialValidator for X509Validator {
    /// Accepts who has a valid certificate, and as a successor only who is named the same. Whether
    /// whoever it names may be there is not decided here: ask [`validate`](X509Validator::validate) for
    /// the names if it matters.
    fn judge(&self, check: &CredentialCheck) -> Verdict {
        let Ok(identities) = self.validate(&check.new, check.now) else { return Verdict::Refuse };
        let same = match &check.old {
            None => true,
            // RFC 9420 §5.3.1, C052, and §5.3.2, C053: the old certificate may have expired.
            Some(old) => presented(&old.credential).is_ok_and(|old| old == identities),
        };
        if same { Verdict::Accept } else { Verdict::Refuse }
    }

    /// All that the certificate presents: another certificate for the same names is of the same user.
    fn user(&self, credential: &Credential) -> Option<Vec<u8>> {
        let mut name = Writer::new();
        presented(credential).ok()?.iter().for_each(|identity| {
            name.value(identity);
        });
        name.finish().ok()
    }
}

/// Whom a credential names, validated or not.
///
/// # Errors
/// [`X509Error::OtherType`], [`X509Error::Empty`], [`X509Error::Malformed`], [`X509Error::NoIdentity`].
pub fn presented(credential: &Credential) -> Result<BTreeSet<Identity>, X509Error> {
    let Credential::X509 { certificates } = credential else { return Err(X509Error::OtherType) };
    let first = certificates.first().ok_or(X509Error::Empty)?;
    ParsedCertificate::parse(&first.cert_data)?.identities()
}

impl fmt::Debug for X509Validator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("X509Validator")
            .field("credential_type", &CredentialType::X509)
            .field("anchors", &self.anchors.len())
            .field("intermediates", &self.intermediates.len())
            .field("crls", &self.crls.len())
            .finish_non_exhaustive()
    }
}

/// A certificate without extKeyUsage is for all purposes; one with it must have one of these.
struct Purposes<'a>(&'a [Vec<u8>]);

impl ExtendedKeyUsageValidator for Purposes<'_> {
    fn validate(&self, purposes: KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        let mut restricted = false;
        for purpose in purposes {
            let purpose = purpose?.to_decoded_oid();
            if self.0.iter().any(|oid| decoded(oid) == purpose) {
                return Ok(());
            }
            restricted = true;
        }
        match restricted {
            false => Ok(()),
            true => Err(webpki::Error::EmptyEkuExtension),
        }
    }
}

/// The arcs of an OID.
fn decoded(oid: &[u8]) -> Vec<usize> {
    webpki::KeyPurposeId::new(oid).to_decoded_oid()
}

/// 1.3.6.1.5.5.7.3.2
const CLIENT_AUTH: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x02];
/// 1.3.6.1.5.5.7.3.4
const EMAIL_PROTECTION: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x04];
/// 2.5.29.37.0
const ANY: &[u8] = &[0x55, 0x1d, 0x25, 0x00];
