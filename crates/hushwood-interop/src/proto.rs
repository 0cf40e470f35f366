//! Messages, client and server of the service `mls_client.MLSClient`, compiled from `proto/mls_client.proto`.
//!
//! ```no_run
//! use hushwood_interop::proto::NameRequest;
//! use hushwood_interop::proto::mls_client_client::MlsClientClient;
//!
//! # async fn ask() -> Result<(), Box<dyn std::error::Error>> {
//! let mut client = MlsClientClient::connect("http://127.0.0.1:50051").await?;
//! let name = client.name(NameRequest {}).await?.into_inner().name;
//! # Ok(())
//! # }
//! ```

// The lints are for what people write.
#![allow(clippy::as_conversions, missing_docs)]

tonic::include_proto!("mls_client");
