//! How many epochs end and how many messages are taken each second, with 1, 16 and 64 writers, beside what the engine
//! does by itself in the same run: `UPDATE` of a head and `INSERT` of an entry, one transaction after the other.
//!
//! ```console
//! $ cargo run --release -p hushwood-delivery --example backend_rates -- [--seconds N] [--database postgres://...] [--nodes N] [--lanes N] [--linger MICROSECONDS]
//! ```
//!
//! Without `--database` a server is started for the time of the run. Each line is one measurement, to be read by people and
//! by programs: engine, what, writers, per second, milliseconds at the median and at the 99th percentile.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hushwood_delivery::backend::{
    Appended, Backend, Committed, Incarnation, NewCommit, NewEntry, NewGroup, PostgresBackend,
    PostgresSettings, RequestId, Seconds, SqliteBackend, SqliteSettings,
};
use hushwood_delivery::wire::EntryKind;
use test_support::postgres::Postgres;

const LIFE: Incarnation = Incarnation([1; 16]);
const WRITERS: [usize; 3] = [1, 16, 64];
const BODY: usize = 1024;

struct Arguments {
    seconds: f64,
    database: Option<String>,
    nodes: usize,
    lanes: Option<usize>,
    linger: Option<Duration>,
}

#[tokio::main]
async fn main() {
    let arguments = arguments();
    println!("engine      what     writers   per second   p50 ms   p99 ms");
    sqlite(&arguments).await;
    postgres(&arguments).await;
}

fn arguments() -> Arguments {
    let mut arguments = Arguments { seconds: 3.0, database: None, nodes: 1, lanes: None, linger: None };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let value = words.next().unwrap_or_else(|| panic!("{word} needs a value"));
        match word.as_str() {
            "--seconds" => arguments.seconds = value.parse().unwrap(),
            "--database" => arguments.database = Some(value),
            "--nodes" => arguments.nodes = value.parse().unwrap(),
            "--lanes" => arguments.lanes = Some(value.parse().unwrap()),
            "--linger" => arguments.linger = Some(Duration::from_micros(value.parse().unwrap())),
            _ => panic!("--seconds N, --database URL, --nodes N, --lanes N, --linger MICROSECONDS"),
        }
    }
    arguments
}

async fn sqlite(arguments: &Arguments) {
    let folder = tempfile::tempdir().unwrap();
    let settings = SqliteSettings::new(&folder.path().join("rates.db"));
    let backend: Arc<dyn Backend> = Arc::new(SqliteBackend::open(&settings).unwrap());
    for writers in WRITERS {
        service("sqlite", std::slice::from_ref(&backend), writers, arguments.seconds).await;
    }
    let path = folder.path().join("bare.db");
    let setup = rusqlite::Connection::open(&path).unwrap();
    setup.pragma_update(None, "journal_mode", "WAL").unwrap();
    setup
        .execute_batch(
            "CREATE TABLE heads (id INTEGER PRIMARY KEY, epoch INTEGER NOT NULL);
             CREATE TABLE entries (id INTEGER PRIMARY KEY, head INTEGER NOT NULL, epoch INTEGER NOT NULL, body BLOB NOT NULL);
             CREATE UNIQUE INDEX once ON entries (head, epoch)",
        )
        .unwrap();
    // SQLite has one writer, whoever writes.
    let seconds = arguments.seconds;
    let bare = tokio::task::spawn_blocking(move || {
        let connection = rusqlite::Connection::open(path).unwrap();
        connection.pragma_update(None, "synchronous", "FULL").unwrap();
        connection.execute("INSERT INTO heads VALUES (1, 0)", []).unwrap();
        let (begin, mut times) = (Instant::now(), Vec::new());
        while begin.elapsed().as_secs_f64() < seconds {
            let start = Instant::now();
            connection.execute_batch("BEGIN IMMEDIATE").unwrap();
            let epoch = i64::try_from(times.len()).unwrap();
            let moved = "UPDATE heads SET epoch = epoch + 1 WHERE id = 1 AND epoch = ?1";
            assert_eq!(connection.prepare_cached(moved).unwrap().execute([epoch]).unwrap(), 1);
            let entry = "INSERT INTO entries (head, epoch, body) VALUES (1, ?1, ?2)";
            let values = rusqlite::params![epoch, [7_u8; BODY]];
            connection.prepare_cached(entry).unwrap().execute(values).unwrap();
            connection.execute_batch("COMMIT").unwrap();
            times.push(start.elapsed());
        }
        (times, begin.elapsed())
    });
    let (times, took) = bare.await.unwrap();
    print("sqlite", "bare", 1, times, took);
}

