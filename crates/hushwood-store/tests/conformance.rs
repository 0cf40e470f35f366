//! What every store owes, run on each of them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions
)]

use hushwood::transition::{InstanceId, Persist, PersistError, RecordKey, RecordKind, Records, WriteSet};
use hushwood_crypto::Secret;
use hushwood_store::{MemoryStore, SqliteStore, Unlock};
use tempfile::TempDir;

const TEA: InstanceId = InstanceId::new([1; 16]);
const CHESS: InstanceId = InstanceId::new([2; 16]);

/// A store, and a way to close it and open it again.
trait Fixture {
    fn create() -> Self;
    fn store(&mut self) -> &mut dyn Store;
    fn reopen(&mut self);
}

trait Store: Persist + Records {}
impl<S: Persist + Records> Store for S {}

struct Memory(MemoryStore);

impl Fixture for Memory {
    fn create() -> Self {
        Self(MemoryStore::new())
    }

    fn store(&mut self) -> &mut dyn Store {
        &mut self.0
    }

    fn reopen(&mut self) {
        self.0 = self.0.snapshot();
    }
}

struct Sqlite {
    folder: TempDir,
    store: Option<SqliteStore>,
}

impl Sqlite {
    fn unlock() -> Unlock {
        Unlock::KeyFile(Secret::new(vec![7; 32]))
    }
}

impl Fixture for Sqlite {
    fn create() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::create(folder.path().join("store"), &Self::unlock()).unwrap();
        Self { folder, store: Some(store) }
    }

    fn store(&mut self) -> &mut dyn Store {
        self.store.as_mut().unwrap()
    }

    fn reopen(&mut self) {
        self.store.take().unwrap().close().unwrap();
        self.store = Some(SqliteStore::open(self.folder.path().join("store"), &Self::unlock()).unwrap());
    }
}

