//! The one thread that writes: what waits for it shares a transaction and a sync of the disk.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};

use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::backend::BackendError;

/// A piece of work: in a transaction it writes, and gives what is to be said once the writes are durable, or are known not
/// to be. Without one it says why there is none.
type Work = Box<dyn FnOnce(Result<&Connection, BackendError>) -> Answer + Send>;
type Answer = Box<dyn FnOnce(Result<(), BackendError>) + Send>;

/// A handle to the thread. It ends when the handle is dropped, after it has done what waits.
pub(super) struct Writer {
    jobs: Option<SyncSender<Work>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(connection: Connection, batch: usize, waiting: usize) -> Result<Self, BackendError> {
        let (jobs, queue) = sync_channel(waiting.max(1));
        let thread = thread::Builder::new()
            .name("delivery-writer".to_owned())
            .spawn(move || serve(&connection, &queue, batch.max(1)))
            .map_err(|error| BackendError::Unavailable(error.to_string()))?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Does this in a transaction of which an error undoes all, and answers when it is durable.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, BackendError> + Send + 'static,
    ) -> Result<T, BackendError> {
        let (sender, receiver) = oneshot::channel();
        let work: Work = Box::new(move |transaction| {
            let done = transaction.and_then(|connection| alone(connection, work));
            // Who has asked may have gone: then nobody hears the answer.
            Box::new(move |durable| drop(sender.send(durable.and(done))))
        });
        let jobs = self.jobs.as_ref().ok_or_else(stopped)?;
        jobs.try_send(work).map_err(|error| match error {
            TrySendError::Full(_) => BackendError::Busy,
            TrySendError::Disconnected(_) => stopped(),
        })?;
        receiver.await.unwrap_or_else(|_| Err(stopped()))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported there.
            drop(thread.join());
        }
    }
}

fn stopped() -> BackendError {
    BackendError::Unavailable("its writer has stopped after an error: start the service again".to_owned())
}

/// A piece of work within the transaction of its batch: if it fails, the others do not.
fn alone<T>(
    connection: &Connection,
    work: impl FnOnce(&Connection) -> Result<T, BackendError>,
) -> Result<T, BackendError> {
    connection.prepare_cached("SAVEPOINT work")?.execute([])?;
    let done = work(connection);
    if done.is_err() {
        connection.prepare_cached("ROLLBACK TO work")?.execute([])?;
    }
    connection.prepare_cached("RELEASE work")?.execute([])?;
    done
}

fn serve(connection: &Connection, queue: &Receiver<Work>, batch: usize) {
    while let Ok(first) = queue.recv() {
        let works = std::iter::once(first).chain(std::iter::from_fn(|| queue.try_recv().ok())).take(batch);
        let begun = connection.execute_batch("BEGIN IMMEDIATE").map_err(BackendError::from);
        let transaction = || begun.clone().map(|()| connection);
        let answers: Vec<Answer> = works.map(|work| work(transaction())).collect();
        let durable = match begun {
            Ok(()) => connection.execute_batch("COMMIT").map_err(|error| commit_failed(connection, &error)),
            Err(ref error) => Err(error.clone()),
        };
        let lost = matches!(durable, Err(BackendError::Unknown(_)));
        answers.into_iter().for_each(|answer| answer(durable.clone()));
        // What is on the disk is not known, so nothing may be built on it.
        if lost {
            return;
        }
    }
}

/// SQLite has rolled the transaction back, or it is still open and can be; otherwise nobody knows.
fn commit_failed(connection: &Connection, error: &rusqlite::Error) -> BackendError {
    let undone = connection.is_autocommit() || connection.execute_batch("ROLLBACK").is_ok();
    match (error.sqlite_error_code(), undone) {
        (Some(rusqlite::ErrorCode::DiskFull), true) => BackendError::Full,
        (Some(rusqlite::ErrorCode::DatabaseBusy), true) => BackendError::Busy,
        _ => BackendError::Unknown(error.to_string()),
    }
}
