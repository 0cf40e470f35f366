//! What is done for each request. One file for each part of the interface.

mod group;
mod joining;
mod outside;
mod successors;

use crate::failure::Failure;
use crate::proto::{
    FreeRequest, FreeResponse, NameRequest, NameResponse, SupportedCiphersuitesRequest,
    SupportedCiphersuitesResponse,
};
use crate::registry::Registry;
use crate::settings::Settings;

pub(crate) use outside::ExternalSigner;
pub(crate) use successors::Successor;

/// All members that this server plays.
pub(crate) struct Harness {
    settings: Settings,
    registry: Registry,
}

impl Harness {
    pub(crate) fn new(settings: Settings) -> Self {
        Self { settings, registry: Registry::default() }
    }

    /// Does something while nobody else gets at the ids.
    #[cfg(test)]
    pub(crate) fn with_entries_locked<T>(&self, operation: impl FnOnce() -> T) -> T {
        self.registry.locked(operation)
    }

    pub(crate) fn name(&self, _: NameRequest) -> Result<NameResponse, Failure> {
        Ok(NameResponse { name: "hushwood".into() })
    }

    pub(crate) fn supported_ciphersuites(
        &self,
        _: SupportedCiphersuitesRequest,
    ) -> Result<SupportedCiphersuitesResponse, Failure> {
        let ciphersuites = self.settings.provider.suites.iter().map(|suite| suite.id().0.into());
        Ok(SupportedCiphersuitesResponse { ciphersuites: ciphersuites.collect() })
    }

    pub(crate) fn free(&self, request: FreeRequest) -> Result<FreeResponse, Failure> {
        // The runner frees what it never had: an unknown id is no error.
        self.registry.forget(request.state_id);
        Ok(FreeResponse {})
    }
}
