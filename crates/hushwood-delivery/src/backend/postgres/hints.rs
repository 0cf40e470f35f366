//! Wake-ups between the nodes of one service, by NOTIFY.
//!
//! Nothing depends on them: to append is to deliver, and who has missed a hint reads what is there all the same. They are sent
//! apart from what they are about, a batch every few milliseconds: NOTIFY within a transaction would make all transactions of
//! the server wait for each other at their end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base64ct::{Base64UrlUnpadded, Encoding};
use tokio::sync::{broadcast, mpsc};
use tokio_postgres::{AsyncMessage, Client};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::backend::postgres::PostgresSettings;
use crate::backend::{AccountId, DeviceId};

/// Something happened at another node.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Hint {
    /// The log of a group has grown.
    Group {
        /// The group.
        group: Vec<u8>,
        /// The number of an entry that is there now.
        sequence: u64,
    },
    /// Something waits in a device's inbox.
    Inbox(AccountId, DeviceId),
    /// Nobody knows what has happened meanwhile: look at everything that somebody waits for.
    Missed,
}

/// The two ends of the wake-ups of a node.
///
/// They need a connection that stays the same one: not through a pooler that gives connections out by transaction.
#[derive(Debug)]
pub struct Hints {
    outgoing: mpsc::Sender<Hint>,
    lost: Arc<AtomicBool>,
    incoming: broadcast::Sender<Hint>,
}

impl Hints {
    /// Starts to send and to listen, with a connection of its own.
    pub(super) fn start(settings: &PostgresSettings, tls: MakeRustlsConnect, node: [u8; 16]) -> Self {
        let (outgoing, queue) = mpsc::channel(8192);
        let (incoming, _) = broadcast::channel(8192);
        let lost = Arc::new(AtomicBool::new(false));
        let carrier = Carrier {
            config: settings.config.clone(),
            tls,
            node: Base64UrlUnpadded::encode_string(&node),
            gather: settings.gather_hints,
            lost: lost.clone(),
            incoming: incoming.clone(),
        };
        tokio::spawn(carrier.serve(queue));
        Self { outgoing, lost, incoming }
    }

    /// Tells the other nodes. It does not wait; if too much waits already, they are told that they have missed something.
    pub fn tell(&self, hint: Hint) {
        if self.outgoing.try_send(hint).is_err() {
            self.lost.store(true, Ordering::Relaxed);
        }
    }

    /// What the other nodes tell from now on. A receiver that is too slow ([`broadcast::error::RecvError::Lagged`]) has missed
    /// something, as in [`Hint::Missed`].
    #[must_use]
    pub fn listen(&self) -> broadcast::Receiver<Hint> {
        self.incoming.subscribe()
    }
}

const CHANNEL: &str = "hushwood_hints";

/// What PostgreSQL takes in one message, and a little less.
const LONGEST: usize = 7900;

/// How long to wait before another connection is tried.
const PAUSE: Duration = Duration::from_millis(500);

struct Carrier {
    config: tokio_postgres::Config,
    tls: MakeRustlsConnect,
    node: String,
    gather: Duration,
    lost: Arc<AtomicBool>,
    incoming: broadcast::Sender<Hint>,
}

