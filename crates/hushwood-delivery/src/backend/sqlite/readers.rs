//! Connections that read, each in the hand of one who asks.

use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::Semaphore;

use crate::backend::BackendError;
use crate::backend::sqlite::{SqliteSettings, schema};

/// A few connections. In WAL they see what was committed last and wait for nobody.
pub(super) struct Readers {
    free: Arc<Mutex<Vec<Connection>>>,
    permits: Arc<Semaphore>,
}

impl Readers {
    pub(super) fn new(settings: &SqliteSettings) -> Result<Self, BackendError> {
        let count = settings.readers.max(1);
        let open = || {
            let connection = schema::connect(&settings.path, settings.busy)?;
            connection.pragma_update(None, "query_only", "ON")?;
            Ok(connection)
        };
        let free: Result<Vec<_>, BackendError> = std::iter::repeat_with(open).take(count).collect();
        Ok(Self { free: Arc::new(Mutex::new(free?)), permits: Arc::new(Semaphore::new(count)) })
    }

    /// Does this with a connection, on a thread that may block.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, BackendError> + Send + 'static,
    ) -> Result<T, BackendError> {
        let closed = || BackendError::Unavailable("the service is stopping".to_owned());
        let permit = self.permits.clone().acquire_owned().await.map_err(|_| closed())?;
        let free = self.free.clone();
        let reading = tokio::task::spawn_blocking(move || {
            let taken = free.lock().unwrap_or_else(PoisonError::into_inner).pop();
            // There are as many connections as permits.
            let connection = taken.ok_or(BackendError::Busy)?;
            let done = work(&connection);
            free.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
            drop(permit);
            done
        });
        reading.await.unwrap_or_else(|_| Err(closed()))
    }
}
