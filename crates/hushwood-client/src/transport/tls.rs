//! Whether who answers is the server that was meant.

use std::fmt;
use std::sync::Arc;

use pki_types::pem::PemObject;
use pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use sha2::{Digest, Sha256};

use crate::transport::http::AddressError;

/// How a server shows that it is the one that was meant.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ServerTrust {
    /// Its certificate has this SHA-256, which its operator has told.
    Fingerprint([u8; 32]),
    /// Somebody vouches for its certificate whom the operating system trusts.
    System,
    /// One of these vouches for it: certificates in PEM.
    Certificates(Vec<u8>),
    /// Not at all: only for a server on this machine or behind a proxy that is trusted.
    Unprotected,
}

impl ServerTrust {
    /// A fingerprint as it is printed: 64 hexadecimal digits, with whatever between them.
    #[must_use]
    pub fn fingerprint(text: &str) -> Option<Self> {
        let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(16)).collect();
        let others = text.chars().filter(|c| c.is_alphanumeric() && !c.is_ascii_hexdigit()).count();
        if digits.len() != 64 || others > 0 {
            return None;
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let value = pair.iter().fold(0, |value, digit| value << 4 | digit);
            *byte = u8::try_from(value).ok()?;
        }
        Some(Self::Fingerprint(bytes))
    }
}

/// Why a server was not believed.
pub(super) struct Refused(pub(super) String);

/// Looks for a refusal of the server's certificate in an error, through what others have put around it.
pub(super) fn refusal(error: &(dyn std::error::Error + 'static)) -> Option<Refused> {
    if let Some(inner) = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
        return refusal(inner);
    }
    match error.downcast_ref::<rustls::Error>()? {
        rustls::Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure) => {
            Some(Refused("its certificate has another fingerprint".to_owned()))
        }
        error @ rustls::Error::InvalidCertificate(_) => Some(Refused(error.to_string())),
        _ => None,
    }
}

/// What rustls needs to know.
pub(super) fn config(trust: &ServerTrust) -> Result<ClientConfig, AddressError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| AddressError::Certificates(error.to_string()))?;
    let config = match trust {
        ServerTrust::Fingerprint(fingerprint) => {
            let verifier = Pinned { fingerprint: *fingerprint, provider };
            builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth()
        }
        ServerTrust::System => {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                let why = "the operating system has none; name the server's fingerprint instead";
                return Err(AddressError::Certificates(why.to_owned()));
            }
            builder.with_root_certificates(roots).with_no_client_auth()
        }
        ServerTrust::Certificates(pem) => {
            let mut roots = RootCertStore::empty();
            for certificate in CertificateDer::pem_slice_iter(pem) {
                let certificate =
                    certificate.map_err(|error| AddressError::Certificates(error.to_string()))?;
                let added = roots.add(certificate);
                added.map_err(|error| AddressError::Certificates(error.to_string()))?;
            }
            if roots.is_empty() {
                return Err(AddressError::Certificates("there is none in the file".to_owned()));
            }
            builder.with_root_certificates(roots).with_no_client_auth()
        }
        // It is not used: the address has `http://`.
        ServerTrust::Unprotected => {
            builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth()
        }
    };
    Ok(config)
}

/// Believes the one certificate with this fingerprint, whatever else it says.
struct Pinned {
    fingerprint: [u8; 32],
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let fingerprint: [u8; 32] = Sha256::digest(end_entity).into();
        match fingerprint == self.fingerprint {
            true => Ok(ServerCertVerified::assertion()),
            false => Err(rustls::Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure)),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

impl fmt::Debug for Pinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pinned")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_read_however_it_is_grouped() {
        let plain = "ab".repeat(32);
        assert_eq!(ServerTrust::fingerprint(&plain), Some(ServerTrust::Fingerprint([0xab; 32])));
        assert_eq!(
            ServerTrust::fingerprint(&["AB"; 32].join(":")),
            Some(ServerTrust::Fingerprint([0xab; 32]))
        );
        assert_eq!(ServerTrust::fingerprint(&"ab".repeat(31)), None);
        assert_eq!(ServerTrust::fingerprint(&"ax".repeat(32)), None);
    }
}
