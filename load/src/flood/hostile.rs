//! What hostile clients do. They have one thread for all of them, so that something is left for the others.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result};
use hushwood_delivery::wire::{CallKind, ClientFrame, MEDIA_TYPE};
use hyper::body::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use crate::client::{Author, Founder, Reader, SERVICE};
use crate::flood::{honest_address, hostile_address};
use crate::net::{Link, Place, Stream};
use crate::scale::FloodScale;
use crate::service::Service;

/// What those do who say where they come from. Each kind has addresses of its own, so that none uses up what another may ask.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    SlowBodies,
    Rubbish,
    HeldBodies,
    Greedy,
    UnreadStreams,
    UnreadAnswers,
    Author,
}

impl Kind {
    #[cfg(test)]
    pub(super) const ALL: [Self; 7] = [
        Self::SlowBodies,
        Self::Rubbish,
        Self::HeldBodies,
        Self::Greedy,
        Self::UnreadStreams,
        Self::UnreadAnswers,
        Self::Author,
    ];

    /// The last part of its first address.
    pub(super) fn first_address(self) -> u8 {
        match self {
            Self::SlowBodies => 10,
            Self::Rubbish => 20,
            Self::HeldBodies => 30,
            Self::Greedy => 40,
            Self::UnreadStreams => 50,
            Self::UnreadAnswers => 60,
            Self::Author => 70,
        }
    }
}

/// All that they need, before they begin.
pub(super) struct Hostile {
    place: Place,
    scale: FloodScale,
    author: Author,
    readers: Vec<Reader>,
    token: Arc<str>,
}

/// A flood that goes on until it is ended.
pub(super) struct Flood {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<Result<()>>,
    counts: Counts,
}

/// How often each kind has begun anew.
#[derive(Clone, Default)]
struct Counts(Arc<Mutex<BTreeMap<&'static str, Arc<AtomicU64>>>>);

impl Counts {
    fn of(&self, name: &'static str) -> Arc<AtomicU64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(name).or_default().clone()
    }
}

impl Hostile {
    /// They have a group of their own, with messages of nearly a MiB.
    pub(super) async fn prepare(service: &Service, scale: &FloodScale) -> Result<Self> {
        let place = service.place(0)?.clone();
        let (mut author, readers) = Author::new(scale.unread_streams.max(scale.unread_answers).max(1))?;
        let mut link = Link::open(&place.coming_from(honest_address(60_000))).await?;
        let mut founder = Founder::new(link.clone()).await?;
        founder.bring(&mut author).await?;
        for _ in 0..2 {
            let sent = link.call(CallKind::Send, author.message(LARGE)?, None).await?;
            sent.map_err(|refused| anyhow::anyhow!("the first of the large messages: {refused}"))?;
        }
        Ok(Self { place, scale: scale.clone(), author, readers, token: founder.token().into() })
    }

    pub(super) fn begin(self) -> Result<Flood> {
        let counts = Counts::default();
        let (stop, stopped) = oneshot::channel::<()>();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let of_kinds = counts.clone();
        let thread = std::thread::Builder::new().name("flood".to_owned()).spawn(move || {
            runtime.block_on(async {
                self.spawn_all(&of_kinds)?;
                // All of them end with the runtime.
                drop(stopped.await);
                Ok(())
            })
        });
        Ok(Flood { stop, thread: thread?, counts })
    }

    fn spawn_all(self, counts: &Counts) -> Result<()> {
        let Self { place, scale, author, readers, token } = self;
        let address = place.address;
        let reads: Vec<Bytes> =
            readers.iter().take(scale.unread_answers).map(Reader::read).collect::<Result<_>>()?;
        let count = counts.of("connections that say nothing");
        for _ in 0..scale.silent {
            tokio::spawn(again(count.clone(), move || silent(address, b"")));
        }
        let count = counts.of("half of a request's head");
        for _ in 0..scale.half {
            tokio::spawn(again(count.clone(), move || {
                silent(address, b"POST /v1/groups/send HTTP/1.1\r\nhost: localhost\r\ncontent-")
            }));
        }
        let count = counts.of("bodies that come a byte a second");
        for number in 0..scale.slow_bodies {
            let from = hostile_address(Kind::SlowBodies, number);
            tokio::spawn(again(count.clone(), move || slow_body(address, from)));
        }
        let count = counts.of("bodies of 1 MiB of rubbish");
        for number in 0..scale.rubbish {
            let from = hostile_address(Kind::Rubbish, number);
            tokio::spawn(again(count.clone(), move || rubbish(address, from)));
        }
        let count = counts.of("bodies of 60 MiB that stop before their end");
        for number in 0..scale.held_bodies {
            let (from, token) = (hostile_address(Kind::HeldBodies, number), token.clone());
            tokio::spawn(again(count.clone(), move || held_body(address, from, token.clone())));
        }
        let count = counts.of("requests without a pause");
        for number in 0..scale.greedy {
            let from = hostile_address(Kind::Greedy, number);
            tokio::spawn(greedy(place.coming_from(from), count.clone()));
        }
        let count = counts.of("streams with credit that are not read");
        for (number, reader) in readers.into_iter().take(scale.unread_streams).enumerate() {
            let from = hostile_address(Kind::UnreadStreams, number);
            let (place, reader) = (place.coming_from(from), Arc::new(reader));
            tokio::spawn(again(count.clone(), move || unread_stream(place.clone(), reader.clone())));
        }
        let count = counts.of("large answers that are not read");
        for (number, body) in reads.into_iter().enumerate() {
            let from = hostile_address(Kind::UnreadAnswers, number);
            tokio::spawn(again(count.clone(), move || unread_answer(address, from, body.clone())));
        }
        let count = counts.of("messages of nearly a MiB to them");
        tokio::spawn(large_messages(place.coming_from(hostile_address(Kind::Author, 0)), author, count));
        Ok(())
    }
}

impl Flood {
    pub(super) fn end(self) -> Result<BTreeMap<&'static str, u64>> {
        let _ = self.stop.send(());
        self.thread.join().ok().context("the flood has failed")??;
        let counts = self.counts.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(counts.iter().map(|(name, count)| (*name, count.load(Ordering::Relaxed))).collect())
    }
}

