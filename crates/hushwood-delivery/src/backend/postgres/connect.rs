//! Connections: TLS, what is asked of the server, and how each session is set.

use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Hook, HookError, Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime};
use pki_types::CertificateDer;
use pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres::Client;
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::backend::BackendError;
use crate::backend::postgres::PostgresSettings;
use crate::backend::postgres::error::{no_connection, text};

/// What every session needs, whatever the database's defaults are.
///
/// No `statement_timeout`: with a synchronous standby it ends the wait of a COMMIT, which then counts as done. Plans are
/// made for keys: one that was made while a table was small must not read the whole of it when it is large.
const SESSION: &str = "
    SET synchronous_commit = on;
    SET default_transaction_isolation = 'read committed';
    SET default_transaction_read_only = off;
    SET statement_timeout = 0;
    SET lock_timeout = '2s';
    SET idle_in_transaction_session_timeout = '10s';
    SET enable_seqscan = off;
    SET enable_hashjoin = off;
    SET enable_mergejoin = off;
    SET client_min_messages = warning;
";

/// The oldest server whose behaviour we have read about.
const OLDEST: i32 = 130_000;

/// A pool of connections, none of which is open yet.
pub(super) fn pool(
    settings: &PostgresSettings,
    tls: MakeRustlsConnect,
    size: usize,
) -> Result<Pool, BackendError> {
    let manager = Manager::from_config(
        settings.config.clone(),
        tls,
        ManagerConfig { recycling_method: RecyclingMethod::Fast },
    );
    Pool::builder(manager)
        .max_size(size.max(1))
        .runtime(Runtime::Tokio1)
        .wait_timeout(Some(settings.patience))
        .create_timeout(Some(settings.patience))
        .post_create(Hook::async_fn(|client, _| Box::pin(async move { prepare(client).await })))
        .build()
        .map_err(|error| BackendError::Unavailable(error.to_string()))
}

/// A connection of a pool.
pub(super) async fn connection(pool: &Pool) -> Result<Object, BackendError> {
    pool.get().await.map_err(|error| no_connection(&error))
}

/// Refuses a server that may lose what it has confirmed, and sets the session. At each connection: another server may have taken
/// the place of the first.
async fn prepare(client: &Client) -> Result<(), HookError> {
    let sql = "SELECT current_setting('server_version_num')::int, current_setting('fsync') = 'on', pg_is_in_recovery()";
    let asked = async {
        let row = client.query_one(sql, &[]).await?;
        Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?))
    };
    let (version, fsync, standby): (i32, bool, bool) = asked.await.map_err(HookError::Backend)?;
    if version < OLDEST {
        return Err(HookError::message(format!(
            "it is PostgreSQL {}: 13 or newer is needed",
            version.checked_div(10_000).unwrap_or_default()
        )));
    }
    if !fsync {
        return Err(HookError::message(
            "it runs with fsync=off, and may lose what it has confirmed: switch it on",
        ));
    }
    if standby {
        return Err(HookError::message("it is a standby: name the primary, or all of them"));
    }
    client.batch_execute(SESSION).await.map_err(HookError::Backend)
}

/// TLS with the roots that are named, or those of the system.
pub(super) fn tls(settings: &PostgresSettings) -> Result<MakeRustlsConnect, BackendError> {
    let unusable = |why: String| BackendError::Unavailable(format!("TLS to the database: {why}"));
    let mut roots = RootCertStore::empty();
    match &settings.roots {
        Some(path) => {
            let certificates =
                CertificateDer::pem_file_iter(path).map_err(|error| unusable(error.to_string()))?;
            for certificate in certificates {
                let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
                roots.add(certificate).map_err(|error| unusable(error.to_string()))?;
            }
            if roots.is_empty() {
                return Err(unusable("no certificate is in the file of sslrootcert".to_owned()));
            }
        }
        // Those of the system that can't be read vouch for nobody.
        None => drop(roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs)),
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| unusable(error.to_string()))?;
    Ok(MakeRustlsConnect::new(config.with_root_certificates(roots).with_no_client_auth()))
}

/// Waits so long for an answer of the database. Who gives up must not use the connection again.
pub(super) async fn patiently<T>(
    patience: Duration,
    answer: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<Result<T, tokio_postgres::Error>, TooLate> {
    tokio::time::timeout(patience, answer).await.or(Err(TooLate))
}

/// The database has not answered in time.
#[derive(Clone, Copy, Debug)]
pub(super) struct TooLate;

/// The database's own words, for those who start the service.
pub(super) fn said(error: &tokio_postgres::Error) -> BackendError {
    BackendError::Unavailable(text(error))
}
