//! What an error of the driver says about what was written.

use std::error::Error as _;

use deadpool_postgres::{PoolError, TimeoutType};
use tokio_postgres::Error;
use tokio_postgres::error::{Severity, SqlState};

use crate::backend::BackendError;

/// Why a transaction did not succeed.
#[derive(Debug)]
pub(super) enum Failed {
    /// The connection is gone, and nothing was written.
    Lost(String),
    /// There is none, and nothing was written.
    NoConnection(BackendError),
    /// The database has undone it. What it said is about one of the writes, or about the moment.
    Undone(BackendError),
    /// Written or not: nobody knows.
    Unknown(String),
}

impl Failed {
    /// An error before the end of the transaction was asked for.
    pub(super) fn before_commit(error: &Error) -> Self {
        if ended_by_the_server(error) { Self::Lost(text(error)) } else { Self::Undone(refused(error)) }
    }

    /// An error of the statement that makes writes durable.
    pub(super) fn at_commit(error: &Error) -> Self {
        if ended_by_the_server(error) { Self::Unknown(text(error)) } else { Self::Undone(refused(error)) }
    }

    /// What those are told who have asked.
    pub(super) fn told(self) -> BackendError {
        match self {
            Self::Lost(why) => BackendError::Unavailable(why),
            Self::NoConnection(error) | Self::Undone(error) => error,
            Self::Unknown(why) => BackendError::Unknown(why),
        }
    }
}

/// An error while something was read.
pub(super) fn reading(error: &Error) -> BackendError {
    Failed::before_commit(error).told()
}

/// An error of a statement that is its own transaction and writes.
pub(super) fn writing(error: &Error) -> BackendError {
    Failed::at_commit(error).told()
}

/// Why there is no connection.
pub(super) fn no_connection(error: &PoolError) -> BackendError {
    match error {
        PoolError::Timeout(TimeoutType::Wait) => BackendError::Busy,
        PoolError::Backend(error) => match error.code() {
            Some(code) if *code == SqlState::TOO_MANY_CONNECTIONS => BackendError::Busy,
            _ => BackendError::Unavailable(text(error)),
        },
        PoolError::PostCreateHook(deadpool_postgres::HookError::Message(why)) => {
            BackendError::Unavailable(why.to_string())
        }
        PoolError::PostCreateHook(deadpool_postgres::HookError::Backend(error)) => {
            BackendError::Unavailable(text(error))
        }
        PoolError::Timeout(TimeoutType::Create | TimeoutType::Recycle)
        | PoolError::Closed
        | PoolError::NoRuntimeSpecified => BackendError::Unavailable(error.to_string()),
    }
}

/// Whether the connection has ended with the error: the server is gone, is going, or has thrown us out.
fn ended_by_the_server(error: &Error) -> bool {
    match error.as_db_error() {
        Some(said) => matches!(said.parsed_severity(), Some(Severity::Fatal | Severity::Panic)),
        // What no server has said is the end of a connection: our values are of the types that our statements name.
        None => true,
    }
}

/// What the server refuses.
fn refused(error: &Error) -> BackendError {
    let Some(code) = error.code() else { return BackendError::Unavailable(text(error)) };
    match code.code() {
        "53100" => BackendError::Full,
        // Locks that others hold for too long, deadlocks, too many connections.
        "55P03" | "40001" | "40P01" | "53300" => BackendError::Busy,
        // No statement of ours makes a row twice.
        "23505" => BackendError::Corrupt("a row that is there already"),
        "XX001" | "XX002" => BackendError::Corrupt("PostgreSQL says so"),
        _ => BackendError::Unavailable(text(error)),
    }
}

/// The error in words, without what a detail may hold: values of keys, which are ids.
pub(super) fn text(error: &Error) -> String {
    match error.as_db_error() {
        Some(said) => format!("{} ({})", said.message(), said.code().code()),
        None => match error.source() {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        },
    }
}
