//! RFC 5280 §4: what a certificate says, apart from what path validation looks at.

use std::collections::BTreeSet;

use pki_types::AlgorithmIdentifier;
use x509_cert::der::{Decode, Encode};
use x509_cert::ext::pkix::{KeyUsage, SubjectAltName};

use crate::credential::x509::X509Error;
use crate::credential::x509::identity::{self, Identity};

/// A certificate that is DER and nothing else.
pub(super) struct ParsedCertificate {
    certificate: x509_cert::Certificate,
    /// The content of the key's AlgorithmIdentifier.
    key_algorithm: Vec<u8>,
}

impl ParsedCertificate {
    pub(super) fn parse(der: &[u8]) -> Result<Self, X509Error> {
        let certificate = x509_cert::Certificate::from_der(der)?;
        let tbs = certificate.tbs_certificate();
        // A decoder that forgives would let two encodings of one certificate pass.
        if certificate.to_der()? != der {
            return Err(X509Error::Malformed);
        }
        // RFC 5280 §4.2: no extension twice.
        let mut extensions = BTreeSet::new();
        if !tbs.extensions().into_iter().flatten().all(|extension| extensions.insert(extension.extn_id)) {
            return Err(X509Error::Malformed);
        }
        let algorithm = &tbs.subject_public_key_info().algorithm;
        let mut key_algorithm = algorithm.oid.to_der()?;
        if let Some(parameters) = &algorithm.parameters {
            key_algorithm.extend(parameters.to_der()?);
        }
        Ok(Self { certificate, key_algorithm })
    }

    /// The key, as the scheme encodes it.
    pub(super) fn key(&self) -> Option<&[u8]> {
        self.certificate.tbs_certificate().subject_public_key_info().subject_public_key.as_bytes()
    }

    pub(super) fn key_algorithm(&self) -> AlgorithmBytes<'_> {
        AlgorithmBytes(&self.key_algorithm)
    }

    /// RFC 5280 §4.2.1.3: digitalSignature, if the certificate restricts the use of its key.
    pub(super) fn may_sign_content(&self) -> Result<bool, X509Error> {
        Ok(self.key_usage()?.is_none_or(|usage| usage.digital_signature()))
    }

    /// RFC 5280 §4.2.1.3: keyCertSign, if the certificate restricts the use of its key.
    pub(super) fn may_sign_certificates(&self) -> Result<bool, X509Error> {
        Ok(self.key_usage()?.is_none_or(|usage| usage.key_cert_sign()))
    }

    fn key_usage(&self) -> Result<Option<KeyUsage>, X509Error> {
        let found = self.certificate.tbs_certificate().get_extension::<KeyUsage>()?;
        Ok(found.map(|(_, usage)| usage))
    }

    /// Whom the certificate names: the subjectAltName, or without one the subject's common names.
    pub(super) fn identities(&self) -> Result<BTreeSet<Identity>, X509Error> {
        let tbs = self.certificate.tbs_certificate();
        let identities = match tbs.get_extension::<SubjectAltName>()? {
            Some((_, names)) => identity::of_names(&names.0)?,
            None => identity::of_subject(tbs.subject())?,
        };
        if identities.is_empty() { Err(X509Error::NoIdentity) } else { Ok(identities) }
    }
}

/// The content of an AlgorithmIdentifier, compared to a known one.
#[derive(Debug)]
pub(super) struct AlgorithmBytes<'a>(&'a [u8]);

impl PartialEq<AlgorithmIdentifier> for AlgorithmBytes<'_> {
    fn eq(&self, other: &AlgorithmIdentifier) -> bool {
        self.0 == other.as_ref()
    }
}

impl From<x509_cert::der::Error> for X509Error {
    fn from(_: x509_cert::der::Error) -> Self {
        Self::Malformed
    }
}