impl Carrier {
    /// Until nobody is left who could tell something.
    async fn serve(self, mut queue: mpsc::Receiver<Hint>) {
        loop {
            if let Ok((client, connection)) = self.config.connect(self.tls.clone()).await {
                tokio::select! {
                    () = self.receive(connection) => {}
                    ended = self.send(&client, &mut queue) => if ended { return },
                }
            }
            if queue.is_closed() && queue.is_empty() {
                return;
            }
            // What comes meanwhile waits in the queue, as far as it has room.
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Drives the connection and passes on what comes.
    async fn receive<S, T>(&self, mut connection: tokio_postgres::Connection<S, T>)
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
        T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    {
        while let Some(Ok(message)) = std::future::poll_fn(|context| connection.poll_message(context)).await {
            let AsyncMessage::Notification(notification) = message else { continue };
            for hint in decode(notification.payload(), &self.node) {
                // Nobody may be listening.
                drop(self.incoming.send(hint));
            }
        }
    }

    /// Gathers and sends. True when there will be nothing more, false when the connection is gone.
    async fn send(&self, client: &Client, queue: &mut mpsc::Receiver<Hint>) -> bool {
        // One after the other: whoever looks at everything now is told of all that comes after.
        let sql = format!("SET statement_timeout = '10s'; LISTEN {CHANNEL}");
        if client.batch_execute(&sql).await.is_err() {
            return false;
        }
        drop(self.incoming.send(Hint::Missed));
        let Ok(notify) =
            client.prepare("SELECT pg_notify($1, payload) FROM unnest($2::text[]) AS payload").await
        else {
            return false;
        };
        let mut gathered = Vec::new();
        while queue.recv_many(&mut gathered, 4096).await > 0 {
            tokio::time::sleep(self.gather).await;
            while gathered.len() < 4096 {
                let Ok(hint) = queue.try_recv() else { break };
                gathered.push(hint);
            }
            if self.lost.swap(false, Ordering::Relaxed) {
                gathered.push(Hint::Missed);
            }
            let payloads = encode(&std::mem::take(&mut gathered), &self.node);
            if client.query(&notify, &[&CHANNEL, &payloads]).await.is_err() {
                self.lost.store(true, Ordering::Relaxed);
                return false;
            }
        }
        true
    }
}

/// Messages of words: who tells it, and what. For each group the newest only.
fn encode(hints: &[Hint], node: &str) -> Vec<String> {
    let (mut groups, mut inboxes) = (BTreeMap::new(), BTreeSet::new());
    let mut missed = false;
    for hint in hints {
        match hint {
            Hint::Group { group, sequence } => {
                let newest = groups.entry(group).or_insert(*sequence);
                *newest = (*newest).max(*sequence);
            }
            Hint::Inbox(account, device) => drop(inboxes.insert((account, device))),
            Hint::Missed => missed = true,
        }
    }
    let text = |bytes: &[u8]| Base64UrlUnpadded::encode_string(bytes);
    let groups = groups.iter().map(|(group, sequence)| format!("g:{}:{sequence}", text(group)));
    let inboxes =
        inboxes.iter().map(|(account, device)| format!("i:{}:{}", text(&account.0), text(&device.0)));
    let mut messages = Vec::new();
    let mut message = String::new();
    for word in missed.then(|| "m".to_owned()).into_iter().chain(groups).chain(inboxes) {
        if message.is_empty() || message.len() + 1 + word.len() > LONGEST {
            if !message.is_empty() {
                messages.push(std::mem::take(&mut message));
            }
            message.push_str(node);
        }
        // An id that is too long for any message belongs to nobody who would miss it.
        if message.len() + 1 + word.len() <= LONGEST {
            message.push(' ');
            message.push_str(&word);
        }
    }
    messages.extend(Some(message).filter(|message| !message.is_empty()));
    messages
}

/// What others tell; what is not understood may be of a newer version, and counts for nothing.
fn decode(message: &str, node: &str) -> Vec<Hint> {
    let mut words = message.split(' ');
    if words.next() == Some(node) {
        return Vec::new();
    }
    words.filter_map(word).collect()
}

fn word(word: &str) -> Option<Hint> {
    let bytes = |text: &str| Base64UrlUnpadded::decode_vec(text).ok();
    let mut parts = word.split(':');
    match (parts.next(), parts.next(), parts.next()) {
        (Some("g"), Some(group), Some(sequence)) => {
            Some(Hint::Group { group: bytes(group)?, sequence: sequence.parse().ok()? })
        }
        (Some("i"), Some(account), Some(device)) => {
            let (account, device) = (bytes(account)?.try_into().ok()?, bytes(device)?.try_into().ok()?);
            Some(Hint::Inbox(AccountId(account), DeviceId(device)))
        }
        (Some("m"), None, None) => Some(Hint::Missed),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_comes_out_at_the_others_and_not_at_home() {
        let group = |group: &[u8], sequence| Hint::Group { group: group.to_vec(), sequence };
        let inbox = Hint::Inbox(AccountId([1; 16]), DeviceId([2; 16]));
        let told = [group(b"tea", 4), group(b"tea", 9), inbox.clone(), group(b"\xff\0", 1), group(b"tea", 5)];
        let messages = encode(&told, "me");
        assert_eq!(messages.len(), 1);
        assert_eq!(decode(&messages[0], "other"), [group(b"tea", 9), group(b"\xff\0", 1), inbox]);
        assert_eq!(decode(&messages[0], "me"), []);
    }

    #[test]
    fn messages_have_a_length() {
        let told: Vec<_> =
            (0..2000_u64).map(|number| Hint::Group { group: vec![7; 32], sequence: number }).collect();
        assert_eq!(encode(&told, "me").len(), 1, "one group, one word");
        let told: Vec<_> = (0..2000_u64)
            .map(|number| Hint::Group {
                group: [[7; 24].as_slice(), &number.to_be_bytes()].concat(),
                sequence: 1,
            })
            .collect();
        let messages = encode(&told, "me");
        assert!(messages.iter().all(|message| message.len() <= LONGEST));
        let heard: Vec<_> = messages.iter().flat_map(|message| decode(message, "other")).collect();
        assert_eq!(heard, told);
        assert_eq!(encode(&[], "me"), Vec::<String>::new());
    }

    #[test]
    fn what_is_not_understood_counts_for_nothing() {
        assert_eq!(decode("other x:1 g:!!:3 g:dGVh:x i:dGVh:dGVh m:1 m", "me"), [Hint::Missed]);
        assert_eq!(decode("", "me"), []);
    }
}
