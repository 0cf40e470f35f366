//! Where a service has its data.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use hushwood_delivery::backend::{
    Backend, BackendError, PostgresBackend, PostgresSettings, SqliteBackend, SqliteSettings,
};
use hushwood_delivery::server::{Alone, Bus, PostgresBus};
use hushwood_delivery::wire::Refusal;

use crate::failure::{Class, Failure};
use crate::system;

/// Where a service has its data.
#[derive(Args, Debug)]
pub(super) struct Database {
    /// The folder of the database and the certificate [default: hushwood-server where your data is kept, as in
    /// ~/.local/share]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// A PostgreSQL database instead of one in the folder, as `postgres://USER@HOST/NAME`
    #[arg(long, value_name = "URL", env = "HUSHWOOD_DATABASE", hide_env_values = true)]
    database: Option<String>,
}

impl Database {
    /// The folder of the data, made where there is none.
    pub(super) fn folder(&self) -> Result<PathBuf, Failure> {
        let default =
            || system::data_folder(|name| std::env::var_os(name)).map(|data| data.join("hushwood-server"));
        let Some(data) = self.data.clone().or_else(default) else {
            return Err(
                Failure::usage("no folder for the data is known").advise("name one with `--data DIR`")
            );
        };
        system::create_private_folder(&data).map_err(|error| Failure::path("can't make", &data, &error))?;
        Ok(data)
    }

    /// What is stored, and how nodes tell each other of it.
    pub(super) async fn open(&self, data: &Path) -> Result<(Arc<dyn Backend>, Arc<dyn Bus>), Failure> {
        match &self.database {
            Some(url) if url.starts_with("postgres://") || url.starts_with("postgresql://") => {
                let settings = PostgresSettings::new(url).map_err(failed)?;
                let backend = Arc::new(PostgresBackend::open(&settings).await.map_err(failed)?);
                Ok((backend.clone(), Arc::new(PostgresBus::new(backend))))
            }
            Some(_) => Err(Failure::usage("a database is named as `postgres://USER@HOST/NAME`")),
            None => {
                let settings = SqliteSettings::new(&data.join("delivery.db"));
                let opened = tokio::task::spawn_blocking(move || SqliteBackend::open(&settings)).await;
                let opened = opened.map_err(|_| Failure::new(Class::Bug, "opening the database panicked"))?;
                Ok((Arc::new(opened.map_err(failed)?), Arc::new(Alone)))
            }
        }
    }
}

/// What the database says, and what to do.
pub(super) fn failed(error: BackendError) -> Failure {
    let failure = Failure::new(Class::Store, error.to_string());
    match error {
        BackendError::Corrupt(_) => failure.advise("see docs/operations.md, \"Back up and restore\""),
        BackendError::Unavailable(_) => {
            failure.advise("see that the database is there, and who may read and write in it")
        }
        _ => failure.advise("see who may read and write there, and that the disk has room"),
    }
}

/// A refusal that nobody but the operator hears.
pub(super) fn refused(refusal: Refusal) -> Failure {
    match refusal {
        Refusal::Failed(error) => failed(error),
        refusal => Failure::new(Class::Store, refusal.to_string()),
    }
}
