//! Waiting for a future in a thread.

use tokio::runtime::Handle;

use crate::transport::TransportError;

/// Waits for a future, in whatever thread: in one of tokio's own, where nobody may wait for another future, in a thread beside it.
pub(super) fn wait_for<R: Send>(
    runtime: &Handle,
    future: impl Future<Output = Result<R, TransportError>> + Send,
) -> Result<R, TransportError> {
    if Handle::try_current().is_err() {
        return runtime.block_on(future);
    }
    std::thread::scope(|scope| {
        let waiting = std::thread::Builder::new().spawn_scoped(scope, || runtime.block_on(future));
        let waiting = waiting.map_err(|error| TransportError::Unreachable(error.to_string()))?;
        waiting.join().unwrap_or_else(|_| Err(TransportError::Unknown("the call was cut off".to_owned())))
    })
}