/// So large are messages that nobody reads.
const LARGE: usize = 900 << 10;

/// How long somebody waits before they try again.
const PAUSE: Duration = Duration::from_millis(50);

/// How long what is not read is held: longer than the server waits for a stream.
const HELD: Duration = Duration::from_secs(30);

/// Somebody who begins anew whenever it has ended, however it did.
async fn again<F: Future<Output = Result<()>>>(count: Arc<AtomicU64>, mut what: impl FnMut() -> F) {
    loop {
        count.fetch_add(1, Ordering::Relaxed);
        drop(what().await);
        sleep(PAUSE).await;
    }
}

/// Says so much and no more, until it is let go.
async fn silent(address: SocketAddr, word: &[u8]) -> Result<()> {
    let mut socket = TcpStream::connect(address).await?;
    socket.write_all(word).await?;
    until_end(&mut socket).await
}

async fn until_end(socket: &mut TcpStream) -> Result<()> {
    let mut room = [0; 1024];
    while socket.read(&mut room).await? > 0 {}
    Ok(())
}

/// The head of a request with a body of so many bytes.
fn head(call: CallKind, from: IpAddr, length: usize) -> Vec<u8> {
    let (path, kind) = (call.path(), MEDIA_TYPE);
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: {SERVICE}\r\nx-forwarded-for: {from}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n"
    );
    head.into_bytes()
}

/// A little at once, the rest a byte a second.
async fn slow_body(address: SocketAddr, from: IpAddr) -> Result<()> {
    let mut socket = TcpStream::connect(address).await?;
    socket.write_all(&head(CallKind::Send, from, 1 << 20)).await?;
    socket.write_all(&vec![0; 32 << 10]).await?;
    let mut room = [0; 1024];
    // Until there is an answer, or the end.
    while timeout(Duration::from_secs(1), socket.read(&mut room)).await.is_err() {
        socket.write_all(&[0]).await?;
    }
    Ok(())
}

/// A whole body, as fast as it goes, and then its answer.
async fn rubbish(address: SocketAddr, from: IpAddr) -> Result<()> {
    let mut socket = TcpStream::connect(address).await?;
    socket.write_all(&head(CallKind::Send, from, 1 << 20)).await?;
    socket.write_all(&vec![0xff; 1 << 20]).await?;
    socket.shutdown().await?;
    until_end(&mut socket).await
}

/// The most that a group may come to, and then a byte now and then: as late as the node allows for so much.
async fn held_body(address: SocketAddr, from: IpAddr, token: Arc<str>) -> Result<()> {
    let mut socket = TcpStream::connect(address).await?;
    let head = head(CallKind::CreateGroup, from, 64 << 20);
    let head =
        String::from_utf8(head)?.replacen("\r\n", &format!("\r\nauthorization: Bearer {token}\r\n"), 1);
    socket.write_all(head.as_bytes()).await?;
    for piece in 0..60 {
        socket.write_all(&vec![0; 1 << 20]).await?;
        // What an address may have at once, and then as fast as its requests come back.
        if piece >= 20 {
            sleep(Duration::from_millis(200)).await;
        }
    }
    let mut room = [0; 1024];
    while timeout(Duration::from_secs(5), socket.read(&mut room)).await.is_err() {
        socket.write_all(&[0]).await?;
    }
    Ok(())
}

/// Asks as soon as it was answered, some hundred times a second.
async fn greedy(place: Place, count: Arc<AtomicU64>) {
    loop {
        let Ok(mut link) = Link::open(&place).await else {
            sleep(PAUSE).await;
            continue;
        };
        while link.call(CallKind::Challenge, Bytes::new(), None).await.is_ok() {
            count.fetch_add(1, Ordering::Relaxed);
            sleep(Duration::from_millis(4)).await;
        }
    }
}

/// Has everything sent to it and takes nothing of it.
async fn unread_stream(place: Place, reader: Arc<Reader>) -> Result<()> {
    let mut stream = Stream::open(&place).await?;
    stream.say(&ClientFrame::Credit { entries: u32::MAX }).await?;
    stream.say(&reader.subscribe(1)?).await?;
    sleep(HELD).await;
    Ok(())
}

/// Asks for what is long, and takes nothing of it.
async fn unread_answer(address: SocketAddr, from: IpAddr, body: Bytes) -> Result<()> {
    let mut socket = TcpStream::connect(address).await?;
    socket.write_all(&head(CallKind::Read, from, body.len())).await?;
    socket.write_all(&body).await?;
    sleep(HELD).await;
    Ok(())
}

/// Keeps those busy who take nothing.
async fn large_messages(place: Place, mut author: Author, count: Arc<AtomicU64>) {
    loop {
        if let (Ok(mut link), Ok(body)) = (Link::open(&place).await, author.message(LARGE))
            && let Ok(Ok(_)) = link.call(CallKind::Send, body, None).await
        {
            count.fetch_add(1, Ordering::Relaxed);
        }
        sleep(Duration::from_millis(300)).await;
    }
}
