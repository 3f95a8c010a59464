//! What both stores promise, and what only the one on the disk can.

use super::*;
use crate::op::Change;
use crate::scratch::Scratch;

fn draft(key: &str, body: &str) -> Draft {
    Draft { key: key.to_owned(), change: Change::Put(body.to_owned()) }
}

fn drafts(keys: &[&str]) -> Vec<Draft> {
    keys.iter().map(|key| draft(key, "{}")).collect()
}

fn save(store: &mut dyn Store, keys: &[&str]) -> Vec<Seq> {
    let receipts = store.save(&drafts(keys), &Rules::default(), 5).unwrap();
    receipts.iter().map(|receipt| receipt.seq).collect()
}

fn waiting(store: &mut dyn Store) -> Vec<Seq> {
    store.waiting_after(0).unwrap().iter().map(|waiting| waiting.seq).collect()
}

/// Runs a test against both.
fn both(test: impl Fn(&mut dyn Store)) {
    test(&mut Memory::default());
    let scratch = Scratch::new();
    test(&mut Sqlite::open(&scratch.path("queue.db")).unwrap());
}

fn dead(seq: Seq) -> Outcome {
    Outcome::Dead { seq, attempts: 3, status: Some(422), why: "no".to_owned() }
}

#[test]
fn saves_wait_in_order_and_are_loaded_as_they_were_saved() {
    both(|store| {
        assert_eq!(save(store, &["a", "b", "a"]), [1, 2, 3]);
        assert_eq!(waiting(store), [1, 2, 3]);
        assert_eq!(store.waiting_after(2).unwrap()[0].key, "a");
        let Some(Loaded::Intact(op)) = store.load(2).unwrap() else { panic!() };
        assert_eq!((op.seq, op.key.as_str(), op.change), (2, "b", Change::Put("{}".to_owned())));
        assert_eq!(op.idem.parts().map(|(_, seq)| seq), Some(2));
        assert_eq!(store.load(4).unwrap(), None);
    });
}

#[test]
fn what_was_sent_is_gone_and_its_place_is_never_used_again() {
    both(|store| {
        save(store, &["a", "b"]);
        store.settle(&[Outcome::Sent { seq: 1 }, Outcome::Sent { seq: 2 }]).unwrap();
        assert!(waiting(store).is_empty());
        assert_eq!(store.load(1).unwrap(), None);
        assert_eq!(store.whereabouts(2), Ok(Whereabouts::Gone));
        assert_eq!(save(store, &["c"]), [3]);
        let totals = store.totals().unwrap();
        assert_eq!((totals.pending, totals.dead, totals.saved, totals.sent), (1, 0, 3, 2));
    });
}

#[test]
fn a_failure_is_remembered_with_its_time() {
    both(|store| {
        save(store, &["a"]);
        let why = "503 Service Unavailable".to_owned();
        store.settle(&[Outcome::Again { seq: 1, attempts: 4, next_at_ms: 99, status: Some(503), why }]).unwrap();
        let waiting = store.waiting_after(0).unwrap();
        assert_eq!(waiting, [Waiting { seq: 1, key: "a".to_owned(), attempts: 4, next_at_ms: 99 }]);
        let letter = store.list().unwrap().remove(0);
        assert_eq!((letter.status, letter.created_ms, letter.is_dead), (Some(503), 5, false));
        store.hurry().unwrap();
        assert_eq!(store.waiting_after(0).unwrap()[0].next_at_ms, 0);
    });
}

#[test]
fn dead_letters_are_kept_until_somebody_decides() {
    both(|store| {
        save(store, &["a", "b", "c"]);
        store.settle(&[dead(1), dead(3)]).unwrap();
        assert_eq!(waiting(store), [2]);
        assert_eq!(store.load(1).unwrap(), None);
        assert_eq!(store.whereabouts(1), Ok(Whereabouts::Dead));
        assert_eq!(store.dead(None).unwrap().len(), 2);
        assert_eq!(store.dead(Some(&[2, 3])).unwrap().iter().map(|letter| letter.op.seq).collect::<Vec<_>>(), [3]);
        let before = store.totals().unwrap();
        assert_eq!((before.pending, before.dead), (1, 2));
        assert_eq!(store.revive(&[1, 2]).unwrap(), [1]);
        assert_eq!(store.drop_dead(&[2, 3, 4]).unwrap(), [3]);
        assert_eq!(waiting(store), [1, 2]);
        assert_eq!(store.waiting_after(0).unwrap()[0].attempts, 0);
        let after = store.totals().unwrap();
        assert_eq!((after.pending, after.dead, after.dropped), (2, 0, 1));
        assert!(after.revision > before.revision);
    });
}

#[test]
fn a_full_queue_refuses_and_changes_nothing() {
    both(|store| {
        let rules = Rules { max_ops: 2, ..Rules::default() };
        store.save(&drafts(&["a"]), &rules, 0).unwrap();
        assert!(matches!(store.save(&drafts(&["b", "c"]), &rules, 0), Err(StoreError::Full(_))));
        assert_eq!(waiting(store), [1]);
        assert_eq!(store.save(&drafts(&["b"]), &rules, 0).unwrap()[0].seq, 2);
        let rules = Rules { max_bytes: 10, ..Rules::default() };
        assert!(matches!(store.save(&[draft("d", "[1,2,3]")], &rules, 0), Err(StoreError::Full(_))));
    });
}

