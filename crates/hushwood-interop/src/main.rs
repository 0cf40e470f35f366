//! The program `hushwood-interop`: a server of the MLS working group's interop interface.

use std::io::Write;
use std::net::IpAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use hushwood::crypto::CryptoProvider;
use hushwood::policy::Grease;
use hushwood_interop::{Settings, serve, with_compressed_keys};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

/// How long requests under way may take to end once the server is told to.
const GRACE: Duration = Duration::from_secs(5);

/// Plays members of MLS groups for the MLS working group's interop runner, over gRPC without TLS.
///
/// Serves mls_client.MLSClient until SIGTERM or SIGINT. Everybody who can reach the port gets all private keys: this is
/// for tests of the protocol, and listens for this machine alone unless told otherwise.
#[derive(Debug, Parser)]
#[command(name = "hushwood-interop", version)]
struct Arguments {
    /// The port to listen on; 0 for a free one
    #[arg(long)]
    port: u16,
    /// The address to listen on
    #[arg(long, default_value = "127.0.0.1")]
    host: IpAddr,
    /// Who does the cryptography
    #[arg(long, value_enum, default_value_t = Provider::AwsLc)]
    provider: Provider,
    /// Where values are sent that nobody supports, to see that they are ignored (RFC 9420, section 13.5)
    #[arg(long, value_enum, default_value_t = GreaseArgument::Capabilities)]
    grease: GreaseArgument,
    /// What becomes of ECDSA keys that are compressed points (ts-mls), which RFC 9420, section 5.1.1, does not have
    #[arg(long, value_enum, default_value_t = CompressedKeys::Accept)]
    compressed_keys: CompressedKeys,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum CompressedKeys {
    /// They are taken, as mls-rs and mlspp do
    Accept,
    /// They are refused, as the RFC wants and the library does
    Refuse,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Provider {
    /// AWS-LC: the fastest
    AwsLc,
    /// Rust alone
    Rustcrypto,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum GreaseArgument {
    /// In capabilities and as extensions, which OpenMLS refuses in leaves
    Everywhere,
    /// In capabilities only
    Capabilities,
    /// Nowhere
    Nowhere,
}

impl Arguments {
    fn settings(&self) -> Settings {
        let provider: CryptoProvider = match self.provider {
            Provider::AwsLc => hushwood_aws_lc::PROVIDER,
            Provider::Rustcrypto => hushwood_rustcrypto::PROVIDER,
        };
        let provider = match self.compressed_keys {
            CompressedKeys::Accept => with_compressed_keys(provider),
            CompressedKeys::Refuse => provider,
        };
        let grease = match self.grease {
            GreaseArgument::Everywhere => Grease::Everywhere,
            GreaseArgument::Capabilities => Grease::Capabilities,
            GreaseArgument::Nowhere => Grease::Nowhere,
        };
        Settings { grease, ..Settings::new(provider) }
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = Runtime::new().map_err(anyhow::Error::from).and_then(|runtime| {
        let result = runtime.block_on(run(&arguments));
        // Whoever is still at work has had its time.
        runtime.shutdown_background();
        result
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hushwood-interop: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let stop = stop_signal()?;
    let listener = TcpListener::bind((arguments.host, arguments.port)).await?;
    // Bound already: who reads this line can connect.
    writeln!(std::io::stdout(), "hushwood-interop listens on {}", listener.local_addr()?)?;
    let (stopping, stopped) = oneshot::channel();
    let server = serve(listener, arguments.settings(), async {
        stop.await;
        // The receiver is there as long as the server is.
        let _ = stopping.send(());
    });
    let late = async {
        match stopped.await {
            Ok(()) => tokio::time::sleep(GRACE).await,
            // The server has ended by itself, with an error.
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        result = server => Ok(result?),
        () = late => Ok(()),
    }
}

/// Done when the program is told to end. Heard from the moment of the call.
#[cfg(unix)]
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Done when the program is told to end.
#[cfg(not(unix))]
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    Ok(async {
        let _ = tokio::signal::ctrl_c().await;
    })
}