async fn postgres(arguments: &Arguments) {
    let server;
    let url = match &arguments.database {
        Some(url) => url.clone(),
        None => {
            // As an operator has it, apart from memory.
            server = Postgres::start(&[("shared_buffers", "256MB")]);
            server.database()
        }
    };
    let mut nodes: Vec<Arc<dyn Backend>> = Vec::new();
    let mut settings = PostgresSettings::new(&url).unwrap();
    settings.lanes = arguments.lanes.unwrap_or(settings.lanes);
    settings.linger = arguments.linger.unwrap_or(settings.linger);
    for _ in 0..arguments.nodes.max(1) {
        nodes.push(Arc::new(PostgresBackend::open(&settings).await.unwrap()));
    }
    for writers in WRITERS {
        service("postgres", &nodes, writers, arguments.seconds).await;
    }
    drop(nodes);
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let tables = "DROP TABLE IF EXISTS bare_heads, bare_entries;
        CREATE TABLE bare_heads (id bytea PRIMARY KEY, epoch bigint NOT NULL) WITH (fillfactor = 50);
        CREATE TABLE bare_entries (head bytea NOT NULL, epoch bigint NOT NULL, body bytea NOT NULL, PRIMARY KEY (head, epoch));";
    client.batch_execute(tables).await.unwrap();
    for writers in WRITERS {
        bare_postgres(&url, writers, arguments.seconds).await;
    }
    client.batch_execute("DROP TABLE bare_heads, bare_entries").await.unwrap();
}

/// Each writer with a connection and a head of its own, one statement for both tables.
async fn bare_postgres(url: &str, writers: usize, seconds: f64) {
    let mut tasks = Vec::new();
    let stop = Arc::new(AtomicBool::new(false));
    for _ in 0..writers {
        let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        let (stop, head) = (stop.clone(), fresh().to_vec());
        let new = "INSERT INTO bare_heads VALUES ($1, 0)";
        client.execute(new, &[&head]).await.unwrap();
        let sql =
            "WITH moved AS (UPDATE bare_heads SET epoch = epoch + 1 WHERE id = $1 AND epoch = $2 RETURNING 1)
            INSERT INTO bare_entries SELECT $1, $2, $3 FROM moved";
        let statement = client.prepare(sql).await.unwrap();
        tasks.push(tokio::spawn(async move {
            let mut times = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                let start = Instant::now();
                let epoch = i64::try_from(times.len()).unwrap();
                let body = [7_u8; BODY].as_slice();
                assert_eq!(client.execute(&statement, &[&head, &epoch, &body]).await.unwrap(), 1);
                times.push(start.elapsed());
            }
            times
        }));
    }
    let (times, took) = gather(tasks, &stop, seconds).await;
    print("postgres", "bare", writers, times, took);
}

/// Commits, each writer in a group of its own; then messages, all to as many groups.
async fn service(engine: &str, nodes: &[Arc<dyn Backend>], writers: usize, seconds: f64) {
    for what in ["commits", "messages"] {
        let stop = Arc::new(AtomicBool::new(false));
        let mut tasks = Vec::new();
        for writer in 0..writers {
            let (node, stop, group) = (nodes[writer % nodes.len()].clone(), stop.clone(), fresh().to_vec());
            create(&*node, &group).await;
            tasks.push(tokio::spawn(async move {
                let mut times = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let start = Instant::now();
                    let epoch = u64::try_from(times.len()).unwrap();
                    match what {
                        "commits" => {
                            let done = node.commit(&group, commit(epoch)).await.unwrap();
                            assert_eq!(done, Committed::Accepted(epoch + 1));
                        }
                        _ => {
                            let done = node.append(&group, message()).await.unwrap();
                            assert_eq!(done, Appended::Accepted(epoch + 1));
                        }
                    }
                    times.push(start.elapsed());
                }
                times
            }));
        }
        let (times, took) = gather(tasks, &stop, seconds).await;
        print(engine, what, writers, times, took);
    }
}

async fn gather(
    tasks: Vec<tokio::task::JoinHandle<Vec<Duration>>>,
    stop: &AtomicBool,
    seconds: f64,
) -> (Vec<Duration>, Duration) {
    let begin = Instant::now();
    tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
    stop.store(true, Ordering::Relaxed);
    let mut times = Vec::new();
    for task in tasks {
        times.extend(task.await.unwrap());
    }
    (times, begin.elapsed())
}

fn print(engine: &str, what: &str, writers: usize, mut times: Vec<Duration>, took: Duration) {
    times.sort();
    let rate = f64::from(u32::try_from(times.len()).unwrap()) / took.as_secs_f64();
    let at = |part: usize| times[(times.len() - 1) * part / 100].as_secs_f64() * 1000.0;
    println!("{engine:<11} {what:<9} {writers:>6}   {rate:>10.0}   {:>6.2}   {:>6.2}", at(50), at(99));
}

/// A name that nobody has had in this run.
fn fresh() -> [u8; 32] {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let mut name = [0; 32];
    name[..8].copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    name[8..12].copy_from_slice(&std::process::id().to_be_bytes());
    name
}

async fn create(node: &dyn Backend, group: &[u8]) {
    let new = NewGroup {
        group: group.to_vec(),
        incarnation: LIFE,
        request: RequestId(fresh()),
        epoch: 0,
        snapshot: Vec::new(),
        group_info: Vec::new(),
        at: Seconds(0),
    };
    node.create_group(new).await.unwrap();
}

fn commit(epoch: u64) -> NewCommit {
    NewCommit {
        incarnation: LIFE,
        request: RequestId(fresh()),
        epoch,
        body: vec![7; BODY],
        group_info: vec![7; 512],
        welcomes: Vec::new(),
        shared: Vec::new(),
        at: Seconds(0),
    }
}

fn message() -> NewEntry {
    NewEntry {
        incarnation: LIFE,
        request: RequestId(fresh()),
        kind: EntryKind::Message,
        epoch: 0,
        late: 0,
        body: vec![7; BODY],
        at: Seconds(0),
    }
}