macro_rules! conformance {
    ($($test:ident)*) => {
        mod memory {
            use super::Fixture;
            $( #[test] fn $test() { super::$test(super::Memory::create()) } )*
        }
        mod sqlite {
            use super::Fixture;
            $( #[test] fn $test() { super::$test(super::Sqlite::create()) } )*
        }
    };
}

conformance! {
    an_empty_store_has_no_records_and_version_zero
    what_is_put_is_read_back_also_after_reopening
    a_later_put_replaces_an_earlier_one
    values_of_all_lengths_are_kept
    ids_may_be_empty_long_and_prefixes_of_each_other
    an_erased_record_is_gone_and_erasing_it_again_is_no_error
    a_write_set_with_one_stale_precondition_writes_nothing
    a_version_moves_on_with_each_write_and_survives_reopening
    instances_without_precondition_keep_their_version
    a_write_set_may_require_several_instances
    of_two_writers_from_one_version_the_second_is_stale
    list_gives_the_records_of_one_kind_and_instance_by_id
    several_kinds_are_listed_together_as_each_by_itself
    erasing_an_instance_takes_all_kinds_and_leaves_others_and_the_version
    an_instance_is_erased_before_the_other_writes_of_the_set
    appended_write_sets_happen_in_order
    every_kind_keeps_its_own_records
}

fn key(instance: InstanceId, kind: RecordKind, id: impl AsRef<[u8]>) -> RecordKey {
    RecordKey::new(instance, kind, id.as_ref())
}

fn node(id: impl AsRef<[u8]>) -> RecordKey {
    key(TEA, RecordKind::TreeNode, id)
}

fn secret(bytes: impl AsRef<[u8]>) -> Secret {
    Secret::copy_of(bytes.as_ref())
}

fn set(write: impl FnOnce(&mut WriteSet)) -> WriteSet {
    let mut writes = WriteSet::new();
    write(&mut writes);
    writes
}

fn put(store: &mut dyn Store, key: RecordKey, value: impl AsRef<[u8]>) {
    store.persist(&set(|writes| writes.put(key, secret(value)))).unwrap();
}

fn read(store: &dyn Store, key: &RecordKey) -> Option<Vec<u8>> {
    store.get(key).unwrap().map(|value| value.expose().to_vec())
}

fn list(store: &dyn Store, instance: InstanceId, kind: RecordKind) -> Vec<(Vec<u8>, Vec<u8>)> {
    let records = store.list(instance, kind).unwrap();
    records.into_iter().map(|(id, value)| (id, value.expose().to_vec())).collect()
}

fn an_empty_store_has_no_records_and_version_zero(mut fixture: impl Fixture) {
    for _ in 0..2 {
        let store = fixture.store();
        assert_eq!(store.version(TEA), Ok(0));
        assert_eq!(read(store, &node("a")), None);
        assert!(list(store, TEA, RecordKind::TreeNode).is_empty());
        fixture.reopen();
    }
}

fn what_is_put_is_read_back_also_after_reopening(mut fixture: impl Fixture) {
    put(fixture.store(), node("a"), "oak");
    assert_eq!(read(fixture.store(), &node("a")).unwrap(), b"oak");
    fixture.reopen();
    assert_eq!(read(fixture.store(), &node("a")).unwrap(), b"oak");
}

fn a_later_put_replaces_an_earlier_one(mut fixture: impl Fixture) {
    put(fixture.store(), node("a"), "oak");
    put(fixture.store(), node("a"), "elm");
    assert_eq!(list(fixture.store(), TEA, RecordKind::TreeNode), [(b"a".to_vec(), b"elm".to_vec())]);
}

fn values_of_all_lengths_are_kept(mut fixture: impl Fixture) {
    let lengths = [0_usize, 1, 63, 64, 1000, 4096, 16_383, 16_384, 70_000, 1 << 20];
    for length in lengths {
        put(fixture.store(), node(length.to_string()), vec![length as u8 | 1; length]);
    }
    fixture.reopen();
    for length in lengths {
        assert_eq!(read(fixture.store(), &node(length.to_string())).unwrap(), vec![length as u8 | 1; length]);
    }
}

fn ids_may_be_empty_long_and_prefixes_of_each_other(mut fixture: impl Fixture) {
    let ids = [vec![], vec![0], vec![0, 0], vec![0; 64], vec![0; 1000], vec![255]];
    for (number, id) in ids.iter().enumerate() {
        put(fixture.store(), node(id), [number as u8]);
    }
    fixture.reopen();
    let expected: Vec<_> =
        ids.iter().enumerate().map(|(number, id)| (id.clone(), vec![number as u8])).collect();
    assert_eq!(list(fixture.store(), TEA, RecordKind::TreeNode), expected);
}

fn an_erased_record_is_gone_and_erasing_it_again_is_no_error(mut fixture: impl Fixture) {
    put(fixture.store(), node("a"), "oak");
    for _ in 0..2 {
        fixture.store().persist(&set(|writes| writes.erase(node("a")))).unwrap();
        assert_eq!(read(fixture.store(), &node("a")), None);
        fixture.reopen();
    }
}

fn a_write_set_with_one_stale_precondition_writes_nothing(mut fixture: impl Fixture) {
    put(fixture.store(), node("kept"), "oak");
    let writes = set(|writes| {
        writes.require(TEA, 0);
        writes.require(CHESS, 7);
        writes.erase_instance(TEA);
        writes.put(node("new"), secret("elm"));
        writes.erase(key(CHESS, RecordKind::Group, ""));
    });
    assert_eq!(fixture.store().persist(&writes), Err(PersistError::Stale));
    for _ in 0..2 {
        assert_eq!(list(fixture.store(), TEA, RecordKind::TreeNode), [(b"kept".to_vec(), b"oak".to_vec())]);
        assert_eq!(fixture.store().version(TEA), Ok(0));
        assert_eq!(fixture.store().version(CHESS), Ok(0));
        fixture.reopen();
    }
}

fn a_version_moves_on_with_each_write_and_survives_reopening(mut fixture: impl Fixture) {
    for version in 0..5 {
        fixture.store().persist(&set(|writes| writes.require(TEA, version))).unwrap();
        assert_eq!(fixture.store().version(TEA), Ok(version + 1));
        fixture.reopen();
        assert_eq!(fixture.store().version(TEA), Ok(version + 1));
        assert_eq!(fixture.store().version(CHESS), Ok(0));
    }
}

fn instances_without_precondition_keep_their_version(mut fixture: impl Fixture) {
    fixture.store().persist(&set(|writes| writes.require(TEA, 0))).unwrap();
    put(fixture.store(), node("a"), "oak");
    assert_eq!(fixture.store().version(TEA), Ok(1));
}

fn a_write_set_may_require_several_instances(mut fixture: impl Fixture) {
    fixture.store().persist(&set(|writes| writes.require(TEA, 0))).unwrap();
    let writes = set(|writes| {
        writes.require(TEA, 1);
        writes.require(CHESS, 0);
        writes.require(InstanceId::CLIENT, 0);
    });
    fixture.store().persist(&writes).unwrap();
    let versions =
        [TEA, CHESS, InstanceId::CLIENT].map(|instance| fixture.store().version(instance).unwrap());
    assert_eq!(versions, [2, 1, 1]);
}

fn of_two_writers_from_one_version_the_second_is_stale(mut fixture: impl Fixture) {
    let write = |value: &str| {
        set(|writes| {
            writes.require(TEA, 0);
            writes.put(node("a"), secret(value));
        })
    };
    assert_eq!(fixture.store().persist(&write("first")), Ok(()));
    assert_eq!(fixture.store().persist(&write("second")), Err(PersistError::Stale));
    assert_eq!(read(fixture.store(), &node("a")).unwrap(), b"first");
}

fn several_kinds_are_listed_together_as_each_by_itself(mut fixture: impl Fixture) {
    let kinds = [RecordKind::TreeNode, RecordKind::Group, RecordKind::Epoch, RecordKind::SecretTree];
    let store = fixture.store();
    for (number, kind) in RecordKind::ALL.iter().enumerate() {
        for id in ["b", "", "a"].iter().take(number % 4) {
            put(store, key(TEA, *kind, id), format!("{kind:?} {id}"));
            put(store, key(CHESS, *kind, id), "another's");
        }
    }
    for kinds in [&kinds[..], &kinds[..1], &[]] {
        let mut together = store.list_all(TEA, kinds).unwrap();
        together.sort_by_key(|(kind, ..)| kinds.iter().position(|other| other == kind));
        let together: Vec<_> =
            together.into_iter().map(|(kind, id, value)| (kind, id, value.expose().to_vec())).collect();
        let each = kinds.iter().flat_map(|kind| {
            list(store, TEA, *kind).into_iter().map(|(id, value)| (*kind, id, value)).collect::<Vec<_>>()
        });
        assert_eq!(together, each.collect::<Vec<_>>());
    }
}

fn list_gives_the_records_of_one_kind_and_instance_by_id(mut fixture: impl Fixture) {
    let mut expected = Vec::new();
    for number in (0..300_u32).rev() {
        put(fixture.store(), node(number.to_be_bytes()), number.to_string());
        expected.insert(0, (number.to_be_bytes().to_vec(), number.to_string().into_bytes()));
    }
    put(fixture.store(), key(TEA, RecordKind::TreeKey, "x"), "of another kind");
    put(fixture.store(), key(CHESS, RecordKind::TreeNode, "x"), "of another group");
    fixture.reopen();
    assert_eq!(list(fixture.store(), TEA, RecordKind::TreeNode), expected);
    assert_eq!(list(fixture.store(), CHESS, RecordKind::TreeNode).len(), 1);
}

fn erasing_an_instance_takes_all_kinds_and_leaves_others_and_the_version(mut fixture: impl Fixture) {
    let all = set(|writes| {
        for &kind in RecordKind::ALL {
            writes.put(key(TEA, kind, "a"), secret("of tea"));
            writes.put(key(TEA, kind, "b"), secret("of tea"));
            writes.put(key(CHESS, kind, "a"), secret("of chess"));
        }
        writes.require(TEA, 0);
    });
    fixture.store().persist(&all).unwrap();
    fixture.store().persist(&set(|writes| writes.erase_instance(TEA))).unwrap();
    fixture.store().persist(&set(|writes| writes.erase_instance(TEA))).unwrap();
    for _ in 0..2 {
        for &kind in RecordKind::ALL {
            assert!(list(fixture.store(), TEA, kind).is_empty());
            assert_eq!(list(fixture.store(), CHESS, kind).len(), 1);
        }
        assert_eq!(fixture.store().version(TEA), Ok(1));
        fixture.reopen();
    }
}

fn an_instance_is_erased_before_the_other_writes_of_the_set(mut fixture: impl Fixture) {
    put(fixture.store(), node("old"), "oak");
    let writes = set(|writes| {
        writes.put(node("dropped"), secret("ash"));
        writes.erase_instance(TEA);
        writes.put(node("new"), secret("elm"));
    });
    fixture.store().persist(&writes).unwrap();
    assert_eq!(list(fixture.store(), TEA, RecordKind::TreeNode), [(b"new".to_vec(), b"elm".to_vec())]);
}

fn appended_write_sets_happen_in_order(mut fixture: impl Fixture) {
    put(fixture.store(), node("before"), "oak");
    let mut batch = set(|writes| {
        writes.require(TEA, 0);
        writes.put(node("twice"), secret("first"));
        writes.put(node("erased"), secret("first"));
        writes.erase(node("returns"));
    });
    batch.append(set(|writes| {
        writes.require(TEA, 1);
        writes.put(node("twice"), secret("second"));
        writes.erase(node("erased"));
        writes.put(node("returns"), secret("second"));
    }));
    fixture.store().persist(&batch).unwrap();
    assert_eq!(fixture.store().version(TEA), Ok(2));
    let expected = [("before", "oak"), ("returns", "second"), ("twice", "second")];
    let expected = expected.map(|(id, value)| (id.as_bytes().to_vec(), value.as_bytes().to_vec()));
    assert_eq!(list(fixture.store(), TEA, RecordKind::TreeNode), expected);

    let mut batch = set(|writes| writes.put(node("first"), secret("gone")));
    batch.append(set(|writes| {
        writes.erase_instance(TEA);
        writes.put(node("last"), secret("stays"));
    }));
    fixture.store().persist(&batch).unwrap();
    assert_eq!(list(fixture.store(), TEA, RecordKind::TreeNode), [(b"last".to_vec(), b"stays".to_vec())]);
}

fn every_kind_keeps_its_own_records(mut fixture: impl Fixture) {
    for &kind in RecordKind::ALL {
        put(fixture.store(), key(TEA, kind, "same id"), [kind.number()]);
    }
    fixture.reopen();
    for &kind in RecordKind::ALL {
        assert_eq!(read(fixture.store(), &key(TEA, kind, "same id")).unwrap(), [kind.number()]);
    }
}
