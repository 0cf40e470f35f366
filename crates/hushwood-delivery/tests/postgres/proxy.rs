//! A wire between a node and the database that can be cut at the worst moment.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What happens to the next COMMIT.
#[derive(Clone, Copy)]
pub(crate) enum Commit {
    /// It arrives, and so does the answer.
    Passes,
    /// It does not arrive.
    Lost,
    /// It arrives, and the answer does not.
    AnswerLost,
}

pub(crate) struct Proxy {
    pub(crate) port: u16,
    next: Arc<AtomicU8>,
}

impl Proxy {
    /// Between a port of its own and this one.
    pub(crate) async fn before(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let next = Arc::new(AtomicU8::new(0));
        let this = Self { port: listener.local_addr().unwrap().port(), next: next.clone() };
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                tokio::spawn(carry(client, server, next.clone()));
            }
        });
        this
    }

    /// For one COMMIT.
    pub(crate) fn next_commit(&self, what: Commit) {
        let what = match what {
            Commit::Passes => 0,
            Commit::Lost => 1,
            Commit::AnswerLost => 2,
        };
        self.next.store(what, Ordering::SeqCst);
    }
}

async fn carry(mut client: TcpStream, mut server: TcpStream, next: Arc<AtomicU8>) {
    let (mut from_client, mut from_server) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    let mut deaf = false;
    loop {
        tokio::select! {
            read = client.read(&mut from_client) => {
                let Ok(length @ 1..) = read else { return };
                let bytes = &from_client[..length];
                if bytes.windows(7).any(|word| word == b"COMMIT\0") {
                    match next.swap(0, Ordering::SeqCst) {
                        1 => return,
                        2 => deaf = true,
                        _ => {}
                    }
                }
                if server.write_all(bytes).await.is_err() {
                    return;
                }
            }
            read = server.read(&mut from_server) => {
                let Ok(length @ 1..) = read else { return };
                // It has answered: the transaction is over, and the node will not hear of it. The answer to a statement that
                // came with COMMIT may come before that to COMMIT.
                if deaf {
                    if from_server[..length].windows(7).any(|word| word == b"COMMIT\0") {
                        return;
                    }
                    continue;
                }
                if client.write_all(&from_server[..length]).await.is_err() {
                    return;
                }
            }
        }
    }
}