#[test]
fn a_full_queue_gives_up_its_oldest_if_it_may_but_no_dead_letter() {
    both(|store| {
        let rules = Rules { max_ops: 2, full: Full::DropOldest, ..Rules::default() };
        store.save(&drafts(&["a", "b"]), &rules, 0).unwrap();
        store.settle(&[dead(1)]).unwrap();
        store.save(&drafts(&["c"]), &rules, 0).unwrap();
        assert_eq!((waiting(store), store.totals().unwrap().dropped), (vec![3], 1));
        store.settle(&[dead(3)]).unwrap();
        assert!(matches!(store.save(&drafts(&["d"]), &rules, 0), Err(StoreError::Full(_))));
        assert_eq!(store.totals().unwrap().dead, 2);
    });
}

#[test]
fn the_last_save_of_a_key_takes_the_place_of_those_that_wait() {
    both(|store| {
        let rules = Rules { coalesce: Coalesce::Last, ..Rules::default() };
        store.save(&drafts(&["a", "b", "a"]), &rules, 0).unwrap();
        assert_eq!((waiting(store), store.totals().unwrap().dropped), (vec![2, 3], 1));
    });
}

#[test]
fn a_stamp_changes_with_the_writes_of_others_only() {
    let scratch = Scratch::new();
    let memory = Memory::default();
    let sqlite = || Sqlite::open(&scratch.path("queue.db")).unwrap();
    let pairs: [(Box<dyn Store>, Box<dyn Store>); 2] =
        [(Box::new(memory.clone()), Box::new(memory)), (Box::new(sqlite()), Box::new(sqlite()))];
    for (mut own, mut other) in pairs {
        let before = own.stamp().unwrap();
        save(&mut *own, &["a"]);
        assert_eq!(own.stamp().unwrap(), before);
        save(&mut *other, &["b"]);
        assert_ne!(own.stamp().unwrap(), before);
        other.set_paused(true).unwrap();
        assert!(own.is_paused().unwrap());
    }
}

#[test]
fn order_is_the_place_and_not_the_clock() {
    both(|store| {
        for now_ms in [7_200_000, 3_600_000, 3_600_000, 0] {
            store.save(&drafts(&["a"]), &Rules::default(), now_ms).unwrap();
        }
        assert_eq!(waiting(store), [1, 2, 3, 4]);
    });
}

#[test]
fn the_store_on_the_disk_is_synced_at_each_commit() {
    let scratch = Scratch::new();
    let store = Sqlite::open(&scratch.path("queue.db")).unwrap();
    assert_eq!(store.pragma("synchronous"), "2");
    assert_eq!(store.pragma("journal_mode"), "wal");
}

#[test]
fn two_stores_give_away_different_names() {
    let scratch = Scratch::new();
    let name = |file: &str| {
        let mut store = Sqlite::open(&scratch.path(file)).unwrap();
        store.save(&drafts(&["a"]), &Rules::default(), 0).unwrap().remove(0).idem
    };
    assert_ne!(name("one.db"), name("two.db"));
}

#[test]
fn a_row_that_is_not_what_was_saved_is_noticed() {
    let scratch = Scratch::new();
    let mut store = Sqlite::open(&scratch.path("queue.db")).unwrap();
    save(&mut store, &["a", "b", "c", "d"]);
    store.execute("UPDATE ops SET body = '{ }' WHERE seq = 1");
    store.execute("UPDATE ops SET key = CAST(x'ff' AS TEXT) WHERE seq = 2");
    store.execute("UPDATE ops SET idem = 'another' WHERE seq = 3");
    assert_eq!(waiting(&mut store), [1, 2, 3, 4]);
    for seq in 1..=3 {
        assert_eq!(store.load(seq), Ok(Some(Loaded::Damaged)), "{seq}");
    }
    assert!(matches!(store.load(4), Ok(Some(Loaded::Intact(_)))));
}

#[test]
fn what_can_be_read_of_a_damaged_store_is_kept_under_its_old_names() {
    let scratch = Scratch::new();
    let path = scratch.path("queue.db");
    let mut store = Sqlite::open(&path).unwrap();
    let receipts = store.save(&drafts(&["a", "b", "c"]), &Rules::default(), 0).unwrap();
    store.settle(&[dead(2)]).unwrap();
    store.execute("UPDATE ops SET body = 'x' WHERE seq = 1");
    drop(store);

    let salvage = salvage(&path, 77).unwrap();
    assert_eq!(salvage, Salvage { kept_as: scratch.path("queue.db.corrupt-77"), rescued: 2 });
    assert!(salvage.kept_as.exists());
    let mut store = Sqlite::open(&path).unwrap();
    store.check().unwrap();
    let letters = store.list().unwrap();
    assert_eq!(
        letters.iter().map(|letter| (letter.op.seq, letter.is_dead)).collect::<Vec<_>>(),
        [(2, true), (3, false)]
    );
    assert_eq!(letters[1].op.idem, receipts[2].idem);
    let next = store.save(&drafts(&["d"]), &Rules::default(), 0).unwrap().remove(0);
    assert_eq!(next.seq, 4);
    assert_ne!(next.idem.parts().unwrap().0, receipts[0].idem.parts().unwrap().0);
}
