//! The store on disk: opening, sealing, erasing, sharing.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions
)]

mod common;

use std::collections::HashSet;
use std::time::{Duration, Instant};

use common::{CHESS, Folder, Seeded, TEA, contains, key_file, node, passphrase, put, read, secret, set};
use hushwood::error::StoreReadError;
use hushwood::transition::{Persist, PersistError, RecordKey, RecordKind, Records};
use hushwood_crypto::{CryptoError, Random, Secret};
use hushwood_store::{OpenError, PassphraseCost, SqliteOptions, SqliteStore, Unlock};

fn weak() -> SqliteOptions {
    SqliteOptions::new().passphrase_cost(PassphraseCost::insecure_for_tests())
}

#[test]
fn a_passphrase_opens_its_store_and_another_is_told_so() {
    let folder = Folder::new();
    let mut store = SqliteStore::create_with(folder.store(), &passphrase("tea"), weak()).unwrap();
    put(&mut store, node("a"), "oak");
    let id = store.id();
    store.close().unwrap();

    for wrong in [passphrase("Tea"), key_file()] {
        assert_eq!(SqliteStore::open(folder.store(), &wrong).unwrap_err(), OpenError::WrongKey);
    }
    let store = SqliteStore::open(folder.store(), &passphrase("tea")).unwrap();
    assert_eq!(read(&store, &node("a")).unwrap(), b"oak");
    assert_eq!(store.id(), id);
}

#[test]
fn the_default_cost_is_written_into_the_file_and_used() {
    let folder = Folder::new();
    SqliteStore::create(folder.store(), &passphrase("tea")).unwrap();
    let columns = "SELECT memory_kib, iterations, lanes FROM store";
    let cost: (u32, u32, u32) =
        folder.raw().query_row(columns, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
    assert_eq!(cost, (65_536, 3, 1));
    SqliteStore::open(folder.store(), &passphrase("tea")).unwrap();
}

#[test]
fn what_is_no_store_says_what_it_is() {
    let folder = Folder::new();
    let open = || SqliteStore::open(folder.store(), &key_file()).unwrap_err();
    let create = || SqliteStore::create(folder.store(), &key_file()).unwrap_err();
    assert_eq!(open(), OpenError::NotFound);

    std::fs::write(folder.store(), b"").unwrap();
    assert_eq!(open(), OpenError::NotAStore);

    std::fs::write(folder.store(), [b'x'; 5000]).unwrap();
    assert_eq!((open(), create()), (OpenError::NotAStore, OpenError::Exists));
    assert_eq!(std::fs::read(folder.store()).unwrap(), [b'x'; 5000]);

    std::fs::remove_file(folder.store()).unwrap();
    folder.raw().execute_batch("CREATE TABLE other (x)").unwrap();
    let before = std::fs::read(folder.store()).unwrap();
    assert_eq!((open(), create()), (OpenError::NotAStore, OpenError::Exists));
    assert_eq!(std::fs::read(folder.store()).unwrap(), before);

    let nowhere = folder.path().join("no such folder").join("store");
    assert_eq!(SqliteStore::create(nowhere, &key_file()).unwrap_err(), OpenError::NotFound);
    assert_eq!(SqliteStore::open(folder.path(), &key_file()).unwrap_err(), OpenError::Refused);
}

#[test]
fn a_store_is_not_created_over_another() {
    let folder = Folder::new();
    put(&mut folder.create(), node("a"), "oak");
    assert_eq!(SqliteStore::create(folder.store(), &key_file()).unwrap_err(), OpenError::Exists);
    assert_eq!(read(&folder.open(), &node("a")).unwrap(), b"oak");
}

#[test]
fn a_creation_that_was_cut_short_can_be_repeated() {
    let folder = Folder::new();
    std::fs::write(folder.store(), b"").unwrap();
    folder.create();
    folder.open();
}

#[test]
fn a_later_format_is_left_to_later_software() {
    let folder = Folder::new();
    folder.create();
    folder.raw().execute_batch("UPDATE store SET format = 2").unwrap();
    assert_eq!(SqliteStore::open(folder.store(), &key_file()).unwrap_err(), OpenError::Version);
}

#[test]
fn a_damaged_header_is_corrupt() {
    for damage in [
        "UPDATE store SET format = 0",
        "DELETE FROM store",
        "UPDATE store SET salt = x'00'",
        "UPDATE store SET unlock = 9",
        "UPDATE store SET iterations = -1",
        "ALTER TABLE store DROP COLUMN sealed",
    ] {
        let folder = Folder::new();
        folder.create();
        folder.raw().execute_batch(damage).unwrap();
        let error = SqliteStore::open(folder.store(), &key_file()).unwrap_err();
        assert!(matches!(error, OpenError::Corrupt | OpenError::Io), "{damage}: {error:?}");
    }
}

#[test]
fn a_path_that_looks_like_a_uri_is_a_path() {
    let folder = Folder::new();
    let path = folder.path().join("file:x?mode=memory");
    put(&mut SqliteStore::create(&path, &key_file()).unwrap(), node("a"), "oak");
    assert!(path.exists());
    assert_eq!(read(&SqliteStore::open(&path, &key_file()).unwrap(), &node("a")).unwrap(), b"oak");
}

#[cfg(unix)]
#[test]
fn all_files_are_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    let modes = || -> Vec<u32> {
        let files = std::fs::read_dir(folder.path()).unwrap();
        files.map(|file| file.unwrap().metadata().unwrap().permissions().mode() & 0o777).collect()
    };
    let mut store = folder.create();
    put(&mut store, node("a"), "oak");
    assert_eq!(modes(), [0o600; 3]);
    store.close().unwrap();
    assert_eq!(modes(), [0o600]);

    std::fs::set_permissions(folder.store(), std::fs::Permissions::from_mode(0o644)).unwrap();
    let mut store = folder.open();
    put(&mut store, node("a"), "elm");
    assert_eq!(modes(), [0o600; 3]);

    // One that was there before the store, empty.
    let folder = Folder::new();
    std::fs::write(folder.store(), b"").unwrap();
    std::fs::set_permissions(folder.store(), std::fs::Permissions::from_mode(0o666)).unwrap();
    folder.create();
    let mode = std::fs::metadata(folder.store()).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
}

