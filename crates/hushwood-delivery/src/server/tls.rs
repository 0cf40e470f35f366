//! TLS: a certificate that is given, or one of our own that clients know by its fingerprint.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pki_types::pem::PemObject;
use pki_types::{CertificateDer, PrivateKeyDer};
use rcgen::{CertificateParams, DnType, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use sha2::{Digest, Sha256};

use crate::server::{Protection, StartError};

/// What is needed to speak TLS.
pub(super) struct Tls {
    pub(super) config: Arc<ServerConfig>,
    pub(super) fingerprint: Fingerprint,
}

/// The SHA-256 of a server's certificate (DER): what clients pin who know the server by it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Fingerprint(pub [u8; 32]);

impl std::fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Tls {
    /// As the settings say; `None` without protection. `name` is what a certificate of our own is for.
    pub(super) fn new(protection: &Protection, name: &str) -> Result<Option<Self>, StartError> {
        let (certificates, key) = match protection {
            Protection::Plain { .. } => return Ok(None),
            Protection::Files { certificates, key } => read(certificates, key)?,
            Protection::OwnCertificate(folder) => own(folder, name)?,
        };
        let first = certificates.first().ok_or(StartError::Certificate("there is none in the file"))?;
        let fingerprint = Fingerprint(Sha256::digest(first).into());
        let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_no_client_auth()
            .with_single_cert(certificates, key)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Some(Self { config: Arc::new(config), fingerprint }))
    }
}

type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn read(certificates: &Path, key: &Path) -> Result<Identity, StartError> {
    let pem = |path: &Path| fs::read(path).map_err(|error| StartError::File(path.to_path_buf(), error));
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem(certificates)?).collect();
    let chain = chain.or(Err(StartError::Certificate("the file of certificates is no PEM")))?;
    let key = PrivateKeyDer::from_pem_slice(&pem(key)?);
    let key = key.or(Err(StartError::Certificate("the file of the key has no key in PEM")))?;
    Ok((chain, key))
}

/// The certificate of our own in this folder, made where there is none.
fn own(folder: &Path, name: &str) -> Result<Identity, StartError> {
    let (certificate, key) = (folder.join("server.crt"), folder.join("server.key"));
    if !(certificate.exists() && key.exists()) {
        make(&certificate, &key, name)?;
    }
    read(&certificate, &key)
}

/// The key first: a certificate without its key would be of no use, the other way round it is made anew.
fn make(certificate: &Path, key: &Path, name: &str) -> Result<(), StartError> {
    let pair = KeyPair::generate()?;
    let mut params = CertificateParams::new(vec![name.to_owned(), "localhost".to_owned()])
        .or_else(|_| CertificateParams::new(vec!["localhost".to_owned()]))?;
    params.distinguished_name.push(DnType::CommonName, "hushwood delivery service");
    // It is known by its fingerprint, and replaced by erasing it: time says nothing about it.
    params.not_before = date_time_ymd(2025, 1, 1);
    params.not_after = date_time_ymd(2125, 1, 1);
    let made = params.self_signed(&pair)?;
    write_private(key, pair.serialize_pem().as_bytes())
        .map_err(|error| StartError::File(key.to_path_buf(), error))?;
    write_private(certificate, made.pem().as_bytes())
        .map_err(|error| StartError::File(certificate.to_path_buf(), error))
}

/// Writes a file that only its owner reads; it is there whole or not at all.
fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let part: PathBuf = path.with_extension("part");
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    private(&mut options);
    let mut file = options.open(&part)?;
    io::Write::write_all(&mut file, bytes)?;
    file.sync_all()?;
    fs::rename(&part, path)
}

#[cfg(unix)]
fn private(options: &mut fs::OpenOptions) {
    use std::os::unix::fs::OpenOptionsExt;
    options.mode(0o600);
}

#[cfg(not(unix))]
fn private(_: &mut fs::OpenOptions) {}