#[test]
fn a_new_unlock_replaces_the_old_one_on_the_disk_too() {
    let folder = Folder::new();
    let mut store = folder.create();
    put(&mut store, node("a"), "oak");
    let sealed: Vec<u8> = folder.raw().query_row("SELECT sealed FROM store", [], |row| row.get(0)).unwrap();
    assert!(contains(&folder.bytes(), &sealed));

    store.change_unlock(&passphrase("tea")).unwrap();
    assert!(!contains(&folder.bytes(), &sealed));
    put(&mut store, node("b"), "elm");
    assert_eq!(store.change_unlock(&passphrase("")).unwrap_err(), OpenError::KeyTooShort);
    store.close().unwrap();

    assert_eq!(SqliteStore::open(folder.store(), &key_file()).unwrap_err(), OpenError::WrongKey);
    let store = SqliteStore::open(folder.store(), &passphrase("tea")).unwrap();
    assert_eq!(read(&store, &node("a")).unwrap(), b"oak");
    assert_eq!(read(&store, &node("b")).unwrap(), b"elm");
}

/// What lies in the file: bucket, name and value of each row.
fn rows(folder: &Folder) -> Vec<(Vec<u8>, Vec<u8>, Vec<u8>)> {
    let raw = folder.raw();
    let mut select = raw.prepare("SELECT bucket, name, value FROM records").unwrap();
    let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

#[test]
fn values_that_change_places_are_corrupt_and_the_others_stay_readable() {
    let folder = Folder::new();
    let mut store = folder.create();
    put(&mut store, node("a"), "oak");
    put(&mut store, node("b"), "elm");
    let swap = |folder: &Folder| {
        let rows = rows(folder);
        let value = |bucket: &[u8], name: &[u8]| {
            // The other row of the same bucket.
            let other = rows.iter().find(|row| row.0 == bucket && row.1 != name);
            other.map(|row| row.2.clone())
        };
        for (bucket, name, _) in &rows {
            if let Some(value) = value(bucket, name) {
                let update = "UPDATE records SET value = ?3 WHERE bucket = ?1 AND name = ?2";
                folder.raw().execute(update, (bucket, name, value)).unwrap();
            }
        }
    };
    swap(&folder);
    put(&mut store, RecordKey::new(TEA, RecordKind::Group, ""), "untouched");
    for key in [node("a"), node("b")] {
        assert_eq!(store.get(&key).unwrap_err(), StoreReadError::Corrupt);
    }
    assert_eq!(store.list(TEA, RecordKind::TreeNode).unwrap_err(), StoreReadError::Corrupt);
    assert_eq!(read(&store, &RecordKey::new(TEA, RecordKind::Group, "")).unwrap(), b"untouched");

    swap(&folder);
    assert_eq!(read(&store, &node("a")).unwrap(), b"oak");
    assert_eq!(store.list(TEA, RecordKind::TreeNode).unwrap().len(), 2);
}

#[test]
fn a_row_does_not_open_in_another_bucket_or_under_another_name() {
    for column in ["bucket", "name"] {
        let folder = Folder::new();
        let mut store = folder.create();
        put(&mut store, node("a"), "oak");
        let (bucket, name, value) = rows(&folder).remove(0);
        put(&mut store, RecordKey::new(CHESS, RecordKind::TreeNode, "a"), "elm");
        let target = rows(&folder).into_iter().find(|row| row.0 != bucket).unwrap();
        let place = if column == "bucket" { (target.0, name) } else { (bucket, target.1) };
        let insert = "INSERT INTO records VALUES (?1, ?2, NULL, ?3)";
        folder.raw().execute(insert, (place.0, place.1, value)).unwrap();
        let instance = if column == "bucket" { CHESS } else { TEA };
        assert_eq!(store.list(instance, RecordKind::TreeNode).unwrap_err(), StoreReadError::Corrupt);
    }
}

#[test]
fn a_row_of_another_store_does_not_open() {
    let (ours, theirs) = (Folder::new(), Folder::new());
    let mut store = ours.create();
    put(&mut store, node("a"), "oak");
    put(&mut theirs.create(), node("a"), "oak");
    let foreign = rows(&theirs).remove(0).2;
    ours.raw().execute("UPDATE records SET value = ?1", [foreign]).unwrap();
    assert_eq!(store.get(&node("a")).unwrap_err(), StoreReadError::Corrupt);
}

#[test]
fn neither_names_nor_contents_are_ever_in_the_files() {
    let folder = Folder::new();
    let mut store = folder.create();
    let (id, content) = (b"a very telling name of a record", b"a secret of exactly this wording");
    for kind in RecordKind::ALL {
        store
            .persist(&set(|writes| {
                writes.require(TEA, u64::from(store_version(&folder)));
                writes.put(RecordKey::new(TEA, *kind, id.as_slice()), secret(content));
            }))
            .unwrap();
    }
    for _ in 0..2 {
        let bytes = folder.bytes();
        assert!(bytes.len() > 4096);
        assert!(!contains(&bytes, id));
        assert!(!contains(&bytes, content));
        assert!(!contains(&bytes, TEA.as_bytes()));
        assert!(!contains(&bytes, &[7; 32]));
        store.checkpoint().unwrap();
    }
}

fn store_version(folder: &Folder) -> u32 {
    folder.raw().query_row("SELECT coalesce(max(version), 0) FROM heads", [], |row| row.get(0)).unwrap()
}

/// The salts in use.
fn salts(folder: &Folder) -> Vec<Vec<u8>> {
    let raw = folder.raw();
    let mut select = raw.prepare("SELECT salt FROM salts WHERE free = 0").unwrap();
    select.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

#[test]
fn what_is_erased_or_replaced_leaves_the_disk_with_the_checkpoint() {
    let folder = Folder::new();
    let mut store = folder.create();
    let epoch = RecordKey::new(TEA, RecordKind::Epoch, "");
    put(&mut store, node("erased"), [1; 300]);
    put(&mut store, node("replaced"), [2; 300]);
    put(&mut store, ratchet("erased"), [3; 20_000]);
    put(&mut store, ratchet("replaced"), [4; 300]);
    put(&mut store, epoch.clone(), [5; 300]);
    let mut gone: Vec<_> = rows(&folder).into_iter().map(|row| row.2).collect();
    gone.extend(salts(&folder));
    assert_eq!(gone.len(), 8);
    put(&mut store, RecordKey::new(CHESS, RecordKind::Group, ""), "kept");
    store.checkpoint().unwrap();
    assert!(gone.iter().all(|value| contains(&folder.bytes(), &value[..32])));

    let writes = set(|writes| {
        writes.erase_instance(TEA);
        writes.put(node("replaced"), secret([6; 310]));
        writes.put(ratchet("replaced"), secret([7; 310]));
    });
    store.persist(&writes).unwrap();
    store.checkpoint().unwrap();
    assert_none_of(&gone, &folder.bytes());

    let mut gone = salts(&folder);
    store.persist(&set(|writes| writes.erase(ratchet("replaced")))).unwrap();
    put(&mut store, RecordKey::new(CHESS, RecordKind::Group, ""), "changed");
    store.checkpoint().unwrap();
    assert_eq!((gone.len(), salts(&folder).len()), (2, 1));
    assert_none_of(&gone, &folder.bytes());

    // A place that is free is used again.
    gone = salts(&folder);
    put(&mut store, epoch, "new");
    store.persist(&set(|writes| writes.erase_instance(CHESS))).unwrap();
    store.checkpoint().unwrap();
    assert_none_of(&gone, &folder.bytes());
    let places: u32 = folder.raw().query_row("SELECT count(*) FROM salts", [], |row| row.get(0)).unwrap();
    assert_eq!(places, 4);
}

fn ratchet(id: impl AsRef<[u8]>) -> RecordKey {
    RecordKey::new(TEA, RecordKind::SecretTree, id.as_ref())
}

/// No 16 bytes in a row of any of them are left.
fn assert_none_of(gone: &[Vec<u8>], bytes: &[u8]) {
    let known: HashSet<&[u8]> = gone.iter().flat_map(|value| value.chunks_exact(16)).collect();
    let left = bytes.windows(16).filter(|window| known.contains(window)).count();
    assert_eq!(left, 0, "{left} pieces of {} erased values are left", gone.len());
}

#[test]
fn no_key_is_left_behind_when_rows_move_between_pages() {
    let folder = Folder::new();
    let mut store = folder.create();
    let mut random = Seeded(1);
    let (mut gone, mut number) = (Vec::new(), 0_u32);
    for round in 0..40_u32 {
        // Rows of many lengths come and go, so that pages split, merge and are given back.
        let writes = set(|writes| {
            for _ in 0..60 {
                number += 1;
                let length = usize::from(random.two_bytes()) % 1800;
                writes.put(ratchet((number % 701).to_be_bytes()), secret(vec![7; length]));
            }
            for _ in 0..40 {
                writes.erase(ratchet((u32::from(random.two_bytes()) % 701).to_be_bytes()));
            }
        });
        let before = salts(&folder);
        store.persist(&writes).unwrap();
        let after: HashSet<_> = salts(&folder).into_iter().collect();
        gone.extend(before.into_iter().filter(|salt| !after.contains(salt)));
        if round % 8 == 7 {
            store.checkpoint().unwrap();
            assert_none_of(&gone, &folder.bytes());
        }
    }
    assert!(gone.len() > 1500);
    gone.extend(salts(&folder));
    store.persist(&set(|writes| writes.erase_instance(TEA))).unwrap();
    store.close().unwrap();
    assert_none_of(&gone, &folder.bytes());
}

impl Seeded {
    fn two_bytes(&mut self) -> u16 {
        let mut bytes = [0; 2];
        self.fill(&mut bytes).unwrap();
        u16::from_be_bytes(bytes)
    }
}

#[test]
fn the_log_is_emptied_after_so_many_steps_after_so_long_and_at_the_end() {
    let folder = Folder::new();
    let log = || std::fs::metadata(folder.path().join("store-wal")).map_or(0, |metadata| metadata.len());
    let hour = Duration::from_secs(3600);
    folder.create().close().unwrap();

    let options = SqliteOptions::new().checkpoint_after(3, hour);
    let mut store = SqliteStore::open_with(folder.store(), &key_file(), options).unwrap();
    let lengths = [(); 6].map(|()| {
        put(&mut store, node("a"), "oak");
        log() > 0
    });
    assert_eq!(lengths, [true, true, false, true, true, false]);
    put(&mut store, node("a"), "elm");
    drop(store);
    assert_eq!(log(), 0);

    let options = SqliteOptions::new().checkpoint_after(u64::MAX, Duration::from_millis(50));
    let mut store = SqliteStore::open_with(folder.store(), &key_file(), options).unwrap();
    put(&mut store, node("a"), "ash");
    assert!(log() > 0);
    std::thread::sleep(Duration::from_millis(60));
    put(&mut store, node("a"), "fir");
    assert_eq!(log(), 0);
}

#[test]
fn the_log_of_a_process_that_was_killed_is_emptied_when_the_store_is_opened() {
    let folder = Folder::new();
    let mut store = folder.create();
    put(&mut store, node("a"), "oak");
    // As a kill leaves it: the files as they are now.
    let copy = Folder::new();
    for name in ["store", "store-wal"] {
        std::fs::copy(folder.path().join(name), copy.path().join(name)).unwrap();
    }
    let log = || std::fs::metadata(copy.path().join("store-wal")).map_or(0, |metadata| metadata.len());
    assert!(log() > 0);
    let opened = copy.open();
    assert_eq!(log(), 0);
    assert_eq!(read(&opened, &node("a")).unwrap(), b"oak");
}

#[test]
fn the_generation_counts_the_write_sets_of_all_and_shows_an_old_copy() {
    let folder = Folder::new();
    let mut first = folder.create();
    let mut second = folder.open();
    assert_eq!(first.generation(), Ok(0));
    put(&mut first, node("a"), "oak");
    put(&mut second, node("a"), "elm");
    assert_eq!((first.generation(), second.generation()), (Ok(2), Ok(2)));
    let refused = set(|writes| writes.require(TEA, 5));
    assert_eq!(first.persist(&refused), Err(PersistError::Stale));
    assert_eq!(first.generation(), Ok(2));
    drop((first, second));

    let copy = std::fs::read(folder.store()).unwrap();
    let mut store = folder.open();
    let id = store.id();
    put(&mut store, node("a"), "ash");
    assert_eq!(store.generation(), Ok(3));
    drop(store);
    std::fs::write(folder.store(), copy).unwrap();
    assert_eq!((folder.open().id(), folder.open().generation()), (id, Ok(2)));
}

#[test]
fn of_two_connections_the_slower_is_stale_and_sees_what_the_faster_wrote() {
    let folder = Folder::new();
    let (mut first, mut second) = (folder.create(), folder.open());
    let write = |value: &str| {
        set(|writes| {
            writes.require(TEA, 0);
            writes.put(node("a"), secret(value));
        })
    };
    assert_eq!(first.version(TEA), second.version(TEA));
    assert_eq!(first.persist(&write("first")), Ok(()));
    assert_eq!(second.persist(&write("second")), Err(PersistError::Stale));
    assert_eq!((second.version(TEA), read(&second, &node("a"))), (Ok(1), Some(b"first".to_vec())));
}

#[test]
fn a_reading_stays_as_it_was_and_ends_when_dropped() {
    let folder = Folder::new();
    let (mut writer, reader) = (folder.create(), folder.open());
    put(&mut writer, node("a"), "oak");
    let reading = reader.read().unwrap();
    let another = reader.read().unwrap();
    put(&mut writer, node("a"), "elm");
    drop(another);
    assert_eq!(read(&reading, &node("a")).unwrap(), b"oak");
    assert_eq!(reading.list(TEA, RecordKind::TreeNode).unwrap()[0].1.expose(), b"oak");
    assert_eq!(reading.version(TEA), Ok(0));
    drop(reading);
    assert_eq!(read(&reader, &node("a")).unwrap(), b"elm");
}

#[test]
fn a_writer_in_the_way_is_waited_for_and_then_reported() {
    let folder = Folder::new();
    folder.create().close().unwrap();
    let options = SqliteOptions::new().busy_timeout(Duration::from_millis(200));
    let mut store = SqliteStore::open_with(folder.store(), &key_file(), options).unwrap();
    let raw = folder.raw();
    raw.execute_batch("BEGIN IMMEDIATE").unwrap();
    let start = Instant::now();
    let writes = set(|writes| writes.put(node("a"), secret("oak")));
    assert_eq!(store.persist(&writes), Err(PersistError::Busy));
    assert!(start.elapsed() >= Duration::from_millis(190));
    assert_eq!(read(&store, &node("a")), None);
    raw.execute_batch("COMMIT").unwrap();
    assert_eq!(store.persist(&writes), Ok(()));
    assert_eq!(read(&store, &node("a")).unwrap(), b"oak");
}

#[test]
fn a_reader_in_the_way_holds_up_the_checkpoint_and_no_write() {
    let folder = Folder::new();
    let mut writer = folder.create();
    put(&mut writer, node("a"), "oak");
    drop(writer);
    let options = SqliteOptions::new()
        .busy_timeout(Duration::from_millis(100))
        .checkpoint_after(1, Duration::from_secs(3600));
    let mut writer = SqliteStore::open_with(folder.store(), &key_file(), options).unwrap();
    let reader = folder.open();
    let reading = reader.read().unwrap();
    put(&mut writer, node("a"), "elm");
    assert_eq!(writer.checkpoint(), Err(PersistError::Busy));
    assert_eq!(read(&reading, &node("a")).unwrap(), b"oak");
    drop(reading);
    writer.checkpoint().unwrap();
}

#[test]
fn without_randomness_nothing_is_created_or_written() {
    struct Broken;
    impl Random for Broken {
        fn fill(&mut self, _: &mut [u8]) -> Result<(), CryptoError> {
            Err(CryptoError::Random)
        }
    }
    let folder = Folder::new();
    let options = || SqliteOptions::new().random(Broken);
    let created = SqliteStore::create_with(folder.store(), &key_file(), options());
    assert_eq!(created.unwrap_err(), OpenError::Random);
    assert!(!folder.store().exists());

    put(&mut folder.create(), node("a"), "oak");
    let mut store = SqliteStore::open_with(folder.store(), &key_file(), options()).unwrap();
    let writes = set(|writes| writes.put(node("a"), secret("elm")));
    assert_eq!(store.persist(&writes), Err(PersistError::Refused));
    store.persist(&set(|writes| writes.require(TEA, 0))).unwrap();
    assert_eq!(read(&store, &node("a")).unwrap(), b"oak");
}

#[test]
fn a_short_key_file_is_refused_before_a_file_is_made() {
    let folder = Folder::new();
    let short = Unlock::KeyFile(Secret::zero(31));
    assert_eq!(SqliteStore::create(folder.store(), &short).unwrap_err(), OpenError::KeyTooShort);
    assert!(!folder.store().exists());
}

#[test]
fn stores_and_unlocks_print_nothing() {
    let folder = Folder::new();
    let printed = format!("{:?} {:?} {:?}", folder.create(), key_file(), passphrase("tea"));
    assert_eq!(printed, "SqliteStore { poisoned: false, .. } KeyFile(..) Passphrase(..)");
}

fn anchored(folder: &Folder) -> SqliteOptions {
    SqliteOptions::new().anchor(folder.anchor())
}

#[test]
fn a_store_that_is_older_than_its_anchor_does_not_open() {
    let folder = Folder::new();
    let open = || SqliteStore::open_with(folder.store(), &key_file(), anchored(&folder));
    let mut store = SqliteStore::create_with(folder.store(), &key_file(), anchored(&folder)).unwrap();
    put(&mut store, node("a"), "oak");
    store.close().unwrap();
    let copy = std::fs::read(folder.store()).unwrap();
    let mut store = open().unwrap();
    put(&mut store, node("a"), "elm");
    store.close().unwrap();
    let newest = std::fs::read(folder.store()).unwrap();

    std::fs::write(folder.store(), &copy).unwrap();
    assert_eq!(open().unwrap_err(), OpenError::RolledBack);
    // To be told so changes nothing.
    assert_eq!(std::fs::read(folder.store()).unwrap(), copy);
    std::fs::write(folder.store(), newest).unwrap();
    assert_eq!(open().unwrap().generation(), Ok(2));
    std::fs::write(folder.store(), copy).unwrap();
    assert_eq!(open().unwrap_err(), OpenError::RolledBack);

    let options = anchored(&folder).accept_rollback();
    let accepted = SqliteStore::open_with(folder.store(), &key_file(), options).unwrap();
    assert_eq!(accepted.generation(), Ok(1));
    drop(accepted);
    assert_eq!(open().unwrap().generation(), Ok(1));
}

#[test]
fn a_store_whose_anchor_is_gone_damaged_or_anothers_does_not_open() {
    let folder = Folder::new();
    let open = || SqliteStore::open_with(folder.store(), &key_file(), anchored(&folder));
    let mut store = SqliteStore::create_with(folder.store(), &key_file(), anchored(&folder)).unwrap();
    put(&mut store, node("a"), "oak");
    drop(store);
    let other = Folder::new();
    drop(SqliteStore::create_with(other.store(), &key_file(), anchored(&other)).unwrap());

    let anchor = std::fs::read(folder.anchor()).unwrap();
    for wrong in [Vec::new(), vec![0; anchor.len()], std::fs::read(other.anchor()).unwrap()] {
        std::fs::write(folder.anchor(), wrong).unwrap();
        assert_eq!(open().unwrap_err(), OpenError::AnchorMissing);
    }
    std::fs::remove_file(folder.anchor()).unwrap();
    assert_eq!(open().unwrap_err(), OpenError::AnchorMissing);
    std::fs::write(folder.anchor(), anchor).unwrap();
    open().unwrap();
}

#[test]
fn a_store_that_has_no_anchor_gets_one_and_a_new_store_takes_none_of_another() {
    let folder = Folder::new();
    let mut store = folder.create();
    put(&mut store, node("a"), "oak");
    drop(store);
    let open = |options| SqliteStore::open_with(folder.store(), &key_file(), options);
    assert_eq!(open(anchored(&folder)).unwrap_err(), OpenError::AnchorMissing);
    drop(open(anchored(&folder).accept_rollback()).unwrap());
    open(anchored(&folder)).unwrap();

    let second = folder.path().join("second");
    let created = SqliteStore::create_with(&second, &key_file(), anchored(&folder));
    assert_eq!(created.unwrap_err(), OpenError::Exists);
    assert!(!second.exists());
}

#[test]
fn a_store_that_is_newer_than_its_anchor_opens_and_moves_it() {
    let folder = Folder::new();
    let mut store = SqliteStore::create_with(folder.store(), &key_file(), anchored(&folder)).unwrap();
    put(&mut store, node("a"), "oak");
    // Killed between the two.
    let before = std::fs::read(folder.anchor()).unwrap();
    put(&mut store, node("a"), "elm");
    drop(store);
    std::fs::write(folder.anchor(), before).unwrap();
    let store = SqliteStore::open_with(folder.store(), &key_file(), anchored(&folder)).unwrap();
    assert_eq!(store.generation(), Ok(2));
    drop(store);
    assert_eq!(folder.open().generation(), Ok(2));
}

#[test]
fn two_stores_on_one_file_move_one_anchor() {
    let folder = Folder::new();
    let mut first = SqliteStore::create_with(folder.store(), &key_file(), anchored(&folder)).unwrap();
    let open = || SqliteStore::open_with(folder.store(), &key_file(), anchored(&folder)).unwrap();
    let mut second = open();
    for _ in 0..3 {
        put(&mut first, node("a"), "oak");
        put(&mut second, node("a"), "elm");
    }
    drop((first, second));
    assert_eq!(open().generation(), Ok(6));
}
